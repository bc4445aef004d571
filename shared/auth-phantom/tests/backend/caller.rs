use std::error::Error;

use auth::{
    Algorithm, Issuer, IssuerKind, KeySet, Principal, TokenRules, TrustedIssuer, UnixSeconds,
    VerifiedClaims,
};

/// The claims of a user's token. `key_set` is the document at `/.well-known/jwks.json`, at most 300 seconds old.
fn caller(token: &str, key_set: &[u8], now: UnixSeconds) -> Result<VerifiedClaims, Box<dyn Error>> {
    let trusted = [TrustedIssuer {
        issuer: Issuer {
            id: "gateway".into(),
            alias: Some("gateway".into()),
            url: "https://auth.example.com".to_owned(),
            algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
            audiences: vec!["orders".to_owned()],
            kind: IssuerKind::Oidc,
            clients: Vec::new(),
            takes_id_tokens: false,
            max_lifetime_seconds: 300,
        },
        keys: KeySet::parse(key_set)?,
    }];
    // These rules refuse a token in which another one acts for the user.
    let rules = TokenRules {
        leeway_seconds: 5,
        ..TokenRules::default()
    };
    let claims = auth::verify(token, &trusted, &rules, now)?;
    if claims.principal() != Principal::User {
        return Err("a machine or an API key".into());
    }
    Ok(claims)
}
