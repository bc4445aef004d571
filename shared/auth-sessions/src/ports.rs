//! The port to a store of sealed sessions.

use std::future::Future;

use auth::{AuthError, Unavailable, UnixSeconds};

use crate::RowKey;

/// A row: what a store knows about a session.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSession {
    /// 1 for a new row; each [`BrowserSessions::replace`] adds 1.
    pub version: u64,
    /// When the session ends. The reader compares it, and a store may delete the row from then on.
    pub expires_at: UnixSeconds,
    /// The id of the key that sealed it.
    pub key_id: String,
    /// The nonce, the ciphertext and the tag.
    pub sealed: Vec<u8>,
}

/// The right to refresh a session's tokens, for a short time.
#[derive(Clone, PartialEq, Eq)]
pub struct Lease {
    /// A random text that names the holder.
    pub holder: String,
    /// When another holder may take the lease.
    pub until: UnixSeconds,
}

/// Stores sealed sessions. Every call can be repeated: a call whose response was lost succeeds again.
pub trait BrowserSessions: Send + Sync {
    /// The row, by a consistent read, whether it has expired or not.
    ///
    /// # Errors
    /// [`auth::DenyReason::UnreadableRevocation`] if Gatehouse did not write the row, [`Unavailable`] if it could not be
    /// read.
    fn find(
        &self,
        key: &RowKey,
    ) -> impl Future<Output = Result<Option<SealedSession>, AuthError>> + Send;

    /// Stores a new row. It never replaces another one.
    ///
    /// # Errors
    /// [`Unavailable`] if the key has another row, or unless the store confirmed the write.
    fn create(
        &self,
        key: &RowKey,
        row: &SealedSession,
        now: UnixSeconds,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Replaces the row of the version before, and with it its lease. `false` if the row has another version, or there is
    /// no row: then nothing is written.
    ///
    /// # Errors
    /// [`Unavailable`] unless the result is certain.
    fn replace(
        &self,
        key: &RowKey,
        row: &SealedSession,
    ) -> impl Future<Output = Result<bool, Unavailable>> + Send;

    /// Takes, keeps or, with `until` at `now`, returns the lease of the row of `version`. `false` if another holder has
    /// it, the row has another version, or there is no row.
    ///
    /// # Errors
    /// [`Unavailable`] unless the result is certain.
    fn lease(
        &self,
        key: &RowKey,
        version: u64,
        lease: &Lease,
        now: UnixSeconds,
    ) -> impl Future<Output = Result<bool, Unavailable>> + Send;

    /// Deletes the row, if there is one.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    fn delete(&self, key: &RowKey) -> impl Future<Output = Result<(), Unavailable>> + Send;
}
