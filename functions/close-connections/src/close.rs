//! Closes the connections that a revocation covers.

use auth::{Dependency, Unavailable, UnixSeconds};
use auth_dynamodb::Connection;
use aws_client::{Call, unavailable};
use runtime::clock;

use crate::CloseConnections;
use crate::event::Reach;

impl CloseConnections {
    /// Closes the connections that a revocation covers, and returns their number.
    pub(crate) async fn act_on(&self, reach: Reach<'_>) -> Result<u64, Unavailable> {
        let now = clock::now();
        let connections = match reach {
            Reach::All => self.table.all(now).await?,
            Reach::User(partition) => self.table.in_partition(partition, now).await?,
        };
        let mut result = Ok(0);
        for connection in &connections {
            // A failure does not prevent closing the others.
            match (self.close_if_ended(connection, now).await, &mut result) {
                (Ok(true), Ok(closed)) => *closed += 1,
                (Ok(_), _) => {}
                (Err(unavailable), _) => result = Err(unavailable),
            }
        }
        result
    }

    async fn close_if_ended(
        &self,
        connection: &Connection,
        now: UnixSeconds,
    ) -> Result<bool, Unavailable> {
        let issued_at = connection.connected_at;
        let is_over = self
            .revocations
            .is_revoked(connection, issued_at, now)
            .await?;
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
