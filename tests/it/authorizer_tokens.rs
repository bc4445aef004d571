//! The authorizer's verdict on malformed, forged and expired tokens. After each rejected token a valid
//! one must be accepted, so that hostile input does not affect later requests.

use auth_tests::{Authorizer, Verdict, request_event};
use serde_json::{Value, json};
use testkit::pool::Pool;
use testkit::token::{TokenBuilder, base64url, now};

/// Runs rows of (case, token, verdict) through one authorizer.
async fn check(authorizer: &Authorizer, rows: Vec<(&str, String, Verdict)>) {
    let good = Pool::ours().access_token().build();
    for (case, token, expected) in rows {
        let verdict = authorizer.verdict_on(&token).await;
        assert_eq!(verdict, expected, "{case}: {token:.400}");
        assert_eq!(
            authorizer.verdict_on(&good).await,
            Verdict::Allow,
            "after {case}"
        );
    }
}

/// Rows of tokens that must all be rejected.
fn refused<'c>(
    rows: impl IntoIterator<Item = (&'c str, String)>,
) -> Vec<(&'c str, String, Verdict)> {
    rows.into_iter()
        .map(|(case, token)| (case, token, Verdict::Unauthorized))
        .collect()
}

fn valid() -> TokenBuilder<'static> {
    Pool::ours().access_token()
}

#[tokio::test]
async fn rejects_malformed_authorization_headers() {
    let authorizer = Authorizer::start().await;
    let good = valid().build();
    let rows = [
        ("null", json!(null), false),
        ("empty", json!(""), false),
        ("scheme only", json!("Bearer"), false),
        ("scheme and space only", json!("Bearer "), false),
        ("valid", json!(format!("Bearer  {good}")), true),
        (
            "scheme in another case",
            json!(format!("bearer {good}")),
            true,
        ),
        (
            "scheme in another case",
            json!(format!("BEARER {good}")),
            true,
        ),
        ("token without scheme", json!(good), false),
        ("another scheme", json!(format!("Basic {good}")), false),
        (
            "two tokens",
            json!(format!("Bearer {good}, Bearer {good}")),
            false,
        ),
        ("two tokens", json!(format!("Bearer {good} {good}")), false),
        ("leading space", json!(format!(" Bearer {good}")), false),
        ("trailing space", json!(format!("Bearer {good} ")), false),
        ("trailing newline", json!(format!("Bearer {good}\n")), false),
        ("tab as separator", json!(format!("Bearer\t{good}")), false),
        ("trailing NUL", json!(format!("Bearer {good}\u{0}")), false),
        (
            "NUL inside",
            json!(format!("Bearer {}\u{0}{}", &good[..9], &good[9..])),
            false,
        ),
        ("a number", json!(7), false),
        ("a list", json!([format!("Bearer {good}")]), false),
    ];
    for (case, value, passes) in rows {
        let expected = Verdict::passing(passes);
        let mut event = auth_tests::token_event("");
        event["authorizationToken"] = value.clone();
        assert_eq!(
            authorizer.verdict(&event).await,
            expected,
            "{case} TOKEN {value:.80}"
        );
        let mut event = request_event("");
        event["headers"]["Authorization"] = value.clone();
        event["multiValueHeaders"]["Authorization"] = json!([value]);
        assert_eq!(
            authorizer.verdict(&event).await,
            expected,
            "{case} REQUEST {value:.80}"
        );
    }
}

#[tokio::test]
async fn rejects_malformed_compact_serializations() {
    let authorizer = Authorizer::start().await;
    let good = valid().build();
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three segments");
    };
    let join = |segments: &[&str]| segments.join(".");
    let last = signature.len() - 1;
    // The last of 342 characters has four unused bits: another encoding of the same bytes.
    let twin = |text: &str| {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let end = text.as_bytes()[text.len() - 1];
        let at = alphabet.iter().position(|byte| *byte == end).unwrap();
        format!(
            "{}{}",
            &text[..text.len() - 1],
            char::from(alphabet[at ^ 1])
        )
    };
    let rows = refused([
        ("no segment", String::new()),
        ("one segment", header.to_owned()),
        ("two segments", join(&[header, payload])),
        ("four segments", join(&[header, payload, signature, ""])),
        (
            "five segments",
            join(&[header, payload, signature, signature, signature]),
        ),
        ("empty segments", "..".to_owned()),
        ("empty segments", join(&[header, payload, ""])),
        ("empty segments", join(&["", payload, signature])),
        ("empty segments", join(&[header, "", signature])),
        ("dots only", ".".repeat(100_000)),
        ("dots only", ".".repeat(10 * 1024)),
        (
            "above the length limit",
            valid().claim("x", "a".repeat(8 * 1024)).build(),
        ),
        (
            "padded base64url",
            join(&[&format!("{header}="), payload, signature]),
        ),
        (
            "padded base64url",
            join(&[header, &format!("{payload}=="), signature]),
        ),
        (
            "padded base64url",
            join(&[header, payload, &format!("{signature}==")]),
        ),
        (
            "base64 instead of base64url",
            join(&[header, payload, &signature.replace(['-', '_'], "+")[..]]),
        ),
        (
            "base64 instead of base64url",
            join(&[header, payload, &format!("/{}", &signature[1..])]),
        ),
        (
            "other encoding of the last bits",
            join(&[header, payload, &twin(signature)]),
        ),
        (
            "white space in a segment",
            join(&[
                header,
                payload,
                &format!("{}\n{}", &signature[..9], &signature[9..]),
            ]),
        ),
        (
            "white space in a segment",
            join(&[&format!("{header} "), payload, signature]),
        ),
        (
            "signature of zeros",
            join(&[header, payload, &base64url([0; 256])]),
        ),
        (
            "signature of one",
            join(&[
                header,
                payload,
                &base64url([[0; 255].as_slice(), &[1]].concat()),
            ]),
        ),
        (
            "signature equal to the modulus",
            join(&[
                header,
                payload,
                &base64url(Pool::ours().access_key.modulus()),
            ]),
        ),
        ("signature of the modulus minus one", {
            let mut less = Pool::ours().access_key.modulus();
            *less.last_mut().unwrap() -= 1;
            join(&[header, payload, &base64url(less)])
        }),
        (
            "signature above the modulus",
            join(&[header, payload, &base64url([0xff; 256])]),
        ),
        (
            "shortened signature",
            join(&[header, payload, &signature[..last - 3]]),
        ),
        (
            "lengthened signature",
            join(&[header, payload, &format!("{}AAAA", &signature[..last - 1])]),
        ),
        ("signature with a leading zero byte", {
            let bytes = decode(signature);
            join(&[
                header,
                payload,
                &base64url([&[0], bytes.as_slice()].concat()),
            ])
        }),
        ("payload of another token", {
            let other = valid().claim("sub", "another-user").build();
            let others = other.split('.').nth(1).unwrap();
            join(&[header, others, signature])
        }),
        (
            "five segments with two signatures",
            format!("{header}.{payload}.{signature}.{payload}.{signature}"),
        ),
    ]);
    check(&authorizer, rows).await;
}

fn decode(segment: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(segment)
        .unwrap()
}

#[tokio::test]
async fn rejects_malformed_segments() {
    let authorizer = Authorizer::start().await;
    let (header, claims) = (valid().header_json(), valid().claims_json());
    let with_header = |header: &[u8]| valid().build_raw(header, &claims);
    let with_claims = |claims: &[u8]| valid().build_raw(&header, claims);
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let put = |json: &str, member: &str| format!("{{{member},{}", &json[1..]);
    let mut rows = Vec::new();
    for bad in [
        b"\xff\xfe{}".as_slice(),
        b"{\"x\":\"\xc0\xaf\"}",
        b"\xef\xbb\xbf{}",
        b"{\"x\":\"\xed\xa0\x80\"}",
        b"[]",
        b"\"x\"",
        b"1",
        b"null",
        b"",
        b"{",
    ] {
        rows.push(("invalid header bytes", with_header(bad)));
        rows.push(("invalid claims bytes", with_claims(bad)));
    }
    let utf16: Vec<u8> = claims.encode_utf16().flat_map(u16::to_le_bytes).collect();
    rows.push(("UTF-16 claims", with_claims(&utf16)));
    rows.push((
        "byte order mark",
        with_claims(format!("\u{feff}{claims}").as_bytes()),
    ));
    rows.push(("invalid UTF-8 in a string", {
        let mut bytes = put(&claims, r#""x":"?""#).into_bytes();
        let at = bytes.iter().position(|byte| *byte == b'?').unwrap();
        bytes[at] = 0xff;
        with_claims(&bytes)
    }));
    for (json, make) in [
        (&header, &with_header as &dyn Fn(&[u8]) -> String),
        (&claims, &with_claims),
    ] {
        rows.push(("trailing text", make(format!("{json}x").as_bytes())));
        rows.push(("two objects", make(format!("{json}{json}").as_bytes())));
        rows.push(("a comment", make(format!("/* */{json}").as_bytes())));
        rows.push(("trailing comma", make(json.replace('}', ",}").as_bytes())));
        rows.push(("NaN", make(put(json, r#""x":NaN"#).as_bytes())));
        rows.push(("Infinity", make(put(json, r#""x":Infinity"#).as_bytes())));
        rows.push((
            "deeply nested member",
            make(put(json, &format!(r#""x":{}"#, deep(200))).as_bytes()),
        ));
        rows.push((
            "deeply nested member",
            make(put(json, &format!(r#""x":{}"#, deep(2_000))).as_bytes()),
        ));
        rows.push(("deeply nested array", make(deep(100_000).as_bytes())));
        rows.push((
            "duplicate unknown member",
            make(put(json, r#""x":1,"x":1"#).as_bytes()),
        ));
    }
    for member in ["alg", "kid", "typ"] {
        let twice = format!(r#""{member}":"RS256""#);
        rows.push((
            "duplicate header member",
            with_header(put(&put(&header, &twice), &twice).as_bytes()),
        ));
    }
    rows.push((
        "duplicate header member",
        with_header(put(&header, r#""alg":"RS256""#).as_bytes()),
    ));
    rows.push((
        "duplicate alg by an escape",
        with_header(put(&header, r#""\u0061lg":"none""#).as_bytes()),
    ));
    for member in [
        r#""exp":99999999999"#,
        r#""\u0065xp":1"#,
        r#""sub":"x""#,
        r#""iss":"x""#,
        r#""token_use":"access""#,
        r#""token\u005fuse":"access""#,
        r#""client_id":"x""#,
    ] {
        rows.push((
            "duplicate claim",
            with_claims(put(&claims, member).as_bytes()),
        ));
    }
    rows.push((
        "duplicate groups",
        with_claims(
            put(
                &claims,
                r#""cognito:groups":[],"cognito:groups":["admins"]"#,
            )
            .as_bytes(),
        ),
    ));
    check(&authorizer, refused(rows)).await;

    let unharmed = put(
        &claims,
        &format!(r#""x":{},"y":{{"a":[1,null,true,1.5,"\u00e9"]}}"#, deep(50)),
    );
    let rows = vec![
        (
            "nested unknown claims",
            with_claims(unharmed.as_bytes()),
            Verdict::Allow,
        ),
        (
            "Unicode claim",
            with_claims(put(&claims, "\"n\u{e4}me\":\"\u{1f600}\"").as_bytes()),
            Verdict::Allow,
        ),
    ];
    check(&authorizer, rows).await;
}

#[tokio::test]
async fn rejects_invalid_jose_headers() {
    let authorizer = Authorizer::start().await;
    let stranger = &Pool::foreign().access_key;
    let unsigned = |alg: &str| {
        let header = valid().header("alg", alg).header_json();
        let input = format!("{}.{}", base64url(header), base64url(valid().claims_json()));
        [
            format!("{input}."),
            format!("{input}.{}", base64url("x")),
            valid().header("alg", alg).build(),
        ]
    };
    let mut rows = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        rows.extend(unsigned(alg).map(|token| ("unsigned", token)));
    }
    rows.push(("without alg", valid().without_header("alg").build()));
    for alg in [
        json!(null),
        json!(5),
        json!(["RS256"]),
        json!({"a": 1}),
        json!(true),
    ] {
        rows.push((
            "alg is not a valid string",
            valid().header("alg", alg).build(),
        ));
    }
    for (alg, secret) in hmac_confusions() {
        let header = valid().header("alg", alg).header_json();
        let input = format!("{}.{}", base64url(header), base64url(valid().claims_json()));
        let tag = hmac(alg, &secret, input.as_bytes());
        rows.push((
            "HMAC with the public key",
            format!("{input}.{}", base64url(tag)),
        ));
    }
    for alg in ["RS384", "RS512", "PS256", "ES256", "EdDSA", "ES512", "RS1"] {
        rows.push(("alg of another kind", valid().header("alg", alg).build()));
    }
    for alg in ["rs256", " RS256", "RS256 ", "RS256\0", "RS256,RS256"] {
        rows.push((
            "altered spelling of alg",
            valid().header("alg", alg).build(),
        ));
    }
    for crit in [
        json!(["x"]),
        json!([]),
        json!("exp"),
        json!(["x", "x"]),
        json!(["alg"]),
        json!(["missing"]),
        json!(null),
    ] {
        rows.push(("crit", valid().header("crit", crit).header("x", 1).build()));
    }
    rows.push((
        "b64",
        valid()
            .header("b64", false)
            .header("crit", json!(["b64"]))
            .build(),
    ));
    rows.push(("b64", valid().header("b64", false).build()));
    let attackers = stranger.jwk(Pool::ours().access_kid);
    for (member, value) in [
        ("jku", json!(authorizer.jwks.uri())),
        ("x5u", json!("https://attacker.example/x")),
        ("x5c", json!(["MIIB"])),
        ("jwk", attackers.clone()),
    ] {
        rows.push((
            "key from the token's header",
            valid().header(member, value).signed_by(stranger).build(),
        ));
    }
    rows.push(("zip", valid().header("zip", "DEF").build()));
    rows.push(("enc", valid().header("enc", "A256GCM").build()));
    rows.push(("cty", valid().header("cty", "JWT").build()));
    rows.push((
        "typ of another token format",
        valid().header("typ", "JWE").build(),
    ));
    rows.push((
        "typ of another token format",
        valid().header("typ", "logout+jwt").build(),
    ));
    rows.push(("without kid", valid().without_header("kid").build()));
    for kid in [json!(null), json!(1), json!(""), json!(["a"])] {
        rows.push((
            "kid is not a valid string",
            valid().header("kid", kid).build(),
        ));
    }
    let kid = Pool::ours().access_kid;
    for bad in [
        "../../etc/passwd",
        "' OR 1=1 --",
        "$(id)",
        "https://attacker.example/jwks.json",
        "kid\0",
        "kid\r\nX: y",
        &"k".repeat(6_000),
        &format!("{kid} "),
        &kid.replace('a', "\u{430}"),
        &kid.to_uppercase(),
    ] {
        rows.push(("unknown kid", valid().header("kid", bad).build()));
    }
    rows.push((
        "kid of another key",
        valid().header("kid", Pool::ours().id_kid).build(),
    ));
    rows.push((
        "another pool's token",
        Pool::foreign().access_token().build(),
    ));
    rows.push((
        "kid of another pool",
        valid().header("kid", Pool::foreign().access_kid).build(),
    ));
    rows.push((
        "another pool's signature",
        valid().signed_by(stranger).build(),
    ));
    let fetches = authorizer.jwks.fetches();
    check(&authorizer, refused(rows)).await;
    assert!(
        authorizer.jwks.fetches() <= fetches + 1,
        "a token caused requests to other hosts"
    );
    assert!(
        !authorizer.binary.output().contains("attacker"),
        "the log contains a kid"
    );
    assert!(
        !authorizer.binary.output().contains("passwd"),
        "the log contains a kid"
    );

    let ours = Pool::ours();
    let rows = vec![
        (
            "unused key members in the header",
            valid()
                .header("jku", "https://x.example")
                .header("jwk", attackers)
                .header("x5c", json!(["x"]))
                .header("x5u", "x")
                .header("x", 1)
                .build(),
            Verdict::Allow,
        ),
        (
            "ID key of the same pool",
            valid()
                .header("kid", ours.id_kid)
                .signed_by(&ours.id_key)
                .build(),
            Verdict::Allow,
        ),
        (
            "allowed typ",
            valid().header("typ", "JWT").build(),
            Verdict::Allow,
        ),
        (
            "allowed typ",
            valid().header("typ", "at+jwt").build(),
            Verdict::Allow,
        ),
    ];
    check(&authorizer, rows).await;
}

/// The public key in all forms that verifiers have mistaken for an HMAC secret.
fn hmac_confusions() -> Vec<(&'static str, Vec<u8>)> {
    let jwk = Pool::ours().access_key.jwk(Pool::ours().access_kid);
    let modulus = Pool::ours().access_key.modulus();
    let secrets = [
        modulus.clone(),
        jwk.to_string().into_bytes(),
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        b"-----BEGIN PUBLIC KEY-----".to_vec(),
        Vec::new(),
    ];
    ["HS256", "HS384", "HS512"]
        .iter()
        .flat_map(|alg| secrets.iter().map(|secret| (*alg, secret.clone())))
        .collect()
}

fn hmac(alg: &str, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let alg = match alg {
        "HS384" => jsonwebtoken::Algorithm::HS384,
        "HS512" => jsonwebtoken::Algorithm::HS512,
        _ => jsonwebtoken::Algorithm::HS256,
    };
    let key = jsonwebtoken::EncodingKey::from_secret(secret);
    let text = jsonwebtoken::crypto::sign(message, &key, alg).unwrap();
    decode(&text)
}

#[tokio::test]
async fn rejects_every_flipped_bit() {
    let authorizer = Authorizer::start().await;
    let good = valid().build();
    let mut bytes = good.clone().into_bytes();
    // One bit in each byte, at a moving position, so that all eight positions are tried many times.
    for at in 0..bytes.len() {
        bytes[at] ^= 1 << (at % 7);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let verdict = authorizer.verdict_on(&text).await;
        assert_eq!(verdict, Verdict::Unauthorized, "byte {at}");
        bytes[at] ^= 1 << (at % 7);
    }
    assert_eq!(authorizer.verdict_on(&good).await, Verdict::Allow);
}

#[tokio::test]
async fn rejects_bad_time_claims() {
    let authorizer = Authorizer::start().await;
    let raw = |name: &str, json: &str| {
        let claims = valid().without(name).claims_json();
        let claims = format!(r#"{{"{name}":{json},{}"#, &claims[1..]);
        valid().build_raw(valid().header_json(), claims)
    };
    let mut rows = Vec::new();
    for bad in [
        "null",
        "\"99999999999\"",
        "true",
        "[99999999999]",
        "{}",
        "-1",
        "0",
        "-0.0",
        "1e300",
        "18446744073709551615",
        "9223372036854775807",
        "9223372036854775808",
        "1e400",
    ] {
        rows.push(("exp is not a valid time", raw("exp", bad)));
        rows.push(("iat is not a valid time", raw("iat", bad)));
        rows.push(("auth_time is not a valid time", raw("auth_time", bad)));
        rows.push(("nbf is not a valid time", raw("nbf", bad)));
    }
    let now = now();
    for name in ["exp", "iat", "auth_time"] {
        rows.push((
            "a required time claim is missing",
            valid().without(name).build(),
        ));
    }
    rows.push((
        "lifetime too long",
        valid().claim("exp", now + 90_000).build(),
    ));
    rows.push((
        "exp with a fraction, in the past",
        raw("exp", &format!("{}.9", now - 1)),
    ));
    rows.push(("exp reached", valid().claim("exp", now).build()));
    rows.push(("exp reached", valid().claim("exp", now - 1).build()));
    rows.push(("iat in the future", valid().claim("iat", now + 600).build()));
    rows.push((
        "exp before iat",
        valid()
            .claim("iat", now - 10)
            .claim("exp", now - 20)
            .build(),
    ));
    rows.push(("nbf in the future", valid().claim("nbf", now + 600).build()));
    rows.push((
        "auth_time in the future",
        valid().claim("auth_time", now + 600).build(),
    ));
    rows.push((
        "auth_time after iat",
        valid().claim("auth_time", now - 30).build(),
    ));
    check(&authorizer, refused(rows)).await;

    let rows = vec![
        (
            "exp in the future",
            valid().claim("exp", now + 60).build(),
            Verdict::Allow,
        ),
        (
            "exp with a fraction, in the future",
            raw("exp", &format!("{}.9", now + 60)),
            Verdict::Allow,
        ),
        (
            "nbf in the past",
            valid().claim("nbf", now - 1).build(),
            Verdict::Allow,
        ),
        (
            "without nbf",
            valid().without("nbf").build(),
            Verdict::Allow,
        ),
    ];
    check(&authorizer, rows).await;
}

#[tokio::test]
async fn leeway_is_configurable() {
    let authorizer = Authorizer::start_with(&[("CLOCK_LEEWAY_SECONDS", "60")]).await;
    let now = now();
    let rows = vec![
        (
            "exp within the leeway",
            valid().claim("exp", now - 20).build(),
            Verdict::Allow,
        ),
        (
            "exp outside of the leeway",
            valid().claim("exp", now - 60).build(),
            Verdict::Unauthorized,
        ),
        (
            "iat within the leeway",
            valid().claim("iat", now + 30).build(),
            Verdict::Allow,
        ),
        (
            "iat outside of the leeway",
            valid().claim("iat", now + 600).build(),
            Verdict::Unauthorized,
        ),
        (
            "nbf within the leeway",
            valid().claim("nbf", now + 30).build(),
            Verdict::Allow,
        ),
        (
            "nbf outside of the leeway",
            valid().claim("nbf", now + 600).build(),
            Verdict::Unauthorized,
        ),
    ];
    check(&authorizer, rows).await;
}

#[tokio::test]
async fn rejects_unknown_issuers() {
    let authorizer = Authorizer::start().await;
    let issuer = Pool::ours().issuer();
    let rows = [
        format!("{issuer}/"),
        issuer.to_uppercase(),
        issuer.replace("https", "http"),
        issuer.replace("https", "HTTPS"),
        format!("{issuer}/x"),
        issuer.replace("https://", "https://user@"),
        issuer.replace(".com", ".com:443"),
        issuer.replace("amazonaws", "\u{430}mazonaws"),
        issuer[..issuer.len() - 1].to_owned(),
        format!("{issuer}x"),
        issuer.replace("https://", "https://attacker.example/https://"),
        issuer.replace("cognito-idp", "issuer-cognito-idp"),
        format!(" {issuer}"),
        String::new(),
    ];
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|iss| ("altered issuer", valid().claim("iss", iss).build()))
        .collect();
    for iss in [json!([issuer]), json!({"a": issuer}), json!(null), json!(1)] {
        rows.push((
            "iss is not a valid string",
            valid().claim("iss", iss).build(),
        ));
    }
    rows.push(("without iss", valid().without("iss").build()));
    rows.push((
        "another pool's issuer",
        valid().claim("iss", Pool::foreign().issuer()).build(),
    ));
    rows.push((
        "another provider's issuer",
        valid().claim("iss", "https://accounts.google.com").build(),
    ));
    rows.push((
        "another provider's issuer",
        valid()
            .claim("iss", "https://cognito-identity.amazonaws.com")
            .build(),
    ));
    check(&authorizer, refused(rows)).await;
}

#[tokio::test]
async fn both_issuer_forms_of_a_pool_are_accepted() {
    let pool = Pool::ours();
    let updated = pool.issuer().replace("cognito-idp", "issuer-cognito-idp");
    let jwks = pool.jwks().to_string();
    let authorizer = Authorizer::start_with(&[
        ("ISSUER", &format!("{},{updated}", pool.issuer())),
        ("JWKS_URI", ""),
        ("JWKS", &jwks),
    ])
    .await;
    let rows = vec![
        ("original issuer form", valid().build(), Verdict::Allow),
        (
            "updated issuer form",
            valid().claim("iss", updated).build(),
            Verdict::Allow,
        ),
        (
            "issuer with a trailing slash",
            valid().claim("iss", format!("{}/", pool.issuer())).build(),
            Verdict::Unauthorized,
        ),
    ];
    check(&authorizer, rows).await;
    assert_eq!(authorizer.jwks.fetches(), 0, "inline keys need no fetch");

    let both = format!(
        "{},{}",
        pool.issuer(),
        pool.issuer().replace("cognito-idp", "issuer-cognito-idp")
    );
    let authorizer = Authorizer::start_with(&[("ISSUER", &both)]).await;
    for issuer in both.split(',') {
        let token = valid().claim("iss", issuer).build();
        let verdict = authorizer.verdict_on(&token).await;
        assert_eq!(verdict, Verdict::Allow, "both forms have one key set URL");
    }
}

#[tokio::test]
async fn rejects_bad_subjects_clients_and_token_uses() {
    let authorizer = Authorizer::start().await;
    let client = Pool::ours().client_id;
    let mut rows = Vec::new();
    for token_use in [
        json!("refresh"),
        json!("ID"),
        json!("id"),
        json!("Access"),
        json!(null),
        json!(["access"]),
    ] {
        rows.push((
            "another token_use",
            valid().claim("token_use", token_use).build(),
        ));
    }
    rows.push(("without token_use", valid().without("token_use").build()));
    rows.push(("an ID token", Pool::ours().id_token().build()));
    rows.push(("without client_id", valid().without("client_id").build()));
    for id in [
        json!("unlisted"),
        json!([client]),
        json!(null),
        json!(""),
        json!("*"),
        json!(format!("{client} ")),
    ] {
        rows.push(("invalid client_id", valid().claim("client_id", id).build()));
    }
    rows.push((
        "client only in aud",
        valid()
            .claim("client_id", "unlisted")
            .claim("aud", client)
            .build(),
    ));
    rows.push(("without sub", valid().without("sub").build()));
    for sub in [
        json!(""),
        json!(1),
        json!(null),
        json!("a\0b"),
        json!("a".repeat(257)),
        json!("a\r\nb"),
    ] {
        rows.push(("invalid sub", valid().claim("sub", sub).build()));
    }
    rows.push(("without origin_jti", valid().without("origin_jti").build()));
    for id in [
        json!(1),
        json!(null),
        json!(["a"]),
        json!("a".repeat(3_000)),
        json!(""),
    ] {
        rows.push(("invalid jti", valid().claim("jti", id.clone()).build()));
        rows.push((
            "invalid origin_jti",
            valid().claim("origin_jti", id).build(),
        ));
    }
    for groups in [
        json!("admins"),
        json!([1]),
        json!([null]),
        json!({"a": 1}),
        json!(null),
        json!([["admins"]]),
    ] {
        rows.push((
            "groups is not a list of strings",
            valid().claim("cognito:groups", groups).build(),
        ));
    }
    for scope in [json!(["a"]), json!(1), json!(null)] {
        rows.push((
            "scope is not a string",
            valid().claim("scope", scope).build(),
        ));
    }
    // Bound to another resource (RFC 8707).
    for audience in [
        json!("https://resource.example"),
        json!(["a", "b"]),
        json!([client]),
        json!([]),
        json!("unlisted"),
        json!(""),
    ] {
        rows.push((
            "audience of another resource",
            valid().claim("aud", audience).build(),
        ));
    }
    rows.push(("act", valid().claim("act", json!({"sub": "x"})).build()));
    rows.push(("act", valid().claim("act", json!(null)).build()));
    check(&authorizer, refused(rows)).await;

    let groups: Vec<String> = (0..100).map(|n| format!("group-{n}")).collect();
    let rows = vec![
        (
            "aud is the client",
            valid().claim("aud", Pool::ours().client_id).build(),
            Verdict::Allow,
        ),
        (
            "sub with a space",
            valid().claim("sub", "google|1234 5678").build(),
            Verdict::Allow,
        ),
        (
            "longest sub",
            valid().claim("sub", "a".repeat(256)).build(),
            Verdict::Allow,
        ),
        (
            "machine token",
            Pool::ours().machine_token().build(),
            Verdict::Deny,
        ),
        (
            "machine token",
            Pool::ours().machine_token().without("auth_time").build(),
            Verdict::Deny,
        ),
        (
            "machine token",
            Pool::ours()
                .machine_token()
                .claim("origin_jti", "session-of-a-machine")
                .build(),
            Verdict::Deny,
        ),
        (
            "without jti",
            valid().without("jti").build(),
            Verdict::Allow,
        ),
        (
            "origin_jti with separators",
            valid().claim("origin_jti", "a#b*c").build(),
            Verdict::Allow,
        ),
        (
            "many groups",
            valid().claim("cognito:groups", groups).build(),
            Verdict::Allow,
        ),
        (
            "scopes with repeated spaces",
            valid().claim("scope", "a  b a\tc").build(),
            Verdict::Allow,
        ),
        (
            "without scope",
            valid().without("scope").build(),
            Verdict::Allow,
        ),
    ];
    check(&authorizer, rows).await;
}

#[tokio::test]
async fn accepted_token_uses_are_configurable() {
    let id = || Pool::ours().id_token();
    let client = Pool::ours().client_id;
    let authorizer =
        Authorizer::start_with(&[("TOKEN_USE", "any"), ("REQUIRE_SESSION", "false")]).await;
    let rows = vec![
        ("ID token", id().build(), Verdict::Allow),
        ("access token", valid().build(), Verdict::Allow),
        (
            "unlisted aud",
            id().claim("aud", "unlisted").build(),
            Verdict::Unauthorized,
        ),
        (
            "aud is a list",
            id().claim("aud", json!([client])).build(),
            Verdict::Unauthorized,
        ),
        (
            "aud is a list",
            id().claim("aud", json!([client, "other"])).build(),
            Verdict::Unauthorized,
        ),
        (
            "without aud",
            id().without("aud").build(),
            Verdict::Unauthorized,
        ),
        (
            "aud is null",
            id().claim("aud", json!(null)).build(),
            Verdict::Unauthorized,
        ),
        (
            "client only in client_id",
            id().claim("aud", "unlisted")
                .claim("client_id", client)
                .build(),
            Verdict::Unauthorized,
        ),
        (
            "client_id is ignored in an ID token",
            id().claim("client_id", "unlisted").build(),
            Verdict::Allow,
        ),
        (
            "without origin_jti",
            valid().without("origin_jti").build(),
            Verdict::Allow,
        ),
    ];
    check(&authorizer, rows).await;

    let authorizer = Authorizer::start_with(&[("TOKEN_USE", "id")]).await;
    assert_eq!(authorizer.verdict_on(&id().build()).await, Verdict::Allow);
    assert_eq!(
        authorizer.verdict_on(&valid().build()).await,
        Verdict::Unauthorized
    );

    let audience = "https://resource.example";
    let authorizer = Authorizer::start_with(&[("RESOURCE_AUDIENCE", audience)]).await;
    let rows = [
        (valid().claim("aud", audience).build(), Verdict::Allow),
        (
            valid().claim("aud", "https://other.example").build(),
            Verdict::Unauthorized,
        ),
        (
            valid().claim("aud", json!([audience])).build(),
            Verdict::Unauthorized,
        ),
        (valid().build(), Verdict::Unauthorized),
    ];
    for (token, expected) in rows {
        assert_eq!(authorizer.verdict_on(&token).await, expected);
    }

    let authorizer = Authorizer::start_with(&[("RESOURCE_AUDIENCE", "*")]).await;
    for token in [
        valid(),
        valid().claim("aud", audience),
        valid().claim("aud", json!([audience, "b"])),
    ] {
        let verdict = authorizer.verdict_on(&token.build()).await;
        assert_eq!(verdict, Verdict::Allow);
    }
}

#[tokio::test]
async fn iat_may_be_slightly_in_the_future() {
    let at = |iat: u64| {
        let token = valid().claim("iat", iat).claim("auth_time", iat);
        token.build()
    };
    let authorizer = Authorizer::start().await;
    let now = now();
    let rows = vec![
        ("iat slightly in the future", at(now + 3), Verdict::Allow),
        (
            "iat too far in the future",
            at(now + 60),
            Verdict::Unauthorized,
        ),
        // No other time claim may be in the future.
        (
            "nbf in the future",
            valid().claim("nbf", now + 60).build(),
            Verdict::Unauthorized,
        ),
        (
            "exp in the past",
            valid().claim("exp", now - 1).build(),
            Verdict::Unauthorized,
        ),
        (
            "auth_time after iat",
            valid()
                .claim("iat", now + 1)
                .claim("auth_time", now + 3)
                .build(),
            Verdict::Unauthorized,
        ),
    ];
    check(&authorizer, rows).await;
    let authorizer = Authorizer::start_with(&[("IAT_LEEWAY_SECONDS", "0")]).await;
    let rows = vec![(
        "iat too far in the future",
        at(now + 60),
        Verdict::Unauthorized,
    )];
    check(&authorizer, rows).await;
    let authorizer = Authorizer::start_with(&[("IAT_LEEWAY_SECONDS", "60")]).await;
    let rows = vec![("iat within the leeway", at(now + 40), Verdict::Allow)];
    check(&authorizer, rows).await;
}

#[tokio::test]
async fn the_token_length_limit_is_configurable() {
    let groups = |count: usize| {
        let name = |n: usize| format!("RAW_DATA_FULL_CONTROL_{n:036}");
        let groups: Vec<String> = (0..count).map(name).collect();
        valid().claim("cognito:groups", json!(groups)).build()
    };
    let (usual, long, longer) = (groups(80), groups(100), groups(140));
    assert!(usual.len() < 8_192 && (8_192..10_240).contains(&long.len()));
    assert!(longer.len() > 10_240);
    let authorizer = Authorizer::start().await;
    let rows = vec![
        ("usual length", usual.clone(), Verdict::Allow),
        (
            "above the default limit",
            long.clone(),
            Verdict::Unauthorized,
        ),
    ];
    check(&authorizer, rows).await;
    let authorizer = Authorizer::start_with(&[("MAX_TOKEN_BYTES", "10240")]).await;
    let rows = vec![
        ("usual length", usual, Verdict::Allow),
        ("within the configured limit", long, Verdict::Allow),
        ("above the configured limit", longer, Verdict::Unauthorized),
    ];
    check(&authorizer, rows).await;
}

#[tokio::test]
async fn all_rejections_look_alike() {
    let authorizer = Authorizer::start().await;
    let tokens = [
        String::new(),
        valid().claim("exp", now() - 1).build(),
        valid().header("kid", "unknown").build(),
        valid().signed_by(&Pool::foreign().access_key).build(),
        valid().claim("client_id", "x").build(),
    ];
    for token in tokens {
        let event = request_event(&format!("Bearer {token}"));
        let outcome = format!("{:?}", authorizer.binary.invoke(&event).await);
        assert_eq!(outcome, r#"Error("Unauthorized", "Unauthorized")"#);
    }
}

#[tokio::test]
async fn tokens_are_never_logged() {
    let authorizer = Authorizer::start().await;
    let good = valid().claim("username", "ada.secret@example.com").build();
    let bad = valid().claim("exp", 1).claim("x", "secret-claim").build();
    for token in [&good, &bad] {
        authorizer.verdict_on(token).await;
    }
    let log = authorizer.binary.output();
    for segment in good.split('.').chain(bad.split('.')) {
        assert!(!log.contains(segment), "{log}");
    }
    assert!(
        !log.contains("secret") && !log.contains("@example.com"),
        "{log}"
    );
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let reasons: Vec<_> = lines
        .iter()
        .map(|line| line["reason"].as_str().unwrap())
        .collect();
    assert_eq!(
        reasons,
        ["allowed", "invalid_claims"],
        "one line per decision"
    );
}
