//! Interfaces to other processes that the core depends on.

use std::future::Future;
use std::sync::Arc;

use crate::api_key::StoredKey;
use crate::claims::VerifiedClaims;
use crate::error::{AuthError, Unavailable};
use crate::jwks::VerifyingKey;
use crate::refs::{ClientRef, GroupRef, IssuerRef, SessionRef, TokenRef, UserRef};
use crate::revocation::{OtherSessions, PasswordChange, RevocationContext, Revocations};
use crate::time::UnixSeconds;
use crate::user_state::Act;
use crate::verify::Issuer;

/// Source of an issuer's public keys.
pub trait KeySource: Send + Sync {
    /// The key that `issuer` publishes under `kid`.
    ///
    /// # Errors
    /// [`crate::DenyReason::UnknownKey`] if the issuer has no such key, [`Unavailable`] if its
    /// key set is not available.
    fn key_for(
        &self,
        issuer: &Issuer,
        kid: &str,
        now: UnixSeconds,
    ) -> impl Future<Output = Result<Arc<VerifyingKey>, AuthError>> + Send;
}

/// Reads revocations.
pub trait RevocationReader: Send + Sync {
    /// All revocations that may apply to a token with these claims, by consistent reads: the result
    /// contains every revocation whose write was acknowledged before this call.
    ///
    /// # Errors
    /// [`Unavailable`] whenever that cannot be guaranteed.
    fn revocations(
        &self,
        claims: &VerifiedClaims,
        now: UnixSeconds,
    ) -> impl Future<Output = Result<Revocations, Unavailable>> + Send;
}

/// Writes revocations. Every write can be repeated and can arrive late: it never undoes another
/// revocation.
pub trait RevocationWriter: Send + Sync {
    /// Applies an act to a user's state by the rules of [`crate::user_state`]: all of it or
    /// nothing. `false` if the session to keep has been revoked in the meantime: then nothing is
    /// written. The methods named after the acts call this one.
    ///
    /// # Errors
    /// [`Unavailable`] unless the result is certain.
    fn change_user(
        &self,
        user: &UserRef<'_>,
        act: &Act<'_>,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<bool, Unavailable>> + Send;

    /// Revokes one session.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    fn revoke_session(
        &self,
        session: &SessionRef<'_>,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Revokes one token, or an API key.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    fn revoke_token(
        &self,
        token: &TokenRef<'_>,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Revokes everything that this user authenticated up to `not_before`, including a kept
    /// session.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    fn revoke_user_sessions(
        &self,
        user: &UserRef<'_>,
        not_before: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send {
        async move {
            let act = Act::RevokeAll(not_before);
            self.change_user(user, &act, context).await.map(drop)
        }
    }

    /// Revokes everything that this user authenticated up to a time, but keeps one session.
    /// `false` if that session has been revoked in the meantime: then nothing is written.
    ///
    /// The record of a password change made at Cognito revokes the kept session too, unless
    /// [`OtherSessions::password_changed_at`] is the time of that change.
    ///
    /// # Errors
    /// [`Unavailable`] unless the result is certain.
    fn revoke_other_sessions(
        &self,
        user: &UserRef<'_>,
        others: &OtherSessions<'_>,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<bool, Unavailable>> + Send {
        async move {
            let act = Act::RevokeOthers(*others);
            self.change_user(user, &act, context).await
        }
    }

    /// Revokes everything that this user authenticated before a password change, but for the
    /// session that [`Self::revoke_other_sessions`] kept for that very change.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    fn revoke_sessions_before_password_change(
        &self,
        user: &UserRef<'_>,
        change: &PasswordChange,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send {
        async move {
            let act = Act::PasswordChanged(*change);
            self.change_user(user, &act, context).await.map(drop)
        }
    }

    /// Refuses tokens issued to this user up to `at`. The sessions stay valid: a refresh brings a
    /// token that is accepted.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    fn require_refresh(
        &self,
        user: &UserRef<'_>,
        at: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send {
        async move {
            let act = Act::RequireRefresh(at);
            self.change_user(user, &act, context).await.map(drop)
        }
    }

    /// Disables a user at `at` and revokes everything authenticated until then. The later of
    /// disable and enable wins, in any order of arrival; within one second, disable wins.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    fn disable_user(
        &self,
        user: &UserRef<'_>,
        at: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send {
        async move {
            let act = Act::Disable(at);
            self.change_user(user, &act, context).await.map(drop)
        }
    }

    /// The same for a deleted user, whose state is kept only for the lifetime of a refresh token
    /// and a day.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    fn delete_user(
        &self,
        user: &UserRef<'_>,
        at: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send {
        async move {
            let act = Act::Delete(at);
            self.change_user(user, &act, context).await.map(drop)
        }
    }

    /// Lets a user who was disabled before `at` sign in again. Earlier revocations stay in force.
    ///
    /// # Errors
    /// [`Unavailable`] unless the result is certain.
    fn enable_user(
        &self,
        user: &UserRef<'_>,
        at: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send {
        async move {
            let act = Act::Enable(at);
            self.change_user(user, &act, context).await.map(drop)
        }
    }

    /// Revokes everything issued to an app client up to `not_before`. These revocations are few and do not
    /// expire.
    ///
    /// ```no_run
    /// use auth::{ClientRef, UnixSeconds};
    /// # use auth::{RevocationContext, RevocationWriter};
    /// # async fn revoke(store: &impl RevocationWriter, context: &RevocationContext<'_>) {
    /// let client = ClientRef { issuer: "us-east-1_Ab1", client_id: "c-1" };
    /// let _ = store.revoke_client(&client, UnixSeconds(0), context).await;
    /// # }
    /// ```
    ///
    /// A user's function does not accept a client:
    ///
    /// ```compile_fail,E0308
    /// use auth::{ClientRef, UnixSeconds};
    /// # use auth::{RevocationContext, RevocationWriter};
    /// # async fn revoke(store: &impl RevocationWriter, context: &RevocationContext<'_>) {
    /// let client = ClientRef { issuer: "us-east-1_Ab1", client_id: "c-1" };
    /// let _ = store.revoke_user_sessions(&client, UnixSeconds(0), context).await;
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    fn revoke_client(
        &self,
        client: &ClientRef<'_>,
        not_before: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Revokes everything that the issuer issued up to `not_before`. This revocation does not expire.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    fn revoke_issuer(
        &self,
        issuer: &IssuerRef<'_>,
        not_before: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Refuses tokens that contain the group and were issued up to `at`. A refresh brings a token
    /// that is accepted.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    fn require_refresh_of_group(
        &self,
        group: &GroupRef<'_>,
        at: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Revokes the sessions of the group's members that were authenticated up to `at`.
    ///
    /// # Errors
    /// [`Unavailable`] unless the store confirmed the write.
    fn revoke_group_sessions(
        &self,
        group: &GroupRef<'_>,
        at: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Stores the request id of Gatehouse's own call to the issuer: the record of that call then
    /// revokes nothing.
    ///
    /// # Errors
    /// [`Unavailable`] unless it was stored.
    fn note_call(
        &self,
        issuer_id: &str,
        request_id: &str,
        now: UnixSeconds,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send;
}

/// Reads which calls to the issuer Gatehouse itself has made.
pub trait OwnCalls: Send + Sync {
    /// Whether [`RevocationWriter::note_call`] has stored this call.
    ///
    /// # Errors
    /// [`Unavailable`] if that could not be read.
    fn is_own_call(
        &self,
        issuer_id: &str,
        request_id: &str,
    ) -> impl Future<Output = Result<bool, Unavailable>> + Send;
}

/// Reads API keys.
pub trait ApiKeyStore: Send + Sync {
    /// The key in the row `id`, by a consistent read.
    ///
    /// # Errors
    /// [`crate::DenyReason::UnreadableRevocation`] if Gatehouse did not write the row,
    /// [`Unavailable`] if it could not be read.
    fn find(&self, id: &str) -> impl Future<Output = Result<Option<StoredKey>, AuthError>> + Send;
}

/// Stores API keys.
pub trait ApiKeyWriter: Send + Sync {
    /// Stores a new key in the row `id`. It never replaces a row.
    ///
    /// # Errors
    /// [`Unavailable`] if there is such a row, or unless the store confirmed the write.
    fn put(
        &self,
        id: &str,
        key: &StoredKey,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send;
}
