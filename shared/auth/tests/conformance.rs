//! The stores in memory do what every store does. `tests/it/store.rs` runs the same tables on DynamoDB.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::Cell;

use auth::api_key::{NewKey, RANDOM_BYTES, StoredKey};
use auth::memory::{MemoryApiKeys, MemoryRevocations};
use auth::{
    ApiKeyStore, ApiKeyWriter, AuthError, Cause, ClaimsBuilder, DenyReason, Dependency, OwnCalls,
    RevocationContext, RevocationReader, RevocationWriter, Revocations, Unavailable, UnixSeconds,
    conformance,
};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

#[tokio::test]
async fn the_store_in_memory_does_what_every_store_does() {
    let store = MemoryRevocations::default();
    let deviations = conformance::deviations(&store, "pool", NOW).await.unwrap();
    assert_eq!(deviations, Vec::<String>::new());
}

/// The control: a store that forgets its writes.
struct Forgetful(MemoryRevocations);

impl RevocationReader for Forgetful {
    async fn revocations(
        &self,
        _: &auth::VerifiedClaims,
        _: UnixSeconds,
    ) -> Result<Revocations, Unavailable> {
        Ok(Revocations::default())
    }
}

impl OwnCalls for Forgetful {
    async fn is_own_call(&self, _: &str, _: &str) -> Result<bool, Unavailable> {
        Ok(false)
    }
}

macro_rules! forgets {
    ($($name:ident($kind:ty $(, $more:ty)?) -> $result:ty;)+) => {
        impl RevocationWriter for Forgetful {
            $(async fn $name(
                &self,
                what: &$kind,
                $(more: $more,)?
                context: &RevocationContext<'_>,
            ) -> Result<$result, Unavailable> {
                self.0.$name(what, $({ let it: $more = more; it },)? context).await
            })+

            async fn note_call(&self, _: &str, _: &str, _: UnixSeconds) -> Result<(), Unavailable> {
                Ok(())
            }
        }
    };
}

forgets! {
    revoke_session(auth::SessionRef<'_>) -> ();
    revoke_token(auth::TokenRef<'_>) -> ();
    change_user(auth::UserRef<'_>, &auth::user_state::Act<'_>) -> bool;
    revoke_client(auth::ClientRef<'_>, UnixSeconds) -> ();
    revoke_issuer(auth::IssuerRef<'_>, UnixSeconds) -> ();
    require_refresh_of_group(auth::GroupRef<'_>, UnixSeconds) -> ();
    revoke_group_sessions(auth::GroupRef<'_>, UnixSeconds) -> ();
}

#[tokio::test]
async fn the_table_detects_a_store_that_forgets() {
    let store = Forgetful(MemoryRevocations::default());
    let deviations = conformance::deviations(&store, "pool", NOW).await.unwrap();
    assert!(deviations.len() > 20, "{deviations:?}");
    assert!(deviations.contains(&"the call noted of pool: false".to_owned()));
}

#[tokio::test]
async fn a_store_that_is_not_available_fails_every_call() {
    let store = MemoryRevocations::default();
    let claims = ClaimsBuilder::user("ada", NOW).build();
    let (user, context) = (
        claims.user_ref(),
        RevocationContext {
            reason: "test",
            actor: "test",
            at: NOW,
            refresh_token_ttl_seconds: 3_600,
        },
    );
    store.set_available(false);
    let failed = Dependency::Revocations.unavailable(Cause::Other);
    assert_eq!(store.revocations(&claims, NOW).await, Err(failed));
    let written = store.revoke_user_sessions(&user, NOW, &context).await;
    assert_eq!(written, Err(failed));
    assert_eq!(store.note_call("pool", "request", NOW).await, Err(failed));
    store.set_available(true);
    let found = store.revocations(&claims, NOW).await;
    assert_eq!(found, Ok(Revocations::default()), "nothing was written");
}

/// Makes keys that all differ.
fn mint() -> impl Fn() -> NewKey {
    let number = Cell::new(0);
    move || {
        number.set(number.get() + 1);
        NewKey::mint(&[number.get(); RANDOM_BYTES])
    }
}

#[tokio::test]
async fn api_keys_in_memory_are_as_in_every_store() {
    let store = MemoryApiKeys::default();
    let deviations = conformance::api_keys::deviations(&store, mint(), NOW).await;
    assert_eq!(deviations.unwrap(), Vec::<String>::new());
}

/// The control: a store that keeps only some members, and replaces keys.
#[derive(Default)]
struct Careless(std::sync::Mutex<std::collections::HashMap<String, StoredKey>>);

impl ApiKeyStore for Careless {
    async fn find(&self, id: &str) -> Result<Option<StoredKey>, AuthError> {
        let found = self.0.lock().unwrap().get(&id[..12.min(id.len())]).cloned();
        Ok(found.map(|key| StoredKey {
            usage_plan_key: None,
            ..key
        }))
    }
}

impl ApiKeyWriter for Careless {
    async fn put(&self, id: &str, key: &StoredKey) -> Result<(), Unavailable> {
        let id = id[..12].to_owned();
        self.0.lock().unwrap().insert(id, key.clone());
        Ok(())
    }
}

#[tokio::test]
async fn the_table_detects_a_careless_store_of_api_keys() {
    let store = Careless::default();
    let found = conformance::api_keys::deviations(&store, mint(), NOW).await;
    let found = found.unwrap();
    for deviation in [
        "a key of a usage plan: other claims",
        "a key: replaced by another key with its id",
        "a key: found by another id",
    ] {
        assert!(found.iter().any(|one| one == deviation), "{found:?}");
    }
}

#[tokio::test]
async fn a_store_of_api_keys_that_is_not_available_fails_every_call() {
    let store = MemoryApiKeys::default();
    let new = NewKey::mint(&[7; RANDOM_BYTES]);
    let key = StoredKey {
        owner: "acme".to_owned(),
        scope: String::new(),
        created_at: NOW,
        expires_at: NOW.plus(10),
        usage_plan_key: None,
        salt: new.salt,
        hash: new.hash,
    };
    store.set_available(false);
    let failed = Dependency::ApiKeys.unavailable(Cause::Other);
    assert_eq!(store.put(&new.id, &key).await, Err(failed));
    let found = store.find(&new.id).await.err();
    assert!(matches!(found, Some(AuthError::Unavailable(found)) if found == failed));
    store.set_available(true);
    assert!(
        store.find(&new.id).await.unwrap().is_none(),
        "nothing was stored"
    );
    store.set_unreadable(&new.id);
    let found = store.find(&new.id).await.err();
    let unreadable = DenyReason::UnreadableRevocation;
    assert!(matches!(found, Some(AuthError::Unauthorized(reason)) if reason == unreadable));
}
