//! The store in memory does what every store does. `tests/it/store.rs` runs the same table on DynamoDB.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use auth::memory::MemoryRevocations;
use auth::{
    Cause, ClaimsBuilder, Dependency, RevocationContext, RevocationReader, RevocationWriter,
    Revocations, Unavailable, UnixSeconds, conformance,
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
