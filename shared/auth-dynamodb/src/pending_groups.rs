//! The table of groups that users who were moved are still to be given.

use auth::{Unavailable, UnixSeconds, hex};
use aws_lc_rs::digest;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;

use crate::write::{number, text};
use crate::{client, row};

/// Seconds that a row waits for its user to come: they are about to sign in, or to read a code.
const WAIT_SECONDS: u64 = 24 * 60 * 60;

/// What a row is left under. A name that looks like an address is no address: the two never meet.
#[derive(Clone, Copy)]
pub enum LeftFor<'a> {
    /// Whoever has this address, verified.
    Email(&'a str),
    /// Whoever has this name in the pool.
    Name(&'a str),
}

/// Groups that were left.
pub struct Left {
    /// By the pool's names.
    pub groups: Vec<String>,
    /// When, in seconds since 1970: the pool made the user right after that.
    pub at: u64,
}

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

    /// Leaves groups for a user whom a pool is about to make.
    ///
    /// # Errors
    /// [`Unavailable::PendingGroups`] unless they are there.
    pub async fn leave(
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
        put.send().await.map_err(|_| Unavailable::PendingGroups)?;
        Ok(())
    }

    /// What was left for this user, and has not run out.
    ///
    /// # Errors
    /// [`Unavailable::PendingGroups`] if that can't be known.
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
        let answer = get.send().await.map_err(|_| Unavailable::PendingGroups)?;
        let row = answer.item.filter(|row| !row::is_expired(row, now));
        let Some(mut row) = row else {
            return Ok(None);
        };
        let at = row
            .get("left_at")
            .and_then(|at| at.as_n().ok()?.parse().ok());
        match (row.remove("groups"), at) {
            (Some(AttributeValue::Ss(groups)), Some(at)) => Ok(Some(Left { groups, at })),
            _ => Err(Unavailable::PendingGroups),
        }
    }

    /// Forgets it: the user has them.
    ///
    /// # Errors
    /// [`Unavailable::PendingGroups`] if it may still be there.
    pub async fn forget(&self, user_pool_id: &str, user: LeftFor<'_>) -> Result<(), Unavailable> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("id", text(&id(user_pool_id, user)));
        delete
            .send()
            .await
            .map_err(|_| Unavailable::PendingGroups)?;
        Ok(())
    }
}

/// A hash: the table is not for names.
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
    fn an_address_and_a_name_of_the_same_text_have_two_rows() {
        let (email, name) = (LeftFor::Email("a@b.c"), LeftFor::Name("a@b.c"));
        assert_ne!(id("pool", email), id("pool", name));
        assert_ne!(id("pool", email), id("other", email));
        assert!(id("pool", email).starts_with("email#"));
    }
}
