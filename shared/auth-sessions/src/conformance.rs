//! What every store of sessions does. A store's tests call [`deviations`] and expect an empty list.
//!
//! Only with the feature `test-helpers`, which belongs into `[dev-dependencies]`.

use auth::{AuthError, Cause, Dependency, UnixSeconds};
use futures_util::future::join;

use crate::{BrowserSessions, Lease, RowKey, SealedSession, SessionId};

/// A row of 12 KB, as the tokens of a user of 300 groups make it.
const LARGE: usize = 12_288;

/// Where this store differs from what every store does, in words.
///
/// # Errors
/// A call that should have succeeded failed.
pub async fn deviations<S: BrowserSessions>(
    store: &S,
    now: UnixSeconds,
) -> Result<Vec<String>, AuthError> {
    let keys = [new_key()?, new_key()?, new_key()?, new_key()?];
    check(store, &keys, now).await
}

fn new_key() -> Result<RowKey, AuthError> {
    let id = SessionId::random();
    let id = id.map_err(|_| Dependency::BrowserSessions.unavailable(Cause::Other))?;
    Ok(id.row_key())
}

fn row(version: u64, byte: u8, expires_at: UnixSeconds) -> SealedSession {
    SealedSession {
        version,
        expires_at,
        key_id: "2026-11".to_owned(),
        sealed: vec![byte; LARGE],
    }
}

async fn check<S: BrowserSessions>(
    store: &S,
    [key, other, raced, expired]: &[RowKey; 4],
    now: UnixSeconds,
) -> Result<Vec<String>, AuthError> {
    let mut deviations = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            deviations.push(what.to_owned());
        }
    };
    let end = now.plus(3_600);
    let (first, second) = (row(1, 1, end), row(2, 2, end));

    expect(
        store.find(key).await?.is_none(),
        "found before it was created",
    );
    expect(
        !store.replace(key, &second).await?,
        "replaced before it was created",
    );
    let lease = |holder: &str, until: UnixSeconds| Lease {
        holder: holder.to_owned(),
        until,
    };
    let one = lease("one", now.plus(10));
    expect(
        !store.lease(key, 1, &one, now).await?,
        "leased before it was created",
    );
    expect(store.find(key).await?.is_none(), "created by another call");

    store.create(key, &first, now).await?;
    expect(
        store.find(key).await?.as_ref() == Some(&first),
        "a created row differs",
    );
    expect(
        store.find(other).await?.is_none(),
        "found under another key",
    );
    store.create(key, &first, now).await?;
    expect(
        store.create(key, &row(1, 9, end), now).await.is_err(),
        "created over another row",
    );
    expect(
        store.find(key).await?.as_ref() == Some(&first),
        "changed by a refused creation",
    );

    expect(
        store.lease(key, 1, &one, now).await?,
        "a free lease was refused",
    );
    expect(
        store.lease(key, 1, &one, now).await?,
        "a repeated lease was refused",
    );
    let two = lease("two", now.plus(20));
    expect(
        !store.lease(key, 1, &two, now).await?,
        "a held lease was taken",
    );
    expect(
        !store.lease(key, 2, &two, now).await?,
        "leased in another version",
    );
    let later = now.plus(10);
    expect(
        store.lease(key, 1, &two, later).await?,
        "an ended lease was held",
    );
    expect(
        !store.lease(key, 1, &one, later).await?,
        "a lease was held by two",
    );
    let returned = lease("two", later);
    expect(
        store.lease(key, 1, &returned, later).await?,
        "a lease was not returned",
    );
    expect(
        store.lease(key, 1, &one, later).await?,
        "a returned lease was held",
    );
    expect(
        store.find(key).await?.as_ref() == Some(&first),
        "changed by a lease",
    );

    expect(
        !store.replace(key, &row(3, 3, end)).await?,
        "replaced a version too late",
    );
    expect(
        !store.replace(key, &row(1, 3, end)).await?,
        "replaced by its own version",
    );
    expect(
        store.find(key).await?.as_ref() == Some(&first),
        "changed by a refused replacement",
    );
    expect(
        store.replace(key, &second).await?,
        "a replacement was refused",
    );
    expect(
        store.replace(key, &second).await?,
        "a repeated replacement was refused",
    );
    expect(
        !store.replace(key, &row(2, 4, end)).await?,
        "replaced twice from one version",
    );
    expect(
        store.find(key).await?.as_ref() == Some(&second),
        "a replaced row differs",
    );
    expect(
        store.lease(key, 2, &two, now).await?,
        "a replacement left the lease of the version before",
    );

    // Two that refresh one session at once.
    store.create(raced, &first, now).await?;
    let (left, right) = (row(2, 5, end), row(2, 6, end));
    let outcomes = join(store.replace(raced, &left), store.replace(raced, &right)).await;
    let (left_won, right_won) = (outcomes.0?, outcomes.1?);
    expect(
        left_won != right_won,
        "two replacements of one version, or none",
    );
    let winner = if left_won { &left } else { &right };
    expect(
        store.find(raced).await?.as_ref() == Some(winner),
        "the loser of a race is stored",
    );

    store.create(expired, &row(1, 7, now), now).await?;
    expect(
        store
            .find(expired)
            .await?
            .is_some_and(|row| row.expires_at == now),
        "another expiry",
    );

    store.delete(key).await?;
    expect(
        store.find(key).await?.is_none(),
        "found after it was deleted",
    );
    store.delete(key).await?;
    expect(
        !store.replace(key, &row(3, 8, end)).await?,
        "replaced after it was deleted",
    );
    expect(
        !store.lease(key, 2, &two, now).await?,
        "leased after it was deleted",
    );
    expect(store.find(key).await?.is_none(), "created again");
    expect(
        store.find(raced).await?.is_some(),
        "deleted with another row",
    );
    for key in [raced, expired] {
        store.delete(key).await?;
    }
    Ok(deviations)
}
