//! The table of open WebSocket connections, by user.

use auth::{ClientRef, Dependency, Unavailable, UnixSeconds, UserRef};
use aws_client::Call;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::DynamoRevocations;
use crate::key::RowKey;
use crate::pages::{self, PageError};
use crate::row::{self, Row, RowError, number, text};

/// API Gateway closes a connection after two hours; an hour more for clocks and late deletions.
const LIFE_SECONDS: u64 = 3 * 60 * 60;

/// `principal` in the row of a connection that an API key opened.
const API_KEY: &str = "api_key";

/// A connection and its user. No `Debug`: some issuers' `sub` is an e-mail address.
#[derive(Clone)]
pub struct Connection {
    /// API Gateway's connection id.
    pub id: String,
    /// The issuer's short name.
    pub issuer_id: String,
    /// `sub`.
    pub subject: String,
    /// The app client.
    pub client_id: String,
    /// `origin_jti`.
    pub session: Option<String>,
    /// `jti`, or an API key's id.
    pub token_id: Option<String>,
    /// Whether an API key opened the connection, which is not a sign-in of the key's owner.
    pub is_of_api_key: bool,
    /// The user's authentication time.
    pub authenticated_at: UnixSeconds,
    /// The token's time of issue (`iat`), or a time after it if that is not known.
    pub issued_at: UnixSeconds,
    /// The time of the connection.
    pub connected_at: UnixSeconds,
}

impl Connection {
    /// The connection's user.
    #[must_use]
    pub fn user_ref(&self) -> UserRef<'_> {
        UserRef {
            issuer: &self.issuer_id,
            subject: &self.subject,
        }
    }
}

/// A revocation of a client or of an issuer, to be compared with connections.
pub struct SharedRevocation {
    key: RowKey,
    not_before: Option<UnixSeconds>,
    is_unreadable: bool,
}

impl SharedRevocation {
    /// Whether it covers the credential that opened this connection.
    #[must_use]
    pub fn covers(&self, connection: &Connection) -> bool {
        let user = connection.user_ref();
        let client = ClientRef {
            issuer: user.issuer,
            client_id: &connection.client_id,
        };
        let is_of_its_client = self.key == RowKey::from(&client);
        let is_its = is_of_its_client || self.key == RowKey::from(&user.issuer_ref());
        let is_later = Some(connection.authenticated_at) <= self.not_before;
        is_its && (self.is_unreadable || is_later)
    }
}

impl DynamoRevocations {
    /// The revocation in the row of a client or of an issuer with this partition and sort key. An unreadable row
    /// revokes everything of its client or issuer.
    ///
    /// # Errors
    /// [`Unavailable`] if the row could not be read.
    pub async fn shared_revocation(
        &self,
        partition: &str,
        sort: &str,
        now: UnixSeconds,
    ) -> Result<SharedRevocation, Unavailable> {
        let key = RowKey {
            partition: partition.to_owned(),
            sort: sort.to_owned(),
        };
        let rows = self.rows(&[&key]).await?;
        let not_before = rows.get(&key).map(|row| row::not_before(row, now));
        Ok(SharedRevocation {
            is_unreadable: matches!(not_before, Some(Err(RowError))),
            not_before: not_before.and_then(Result::ok).flatten(),
            key,
        })
    }
}

/// Connections in a DynamoDB table with the keys `pk` and `sk`.
pub struct ConnectionTable {
    client: Client,
    table: String,
}

impl ConnectionTable {
    /// The connections in `table`, over the connection of `revocations`.
    #[must_use]
    pub fn beside(revocations: &DynamoRevocations, table: String) -> Self {
        Self {
            client: revocations.client.clone(),
            table,
        }
    }

    /// Stores a connection.
    ///
    /// # Errors
    /// [`Unavailable`] unless it was stored.
    pub async fn put(&self, connection: &Connection) -> Result<(), Unavailable> {
        let (pk, sk) = keys(connection);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", pk)
            .item("sk", sk)
            .item("connection", text(&connection.id))
            .item("issuer", text(&connection.issuer_id))
            .item("sub", text(&connection.subject))
            .item("client_id", text(&connection.client_id))
            .item("auth_time", number(connection.authenticated_at))
            .item("issued_at", number(connection.issued_at))
            .item("connected_at", number(connection.connected_at))
            .item(
                "expires_at",
                number(connection.connected_at.plus(LIFE_SECONDS)),
            );
        let put = match &connection.session {
            Some(session) => put.item("session", text(session)),
            None => put,
        };
        let put = match &connection.token_id {
            Some(token_id) => put.item("token_id", text(token_id)),
            None => put,
        };
        let put = if connection.is_of_api_key {
            put.item("principal", text(API_KEY))
        } else {
            put
        };
        let result = put.send().in_span(Dependency::Connections).await;
        result
            .map(drop)
            .map_err(aws_client::unavailable(Dependency::Connections))
    }

    /// Deletes a connection.
    ///
    /// # Errors
    /// [`Unavailable`] unless it was deleted.
    pub async fn remove(&self, connection: &Connection) -> Result<(), Unavailable> {
        let (pk, sk) = keys(connection);
        let call = self.client.delete_item().table_name(&self.table);
        let result = call
            .key("pk", pk)
            .key("sk", sk)
            .send()
            .in_span(Dependency::Connections)
            .await;
        result
            .map(drop)
            .map_err(aws_client::unavailable(Dependency::Connections))
    }

    /// The connections of one user, by the partition key of the user's revocations; strongly
    /// consistent.
    ///
    /// # Errors
    /// [`Unavailable`] if some could not be read.
    pub async fn in_partition(
        &self,
        partition: &str,
        now: UnixSeconds,
    ) -> Result<Vec<Connection>, Unavailable> {
        let partition = partition.to_owned();
        let rows = pages::partition(
            &self.client,
            Dependency::Connections,
            &self.table,
            partition,
        )
        .await;
        let rows = rows.map_err(|PageError(cause)| Dependency::Connections.unavailable(cause))?;
        Ok(rows.iter().filter_map(|row| connection(row, now)).collect())
    }

    /// All connections: for a revocation of a client or of everyone, which is rare.
    ///
    /// # Errors
    /// [`Unavailable`] if some could not be read.
    pub async fn all(&self, now: UnixSeconds) -> Result<Vec<Connection>, Unavailable> {
        let rows = pages::whole_table(&self.client, Dependency::Connections, &self.table).await;
        let rows = rows.map_err(|PageError(cause)| Dependency::Connections.unavailable(cause))?;
        Ok(rows.iter().filter_map(|row| connection(row, now)).collect())
    }
}

fn keys(connection: &Connection) -> (AttributeValue, AttributeValue) {
    let RowKey { partition, .. } = RowKey::from(&connection.user_ref());
    let sort = format!("connection#{}", connection.id);
    (AttributeValue::S(partition), AttributeValue::S(sort))
}

/// The connection of a row; `None` if it has expired or if Gatehouse did not write the row.
fn connection(row: &Row, now: UnixSeconds) -> Option<Connection> {
    let text = |name: &str| row.get(name)?.as_s().ok().cloned();
    let time = |name: &str| row::time(row, name).ok().flatten();
    if row::is_expired(row, now) {
        return None;
    }
    let authenticated_at = time("auth_time")?;
    Some(Connection {
        id: text("connection")?,
        issuer_id: text("issuer")?,
        subject: text("sub")?,
        client_id: text("client_id")?,
        session: text("session"),
        token_id: text("token_id"),
        is_of_api_key: text("principal").as_deref() == Some(API_KEY),
        authenticated_at,
        // A row of an earlier version lacks it. It is not before the sign-in; the time of the connection may be later
        // than a change of groups that reaches the table only afterwards.
        issued_at: time("issued_at").unwrap_or(authenticated_at),
        connected_at: time("connected_at")?,
    })
}
