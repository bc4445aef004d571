//! The tests, as one executable: each more would link the SDK again.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod api_keys;
mod browser_sessions;
mod context;
mod decisions;

use auth::memory::{MemoryKeys, MemoryRevocations};
use auth::{ApiKeyStore, KeySet, TrustedIssuer, Verifier};
use auth_sessions::BrowserSessions;
use authorizer::{Authorizer, Config};
use runtime::{Handler, InvocationError};
use serde_json::Value;
use testkit::{Pool, events};

/// An authorizer with keys and revocations in memory, without API keys.
fn in_memory<A: ApiKeyStore>(
    variables: &[(&str, &str)],
    store: MemoryRevocations,
) -> Authorizer<MemoryKeys, MemoryRevocations, A> {
    over(
        Config::from_lookup(&events::variables(variables)).unwrap(),
        store,
    )
}

/// The same with this configuration.
fn over<A: ApiKeyStore>(
    config: Config,
    store: MemoryRevocations,
) -> Authorizer<MemoryKeys, MemoryRevocations, A> {
    let issuers = config.issuers.into_iter().map(|(issuer, _)| issuer);
    let issuers: Vec<_> = issuers.collect();
    let keys = Pool::ours().jwks().to_string();
    let trusted = issuers.iter().map(|issuer| TrustedIssuer {
        issuer: issuer.clone(),
        keys: KeySet::parse(keys.as_bytes()).unwrap(),
    });
    let keys = MemoryKeys::new(trusted);
    let verifier = Verifier::new(issuers, config.token_rules);
    Authorizer::new(verifier, keys, store, None, config.settings)
}

/// The effect of the answer, or the error.
async fn effect<A: ApiKeyStore, B: BrowserSessions>(
    authorizer: &Authorizer<MemoryKeys, MemoryRevocations, A, B>,
    event: &Value,
) -> Result<String, InvocationError> {
    let answer = authorizer.handle(&events::raw(event), "request-1").await?;
    let answer: Value = serde_json::from_str(answer.get()).unwrap();
    let effect = &answer["policyDocument"]["Statement"][0]["Effect"];
    Ok(effect.as_str().unwrap().to_owned())
}
