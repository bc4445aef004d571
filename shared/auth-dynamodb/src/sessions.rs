//! The table of sessions, which a user can list.

use auth::{Dependency, RevocationContext, Unavailable, UnixSeconds, UserRef};
use aws_sdk_dynamodb::Client;

use crate::DynamoRevocations;
use crate::key::{RowKey, key_attributes};
use crate::pages::{self, PageError};
use crate::row::{self, Row, number, text};
use crate::write::is_applied;

/// A sign-in, as stored in its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `origin_jti`.
    pub id: String,
    /// The app client; absent in the rows of earlier versions.
    pub client_id: Option<String>,
    /// The user's authentication time.
    pub authenticated_at: UnixSeconds,
    /// The time when the session was first recorded.
    pub first_seen: UnixSeconds,
    /// The time when the session was last recorded.
    pub last_seen: UnixSeconds,
    /// The client's name for the device.
    pub device: Option<String>,
    /// A hash of the address at which the session was first seen.
    pub ip_hash: Option<String>,
}

/// Sessions in a DynamoDB table with the keys `pk` and `sk`.
pub struct SessionTable {
    client: Client,
    table: String,
}

impl SessionTable {
    /// The sessions in `table`, over the connection of `revocations`.
    #[must_use]
    pub fn beside(revocations: &DynamoRevocations, table: String) -> Self {
        Self {
            client: revocations.client.clone(),
            table,
        }
    }

    /// Records a session, or that it was seen again, which keeps the first time and address.
    ///
    /// # Errors
    /// [`Unavailable`] unless it was recorded.
    pub async fn record(
        &self,
        user: &UserRef<'_>,
        session: &Session,
        refresh_token_ttl_seconds: u64,
    ) -> Result<(), Unavailable> {
        let mut expression = "SET #session = :session, auth_time = :auth_time, \
             first_seen = if_not_exists(first_seen, :first), last_seen = :last, \
             expires_at = :expires_at"
            .to_owned();
        let last = RevocationContext {
            reason: "",
            actor: "",
            at: session.last_seen,
            refresh_token_ttl_seconds,
        };
        let key = RowKey::from(&user.session(&session.id));
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key_attributes(&key)))
            .expression_attribute_names("#session", "session")
            .expression_attribute_values(":session", text(&session.id))
            .expression_attribute_values(":auth_time", number(session.authenticated_at))
            .expression_attribute_values(":first", number(session.first_seen))
            .expression_attribute_values(":last", number(session.last_seen))
            .expression_attribute_values(
                ":expires_at",
                number(session.last_seen.plus(last.kept_seconds())),
            );
        if let Some(device) = &session.device {
            expression.push_str(", device = :device");
            update = update.expression_attribute_values(":device", text(device));
        }
        if let Some(client_id) = &session.client_id {
            expression.push_str(", client_id = :client_id");
            update = update.expression_attribute_values(":client_id", text(client_id));
        }
        if let Some(hash) = &session.ip_hash {
            expression.push_str(", ip_hash = if_not_exists(ip_hash, :ip_hash)");
            update = update.expression_attribute_values(":ip_hash", text(hash));
        }
        let update = update.update_expression(expression);
        let applied = is_applied(update, Dependency::Sessions).await;
        applied.map(drop)
    }

    /// All sessions of a user that have not expired, strongly consistent.
    ///
    /// # Errors
    /// [`Unavailable`] if some could not be read.
    pub async fn of_user(
        &self,
        user: &UserRef<'_>,
        now: UnixSeconds,
    ) -> Result<Vec<Session>, Unavailable> {
        let RowKey { partition, .. } = user.into();
        let rows =
            pages::partition(&self.client, Dependency::Sessions, &self.table, partition).await;
        let rows = rows.map_err(|PageError(cause)| Dependency::Sessions.unavailable(cause))?;
        let living = rows.iter().filter(|row| !row::is_expired(row, now));
        Ok(living.filter_map(session).collect())
    }
}

/// The session of a row; `None` if Gatehouse did not write the row.
fn session(row: &Row) -> Option<Session> {
    let text = |name: &str| row.get(name)?.as_s().ok().cloned();
    let time = |name: &str| row::time(row, name).ok().flatten();
    Some(Session {
        id: text("session")?,
        client_id: text("client_id"),
        authenticated_at: time("auth_time")?,
        first_seen: time("first_seen")?,
        last_seen: time("last_seen")?,
        device: text("device"),
        ip_hash: text("ip_hash"),
    })
}
