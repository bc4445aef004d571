//! The ports in memory, for tests. Only with the feature `test-helpers`, which belongs into
//! `[dev-dependencies]`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::claims::VerifiedClaims;
use crate::jwks::{KeySet, VerifyingKey};
use crate::ports::{KeySource, RevocationReader, Unavailable};
use crate::reason::{AuthError, DenyReason};
use crate::refs::UserRef;
use crate::revocation::Revocations;
use crate::time::UnixSeconds;
use crate::verify::{Issuer, TrustedIssuer};

/// A [`KeySource`] with fixed key sets.
///
/// # Examples
/// ```
/// use auth::memory::MemoryKeys;
/// use auth::{AuthError, KeySource, Unavailable, UnixSeconds};
///
/// # use auth::{Issuer, KeySet, TrustedIssuer};
/// # let pool = testkit::Pool::ours();
/// # let issuer = Issuer::user_pool(pool.id.into(), pool.issuer(), Vec::new());
/// # let keys = KeySet::parse(pool.jwks().to_string().as_bytes())?;
/// # let (now, kid) = (UnixSeconds(1), pool.access_kid);
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let source = MemoryKeys::new([TrustedIssuer { issuer: issuer.clone(), keys }]);
/// assert!(source.key_for(&issuer, kid, now).await.is_ok());
///
/// source.set_available(false);
/// let error = source.key_for(&issuer, kid, now).await.err();
/// assert!(matches!(error, Some(AuthError::Unavailable(Unavailable::Jwks))));
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct MemoryKeys {
    sets: HashMap<String, KeySet>,
    failing: AtomicBool,
}

impl MemoryKeys {
    /// A source with these issuers' keys. Any other issuer's keys are unavailable.
    #[must_use]
    pub fn new(trusted: impl IntoIterator<Item = TrustedIssuer>) -> Self {
        let sets = trusted.into_iter();
        Self {
            sets: sets.map(|one| (one.issuer.url, one.keys)).collect(),
            failing: AtomicBool::new(false),
        }
    }

    /// Whether calls succeed from now on: `false` makes each of them fail.
    pub fn set_available(&self, available: bool) {
        self.failing.store(!available, Ordering::SeqCst);
    }
}

impl KeySource for MemoryKeys {
    async fn key_for(
        &self,
        issuer: &Issuer,
        kid: &str,
        _now: UnixSeconds,
    ) -> Result<Arc<VerifyingKey>, AuthError> {
        let keys = self.sets.get(&issuer.url);
        match keys.filter(|_| !self.failing.load(Ordering::SeqCst)) {
            Some(keys) => Ok(Arc::clone(keys.get(kid).ok_or(DenyReason::UnknownKey)?)),
            None => Err(Unavailable::Jwks.into()),
        }
    }
}

/// A [`RevocationReader`] with the revocations that a test sets.
///
/// # Examples
/// ```
/// use auth::memory::MemoryRevocations;
/// use auth::{ClaimsBuilder, DenyReason, RevocationReader, Revocations, UnixSeconds};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let now = UnixSeconds(1_800_000_000);
/// let claims = ClaimsBuilder::user("ada", now).build();
/// let store = MemoryRevocations::default();
/// assert_eq!(store.revocations(&claims, now).await, Ok(Revocations::default()));
///
/// let session = Revocations { session: true, ..Revocations::default() };
/// store.set(claims.user_ref(), session);
/// let found = store.revocations(&claims, now).await?;
/// assert_eq!(found.check(&claims), Err(DenyReason::SessionRevoked));
/// # Ok::<(), auth::Unavailable>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct MemoryRevocations {
    by_user: Mutex<HashMap<User, Revocations>>,
    failing: AtomicBool,
}

#[derive(PartialEq, Eq, Hash)]
struct User {
    issuer: String,
    subject: String,
}

impl From<UserRef<'_>> for User {
    fn from(user: UserRef<'_>) -> Self {
        Self {
            issuer: user.issuer.to_owned(),
            subject: user.subject.to_owned(),
        }
    }
}

impl MemoryRevocations {
    /// Sets what is found for every token of this user. Replaces what was set before.
    pub fn set(&self, user: UserRef<'_>, revocations: Revocations) {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        by_user.insert(user.into(), revocations);
    }

    /// Whether calls succeed from now on: `false` makes each of them fail.
    pub fn set_available(&self, available: bool) {
        self.failing.store(!available, Ordering::SeqCst);
    }
}

impl RevocationReader for MemoryRevocations {
    async fn revocations(
        &self,
        claims: &VerifiedClaims,
        _now: UnixSeconds,
    ) -> Result<Revocations, Unavailable> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(Unavailable::Revocations);
        }
        let by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        let found = by_user.get(&claims.user_ref().into());
        Ok(found.cloned().unwrap_or_default())
    }
}
