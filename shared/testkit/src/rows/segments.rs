//! The three segments of a compact JWS: their number, encoding, JSON and signature.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{TokenRow, accepted, refused, valid, with_member};
use crate::pool::Pool;
use crate::token::base64url;

/// A valid token, in its segments.
struct Segments {
    header: String,
    payload: String,
    signature: String,
}

impl Segments {
    fn of_a_valid_token() -> Self {
        Self::of(&valid().build())
    }

    fn of(token: &str) -> Self {
        let mut segments = token.split('.').map(str::to_owned);
        let mut next = || segments.next().expect("three segments");
        Self {
            header: next(),
            payload: next(),
            signature: next(),
        }
    }

    fn with_signature(&self, signature: &str) -> String {
        format!("{}.{}.{signature}", self.header, self.payload)
    }

    fn signature_bytes(&self) -> Vec<u8> {
        URL_SAFE_NO_PAD
            .decode(&self.signature)
            .expect("canonical base64url")
    }
}

/// Other numbers of segments than three, and empty ones.
#[must_use]
pub fn segment_counts() -> Vec<TokenRow> {
    let Segments {
        header,
        payload,
        signature,
    } = Segments::of_a_valid_token();
    refused(
        "malformed_token",
        [
            ("no segment", String::new()),
            ("one segment", header.clone()),
            ("two segments", format!("{header}.{payload}")),
            (
                "four segments, the last one empty",
                format!("{header}.{payload}.{signature}."),
            ),
            (
                "five segments",
                format!("{header}.{payload}.{signature}.{signature}.{signature}"),
            ),
            (
                "five segments with two signatures",
                format!("{header}.{payload}.{signature}.{payload}.{signature}"),
            ),
            ("three empty segments", "..".to_owned()),
            ("empty signature", format!("{header}.{payload}.")),
            ("empty header", format!(".{payload}.{signature}")),
            ("empty payload", format!("{header}..{signature}")),
            ("10 KB of dots", ".".repeat(10 * 1024)),
            ("100 KB of dots", ".".repeat(100_000)),
        ],
    )
}

/// Tokens above the default limit of 8 KB.
#[must_use]
pub fn overlong_tokens() -> Vec<TokenRow> {
    refused(
        "malformed_token",
        [
            (
                "long claim",
                valid().claim("x", "a".repeat(8 * 1024)).build(),
            ),
            ("long kid", valid().header("kid", "k".repeat(6_000)).build()),
            (
                "deeply nested header",
                valid().build_raw(nested(100_000), valid().claims_json()),
            ),
            (
                "deeply nested claims",
                valid().build_raw(valid().header_json(), nested(100_000)),
            ),
        ],
    )
}

/// Other encodings than canonical base64url without padding.
#[must_use]
pub fn encodings() -> Vec<TokenRow> {
    let segments = Segments::of_a_valid_token();
    let Segments {
        header,
        payload,
        signature,
    } = &segments;
    let (start, end) = signature.split_at(9);
    // The last of 342 characters has four unused bits: another encoding of the same bytes.
    let twin = {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let (rest, last) = signature.split_at(signature.len() - 1);
        let at = alphabet.iter().position(|byte| last.as_bytes() == [*byte]);
        let other = alphabet[at.expect("base64url") ^ 1];
        format!("{rest}{}", char::from(other))
    };
    refused(
        "malformed_token",
        [
            ("padded header", format!("{header}=.{payload}.{signature}")),
            (
                "padded payload",
                format!("{header}.{payload}==.{signature}"),
            ),
            (
                "padded signature",
                segments.with_signature(&format!("{signature}==")),
            ),
            (
                "plus sign of base64",
                segments.with_signature(&format!("+{}", &signature[1..])),
            ),
            (
                "slash of base64",
                segments.with_signature(&format!("/{}", &signature[1..])),
            ),
            (
                "other encoding of the last bits",
                segments.with_signature(&twin),
            ),
            (
                "impossible length of base64",
                segments.with_signature(&format!("{signature}AAA")),
            ),
            (
                "newline in the signature",
                segments.with_signature(&format!("{start}\n{end}")),
            ),
            (
                "space after the header",
                format!("{header} .{payload}.{signature}"),
            ),
        ],
    )
}

/// Well-formed signatures that do not belong to the signing input.
#[must_use]
pub fn signatures() -> Vec<TokenRow> {
    let segments = Segments::of_a_valid_token();
    let with = |bytes: &[u8]| segments.with_signature(&base64url(bytes));
    let signature = segments.signature_bytes();
    let modulus = Pool::ours().access_key.modulus();
    let less = {
        let mut less = modulus.clone();
        // An RSA modulus is odd, so this subtraction has no borrow.
        *less.last_mut().expect("a modulus") -= 1;
        less
    };
    let other = Segments::of(&valid().claim("sub", "another-user").build());
    refused(
        "bad_signature",
        [
            ("zero", with(&[0; 256])),
            ("one", with(&[[0; 255].as_slice(), &[1]].concat())),
            ("the modulus", with(&modulus)),
            ("the modulus minus one", with(&less)),
            ("above the modulus", with(&[0xff; 256])),
            ("one byte less", with(&signature[..255])),
            (
                "one byte more",
                with(&[&signature, [0].as_slice()].concat()),
            ),
            (
                "leading zero byte",
                with(&[[0].as_slice(), &signature].concat()),
            ),
            (
                "payload of another token",
                format!(
                    "{}.{}.{}",
                    segments.header, other.payload, segments.signature
                ),
            ),
            (
                "signature of another token",
                segments.with_signature(&other.signature),
            ),
        ],
    )
}

/// Headers and payloads that are not UTF-8 or not JSON.
#[must_use]
pub fn invalid_json() -> Vec<TokenRow> {
    let (header, claims) = (valid().header_json(), valid().claims_json());
    let utf16: Vec<u8> = claims.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let invalid_in_string = with_member(&claims, r#""x":"?""#)
        .into_bytes()
        .into_iter()
        .map(|byte| if byte == b'?' { 0xff } else { byte });
    let mut rows = vec![
        ("UTF-16 claims", with_claims(utf16)),
        (
            "invalid UTF-8 in a string",
            with_claims(invalid_in_string.collect::<Vec<u8>>()),
        ),
    ];
    for (bytes, in_header, in_claims) in [
        (
            b"\xff\xfe{}".as_slice(),
            "UTF-16 byte order mark in the header",
            "UTF-16 byte order mark in the claims",
        ),
        (
            b"{\"x\":\"\xc0\xaf\"}",
            "overlong UTF-8 in the header",
            "overlong UTF-8 in the claims",
        ),
        (
            b"{\"x\":\"\xed\xa0\x80\"}",
            "surrogate in the header",
            "surrogate in the claims",
        ),
        (b"", "empty header", "empty claims"),
        (b"{", "open object as header", "open object as claims"),
    ] {
        rows.push((in_header, with_header(bytes)));
        rows.push((in_claims, with_claims(bytes)));
    }
    for (json, with) in [
        (&header, with_header as fn(String) -> String),
        (&claims, with_claims),
    ] {
        rows.extend([
            ("UTF-8 byte order mark", with(format!("\u{feff}{json}"))),
            ("trailing text", with(format!("{json}x"))),
            ("two objects", with(format!("{json}{json}"))),
            ("a comment", with(format!("/* */{json}"))),
            ("trailing comma", with(json.replace('}', ",}"))),
            ("NaN", with(with_member(json, r#""x":NaN"#))),
            ("Infinity", with(with_member(json, r#""x":Infinity"#))),
            (
                "member at depth 200",
                with(with_member(json, &format!(r#""x":{}"#, nested(200)))),
            ),
            (
                "member at depth 2,000",
                with(with_member(json, &format!(r#""x":{}"#, nested(2_000)))),
            ),
        ]);
    }
    refused("malformed_token", rows)
}

/// JSON of another type than an object.
#[must_use]
pub fn other_json_types() -> Vec<TokenRow> {
    let rows = [
        ("a list as header", "a list as claims", "[]"),
        ("a string as header", "a string as claims", r#""x""#),
        ("a number as header", "a number as claims", "1"),
        ("null as header", "null as claims", "null"),
    ];
    let rows = rows.into_iter().flat_map(|(in_header, in_claims, json)| {
        [
            (in_header, with_header(json)),
            (in_claims, with_claims(json)),
        ]
    });
    refused("invalid_claims", rows)
}

/// Objects that contain a member twice, also by an escape.
#[must_use]
pub fn duplicate_members() -> Vec<TokenRow> {
    let (header, claims) = (valid().header_json(), valid().claims_json());
    let mut rows = vec![
        (
            "unknown header member twice",
            with_header(with_member(&header, r#""x":1,"x":1"#)),
        ),
        (
            "unknown claim twice",
            with_claims(with_member(&claims, r#""x":1,"x":1"#)),
        ),
        (
            "two more algs",
            with_header(with_member(&header, r#""alg":"RS256","alg":"RS256""#)),
        ),
        (
            "two more kids",
            with_header(with_member(&header, r#""kid":"RS256","kid":"RS256""#)),
        ),
        (
            "typ twice",
            with_header(with_member(&header, r#""typ":"RS256","typ":"RS256""#)),
        ),
        (
            "alg twice",
            with_header(with_member(&header, r#""alg":"RS256""#)),
        ),
        (
            "alg by an escape",
            with_header(with_member(&header, r#""\u0061lg":"none""#)),
        ),
        (
            "cognito:groups twice",
            with_claims(with_member(
                &claims,
                r#""cognito:groups":[],"cognito:groups":["admins"]"#,
            )),
        ),
    ];
    for (name, member) in [
        ("exp twice", r#""exp":99999999999"#),
        ("exp by an escape", r#""\u0065xp":1"#),
        ("sub twice", r#""sub":"x""#),
        ("iss twice", r#""iss":"x""#),
        ("token_use twice", r#""token_use":"access""#),
        ("token_use by an escape", r#""token\u005fuse":"access""#),
        ("client_id twice", r#""client_id":"x""#),
    ] {
        rows.push((name, with_claims(with_member(&claims, member))));
    }
    refused("invalid_claims", rows)
}

/// Unknown members, which have no effect.
#[must_use]
pub fn unknown_members() -> Vec<TokenRow> {
    let claims = valid().claims_json();
    let values = r#"{"a":[1,null,true,1.5,"\u00e9"]}"#;
    accepted([
        (
            "nested unknown claims",
            with_claims(with_member(
                &claims,
                &format!(r#""x":{},"y":{values}"#, nested(50)),
            )),
        ),
        (
            "Unicode claim",
            with_claims(with_member(&claims, "\"n\u{e4}me\":\"\u{1f600}\"")),
        ),
    ])
}

/// A valid token, and the same token with a bit of one character flipped: for each character, each
/// of the seven bits that keep it ASCII.
pub fn flipped_bits() -> (String, impl Iterator<Item = (String, usize)>) {
    let good = valid().build();
    let bytes = good.clone().into_bytes();
    let flipped = (0..bytes.len()).flat_map(move |at| {
        let bytes = bytes.clone();
        (0..7).map(move |bit| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            (String::from_utf8(bytes).expect("ASCII"), at)
        })
    });
    (good, flipped)
}

/// Access tokens by their length in bytes: about 7.3 KB, 8.9 KB and more than 10 KB.
#[must_use]
pub fn long_tokens() -> [String; 3] {
    let tokens = [80, 100, 140].map(|count: usize| {
        let name = |n: usize| format!("RAW_DATA_FULL_CONTROL_{n:036}");
        let groups: Vec<String> = (0..count).map(name).collect();
        valid().claim("cognito:groups", groups).build()
    });
    assert!(tokens[0].len() < 8_192);
    assert!((8_193..10_240).contains(&tokens[1].len()));
    assert!(tokens[2].len() > 10_240);
    tokens
}

fn with_header(header: impl AsRef<[u8]>) -> String {
    valid().build_raw(header, valid().claims_json())
}

fn with_claims(claims: impl AsRef<[u8]>) -> String {
    valid().build_raw(valid().header_json(), claims)
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}
