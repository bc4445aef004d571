//! Claims that the issuer signed: unusual contents under a valid signature, read by two more readers.

use std::sync::OnceLock;

use auth::{UnverifiedToken, VerifiedClaims};
use auth_phantom::{Minter, SigningAlgorithm, SigningKeys};
use auth_tower::Caller;
use forward_auth::identity::{self, Identity};
use jsonwebtoken::{DecodingKey, Validation};
use percent_encoding::percent_decode;
use runtime::Members;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::edit::edited;
use crate::input::Input;
use crate::world::{KID, PARTNER, access_claims, partner_claims, user_pool, world};

/// Runs the target.
///
/// # Panics
/// Claims are accepted that another reader reads in another way, or a value reaches a backend changed.
pub fn run(bytes: &[u8]) {
    let world = world();
    let mut input = Input::new(bytes);
    let claims = match input.below(3) {
        0 => String::from_utf8_lossy(input.rest()).into_owned(),
        1 => edited(&access_claims(world.at), input.rest()),
        _ => edited(&partner_claims(world.at), input.rest()),
    };
    let token = world.signed(&claims);
    let Ok(parsed) = UnverifiedToken::parse(&token) else {
        return;
    };
    let Ok(issuer) = world.verifier.issuer_of(&parsed) else {
        return;
    };
    assert!([user_pool().url.as_str(), PARTNER].contains(&issuer.url.as_str()));
    let key = world.keys.get(KID).expect("the key");
    let Ok(verified) = world.verifier.verify(parsed, issuer, key, world.at) else {
        return;
    };
    agrees(&verified, &token, &claims, &issuer.url);
    reaches_backends_unchanged(&verified);
    is_minted_unchanged(&verified);
}

/// What this project read is what `serde_json` and `jsonwebtoken` read.
fn agrees(verified: &VerifiedClaims, token: &str, claims: &str, issuer: &str) {
    let world = world();
    let raw: Box<RawValue> = serde_json::from_str(claims).expect("JSON");
    assert!(Members::parse(&raw).is_some(), "a name occurs twice");
    let read: Value = serde_json::from_str(claims).expect("JSON");
    assert_eq!(read["iss"], issuer);
    assert_eq!(read["sub"], verified.subject());
    let seconds = |name: &str| read[name].as_f64();
    let near = |name: &str, found: u64| {
        let said = seconds(name).expect("a number");
        assert!((said - found as f64).abs() <= 1.0, "{name}");
    };
    near("exp", verified.expires_at().0);
    near("iat", verified.issued_at().0);
    assert!(verified.expires_at() > world.at && verified.issued_at() <= world.at);
    assert!(verified.authenticated_at() <= verified.issued_at());
    let plain = |text: &str| !text.chars().any(char::is_control);
    let is_name = |group: &String| plain(group) && !group.is_empty();
    assert!(plain(verified.subject()) && verified.groups().iter().all(is_name));
    if issuer != PARTNER {
        assert_eq!(
            read["client_id"].as_str().or(read["aud"].as_str()),
            Some(verified.client_id())
        );
        let groups = read
            .get("cognito:groups")
            .cloned()
            .unwrap_or_else(|| Value::Array(Vec::new()));
        assert_eq!(groups, Value::from(verified.groups().to_vec()));
        assert_eq!(read["origin_jti"].as_str(), verified.session());
    }
    let signed = verified.signed_claims();
    assert_eq!(signed.len(), read.as_object().expect("an object").len());

    let mut validation = Validation::new(jsonwebtoken::Algorithm::EdDSA);
    // Its clock is the system's.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.set_issuer(&[issuer]);
    let jwk = serde_json::from_value(world.key.jwk(KID)).expect("a JWK");
    let key = DecodingKey::from_jwk(&jwk).expect("a key");
    let theirs = jsonwebtoken::decode::<Value>(token, &key, &validation);
    assert_eq!(theirs.expect("jsonwebtoken accepts it").claims, read);
}

/// Identity headers are plain ASCII, and decode to the claims.
fn reaches_backends_unchanged(verified: &VerifiedClaims) {
    let all = Identity::ALL.map(|(_, identity)| identity);
    let Ok(headers) = identity::headers(&all, &Caller::from(verified.clone())) else {
        return;
    };
    let value = |identity: Identity| {
        let name = identity.header();
        let mut named = headers.iter().filter(|(known, _)| *known == name);
        let (_, value) = named.next().expect("every header is present");
        assert!(named.next().is_none(), "a header occurs twice");
        value.to_str().expect("ASCII").to_owned()
    };
    let decoded = |text: &str| {
        let text = percent_decode(text.as_bytes()).decode_utf8();
        text.expect("UTF-8").into_owned()
    };
    assert_eq!(decoded(&value(Identity::Subject)), verified.subject());
    assert_eq!(decoded(&value(Identity::ClientId)), verified.client_id());
    assert_eq!(
        decoded(&value(Identity::Username)),
        verified.username().unwrap_or_default()
    );
    let groups = value(Identity::Groups);
    let groups: Vec<String> = match groups.as_str() {
        "" => Vec::new(),
        list => list.split(',').map(decoded).collect(),
    };
    assert_eq!(groups, verified.groups());
}

/// The token for a backend has the caller's claims, and another library accepts it.
fn is_minted_unchanged(verified: &VerifiedClaims) {
    static MINTER: OnceLock<Minter> = OnceLock::new();
    let at = world().at;
    let minter = MINTER.get_or_init(|| {
        let keys = SigningKeys::first(SigningAlgorithm::EdDsa, at).expect("a key");
        Minter::new("https://auth.example.com".to_owned(), keys, 60).expect("a minter")
    });
    let Ok(token) = minter.mint(verified, "orders", at) else {
        return;
    };
    let jwks: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&minter.jwks()).expect("a key set");
    let key = DecodingKey::from_jwk(jwks.keys.first().expect("a key")).expect("a key");
    let mut validation = Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&["orders"]);
    validation.set_issuer(&["https://auth.example.com"]);
    validation.validate_exp = false;
    let minted = jsonwebtoken::decode::<Value>(&token, &key, &validation);
    let minted = minted.expect("jsonwebtoken accepts it").claims;
    assert_eq!(minted["sub"], verified.subject());
    assert_eq!(minted["groups"], Value::from(verified.groups().to_vec()));
    assert_eq!(minted["idp"], verified.issuer_name());
    assert!(minted["exp"].as_u64() <= Some(verified.expires_at().0));
    let act = verified
        .act()
        .map(|act| serde_json::from_str(act.get()).expect("JSON"));
    assert_eq!(minted.get("act"), act.as_ref());
}
