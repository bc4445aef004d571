//! The ports in memory: for one process on one machine, and for tests.
//!
//! Reads and writes are atomic, so a revocation covers every read that begins after its write returned. **Nothing is
//! durable**: a restart forgets every revocation and every API key, and no other process sees them. A session that was
//! revoked before a restart is then accepted until its access token expires. A service that cannot accept that uses the
//! table (`auth-dynamodb`). Rows that are no longer
//! needed are dropped, so memory is bounded by the revocations of one refresh token's lifetime.
//!
//! What makes calls fail, or rows unreadable, exists only with the feature `test-helpers`.

mod api_keys;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::claims::VerifiedClaims;
use crate::error::{AuthError, Cause, Dependency, Unavailable};
use crate::jwks::{KeySet, VerifyingKey};
use crate::ports::{KeySource, OwnCalls, RevocationReader, RevocationWriter};
use crate::reason::DenyReason;
use crate::refs::{ClientRef, GroupRef, IssuerRef, SessionRef, TokenRef, UserRef};
use crate::revocation::{RevocationContext, Revocations};
use crate::time::UnixSeconds;
use crate::user_state::{Act, After, UserState};
use crate::verify::{Issuer, TrustedIssuer};

pub use api_keys::MemoryApiKeys;

/// A [`KeySource`] with fixed key sets.
///
/// # Examples
/// ```
/// use auth::memory::MemoryKeys;
/// use auth::{AuthError, Dependency, KeySource, UnixSeconds};
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
/// assert!(matches!(error, Some(AuthError::Unavailable(failed)) if failed.dependency == Dependency::Jwks));
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
    #[cfg(feature = "test-helpers")]
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
            None => Err(Dependency::Jwks.unavailable(Cause::Other).into()),
        }
    }
}

/// A [`RevocationReader`] and [`RevocationWriter`]. What it holds is lost with the process.
///
/// Users change by the rules of [`crate::user_state`], as in the real store. Clones share the
/// contents.
///
/// # Examples
/// ```
/// use auth::memory::MemoryRevocations;
/// use auth::{ClaimsBuilder, DenyReason, RevocationContext, RevocationReader, RevocationWriter, UnixSeconds};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let now = UnixSeconds(1_800_000_000);
/// let claims = ClaimsBuilder::user("ada", now).build();
/// let store = MemoryRevocations::default();
/// assert_eq!(store.revocations(&claims, now).await?.check(&claims), Ok(()));
///
/// let context = RevocationContext {
///     reason: "logout",
///     actor: claims.subject(),
///     at: now,
///     refresh_token_ttl_seconds: 3_600,
/// };
/// store.revoke_user_sessions(&claims.user_ref(), now, &context).await?;
/// let found = store.revocations(&claims, now).await?;
/// assert_eq!(found.check(&claims), Err(DenyReason::UserRevoked));
/// # Ok::<(), auth::Unavailable>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryRevocations {
    table: Arc<Mutex<Table>>,
    failing: Arc<AtomicBool>,
}

#[derive(Default)]
struct Table {
    /// What a test set, by user.
    set: HashMap<User, Revocations>,
    users: HashMap<User, UserState>,
    /// The expiry of a session's or token's revocation.
    parts: HashMap<(User, Part), UnixSeconds>,
    /// Revocations of clients and issuers.
    not_before: HashMap<Owner, UnixSeconds>,
    groups: HashMap<(GroupScope, Group), UnixSeconds>,
    calls: VecDeque<Call>,
    /// The number of rows at which the next write drops those that are no longer needed.
    full_at: usize,
}

/// The smallest number of rows at which expired ones are dropped.
const FULL_AT: usize = 1_024;
/// The number of own calls that are kept: their records arrive within minutes.
const MAX_CALLS: usize = 10_000;

#[derive(Clone, PartialEq, Eq, Hash)]
struct User {
    issuer: String,
    subject: String,
}

/// What belongs to a user.
#[derive(PartialEq, Eq, Hash)]
enum Part {
    Session(String),
    Token(String),
}

#[derive(PartialEq, Eq, Hash)]
enum Owner {
    Issuer(String),
    Client(String, String),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum GroupScope {
    Tokens,
    Sessions,
}

#[derive(PartialEq, Eq, Hash)]
struct Group {
    issuer: String,
    group: String,
}

struct Call {
    issuer_id: String,
    request_id: String,
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
    /// Sets what is found for every token of this user, besides what is written.
    #[cfg(feature = "test-helpers")]
    pub fn set(&self, user: UserRef<'_>, revocations: Revocations) {
        self.locked().set.insert(user.into(), revocations);
    }

    /// Whether calls succeed from now on: `false` makes each of them fail.
    #[cfg(feature = "test-helpers")]
    pub fn set_available(&self, available: bool) {
        self.failing.store(!available, Ordering::SeqCst);
    }

    /// The state of a user; the default if nothing was written.
    #[must_use]
    pub fn user_state(&self, user: UserRef<'_>) -> UserState {
        let found = self.locked().users.get(&user.into()).cloned();
        found.unwrap_or_default()
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table, unless calls fail.
    fn table(&self) -> Result<MutexGuard<'_, Table>, Unavailable> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(Dependency::Revocations.unavailable(Cause::Other));
        }
        Ok(self.locked())
    }

    fn revoke(
        &self,
        user: UserRef<'_>,
        part: Part,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let expires_at = context.at.plus(context.kept_seconds());
        let mut table = self.table()?;
        table.drop_expired(context.at);
        let expiry = table.parts.entry((user.into(), part)).or_insert(expires_at);
        *expiry = expires_at.max(*expiry);
        Ok(())
    }

    fn raise(&self, owner: Owner, not_before: UnixSeconds) -> Result<(), Unavailable> {
        let mut table = self.table()?;
        let known = table.not_before.entry(owner).or_insert(not_before);
        *known = not_before.max(*known);
        Ok(())
    }

    fn raise_group(
        &self,
        scope: GroupScope,
        group: &GroupRef<'_>,
        at: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let group = Group {
            issuer: group.issuer.to_owned(),
            group: group.group.to_owned(),
        };
        let mut table = self.table()?;
        let known = table.groups.entry((scope, group)).or_insert(at);
        *known = at.max(*known);
        Ok(())
    }
}

impl Table {
    /// Drops the rows that are no longer needed, once there are twice as many rows as were left the last time.
    fn drop_expired(&mut self, now: UnixSeconds) {
        if self.parts.len() + self.users.len() < self.full_at.max(FULL_AT) {
            return;
        }
        self.parts.retain(|_, expires_at| *expires_at > now);
        self.users
            .retain(|_, state| state.expires_at.is_none_or(|expires_at| expires_at > now));
        self.full_at = 2 * (self.parts.len() + self.users.len());
    }

    fn is_revoked(&self, user: &User, part: Part, now: UnixSeconds) -> bool {
        let expires_at = self.parts.get(&(user.clone(), part));
        expires_at.is_some_and(|expires_at| *expires_at > now)
    }

    fn latest(&self, scope: GroupScope, claims: &VerifiedClaims) -> Option<UnixSeconds> {
        let of = |group: &String| {
            let group = Group {
                issuer: claims.issuer_id().to_owned(),
                group: group.clone(),
            };
            self.groups.get(&(scope, group)).copied()
        };
        claims.groups().iter().filter_map(of).max()
    }
}

impl RevocationReader for MemoryRevocations {
    async fn revocations(
        &self,
        claims: &VerifiedClaims,
        now: UnixSeconds,
    ) -> Result<Revocations, Unavailable> {
        let table = self.table()?;
        let user = User::from(claims.user_ref());
        let mut found = table.set.get(&user).cloned().unwrap_or_default();
        if let Some(state) = table.users.get(&user) {
            state.clone().add_to(&mut found, now);
        }
        let revoked =
            |part: Option<Part>| part.is_some_and(|part| table.is_revoked(&user, part, now));
        found.session |= revoked(claims.session().map(|id| Part::Session(id.to_owned())));
        found.token |= revoked(claims.token_id().map(|id| Part::Token(id.to_owned())));
        let issuer = claims.issuer_id().to_owned();
        let client = Owner::Client(issuer.clone(), claims.client_id().to_owned());
        let of = |owner| table.not_before.get(&owner).copied();
        found.client_not_before = found.client_not_before.max(of(client));
        found.issuer_not_before = found.issuer_not_before.max(of(Owner::Issuer(issuer)));
        let outdated = table.latest(GroupScope::Tokens, claims);
        found.tokens_not_before = found.tokens_not_before.max(outdated);
        let removed = table.latest(GroupScope::Sessions, claims);
        found.provider_not_before = found.provider_not_before.max(removed);
        Ok(found)
    }
}

impl RevocationWriter for MemoryRevocations {
    async fn change_user(
        &self,
        user: &UserRef<'_>,
        act: &Act<'_>,
        context: &RevocationContext<'_>,
    ) -> Result<bool, Unavailable> {
        let mut table = self.table()?;
        table.drop_expired(context.at);
        let state = table.users.entry((*user).into()).or_default();
        match state.after(act, context.at, context.kept_seconds()) {
            After::Same => Ok(true),
            After::TooLate => Ok(false),
            After::Changed(new) => {
                *state = new;
                Ok(true)
            }
        }
    }

    async fn revoke_session(
        &self,
        session: &SessionRef<'_>,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let part = Part::Session(session.session.to_owned());
        self.revoke(session.user, part, context)
    }

    async fn revoke_token(
        &self,
        token: &TokenRef<'_>,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let part = Part::Token(token.token.to_owned());
        self.revoke(token.user, part, context)
    }

    async fn revoke_client(
        &self,
        client: &ClientRef<'_>,
        not_before: UnixSeconds,
        _context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let owner = Owner::Client(client.issuer.to_owned(), client.client_id.to_owned());
        self.raise(owner, not_before)
    }

    async fn revoke_issuer(
        &self,
        issuer: &IssuerRef<'_>,
        not_before: UnixSeconds,
        _context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        self.raise(Owner::Issuer(issuer.issuer.to_owned()), not_before)
    }

    async fn require_refresh_of_group(
        &self,
        group: &GroupRef<'_>,
        at: UnixSeconds,
        _context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        self.raise_group(GroupScope::Tokens, group, at)
    }

    async fn revoke_group_sessions(
        &self,
        group: &GroupRef<'_>,
        at: UnixSeconds,
        _context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        self.raise_group(GroupScope::Sessions, group, at)
    }

    async fn note_call(
        &self,
        issuer_id: &str,
        request_id: &str,
        _now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let call = Call {
            issuer_id: issuer_id.to_owned(),
            request_id: request_id.to_owned(),
        };
        let mut table = self.table()?;
        if table.calls.len() >= MAX_CALLS {
            table.calls.pop_front();
        }
        table.calls.push_back(call);
        Ok(())
    }
}

impl OwnCalls for MemoryRevocations {
    async fn is_own_call(&self, issuer_id: &str, request_id: &str) -> Result<bool, Unavailable> {
        let is_it = |call: &Call| call.issuer_id == issuer_id && call.request_id == request_id;
        Ok(self.table()?.calls.iter().any(is_it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn expired_rows_are_dropped_and_others_kept() {
        let store = MemoryRevocations::default();
        let revoke = async |number: u64, at: u64| {
            let session = format!("s-{number}");
            let user = UserRef {
                issuer: "pool",
                subject: "ada",
            };
            let context = RevocationContext {
                reason: "test",
                actor: "test",
                at: UnixSeconds(at),
                refresh_token_ttl_seconds: 3_600,
            };
            let written = store
                .revoke_session(&user.session(&session), &context)
                .await;
            written.unwrap();
        };
        let long_ago = 1_000_000;
        let now = long_ago + 10 * 24 * 60 * 60;
        for number in 0..FULL_AT as u64 - 1 {
            revoke(number, long_ago).await;
        }
        revoke(5_000, now).await;
        assert_eq!(store.locked().parts.len(), FULL_AT, "not yet full");
        revoke(5_001, now).await;
        assert_eq!(store.locked().parts.len(), 2, "those of `now`");
        for number in 0..3 * FULL_AT as u64 {
            revoke(number, now).await;
        }
        let kept = 3 * FULL_AT + 2;
        assert_eq!(store.locked().parts.len(), kept, "all are needed");
    }
}
