//! Opens the connections at the start.

use std::sync::Arc;

use auth::memory::MemoryRevocations;
use auth::{ApiKeys, Callers, Cause, TokenRules, Verifier};
use auth_dynamodb::{DynamoApiKeys, DynamoBrowserSessions, DynamoRevocations};
use auth_jwks::HttpsKeys;
use auth_secrets::SecretError;
use auth_sessions::{SealedSessions, SealingKeys};
use auth_tower::{Coalesced, CoalescedSessions, Gate, SessionTokens};
use aws_client::SdkConfig;
use env_config::BrowserSessionSettings;
use runtime::clock;

use crate::config::{Config, StoreChoice};
use crate::phantom::{KeysError, KeysLocation, Phantom, PhantomSettings};
use crate::service::ForwardAuth;
use crate::store::{Memory, Store};

/// Why the process did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Each of a Lambda function's processes would have a store of its own.
    #[error("REVOCATION_STORE=memory is only for --listen")]
    MemoryInLambda,
    /// The keys of phantom tokens could not be read.
    #[error(transparent)]
    PhantomKeys(#[from] KeysError),
    /// The keys of browser sessions could not be read.
    #[error("BROWSER_SESSION_KEYS_ARN cannot be read")]
    SealingSecret(#[source] Cause),
    /// They are not a set of keys.
    #[error("BROWSER_SESSION_KEYS_ARN is invalid: {0}")]
    SealingKeys(auth_sessions::KeysError),
}

impl ForwardAuth {
    /// Fetches the keys and opens the connection to the store, concurrently. The request that needs one repeats a failed
    /// attempt.
    ///
    /// # Errors
    /// A secret key could not be read.
    pub async fn connect(config: Config) -> Result<Self, ConnectError> {
        let (issuers, locations) = auth_jwks::config::split(config.issuers);
        let keys = HttpsKeys::new(locations);
        let issuer_id = issuers.first().map(|issuer| Arc::clone(&issuer.id));
        let of_aws = |phantom: &PhantomSettings| matches!(phantom.keys, KeysLocation::Secret(_));
        let needs_sdk = matches!(config.store, StoreChoice::DynamoDb(_))
            || config.phantom.as_ref().is_some_and(of_aws);
        let sdk = match needs_sdk {
            true => Some(aws_client::sdk_config().await),
            false => None,
        };
        let table = match (&config.store, &sdk) {
            (StoreChoice::DynamoDb(name), Some(sdk)) => {
                Some(DynamoRevocations::new(sdk, name.clone()))
            }
            (StoreChoice::DynamoDb(_) | StoreChoice::Memory(_), _) => None,
        };
        let warm_up = async {
            if let Some(table) = &table {
                table.warm_up().await;
            }
        };
        let (sessions, phantom, (), ()) = tokio::join!(
            open_sessions(config.sessions, sdk.as_ref().zip(table.as_ref())),
            open_phantom(config.phantom, sdk.clone()),
            keys.prefetch(clock::now()),
            warm_up,
        );
        let (sessions, phantom) = (sessions?, phantom?);
        let api_keys = table.as_ref().zip(config.api_key_table).zip(issuer_id);
        let api_keys = api_keys.map(|((table, name), issuer_id)| ApiKeys {
            store: DynamoApiKeys::beside(table, name),
            issuer_id,
        });
        let (revocations, memory) = match (table, config.store) {
            (Some(table), _) => (Store::DynamoDb(Coalesced::new(table)), None),
            (None, choice) => {
                let store = MemoryRevocations::default();
                let memory = match choice {
                    StoreChoice::Memory(refresh_token_ttl_seconds) => Some(Memory {
                        store: store.clone(),
                        refresh_token_ttl_seconds,
                        verifier: Verifier::new(
                            issuers.clone(),
                            TokenRules::of_logout(
                                config.token_rules.leeway_seconds,
                                refresh_token_ttl_seconds,
                            ),
                        ),
                    }),
                    StoreChoice::DynamoDb(_) => None,
                };
                (Store::Memory(store), memory)
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
            sessions,
        };
        let forward_auth = Self::new(gate, config.settings, memory, phantom);
        forward_auth.log_bound();
        Ok(forward_auth)
    }

    /// The same, for a Lambda function.
    ///
    /// # Errors
    /// The configuration is not one for a Lambda function.
    pub async fn connect_in_lambda(config: Config) -> Result<Self, ConnectError> {
        if matches!(config.store, StoreChoice::Memory(_)) {
            return Err(ConnectError::MemoryInLambda);
        }
        Self::connect(config).await
    }
}

/// Over the connection of the revocations: the configuration refuses sessions with a store in memory.
async fn open_sessions(
    settings: Option<BrowserSessionSettings>,
    aws: Option<(&SdkConfig, &DynamoRevocations)>,
) -> Result<Option<Box<dyn SessionTokens>>, ConnectError> {
    let Some((settings, (sdk, revocations))) = settings.zip(aws) else {
        return Ok(None);
    };
    let keys = auth_secrets::read(sdk, &settings.keys_arn).await;
    let keys = keys.map_err(|SecretError(cause)| ConnectError::SealingSecret(cause))?;
    let keys = SealingKeys::from_json(keys.expose()).map_err(ConnectError::SealingKeys)?;
    let store = DynamoBrowserSessions::beside(revocations, settings.table);
    let sessions = CoalescedSessions::new(SealedSessions::new(store, keys));
    Ok(Some(Box::new(sessions)))
}

async fn open_phantom(
    settings: Option<PhantomSettings>,
    sdk: Option<SdkConfig>,
) -> Result<Option<Phantom>, KeysError> {
    match settings {
        Some(settings) => Phantom::connect(settings, sdk, clock::now())
            .await
            .map(Some),
        None => Ok(None),
    }
}
