//! Verifies an access token of a Cognito user pool, without a network:
//!
//! ```sh
//! # a new token of the tests' user pool
//! cargo run -p auth --example verify_cognito_token
//! # your token on standard input, and your pool's key set from
//! # https://cognito-idp.<region>.amazonaws.com/<pool id>/.well-known/jwks.json
//! cargo run -p auth --example verify_cognito_token -- POOL_ID CLIENT_ID jwks.json < token.txt
//! ```

#![allow(
    clippy::print_stdout,
    reason = "it prints the verified claims by design"
)]

use std::error::Error;

use auth::{Issuer, KeySet, TokenRules, TrustedIssuer, UnixSeconds, VerifiedClaims};

/// Verifies `token`, which this client must have received from this pool, at the time `now`.
fn verify(
    token: &str,
    pool_id: &str,
    client_id: &str,
    key_set: &[u8],
    now: UnixSeconds,
) -> Result<VerifiedClaims, Box<dyn Error>> {
    let (region, _) = pool_id.split_once('_').ok_or("no user pool id")?;
    let url = format!("https://cognito-idp.{region}.amazonaws.com/{pool_id}");
    let trusted = [TrustedIssuer {
        issuer: Issuer::user_pool(pool_id.into(), url, vec![client_id.to_owned()]),
        keys: KeySet::parse(key_set)?,
    }];
    Ok(auth::verify(token, &trusted, &TokenRules::default(), now)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let now = UnixSeconds(testkit::now());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let claims = match arguments.as_slice() {
        [] => {
            let pool = testkit::Pool::ours();
            let (token, keys) = (pool.access_token().build(), pool.jwks().to_string());
            verify(&token, pool.id, pool.client_id, keys.as_bytes(), now)?
        }
        [pool_id, client_id, file] => {
            let token = std::io::read_to_string(std::io::stdin())?;
            verify(token.trim(), pool_id, client_id, &std::fs::read(file)?, now)?
        }
        _ => return Err("usage: verify_cognito_token [POOL_ID CLIENT_ID KEY_SET_FILE]".into()),
    };
    println!("subject: {}", claims.subject());
    println!("client:  {}", claims.client_id());
    println!("scopes:  {}", claims.scope());
    println!("expires: {}", claims.expires_at().0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use testkit::Pool;

    use super::*;

    #[test]
    fn accepts_a_token_of_the_pool_only() {
        let now = UnixSeconds(testkit::now());
        let (ours, foreign) = (Pool::ours(), Pool::foreign());
        let keys = ours.jwks().to_string();
        for (pool, expected) in [(ours, None), (foreign, Some("unknown_issuer"))] {
            let token = pool.access_token().build();
            let result = verify(&token, ours.id, ours.client_id, keys.as_bytes(), now);
            let error = result.err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected, "{}", pool.id);
        }
    }
}
