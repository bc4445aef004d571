//! The table of groups that users who were moved are still to be given.

use auth::{Unavailable, UnixSeconds, hex};
use aws_lc_rs::digest;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;

use crate::write::{number, text};
use crate::{client, row};

/// Seconds that a row waits for its user to come: they are about to sign in.
const WAIT_SECONDS: u64 = 30 * 24 * 60 * 60;

/// Groups by user, in a DynamoDB table with the key `id`.
pub struct PendingGroups {
    client: Client,
    table: String,
}

impl PendingGroups {
    /// The rows of `table`, with the endpoint, region and credentials of `sdk`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, table: String) -> Self {
        Self {
            client: client(sdk),
            table,
        }
    }

    /// Leaves groups for the user of this name, or address, in a pool.
    ///
    /// # Errors
    /// [`Unavailable::PendingGroups`] unless they are there.
    pub async fn leave(
        &self,
        user_pool_id: &str,
        name: &str,
        groups: &[String],
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("id", text(&id(user_pool_id, name)))
            .item("groups", AttributeValue::Ss(groups.to_vec()))
            .item("expires_at", number(now.plus(WAIT_SECONDS)));
        put.send().await.map_err(|_| Unavailable::PendingGroups)?;
        Ok(())
    }

    /// What was left for the user of this name, and has not run out.
    ///
    /// # Errors
    /// [`Unavailable::PendingGroups`] if that can't be known.
    pub async fn of(
        &self,
        user_pool_id: &str,
        name: &str,
        now: UnixSeconds,
    ) -> Result<Vec<String>, Unavailable> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("id", text(&id(user_pool_id, name)))
            .consistent_read(true);
        let answer = get.send().await.map_err(|_| Unavailable::PendingGroups)?;
        let row = answer.item.filter(|row| !row::is_expired(row, now));
        match row.unwrap_or_default().remove("groups") {
            None => Ok(Vec::new()),
            Some(AttributeValue::Ss(groups)) => Ok(groups),
            Some(_) => Err(Unavailable::PendingGroups),
        }
    }

    /// Forgets it: the user has them.
    ///
    /// # Errors
    /// [`Unavailable::PendingGroups`] if it may still be there.
    pub async fn forget(&self, user_pool_id: &str, name: &str) -> Result<(), Unavailable> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("id", text(&id(user_pool_id, name)));
        delete
            .send()
            .await
            .map_err(|_| Unavailable::PendingGroups)?;
        Ok(())
    }
}

/// A hash: the table is not for names.
fn id(user_pool_id: &str, name: &str) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(user_pool_id.as_bytes());
    hash.update(b"#");
    hash.update(name.as_bytes());
    hex(hash.finish().as_ref())
}
