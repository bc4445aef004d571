//! `gatehouse phantom-keys`: the keys by which forward-auth signs tokens for backends.

use auth::{Secret, UnixSeconds};
use auth_phantom::{KeyInfo, SigningAlgorithm, SigningKeys};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::audit_trail::{Acted, OperatorAct};
use crate::key_store::{KeyStore, Place};
use crate::operator::Printed;

/// Manage the keys of phantom tokens: `PHANTOM_KEYS_FILE` and `PHANTOM_KEYS_ARN` of forward-auth. See
/// docs/phantom-tokens.md.
#[derive(Args)]
pub(crate) struct PhantomKeys {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Create the first key set, with one key that signs at once. Without a place it is printed to
    /// standard output, private key included. An existing file or secret is never replaced.
    New {
        #[command(flatten)]
        place: Place,
        /// The signature algorithm: ES256 or EdDSA.
        #[arg(long, default_value = "ES256", value_parser = algorithm)]
        alg: SigningAlgorithm,
    },
    /// Add a key, which signs eleven minutes later, when every backend can have it, and withdraw the
    /// keys whose last tokens have expired.
    Rotate {
        #[command(flatten)]
        place: Place,
        /// The signature algorithm of the new key: ES256 or EdDSA.
        #[arg(long, default_value = "ES256", value_parser = algorithm)]
        alg: SigningAlgorithm,
        /// After a theft: withdraw all other keys at once, and sign with the new one at once.
        /// Backends refuse tokens until they have fetched the keys again.
        #[arg(long)]
        stolen: bool,
    },
    /// List the keys, without their private parts: which one signs, and from when.
    List {
        #[command(flatten)]
        place: Place,
    },
}

fn algorithm(text: &str) -> Result<SigningAlgorithm, String> {
    SigningAlgorithm::from_name(text).ok_or_else(|| "expected ES256 or EdDSA".to_owned())
}

/// The keys after the command, newest first, and the document if it is to be printed.
struct Done {
    keys: Vec<KeyInfo>,
    document: Option<Secret>,
}

impl PhantomKeys {
    /// Runs the command.
    ///
    /// # Errors
    /// A text about a place that is missing.
    pub(crate) async fn run(self) -> Result<Acted, String> {
        let (act, result) = match self.command {
            Command::New { place, alg } => {
                let store = place.store().await;
                ("create_phantom_keys", create(store, alg).await)
            }
            Command::Rotate { place, alg, stolen } => {
                let store = required(place).await?;
                ("rotate_phantom_keys", rotate(&store, alg, stolen).await)
            }
            Command::List { place } => {
                let store = required(place).await?;
                ("list_phantom_keys", list(&store).await)
            }
        };
        let newest = result.as_ref().ok().and_then(|done| done.keys.first());
        Ok(Acted {
            failed_steps: Vec::new(),
            act: OperatorAct {
                act,
                actor: "cli".to_owned(),
                target: newest.map(|key| key.kid.clone()),
                outcome: result.as_ref().map_or("failed", |_| "done"),
            },
            result: result.map(|done| match done.document {
                Some(document) => Printed::text(document),
                None => Printed::new(done.keys.iter().map(describe).collect(), self.json),
            }),
        })
    }
}

async fn required(place: Place) -> Result<KeyStore, String> {
    let store = place.store().await;
    store.ok_or_else(|| "name the keys with --file or --secret".to_owned())
}

async fn create(store: Option<KeyStore>, algorithm: SigningAlgorithm) -> Result<Done, String> {
    let now = match &store {
        Some(store) => store.time().await?,
        None => UnixSeconds(runtime::clock::unix_seconds()),
    };
    let keys = SigningKeys::first(algorithm, now).map_err(|error| error.to_string())?;
    let document = keys.to_json();
    let document = match store {
        None => Some(document),
        Some(store) => {
            store.create(&document).await?;
            None
        }
    };
    Ok(Done {
        keys: keys.list(now),
        document,
    })
}

async fn rotate(
    store: &KeyStore,
    algorithm: SigningAlgorithm,
    stolen: bool,
) -> Result<Done, String> {
    let change = |document: &Secret, now| {
        // Only keys are replaced, never another document.
        let keys = read(document)?;
        let keys = if stolen {
            SigningKeys::first(algorithm, now)
        } else {
            keys.rotated(algorithm, now)
        };
        let keys = keys.map_err(|error| error.to_string())?;
        Ok((keys.to_json(), keys.list(now)))
    };
    Ok(Done {
        keys: store.update(change).await?,
        document: None,
    })
}

async fn list(store: &KeyStore) -> Result<Done, String> {
    let (document, now) = store.read().await?;
    Ok(Done {
        keys: read(&document)?.list(now),
        document: None,
    })
}

fn read(document: &Secret) -> Result<SigningKeys, String> {
    SigningKeys::from_json(document.expose()).map_err(|error| error.to_string())
}

fn describe(key: &KeyInfo) -> Value {
    json!({
        "kid": key.kid,
        "alg": key.algorithm.as_str(),
        "state": key.state.as_str(),
        "not_before": key.not_before.0,
        "signs_from": key.signs_from.0,
    })
}
