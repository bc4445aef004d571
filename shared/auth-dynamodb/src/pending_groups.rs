//! The table of groups that migrated users are to be added to.

use auth::{Cause, Dependency, Unavailable, UnixSeconds};
use aws_client::Call;
use aws_lc_rs::digest;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use hex::encode as hex;

use crate::row::{number, text};
use crate::{client, row};

/// Seconds for which a row waits for its user, who is about to sign in or to read a code.
const WAIT_SECONDS: u64 = 24 * 60 * 60;

/// The key of a row. A name that looks like an address is a different key from the address.
#[derive(Clone, Copy)]
pub enum LeftFor<'a> {
    /// The user with this verified address.
    Email(&'a str),
    /// The user with this name in the pool.
    Name(&'a str),
}

/// Pending groups.
pub struct Left {
    /// The groups, by their names in the pool.
    pub groups: Vec<String>,
    /// The time in seconds since 1970: the pool created the user right after it.
    pub at: u64,
}

/// Pending groups by user, in a DynamoDB table with the key `id`.
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

    /// Stores groups for a user whom a pool is about to create.
    ///
    /// # Errors
    /// [`Unavailable`] unless they were stored.
    pub async fn store(
        &self,
        user_pool_id: &str,
        user: LeftFor<'_>,
        groups: &[String],
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("id", text(&id(user_pool_id, user)))
            .item("groups", AttributeValue::Ss(groups.to_vec()))
            .item("left_at", number(now))
            .item("expires_at", number(now.plus(WAIT_SECONDS)));
        put.send()
            .in_span(Dependency::PendingGroups)
            .await
            .map_err(aws_client::unavailable(Dependency::PendingGroups))?;
        Ok(())
    }

    /// The pending groups of this user that have not expired.
    ///
    /// # Errors
    /// [`Unavailable`] if the table could not be read.
    pub async fn of(
        &self,
        user_pool_id: &str,
        user: LeftFor<'_>,
        now: UnixSeconds,
    ) -> Result<Option<Left>, Unavailable> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("id", text(&id(user_pool_id, user)))
            .consistent_read(true);
        let answer = get
            .send()
            .in_span(Dependency::PendingGroups)
            .await
            .map_err(aws_client::unavailable(Dependency::PendingGroups))?;
        let row = answer.item.filter(|row| !row::is_expired(row, now));
        let Some(mut row) = row else {
            return Ok(None);
        };
        let at = row
            .get("left_at")
            .and_then(|at| at.as_n().ok()?.parse().ok());
        match (row.remove("groups"), at) {
            (Some(AttributeValue::Ss(groups)), Some(at)) => Ok(Some(Left { groups, at })),
            _ => Err(Dependency::PendingGroups.unavailable(Cause::Invalid)),
        }
    }

    /// Deletes the row: the user is in the groups.
    ///
    /// # Errors
    /// [`Unavailable`] if the row may still exist.
    pub async fn forget(&self, user_pool_id: &str, user: LeftFor<'_>) -> Result<(), Unavailable> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("id", text(&id(user_pool_id, user)));
        delete
            .send()
            .in_span(Dependency::PendingGroups)
            .await
            .map_err(aws_client::unavailable(Dependency::PendingGroups))?;
        Ok(())
    }
}

/// A hash, so that the table contains no names.
fn id(user_pool_id: &str, user: LeftFor<'_>) -> String {
    let (kind, name) = match user {
        LeftFor::Email(email) => ("email", email),
        LeftFor::Name(name) => ("name", name),
    };
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(user_pool_id.as_bytes());
    hash.update(b"#");
    hash.update(name.as_bytes());
    format!("{kind}#{}", hex(hash.finish().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_an_equal_name_have_different_rows() {
        let (email, name) = (LeftFor::Email("a@b.c"), LeftFor::Name("a@b.c"));
        assert_ne!(id("pool", email), id("pool", name));
        assert_ne!(id("pool", email), id("other", email));
        assert!(id("pool", email).starts_with("email#"));
    }
}
