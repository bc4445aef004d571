//! Arbitrary input: nothing panics, and nothing but a valid token is accepted.

use auth::api_key::PresentedKey;
use auth::{Issuer, IssuerKind, KeySet, TokenRules, UnixSeconds, UnverifiedToken, Verifier};
use proptest::prelude::*;
use testkit::token::base64url;
use testkit::{Pool, TokenBuilder};

use crate::{decision, verify};

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

/// Text that is nearly the JSON that the parsers read.
fn jsonish() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\u0061",
        "\\",
        "null",
        "true",
        "1",
        "-0.0",
        "1e400",
        "\"alg\"",
        "\"kid\"",
        "\"typ\"",
        "\"crit\"",
        "\"RS256\"",
        "\"iss\"",
        "\"sub\"",
        "\"exp\"",
        "\"aud\"",
        "\"act\"",
        "\"token_use\"",
        "\"keys\"",
        "\"kty\"",
        "\"RSA\"",
        "\"n\"",
        " ",
    ];
    prop::collection::vec(prop::sample::select(PARTS), 0..24).prop_map(|parts| parts.concat())
}

/// Replaces the bytes from `at` on by `with`, and keeps the rest.
fn overwrite(text: &str, at: prop::sample::Index, with: &[u8]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let at = at.index(bytes.len());
    let end = (at + with.len()).min(bytes.len());
    bytes.splice(at..end, with.iter().copied());
    bytes
}

/// Verifies a token that the pool's key signed, by the rules for a pool and for other providers.
fn verify_signed(token: &str, now: u64) {
    let pool = Pool::ours();
    let mut issuer = Issuer::user_pool(pool.id.into(), pool.issuer(), vec![]);
    issuer.audiences = vec![pool.client_id.to_owned()];
    issuer.takes_id_tokens = true;
    for kind in [IssuerKind::Cognito, IssuerKind::Oidc] {
        issuer.kind = kind;
        let verifier = Verifier::new(vec![issuer.clone()], TokenRules::default());
        let keys = KeySet::parse(pool.jwks().to_string().as_bytes()).unwrap();
        let Ok(token) = UnverifiedToken::parse(token) else {
            return;
        };
        if let (Ok(issuer), Some(key)) =
            (verifier.issuer_of(&token), keys.get(token.unverified_kid()))
            && let Ok(claims) = verifier.verify(token, issuer, key, UnixSeconds(now))
        {
            let _ = claims.list("roles");
            let _ = claims.other_claims();
            claims.scopes().for_each(drop);
            let _ = verifier.still_valid(&claims, UnixSeconds(u64::MAX));
        }
    }
}

proptest! {
    // A failure depends on the keys of the run, so persisting it is useless.
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_parser_panics(text in "\\PC{0,200}", bytes in bytes(400), jsonish in jsonish()) {
        let lossy = String::from_utf8_lossy(&bytes);
        for text in [&text, &*lossy, &jsonish] {
            prop_assert!(UnverifiedToken::parse(text).is_err());
            let segment = base64url(text);
            let token = format!("{segment}.{segment}.{segment}");
            prop_assert!(UnverifiedToken::parse(&token).is_err());
            prop_assert!(KeySet::parse(text.as_bytes()).is_err());
            prop_assert!(PresentedKey::parse(text).is_err());
        }
        let token = [(); 3].map(|()| base64url(&bytes)).join(".");
        prop_assert!(UnverifiedToken::parse(&token).is_err());
        prop_assert!(KeySet::parse(&bytes).is_err());
    }

    /// Without the key, no token is accepted.
    #[test]
    fn unsigned_input_is_never_accepted(
        header in bytes(200), claims in bytes(400), signature in bytes(300),
    ) {
        let valid = Pool::ours().access_token();
        let rules = TokenRules::default();
        for (header, claims) in [
            (header.as_slice(), claims.as_slice()),
            (valid.header_json().as_bytes(), &claims),
            (&header, valid.claims_json().as_bytes()),
            (valid.header_json().as_bytes(), valid.claims_json().as_bytes()),
        ] {
            let signature = base64url(&signature);
            let token = format!("{}.{}.{signature}", base64url(header), base64url(claims));
            let result = verify(&token, &rules, testkit::now());
            prop_assert!(result.is_err(), "{:?}", decision(result));
        }
    }

    /// Signed input reaches every check of the claims.
    #[test]
    fn signed_input_never_panics(
        at in any::<prop::sample::Index>(), bytes in bytes(6), jsonish in jsonish(), now in any::<u64>(),
    ) {
        let valid: TokenBuilder<'_> = Pool::ours().access_token();
        let (header, claims) = (valid.header_json(), valid.claims_json());
        let signed = [
            valid.build_raw(&header, overwrite(&claims, at, &bytes)),
            valid.build_raw(&header, overwrite(&claims, at, jsonish.as_bytes())),
            valid.build_raw(overwrite(&header, at, &bytes), &claims),
            valid.build_raw(overwrite(&header, at, jsonish.as_bytes()), &claims),
        ];
        for token in signed {
            verify_signed(&token, testkit::now());
            verify_signed(&token, now);
        }
    }

    /// A set is accepted only with a usable key, also after a change of its text.
    #[test]
    fn changed_key_sets_never_panic(
        at in any::<prop::sample::Index>(), bytes in bytes(6), jsonish in jsonish(),
    ) {
        let document = Pool::ours().jwks().to_string();
        for changed in [overwrite(&document, at, &bytes), overwrite(&document, at, jsonish.as_bytes())] {
            if let Ok(set) = KeySet::parse(&changed) {
                prop_assert!((1..=2).contains(&set.len()));
            }
        }
    }
}
