//! Reads all revocations that can affect a token, by one strongly consistent `BatchGetItem`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use auth::{
    Cause, ClientRef, Dependency, RevocationReader, Revocations, Unavailable, UnixSeconds, UserRef,
    VerifiedClaims,
};
use aws_client::Call;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use tokio::time::{Instant, timeout_at};

use crate::connections::Connection;
use crate::key::{RowKey, key_attributes};
use crate::row::{self, GroupScope, Groups, Row, RowError, SharedRevocations};
use crate::{DynamoRevocations, LIMITS, SHARED_CACHE_SECONDS, WARM_UP, user_row};

/// The number of clients whose revocations are cached; at one more the cache is emptied.
const MAX_REMEMBERED_CLIENTS: usize = 1_000;

/// Rows in one `BatchGetItem`, DynamoDB's maximum.
const BATCH: usize = 100;

/// How often keys that DynamoDB left unprocessed are requested.
const ROUNDS: usize = 3;

/// The rows that can revoke one token.
struct TokenKeys {
    user: RowKey,
    session: Option<RowKey>,
    token: Option<RowKey>,
    client: RowKey,
    issuer: RowKey,
    groups: RowKey,
}

/// A user who signs in with an app client.
#[derive(Clone, Copy)]
pub struct ClientUser<'a> {
    /// The user.
    pub user: UserRef<'a>,
    /// The app client's id.
    pub client_id: &'a str,
}

/// A session of a user, of which the token is not at hand.
#[derive(Clone, Copy)]
pub struct ClientSession<'a> {
    /// `origin_jti`.
    pub session: &'a str,
    /// The app client's id, if it is known. Without it, revocations of clients are not found.
    pub client_id: Option<&'a str>,
}

struct TokenIds<'a> {
    session: Option<&'a str>,
    token: Option<&'a str>,
}

impl TokenKeys {
    fn of(owner: &ClientUser<'_>, ids: &TokenIds<'_>) -> Self {
        let ClientUser { user, client_id } = *owner;
        let client = ClientRef {
            issuer: user.issuer,
            client_id,
        };
        Self {
            user: RowKey::from(&user),
            session: ids.session.map(|session| (&user.session(session)).into()),
            token: ids.token.map(|token| (&user.token(token)).into()),
            client: RowKey::from(&client),
            issuer: RowKey::from(&user.issuer_ref()),
            groups: RowKey::groups(user.issuer),
        }
    }
}

impl RevocationReader for DynamoRevocations {
    async fn revocations(
        &self,
        claims: &VerifiedClaims,
        now: UnixSeconds,
    ) -> Result<Revocations, Unavailable> {
        let owner = ClientUser {
            user: claims.user_ref(),
            client_id: claims.client_id(),
        };
        let ids = TokenIds {
            session: claims.session(),
            token: claims.token_id(),
        };
        self.revocations_for(&TokenKeys::of(&owner, &ids), claims.groups(), now)
            .await
    }
}

impl DynamoRevocations {
    /// All revocations that can affect a session of a user, for callers without a token of it.
    ///
    /// # Errors
    /// [`Unavailable`] if they could not be read.
    pub async fn revocations_of_session(
        &self,
        owner: &ClientUser<'_>,
        session: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Revocations, Unavailable> {
        let token = None;
        let keys = TokenKeys::of(owner, &TokenIds { session, token });
        self.revocations_for(&keys, &[], now).await
    }

    /// The same for several sessions of one user, in their order, a hundred rows at a time. Each session may be of
    /// another app client.
    ///
    /// # Errors
    /// [`Unavailable`] if those of one session could not be read.
    pub async fn revocations_of_sessions(
        &self,
        user: &UserRef<'_>,
        sessions: &[ClientSession<'_>],
        now: UnixSeconds,
    ) -> Result<Vec<Revocations>, Unavailable> {
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        let of_all = [
            RowKey::from(user),
            RowKey::from(&user.issuer_ref()),
            RowKey::groups(user.issuer),
        ];
        let of_each = sessions.iter().map(|it| {
            let issuer = user.issuer;
            let client = it
                .client_id
                .map(|client_id| ClientRef { issuer, client_id });
            let client = client.map(|client| RowKey::from(&client));
            (RowKey::from(&user.session(it.session)), client)
        });
        let of_each: Vec<(RowKey, Option<RowKey>)> = of_each.collect();
        // A batch must not contain a row twice.
        let mut wanted: HashSet<&RowKey> = of_all.iter().collect();
        for (session, client) in &of_each {
            wanted.insert(session);
            wanted.extend(client);
        }
        let wanted: Vec<&RowKey> = wanted.into_iter().collect();
        let mut rows = HashMap::new();
        for some in wanted.chunks(BATCH) {
            rows.extend(self.rows(some).await?);
        }

        let [user, issuer, groups] = &of_all;
        let shared = shared_in(&rows, (None, issuer, groups), now);
        let mut whole = Revocations {
            issuer_not_before: shared.issuer,
            unreadable: shared.unreadable,
            ..Revocations::default()
        };
        if let Some(row) = rows.get(user) {
            user_row::add_user(&mut whole, row, now);
        }
        let of_client = |client: &RowKey| Some(row::not_before(rows.get(client)?, now));
        let all = of_each.iter().map(|(session, client)| {
            let session = rows.get(session);
            let not_before = client.as_ref().and_then(of_client);
            Revocations {
                session: session.is_some_and(|row| !row::is_expired(row, now)),
                unreadable: whole.unreadable || matches!(not_before, Some(Err(RowError))),
                client_not_before: not_before.and_then(Result::ok).flatten(),
                ..whole.clone()
            }
        });
        Ok(all.collect())
    }

    /// Whether the credential that opened this connection has been revoked: the token or the API
    /// key, its session, its user, its client, or everyone.
    ///
    /// # Errors
    /// [`Unavailable`] if that could not be read.
    pub async fn is_revoked(
        &self,
        connection: &Connection,
        now: UnixSeconds,
    ) -> Result<bool, Unavailable> {
        let owner = ClientUser {
            user: connection.user_ref(),
            client_id: &connection.client_id,
        };
        let session = connection.session.as_deref();
        let ids = TokenIds {
            session,
            token: connection.token_id.as_deref(),
        };
        let keys = TokenKeys::of(&owner, &ids);
        let revocations = self.revocations_for(&keys, &[], now).await?;
        let since = connection.authenticated_at;
        let checked = if connection.is_of_api_key {
            revocations.check_api_key(since)
        } else {
            revocations.check_session(session, since, connection.issued_at)
        };
        Ok(checked.is_err())
    }

    async fn revocations_for(
        &self,
        keys: &TokenKeys,
        groups: &[String],
        now: UnixSeconds,
    ) -> Result<Revocations, Unavailable> {
        let remembered = self.remembered_shared(&keys.client, now);

        let mut wanted = vec![&keys.user];
        wanted.extend(&keys.session);
        wanted.extend(&keys.token);
        if remembered.is_none() {
            wanted.extend([&keys.client, &keys.issuer, &keys.groups]);
        }
        let rows = self.rows(&wanted).await?;

        let active = |key: &Option<RowKey>| {
            key.as_ref()
                .and_then(|key| rows.get(key))
                .is_some_and(|row| !row::is_expired(row, now))
        };
        let mut revocations = Revocations {
            token: active(&keys.token),
            session: active(&keys.session),
            odd_expiry: rows.values().any(|row| row::has_odd_expiry(row, now)),
            ..Revocations::default()
        };
        if let Some(row) = rows.get(&keys.user) {
            user_row::add_user(&mut revocations, row, now);
        }
        let shared = remembered.unwrap_or_else(|| {
            let keys_of_many = (Some(&keys.client), &keys.issuer, &keys.groups);
            let shared = shared_in(&rows, keys_of_many, now);
            self.remember_shared(&keys.client, shared.clone(), now);
            shared
        });
        revocations.client_not_before = shared.client;
        revocations.issuer_not_before = shared.issuer;
        let outdated = shared.groups.latest(GroupScope::Tokens, groups);
        revocations.tokens_not_before = revocations.tokens_not_before.max(outdated);
        revocations.provider_not_before = shared.groups.latest(GroupScope::Sessions, groups);
        revocations.unreadable |= shared.unreadable;
        Ok(revocations)
    }

    /// Opens the connection by reading a row that does not exist, during init, when Lambda gives a
    /// function a whole core. A failure is left to the first request.
    pub async fn warm_up(&self) {
        let missing = RowKey::missing();
        let request = self
            .client
            .batch_get_item()
            .request_items(&self.table, keys_and_attributes([key_attributes(&missing)]));
        let _ = request
            .customize()
            .config_override(Builder::new().timeout_config(WARM_UP.timeouts()))
            .send()
            .in_span(Dependency::Revocations)
            .await;
    }

    /// Reads a row that does not exist, within the time limits of a request.
    ///
    /// # Errors
    /// [`Unavailable`] if the table did not respond.
    pub async fn reach(&self) -> Result<(), Unavailable> {
        self.rows(&[&RowKey::missing()]).await.map(drop)
    }

    /// The existing rows of `keys`.
    pub(crate) async fn rows(&self, keys: &[&RowKey]) -> Result<HashMap<RowKey, Row>, Unavailable> {
        let until = Instant::now() + LIMITS.operation;
        let mut found = HashMap::new();
        let wanted = keys_and_attributes(keys.iter().map(|key| key_attributes(key)));
        // The client has the same limit for this call. A second timer would be a system call for every request.
        let Some(rest) = self.add_rows(&mut found, wanted).await? else {
            return Ok(found);
        };
        let reading = self.add_unprocessed(&mut found, rest);
        let late = Err(Dependency::Revocations.unavailable(Cause::Timeout));
        timeout_at(until, reading).await.unwrap_or(late)?;
        Ok(found)
    }

    /// Requests the keys that DynamoDB left unprocessed.
    async fn add_unprocessed(
        &self,
        found: &mut HashMap<RowKey, Row>,
        mut wanted: KeysAndAttributes,
    ) -> Result<(), Unavailable> {
        for _ in 1..ROUNDS {
            tokio::time::sleep(LIMITS.first_backoff).await;
            match self.add_rows(found, wanted).await? {
                None => return Ok(()),
                Some(rest) => wanted = rest,
            }
        }
        // DynamoDB returns keys unprocessed when it throttles.
        Err(Dependency::Revocations.unavailable(Cause::Throttled))
    }

    /// Adds the existing rows of `wanted` to `found`; returns the keys that DynamoDB left unprocessed.
    async fn add_rows(
        &self,
        found: &mut HashMap<RowKey, Row>,
        wanted: KeysAndAttributes,
    ) -> Result<Option<KeysAndAttributes>, Unavailable> {
        let unreadable = Dependency::Revocations.unavailable(Cause::Invalid);
        let answer = self
            .client
            .batch_get_item()
            .request_items(&self.table, wanted)
            .send()
            .in_span(Dependency::Revocations)
            .await
            .map_err(aws_client::unavailable(Dependency::Revocations))?;
        // The response contains even an empty table. A table that is missing was not read.
        let rows = answer
            .responses
            .and_then(|mut tables| tables.remove(&self.table));
        for row in rows.ok_or(unreadable)? {
            let key = row::key_of(&row).ok_or(unreadable)?;
            found.insert(key, row);
        }
        let rest = answer
            .unprocessed_keys
            .and_then(|mut tables| tables.remove(&self.table));
        // Only the echoed keys are used: a revocation must not be read eventually consistent.
        let rest = rest.filter(|rest| !rest.keys().is_empty());
        Ok(rest.map(|rest| keys_and_attributes(rest.keys)))
    }

    /// Empties the cache of client and issuer revocations.
    pub fn forget_shared(&self) {
        if let Ok(mut remembered) = self.shared.lock() {
            remembered.clear();
        }
    }

    fn remembered_shared(&self, client: &RowKey, now: UnixSeconds) -> Option<SharedRevocations> {
        let remembered = self.shared.lock().ok()?;
        let (at, shared) = remembered.get(client)?;
        let fresh = now.since(*at)? < SHARED_CACHE_SECONDS;
        fresh.then(|| shared.clone())
    }

    fn remember_shared(&self, client: &RowKey, shared: SharedRevocations, now: UnixSeconds) {
        if let Ok(mut remembered) = self.shared.lock() {
            // A trusted issuer's tokens may contain any number of clients.
            if remembered.len() >= MAX_REMEMBERED_CLIENTS {
                remembered.clear();
            }
            remembered.insert(client.clone(), (now, shared));
        }
    }
}

/// The revocations in the rows of the client, the issuer and the groups.
fn shared_in(
    rows: &HashMap<RowKey, Row>,
    (client, issuer, groups): (Option<&RowKey>, &RowKey, &RowKey),
    now: UnixSeconds,
) -> SharedRevocations {
    let mut shared = SharedRevocations::default();
    let mut read = |key: &RowKey| match rows.get(key).map(|row| row::not_before(row, now)) {
        None => None,
        Some(Ok(not_before)) => not_before,
        Some(Err(RowError)) => {
            shared.unreadable = true;
            None
        }
    };
    let (client, issuer) = (client.and_then(&mut read), read(issuer));
    match rows.get(groups).map(Groups::read).transpose() {
        Ok(groups) => shared.groups = Arc::new(groups.unwrap_or_default()),
        Err(RowError) => shared.unreadable = true,
    }
    SharedRevocations {
        client,
        issuer,
        ..shared
    }
}

pub(crate) fn keys_and_attributes(keys: impl IntoIterator<Item = Row>) -> KeysAndAttributes {
    let keys = keys.into_iter().collect();
    let builder = KeysAndAttributes::builder().set_keys(Some(keys));
    match builder.consistent_read(true).build() {
        Ok(wanted) => wanted,
        // `keys` is the only member that the builder requires, and it is set.
        Err(_) => unreachable!("the keys are set"),
    }
}
