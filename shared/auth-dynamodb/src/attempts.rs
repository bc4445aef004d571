//! The table of attempts: how often somebody tried something lately.

use std::collections::HashMap;

use auth::{Unavailable, UnixSeconds};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use aws_types::SdkConfig;

use crate::write::{number, text};
use crate::{DynamoRevocations, client};

/// Attempts in a DynamoDB table with the key `id`.
pub struct AttemptTable {
    client: Client,
    table: String,
}

impl AttemptTable {
    /// The attempts in `table`, with the endpoint, region and credentials of `sdk`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, table: String) -> Self {
        Self {
            client: client(sdk),
            table,
        }
    }

    /// The attempts in `table`, over the connection of `revocations`.
    #[must_use]
    pub fn beside(revocations: &DynamoRevocations, table: String) -> Self {
        Self {
            client: revocations.client.clone(),
            table,
        }
    }

    /// Counts one more attempt under `id` in the running window of so many seconds, and says how
    /// many that makes. Windows are those of the clock, so that everybody counts in the same one.
    ///
    /// # Errors
    /// [`Unavailable::Attempts`] if it could not be counted.
    pub async fn count(
        &self,
        id: &str,
        window_seconds: u64,
        now: UnixSeconds,
    ) -> Result<u64, Unavailable> {
        self.add(1, id, window_seconds, now).await
    }

    /// How many attempts were counted under `id` in the window that `at` is in. Nothing is counted.
    ///
    /// # Errors
    /// [`Unavailable::Attempts`] if that can't be known.
    pub async fn attempts(
        &self,
        id: &str,
        window_seconds: u64,
        at: UnixSeconds,
    ) -> Result<u64, Unavailable> {
        self.add(0, id, window_seconds, at).await
    }

    /// Takes an attempt back that was counted at `now`: it was none after all.
    ///
    /// # Errors
    /// [`Unavailable::Attempts`] if it could not be taken back.
    pub async fn take_back(
        &self,
        id: &str,
        window_seconds: u64,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        self.add(-1, id, window_seconds, now).await.map(drop)
    }

    async fn add(
        &self,
        change: i8,
        id: &str,
        window_seconds: u64,
        now: UnixSeconds,
    ) -> Result<u64, Unavailable> {
        let window = now.0.checked_div(window_seconds).unwrap_or(0);
        // A window longer than it runs: the next one looks back at it.
        let ends = UnixSeconds(window.saturating_add(2).saturating_mul(window_seconds));
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("id", text(&format!("{id}#{window}")))
            .update_expression("ADD attempts :change SET expires_at = :expires_at")
            .expression_attribute_values(":change", AttributeValue::N(change.to_string()))
            .expression_attribute_values(":expires_at", number(ends))
            .return_values(ReturnValue::UpdatedNew);
        let answer = update.send().await.map_err(|_| Unavailable::Attempts)?;
        attempts(answer.attributes.as_ref()).ok_or(Unavailable::Attempts)
    }
}

fn attempts(item: Option<&HashMap<String, AttributeValue>>) -> Option<u64> {
    item?.get("attempts")?.as_n().ok()?.parse().ok()
}
