//! Reads all revocations that can affect a token, by one strongly consistent `BatchGetItem`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use auth::revocation::RowKey;
use auth::{Marks, RevocationStore, Unavailable, UnixSeconds, VerifiedClaims};
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use crate::connections::Connection;
use crate::row::{self, Cutoffs, GroupCutoff, Groups, Row, RowError};
use crate::{CUTOFF_CACHE_SECONDS, DynamoRevocations, FIRST_BACKOFF, OPERATION, PRIMING};

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

impl TokenKeys {
    fn of(claims: &VerifiedClaims) -> Self {
        let (issuer, subject) = (claims.issuer_id(), claims.subject());
        Self {
            user: RowKey::user(issuer, subject),
            session: claims
                .session()
                .map(|session| RowKey::session(issuer, subject, session)),
            token: claims
                .token_id()
                .map(|token| RowKey::token(issuer, subject, token)),
            client: RowKey::client(issuer, claims.client_id()),
            issuer: RowKey::issuer(issuer),
            groups: RowKey::groups(issuer),
        }
    }
}

impl RevocationStore for DynamoRevocations {
    async fn marks(&self, claims: &VerifiedClaims, now: UnixSeconds) -> Result<Marks, Unavailable> {
        self.marks_for(&TokenKeys::of(claims), claims.groups(), now)
            .await
    }
}

impl DynamoRevocations {
    /// All revocations that can affect a session of a user, for callers without a token of it.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] if they could not be read.
    pub async fn marks_of_session(
        &self,
        (issuer, client_id): (&str, &str),
        (subject, session): (&str, Option<&str>),
        now: UnixSeconds,
    ) -> Result<Marks, Unavailable> {
        let keys = TokenKeys {
            user: RowKey::user(issuer, subject),
            session: session.map(|session| RowKey::session(issuer, subject, session)),
            token: None,
            client: RowKey::client(issuer, client_id),
            issuer: RowKey::issuer(issuer),
            groups: RowKey::groups(issuer),
        };
        self.marks_for(&keys, &[], now).await
    }

    /// The same for several sessions of one user, in their order, a hundred rows at a time.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] if those of one session could not be read.
    pub async fn marks_of_sessions(
        &self,
        of: (&str, &str),
        subject: &str,
        sessions: &[&str],
        now: UnixSeconds,
    ) -> Result<Vec<Marks>, Unavailable> {
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        let whole = self.marks_of_session(of, (subject, None), now).await?;
        let mut all = Vec::with_capacity(sessions.len());
        for some in sessions.chunks(BATCH) {
            let key = |session: &&str| RowKey::session(of.0, subject, session);
            let keys: Vec<RowKey> = some.iter().map(key).collect();
            // A batch must not contain a row twice.
            let wanted: HashSet<&RowKey> = keys.iter().collect();
            let rows = self.rows(&wanted.into_iter().collect::<Vec<_>>()).await?;
            all.extend(keys.iter().map(|key| Marks {
                session: rows.get(key).is_some_and(|row| !row::is_expired(row, now)),
                ..whole.clone()
            }));
        }
        Ok(all)
    }

    /// Whether the credential that opened this connection has been revoked: the token or the API
    /// key, its session, its user, its client, or everyone. Tokens issued up to `issued_at` may be
    /// outdated.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] if that could not be read.
    pub async fn is_over(
        &self,
        connection: &Connection,
        issued_at: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<bool, Unavailable> {
        let (issuer, subject) = (&connection.issuer_id, &connection.subject);
        let session = connection.session.as_deref();
        let keys = TokenKeys {
            user: RowKey::user(issuer, subject),
            session: session.map(|session| RowKey::session(issuer, subject, session)),
            token: connection
                .token_id
                .as_ref()
                .map(|token| RowKey::token(issuer, subject, token)),
            client: RowKey::client(issuer, &connection.client_id),
            issuer: RowKey::issuer(issuer),
            groups: RowKey::groups(issuer),
        };
        let marks = self.marks_for(&keys, &[], now).await?;
        let since = connection.authenticated_at;
        let checked = if connection.is_of_api_key {
            marks.check_api_key(since)
        } else {
            marks.check_session(session, since, issued_at)
        };
        Ok(checked.is_err())
    }

    async fn marks_for(
        &self,
        keys: &TokenKeys,
        groups: &[String],
        now: UnixSeconds,
    ) -> Result<Marks, Unavailable> {
        let remembered = self.remembered_cutoffs(&keys.client, now);

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
        let mut marks = Marks {
            token: active(&keys.token),
            session: active(&keys.session),
            odd_expiry: rows.values().any(|row| row::has_odd_expiry(row, now)),
            ..Marks::default()
        };
        if let Some(row) = rows.get(&keys.user) {
            row::add_user(&mut marks, row, now);
        }
        let cutoffs = remembered.unwrap_or_else(|| {
            let cutoffs = cutoffs_in(&rows, keys, now);
            self.remember_cutoffs(&keys.client, cutoffs.clone(), now);
            cutoffs
        });
        marks.client_not_before = cutoffs.client;
        marks.issuer_not_before = cutoffs.issuer;
        let outdated = cutoffs.groups.latest(GroupCutoff::Tokens, groups);
        marks.tokens_not_before = marks.tokens_not_before.max(outdated);
        marks.provider_not_before = cutoffs.groups.latest(GroupCutoff::Sessions, groups);
        marks.unreadable |= cutoffs.unreadable;
        Ok(marks)
    }

    /// Opens the connection by reading a row that does not exist, during init, when Lambda gives a
    /// function a whole core. A failure is left to the first request.
    pub async fn prime(&self) {
        let patient = TimeoutConfig::builder()
            .connect_timeout(PRIMING)
            .operation_attempt_timeout(PRIMING)
            .operation_timeout(PRIMING)
            .build();
        let missing = RowKey::issuer("");
        let request = self
            .client
            .batch_get_item()
            .request_items(&self.table, keys_and_attributes([key_attributes(&missing)]));
        let _ = request
            .customize()
            .config_override(Builder::new().timeout_config(patient))
            .send()
            .await;
    }

    /// The existing rows of `keys`.
    pub(crate) async fn rows(&self, keys: &[&RowKey]) -> Result<HashMap<RowKey, Row>, Unavailable> {
        let reading = self.rows_without_limit(keys);
        tokio::time::timeout(OPERATION, reading)
            .await
            .unwrap_or(Err(Unavailable::Revocations))
    }

    async fn rows_without_limit(
        &self,
        keys: &[&RowKey],
    ) -> Result<HashMap<RowKey, Row>, Unavailable> {
        let mut found = HashMap::new();
        let mut wanted = keys_and_attributes(keys.iter().map(|key| key_attributes(key)));
        for _ in 0..ROUNDS {
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, wanted.clone())
                .send()
                .await
                .map_err(|_| Unavailable::Revocations)?;
            // The response contains even an empty table. A table that is missing was not read.
            let rows = answer
                .responses
                .and_then(|mut tables| tables.remove(&self.table));
            for row in rows.ok_or(Unavailable::Revocations)? {
                let key = row::key_of(&row).ok_or(Unavailable::Revocations)?;
                found.insert(key, row);
            }
            match answer
                .unprocessed_keys
                .and_then(|mut tables| tables.remove(&self.table))
            {
                None => return Ok(found),
                Some(rest) if rest.keys().is_empty() => return Ok(found),
                // Only the echoed keys are used: a revocation must not be read eventually
                // consistent.
                Some(rest) => wanted = keys_and_attributes(rest.keys),
            }
            tokio::time::sleep(FIRST_BACKOFF).await;
        }
        Err(Unavailable::Revocations)
    }

    /// Empties the cache of client and issuer revocations.
    pub fn forget_cutoffs(&self) {
        if let Ok(mut remembered) = self.cutoffs.lock() {
            remembered.clear();
        }
    }

    fn remembered_cutoffs(&self, client: &RowKey, now: UnixSeconds) -> Option<Cutoffs> {
        let remembered = self.cutoffs.lock().ok()?;
        let (at, cutoffs) = remembered.get(client)?;
        let fresh = now.since(*at)? < CUTOFF_CACHE_SECONDS;
        fresh.then(|| cutoffs.clone())
    }

    fn remember_cutoffs(&self, client: &RowKey, cutoffs: Cutoffs, now: UnixSeconds) {
        if let Ok(mut remembered) = self.cutoffs.lock() {
            // A trusted issuer's tokens may contain any number of clients.
            if remembered.len() >= MAX_REMEMBERED_CLIENTS {
                remembered.clear();
            }
            remembered.insert(client.clone(), (now, cutoffs));
        }
    }
}

fn cutoffs_in(rows: &HashMap<RowKey, Row>, keys: &TokenKeys, now: UnixSeconds) -> Cutoffs {
    let mut cutoffs = Cutoffs::default();
    let mut read = |key: &RowKey| match rows.get(key).map(|row| row::cutoff(row, now)) {
        None => None,
        Some(Ok(not_before)) => not_before,
        Some(Err(RowError)) => {
            cutoffs.unreadable = true;
            None
        }
    };
    let (client, issuer) = (read(&keys.client), read(&keys.issuer));
    match rows.get(&keys.groups).map(Groups::read).transpose() {
        Ok(groups) => cutoffs.groups = Arc::new(groups.unwrap_or_default()),
        Err(RowError) => cutoffs.unreadable = true,
    }
    Cutoffs {
        client,
        issuer,
        ..cutoffs
    }
}

pub(crate) fn key_attributes(key: &RowKey) -> Row {
    let text = |value: &String| AttributeValue::S(value.clone());
    HashMap::from([
        ("pk".to_owned(), text(&key.partition)),
        ("sk".to_owned(), text(&key.sort)),
    ])
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
