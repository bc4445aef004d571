//! Opens the connections at the start.

use std::sync::Arc;

use auth::memory::MemoryRevocations;
use auth::{ApiKeys, Callers, Verifier};
use auth_dynamodb::{DynamoApiKeys, DynamoRevocations};
use auth_jwks::HttpsKeys;
use auth_tower::{Coalesced, Gate};
use runtime::clock;

use crate::config::{Config, StoreChoice};
use crate::service::{ForwardAuth, Memory};
use crate::store::Store;

/// Why the process did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Each of a Lambda function's processes would have a store of its own.
    #[error("REVOCATION_STORE=memory is only for --listen")]
    MemoryInLambda,
}

impl ForwardAuth {
    /// Fetches the keys and opens the connection to the store, concurrently. The request that needs one repeats a failed
    /// attempt.
    pub async fn connect(config: Config) -> Self {
        let (issuers, locations) = auth_jwks::config::split(config.issuers);
        let keys = HttpsKeys::new(locations);
        let issuer_id = issuers.first().map(|issuer| Arc::clone(&issuer.id));
        let (revocations, api_keys, memory) = match config.store {
            StoreChoice::DynamoDb(name) => {
                let sdk = aws_config::load_from_env().await;
                let table = DynamoRevocations::new(&sdk, name);
                let api_keys = config.api_key_table.zip(issuer_id);
                let api_keys = api_keys.map(|(name, issuer_id)| ApiKeys {
                    store: DynamoApiKeys::beside(&table, name),
                    issuer_id,
                });
                tokio::join!(keys.prefetch(clock::now()), table.warm_up());
                (Store::DynamoDb(Coalesced::new(table)), api_keys, None)
            }
            StoreChoice::Memory(refresh_token_ttl_seconds) => {
                keys.prefetch(clock::now()).await;
                let store = MemoryRevocations::default();
                let memory = Memory {
                    store: store.clone(),
                    refresh_token_ttl_seconds,
                };
                (Store::Memory(store), None, Some(memory))
            }
        };
        let gate = Gate {
            callers: Callers {
                verifier: Verifier::new(issuers, config.token_rules),
                keys,
                revocations,
                api_keys,
                max_token_bytes: config.max_token_bytes,
                clock: clock::now,
            },
            policies: config.policies,
            routes: config.routes,
            places: config.places,
        };
        let forward_auth = Self::new(gate, config.settings, memory);
        forward_auth.log_bound();
        forward_auth
    }

    /// The same, for a Lambda function.
    ///
    /// # Errors
    /// The configuration is not one for a Lambda function.
    pub async fn connect_in_lambda(config: Config) -> Result<Self, ConnectError> {
        if matches!(config.store, StoreChoice::Memory(_)) {
            return Err(ConnectError::MemoryInLambda);
        }
        Ok(Self::connect(config).await)
    }
}
