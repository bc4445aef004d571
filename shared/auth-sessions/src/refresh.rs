//! One refresh of a session's tokens, however many requests ask for it at once.

use std::future::Future;

use auth::{AuthError, DenyReason, Secret, Unavailable, UnixSeconds};

use crate::{BrowserSession, BrowserSessions, Found, SealedSessions, SessionId};

/// How often a request asks whether another one has refreshed the session, before it gives up.
pub const REFRESH_POLLS: u32 = 50;
/// How often new tokens are offered to the store, which would otherwise be lost.
const STORE_ATTEMPTS: u32 = 3;

/// The tokens that an issuer gave for a refresh token.
pub struct NewTokens {
    /// The access token.
    pub access_token: Secret,
    /// The refresh token that replaces the old one, if the issuer rotates them.
    pub refresh_token: Option<Secret>,
}

/// Why a session was not refreshed.
pub enum RefreshError<E> {
    /// There is no such session, or it has no refresh token.
    Refused(DenyReason),
    /// The store failed. The session is as it was, unless new tokens could not be stored.
    Unavailable(Unavailable),
    /// Another request has been refreshing the session for too long.
    Busy,
    /// The issuer did not give new tokens for this session.
    Exchange(E, Box<BrowserSession>),
    /// The session was deleted while the issuer gave new tokens, which must be revoked.
    Deleted(NewTokens),
}

impl<E> From<AuthError> for RefreshError<E> {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unauthorized(reason) => Self::Refused(reason),
            AuthError::Unavailable(unavailable) => Self::Unavailable(unavailable),
        }
    }
}

impl<E> From<Unavailable> for RefreshError<E> {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

impl<S: BrowserSessions> SealedSessions<S> {
    /// Refreshes a session's tokens: `exchange` gives new ones for the refresh token. Of several requests at once, one
    /// exchanges, and the others return its tokens: an issuer that rotates refresh tokens takes a second use of one for
    /// a theft. `now` is the time, and `pause` ends when the store may be asked again.
    ///
    /// # Errors
    /// [`RefreshError`].
    pub async fn refresh<E, X, P>(
        &self,
        id: &SessionId,
        now: impl Fn() -> UnixSeconds,
        pause: impl Fn() -> P,
        exchange: impl FnOnce(Secret) -> X,
    ) -> Result<BrowserSession, RefreshError<E>>
    where
        X: Future<Output = Result<NewTokens, E>>,
        P: Future<Output = ()>,
    {
        let found = self.find(id, now()).await?;
        let refresh_token = found.session.refresh_token.clone();
        let refresh_token =
            refresh_token.ok_or(RefreshError::Refused(DenyReason::UnknownSession))?;
        let mut polls = 0;
        let holder = loop {
            if let Some(holder) = self.lease(&found, now()).await? {
                break holder;
            }
            if let Some(session) = self.newer(id, &found, now()).await? {
                return Ok(session);
            }
            if polls == REFRESH_POLLS {
                return Err(RefreshError::Busy);
            }
            polls += 1;
            pause().await;
        };
        let new = match exchange(refresh_token.clone()).await {
            Ok(new) => new,
            Err(error) => {
                // A lease that has ended may have let another request go first.
                if let Ok(Some(session)) = self.newer(id, &found, now()).await {
                    return Ok(session);
                }
                // If this fails, the lease ends by itself.
                let _ = self.release(&found, holder, now()).await;
                return Err(RefreshError::Exchange(error, Box::new(found.session)));
            }
        };
        let kept = new.refresh_token.clone().or(Some(refresh_token));
        let stored = match self.store(&found, &new, kept.clone(), pause).await {
            Ok(stored) => stored,
            Err(unavailable) => {
                // The issuer accepts the old refresh token for some seconds more: the next request must not wait for
                // the end of the lease. If the tokens were stored after all, this changes nothing.
                let _ = self.release(&found, holder, now()).await;
                return Err(unavailable.into());
            }
        };
        if stored {
            return Ok(BrowserSession {
                access_token: new.access_token,
                refresh_token: kept,
                expires_at: found.session.expires_at,
            });
        }
        match self.newer(id, &found, now()).await {
            Ok(Some(session)) => Ok(session),
            Ok(None) | Err(AuthError::Unauthorized(_)) => Err(RefreshError::Deleted(new)),
            Err(AuthError::Unavailable(unavailable)) => Err(unavailable.into()),
        }
    }

    /// The session, if it has other tokens than `found`.
    async fn newer(
        &self,
        id: &SessionId,
        found: &Found,
        now: UnixSeconds,
    ) -> Result<Option<BrowserSession>, AuthError> {
        let current = self.find(id, now).await?;
        Ok((current.version != found.version).then_some(current.session))
    }

    /// Stores new tokens, in several attempts: the issuer may no longer accept the old refresh token.
    async fn store<P: Future<Output = ()>>(
        &self,
        found: &Found,
        new: &NewTokens,
        refresh_token: Option<Secret>,
        pause: impl Fn() -> P,
    ) -> Result<bool, Unavailable> {
        let mut attempt = 1;
        loop {
            let access_token = new.access_token.clone();
            let stored = self.replace(found, access_token, refresh_token.clone());
            match stored.await {
                Err(_) if attempt < STORE_ATTEMPTS => {
                    attempt += 1;
                    pause().await;
                }
                result => return result,
            }
        }
    }
}
