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
use authorizer::{Authorizer, Config};
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
