//! Members of the JOSE header (RFC 7515 section 4).

use aws_lc_rs::hmac;
use serde_json::json;

use super::{TokenRow, accepted, refused, valid};
use crate::pool::Pool;
use crate::token::base64url;

/// Tokens that say that they have no signature.
#[must_use]
pub fn unsigned() -> Vec<TokenRow> {
    let mut rows = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = valid().header("alg", alg).header_json();
        let input = format!("{}.{}", base64url(header), base64url(valid().claims_json()));
        rows.extend(refused(
            "malformed_token",
            [("unsigned, without a signature", format!("{input}."))],
        ));
        rows.extend(refused(
            "wrong_algorithm",
            [
                ("unsigned, short signature", format!("{input}.eA")),
                (
                    "unsigned, valid signature",
                    valid().header("alg", alg).build(),
                ),
            ],
        ));
    }
    rows
}

/// `alg` is missing or not a string.
#[must_use]
pub fn alg_types() -> Vec<TokenRow> {
    let values = [
        ("null as alg", json!(null)),
        ("a number as alg", json!(5)),
        ("a list as alg", json!(["RS256"])),
        ("an object as alg", json!({"a": 1})),
        ("a boolean as alg", json!(true)),
    ];
    let rows = values.map(|(name, alg)| (name, valid().header("alg", alg).build()));
    let without = ("without alg", valid().without_header("alg").build());
    refused("invalid_claims", rows.into_iter().chain([without]))
}

/// Other algorithms, other spellings of the right one, and HMAC with the public key as its secret.
#[must_use]
pub fn other_algorithms() -> Vec<TokenRow> {
    let with = |alg: &str| valid().header("alg", alg).build();
    let others = ["RS384", "RS512", "PS256", "ES256", "EdDSA", "ES512", "RS1"];
    let spellings = ["rs256", " RS256", "RS256 ", "RS256\0", "RS256,RS256"];
    let rows = others.map(|alg| ("another algorithm", with(alg)));
    let rows = rows
        .into_iter()
        .chain(spellings.map(|alg| ("another spelling", with(alg))))
        .chain(hmac_confusions());
    refused("wrong_algorithm", rows)
}

/// Tokens with an HMAC by the public key in all forms that verifiers have mistaken for a secret.
fn hmac_confusions() -> Vec<(&'static str, String)> {
    let jwk = Pool::ours().access_key.jwk(Pool::ours().access_kid);
    let secrets = [
        Pool::ours().access_key.modulus(),
        jwk.to_string().into_bytes(),
        jwk["n"].as_str().expect("a modulus").as_bytes().to_vec(),
        b"-----BEGIN PUBLIC KEY-----".to_vec(),
        Vec::new(),
    ];
    let mut rows = Vec::new();
    for (alg, algorithm) in [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ] {
        for secret in &secrets {
            let header = valid().header("alg", alg).header_json();
            let input = format!("{}.{}", base64url(header), base64url(valid().claims_json()));
            let tag = hmac::sign(&hmac::Key::new(algorithm, secret), input.as_bytes());
            rows.push((
                "HMAC with the public key",
                format!("{input}.{}", base64url(tag)),
            ));
        }
    }
    rows
}

/// Members that change how a token must be processed, and types of other token formats.
#[must_use]
pub fn unsupported_members() -> Vec<TokenRow> {
    let crit = [
        json!(["x"]),
        json!([]),
        json!("exp"),
        json!(["x", "x"]),
        json!(["alg"]),
        json!(["missing"]),
        json!(null),
    ];
    let crit = crit.map(|crit| ("crit", valid().header("crit", crit).header("x", 1).build()));
    let others = [
        (
            "b64 and crit",
            valid()
                .header("b64", false)
                .header("crit", json!(["b64"]))
                .build(),
        ),
        ("b64", valid().header("b64", false).build()),
        ("zip", valid().header("zip", "DEF").build()),
        ("enc", valid().header("enc", "A256GCM").build()),
        ("cty", valid().header("cty", "JWT").build()),
        ("typ of a JWE", valid().header("typ", "JWE").build()),
        (
            "typ of a logout token",
            valid().header("typ", "logout+jwt").build(),
        ),
    ];
    refused("unsupported_header", crit.into_iter().chain(others))
}

/// `kid` is missing or not a string.
#[must_use]
pub fn kid_types() -> Vec<TokenRow> {
    let rows = [
        ("without kid", valid().without_header("kid").build()),
        ("null as kid", valid().header("kid", json!(null)).build()),
        ("a number as kid", valid().header("kid", 1).build()),
        ("a list as kid", valid().header("kid", json!(["a"])).build()),
    ];
    refused("invalid_claims", rows)
}

/// `kid`s that the issuer does not publish.
#[must_use]
pub fn unknown_kids() -> Vec<TokenRow> {
    let kid = Pool::ours().access_kid;
    let rows = [
        ("empty kid", String::new()),
        ("a path as kid", "../../etc/passwd".to_owned()),
        ("SQL as kid", "' OR 1=1 --".to_owned()),
        ("a shell command as kid", "$(id)".to_owned()),
        (
            "a URL as kid",
            "https://attacker.example/jwks.json".to_owned(),
        ),
        ("kid with a NUL", "kid\0".to_owned()),
        ("kid with a header", "kid\r\nX: y".to_owned()),
        ("kid with a trailing space", format!("{kid} ")),
        ("kid with a look-alike", kid.replace('a', "\u{430}")),
        ("kid in upper case", kid.to_uppercase()),
        ("kid of another pool", Pool::foreign().access_kid.to_owned()),
    ];
    let rows = rows.map(|(name, kid)| (name, valid().header("kid", kid).build()));
    refused("unknown_key", rows)
}

/// Signatures by other keys than the one that `kid` names. `attackers_url` is in `jku`.
#[must_use]
pub fn other_keys(attackers_url: &str) -> Vec<TokenRow> {
    let stranger = &Pool::foreign().access_key;
    let attackers = stranger.jwk(Pool::ours().access_kid);
    let members = [
        ("key from jku", "jku", json!(attackers_url)),
        ("key from x5u", "x5u", json!("https://attacker.example/x")),
        ("key from x5c", "x5c", json!(["MIIB"])),
        ("key from jwk", "jwk", attackers),
    ];
    let from_header = members.map(|(name, member, value)| {
        let token = valid().header(member, value).signed_by(stranger);
        (name, token.build())
    });
    let others = [
        (
            "kid of another key",
            valid().header("kid", Pool::ours().id_kid).build(),
        ),
        (
            "another pool's signature",
            valid().signed_by(stranger).build(),
        ),
    ];
    refused("bad_signature", from_header.into_iter().chain(others))
}

/// Headers that are accepted.
#[must_use]
pub fn accepted_headers() -> Vec<TokenRow> {
    let ours = Pool::ours();
    accepted([
        (
            "unused key members",
            valid()
                .header("jku", "https://x.example")
                .header("jwk", Pool::foreign().access_key.jwk(ours.access_kid))
                .header("x5c", json!(["x"]))
                .header("x5u", "x")
                .header("x", 1)
                .build(),
        ),
        (
            "ID key of the same pool",
            valid()
                .header("kid", ours.id_kid)
                .signed_by(&ours.id_key)
                .build(),
        ),
        ("typ JWT", valid().header("typ", "JWT").build()),
        ("typ at+jwt", valid().header("typ", "at+jwt").build()),
        (
            "typ of an access token in its long form",
            valid().header("typ", "Application/at+JWT").build(),
        ),
    ])
}
