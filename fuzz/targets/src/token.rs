//! A compact token, as text or by its parts: nothing is accepted that the issuer did not sign.

use std::sync::OnceLock;

use auth::{TokenRules, TrustedIssuer, UnverifiedToken};
use aws_lc_rs::hmac;
use serde_json::json;
use testkit::token::base64url;
use testkit::{Pool, TokenBuilder};

use crate::input::Input;
use crate::world::{AT, KID, World, access_claims, user_pool, world};

/// Tokens, and what an attacker can make of them.
struct Tokens {
    right: [String; 2],
    header: String,
    claims: String,
    trusted: [TrustedIssuer; 1],
}

fn tokens() -> &'static Tokens {
    static TOKENS: OnceLock<Tokens> = OnceLock::new();
    TOKENS.get_or_init(|| {
        let claims = access_claims(AT);
        let header = json!({"kid": KID, "alg": "EdDSA"});
        let access = TokenBuilder::new(&header, &claims, &world().key);
        let id = access.clone().without("username").without("client_id");
        let id = id
            .claim("token_use", "id")
            .claim("aud", Pool::ours().client_id);
        let id = id.claim("cognito:username", "ada");
        Tokens {
            right: [access.build(), id.build()],
            header: header.to_string(),
            claims: claims.to_string(),
            trusted: [TrustedIssuer {
                issuer: user_pool(),
                keys: world().keys.clone(),
            }],
        }
    })
}

/// Runs the target.
///
/// # Panics
/// A token was accepted that no issuer signed, or two ways to verify a token disagree.
pub fn run(bytes: &[u8]) {
    let tokens = tokens();
    let world = world();
    let mut input = Input::new(bytes);
    let text = match input.below(3) {
        0 => String::from_utf8_lossy(input.rest())
            .replace("{A}", &tokens.right[0])
            .replace("{I}", &tokens.right[1]),
        _ => composed(&mut input, tokens, world),
    };
    let accepted = accepts(&text, world);
    assert!(
        !accepted || tokens.right.contains(&text),
        "a token that the issuer did not sign is accepted"
    );
    let rules = TokenRules {
        token_uses: vec![auth::TokenUse::Access, auth::TokenUse::Id],
        allow_delegated: true,
        ..TokenRules::default()
    };
    let in_one_call = auth::verify(&text, &tokens.trusted, &rules, AT).is_ok();
    assert_eq!(accepted, in_one_call, "the two ways to verify a token");
}

fn accepts(text: &str, world: &World) -> bool {
    let Ok(token) = UnverifiedToken::parse(text) else {
        return false;
    };
    let Ok(issuer) = world.verifier.issuer_of(&token) else {
        return false;
    };
    let Some(key) = world.keys.get(token.unverified_kid()) else {
        return false;
    };
    world.verifier.verify(token, issuer, key, AT).is_ok()
}

/// A token of a header, claims and a signature that is not the issuer's for them.
fn composed(input: &mut Input<'_>, tokens: &Tokens, world: &World) -> String {
    let signature = input.below(8);
    let header = input.text();
    let header = if header.is_empty() {
        &tokens.header
    } else {
        &*header
    };
    let claims = input.text();
    let claims = if claims.is_empty() {
        &tokens.claims
    } else {
        &*claims
    };
    let signed = format!("{}.{}", base64url(header), base64url(claims));
    let valid = tokens.right[0].rsplit('.').next().unwrap_or_default();
    let public = world.key.jwk(KID)["x"].to_string();
    let signature = match signature {
        0 => valid.to_owned(),
        1 => base64url(world.foreign.sign("EdDSA", signed.as_bytes())),
        // The public key as the secret of an HMAC (RFC 8725 section 2.1).
        2 => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, public.as_bytes());
            base64url(hmac::sign(&key, signed.as_bytes()))
        }
        3 => base64url(world.key.sign("EdDSA", claims.as_bytes())),
        4 => base64url(world.key.sign("EdDSA", header.as_bytes())),
        5 => base64url([0; 64]),
        6 => base64url(input.bytes()),
        _ => input.text().into_owned(),
    };
    format!("{signed}.{signature}")
}
