//! forward-auth over stores in memory, configured by variables.

use auth::memory::{MemoryApiKeys, MemoryKeys};
use auth::{Callers, KeySet, RevocationReader, TrustedIssuer, Verifier};
use auth_tower::Gate;
use forward_auth::{Config, ForwardAuth};
use runtime::clock;
use testkit::{Pool, events};

/// With these revocations, the repository's policies, and these variables, which come before the defaults.
pub(crate) fn forward_auth<R: RevocationReader>(
    dialect: &str,
    variables: &[(&str, &str)],
    revocations: R,
) -> ForwardAuth<MemoryKeys, R, MemoryApiKeys> {
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
    let given = [("PROXY_DIALECT", dialect), ("POLICIES_DIR", policies)];
    let all: Vec<(&str, &str)> = variables.iter().copied().chain(given).collect();
    let config = Config::from_lookup(&events::variables(&all));
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let keys = Pool::ours().jwks().to_string();
    let issuers: Vec<_> = config
        .issuers
        .into_iter()
        .map(|(issuer, _)| issuer)
        .collect();
    let trusted = issuers.iter().map(|issuer| TrustedIssuer {
        issuer: issuer.clone(),
        keys: KeySet::parse(keys.as_bytes()).unwrap(),
    });
    let gate = Gate {
        callers: Callers {
            keys: MemoryKeys::new(trusted),
            verifier: Verifier::new(issuers, config.token_rules),
            revocations,
            api_keys: None,
            max_token_bytes: config.max_token_bytes,
            clock: clock::now,
        },
        policies: config.policies,
        routes: config.routes,
        places: config.places,
        sessions: None,
    };
    ForwardAuth::new(gate, config.settings, None, None)
}
