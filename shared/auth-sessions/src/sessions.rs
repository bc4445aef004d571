//! Sessions over a store and keys.

use auth::{AuthError, Cause, DenyReason, Dependency, Secret, Unavailable, UnixSeconds};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::seal::{open, seal};
use crate::{BrowserSessions, Lease, RowKey, SealedSession, SealingKeys, SessionId};

/// How long a refresh may take, in seconds. Then another request may refresh the session: if the first one stopped after
/// Cognito had replaced the refresh token, Cognito accepts the old one for two more seconds
/// (`RetryGracePeriodSeconds` of the template is 10).
pub const LEASE_SECONDS: u64 = 8;

/// A session's tokens. No `Debug`: they are secrets.
#[derive(Clone)]
pub struct BrowserSession {
    /// The access token. It may have expired: its reader verifies it, and checks its revocations.
    pub access_token: Secret,
    /// The refresh token, if the issuer gave one.
    pub refresh_token: Option<Secret>,
    /// When the session ends, refreshed or not.
    pub expires_at: UnixSeconds,
}

/// A session, as it was read.
pub struct Found {
    /// The session.
    pub session: BrowserSession,
    /// The version of its row: another number means other tokens.
    pub version: u64,
    key: RowKey,
}

/// The holder of a lease.
pub struct Holder(String);

/// Sessions in a store, sealed with keys.
pub struct SealedSessions<S> {
    store: S,
    keys: SealingKeys,
}

impl<S: BrowserSessions> SealedSessions<S> {
    /// The sessions in `store`, sealed with `keys`.
    pub fn new(store: S, keys: SealingKeys) -> Self {
        Self { store, keys }
    }

    /// The session of this id.
    ///
    /// # Errors
    /// [`DenyReason::UnknownSession`] if the id has no session, or an expired one;
    /// [`DenyReason::UnreadableRevocation`] if its row was changed, or its key was withdrawn; [`Unavailable`] if it
    /// could not be read.
    pub async fn find(&self, id: &SessionId, now: UnixSeconds) -> Result<Found, AuthError> {
        let key = id.row_key();
        let row = self.store.find(&key).await?;
        let row = row.filter(|row| row.expires_at > now);
        let row = row.ok_or(DenyReason::UnknownSession)?;
        let session = open(&self.keys, &key, &row)?;
        let version = row.version;
        Ok(Found {
            session,
            version,
            key,
        })
    }

    /// Stores a session under a new id.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    pub async fn create(
        &self,
        session: &BrowserSession,
        now: UnixSeconds,
    ) -> Result<SessionId, Unavailable> {
        let id = SessionId::random().map_err(failed)?;
        let key = id.row_key();
        let row = self.sealed(&key, 1, session)?;
        self.store.create(&key, &row, now).await?;
        Ok(id)
    }

    /// Replaces the tokens of a session, whose end stays the same. `false` if it was replaced or deleted since it was
    /// read: then nothing is written.
    ///
    /// # Errors
    /// [`Unavailable`] unless the result is certain.
    pub async fn replace(
        &self,
        found: &Found,
        access_token: Secret,
        refresh_token: Option<Secret>,
    ) -> Result<bool, Unavailable> {
        let session = BrowserSession {
            access_token,
            refresh_token,
            expires_at: found.session.expires_at,
        };
        let version = found.version.saturating_add(1);
        let row = self.sealed(&found.key, version, &session)?;
        self.store.replace(&found.key, &row).await
    }

    /// Takes the lease for a refresh. `None` if another request has it, or the session was replaced or deleted since it
    /// was read. [`Self::replace`] and [`Self::release`] end it, or [`LEASE_SECONDS`].
    ///
    /// # Errors
    /// [`Unavailable`] unless the result is certain.
    pub async fn lease(
        &self,
        found: &Found,
        now: UnixSeconds,
    ) -> Result<Option<Holder>, Unavailable> {
        let mut random = [0; 16];
        rand::fill(&mut random).map_err(failed)?;
        let holder = URL_SAFE_NO_PAD.encode(random);
        let lease = Lease {
            holder,
            until: now.plus(LEASE_SECONDS),
        };
        let (key, version) = (&found.key, found.version);
        let taken = self.store.lease(key, version, &lease, now).await?;
        Ok(taken.then_some(Holder(lease.holder)))
    }

    /// Returns a lease, so that the next request need not wait for its end.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed it.
    pub async fn release(
        &self,
        found: &Found,
        Holder(holder): Holder,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let lease = Lease { holder, until: now };
        let (key, version) = (&found.key, found.version);
        self.store.lease(key, version, &lease, now).await.map(drop)
    }

    /// Deletes a session, if there is one.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    pub async fn delete(&self, id: &SessionId) -> Result<(), Unavailable> {
        self.store.delete(&id.row_key()).await
    }

    fn sealed(
        &self,
        key: &RowKey,
        version: u64,
        session: &BrowserSession,
    ) -> Result<SealedSession, Unavailable> {
        seal(&self.keys, key, version, session).map_err(failed)
    }
}

/// The library's error, which has no details.
fn failed(Unspecified: Unspecified) -> Unavailable {
    Dependency::BrowserSessions.unavailable(Cause::Other)
}
