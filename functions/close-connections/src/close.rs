//! Closes the connections that a revocation covers.

use auth::{Dependency, Unavailable, UnixSeconds};
use auth_dynamodb::Connection;
use aws_client::{Call, unavailable};
use futures_util::{StreamExt, stream};
use runtime::clock;

use crate::CloseConnections;
use crate::event::Keys;

/// Calls at once to close the connections of a client or an issuer. With 30 ms for both calls of each, ten thousand
/// connections take ten seconds, of the minute that Lambda gives to a batch.
const AT_ONCE: usize = 32;

impl CloseConnections {
    /// Closes the connections of a user that a revocation covers, and returns their number.
    pub(crate) async fn act_on_user(&self, partition: &str) -> Result<u64, Unavailable> {
        let now = clock::now();
        let connections = self.table.in_partition(partition, now).await?;
        let mut result = Ok(0);
        for connection in &connections {
            // A failure does not prevent closing the others.
            count(self.close_if_ended(connection, now).await, &mut result);
        }
        result
    }

    /// Closes the connections that the revocations in these rows cover, and returns their number. Each row is read
    /// once, and compared with the connections in memory.
    pub(crate) async fn act_on_shared(&self, rows: &[&Keys]) -> Result<u64, Unavailable> {
        if rows.is_empty() {
            return Ok(0);
        }
        let now = clock::now();
        let mut revocations = Vec::with_capacity(rows.len());
        for Keys { pk, sk } in rows {
            let revocation = self.revocations.shared_revocation(&pk.text, &sk.text, now);
            revocations.push(revocation.await?);
        }
        let mut connections = self.table.all(now).await?;
        let is_covered =
            |connection: &Connection| revocations.iter().any(|it| it.covers(connection));
        connections.retain(is_covered);
        let closing = connections
            .into_iter()
            .map(|connection| async move { self.close(&connection).await });
        let mut closing = stream::iter(closing).buffer_unordered(AT_ONCE);
        let mut result = Ok(0);
        while let Some(closed) = closing.next().await {
            count(closed.map(|()| true), &mut result);
        }
        result
    }

    async fn close_if_ended(
        &self,
        connection: &Connection,
        now: UnixSeconds,
    ) -> Result<bool, Unavailable> {
        let is_over = self.revocations.is_revoked(connection, now).await?;
        if is_over {
            self.close(connection).await?;
        }
        Ok(is_over)
    }

    /// A connection that no longer exists counts as closed.
    async fn close(&self, connection: &Connection) -> Result<(), Unavailable> {
        let call = self.api.delete_connection().connection_id(&connection.id);
        match call.send().in_span(Dependency::Connections).await {
            Ok(_) => {}
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_gone_exception()) => {}
            Err(error) => return Err(unavailable(Dependency::Connections)(error)),
        }
        self.table.remove(connection).await
    }
}

/// Adds the outcome for one connection to that of all.
fn count(closed: Result<bool, Unavailable>, result: &mut Result<u64, Unavailable>) {
    match (closed, &mut *result) {
        (Ok(true), Ok(closed)) => *closed += 1,
        (Ok(_), _) => {}
        (Err(unavailable), _) => *result = Err(unavailable),
    }
}
