//! The table of attempts, which counts recent attempts.

use std::collections::HashMap;

use auth::{Cause, Dependency, Unavailable, UnixSeconds};
use aws_client::Call;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use aws_types::SdkConfig;

use crate::row::{number, text};
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

    /// Counts one attempt under `id` in the current window of `window_seconds`, and returns the new
    /// count. Windows start at multiples of their length, so that all processes count in the same
    /// one.
    ///
    /// # Errors
    /// [`Unavailable`] if it could not be counted.
    pub async fn count(
        &self,
        id: &str,
        window_seconds: u64,
        now: UnixSeconds,
    ) -> Result<u64, Unavailable> {
        self.add(1, id, window_seconds, now).await
    }

    /// The attempts under `id` in the window that contains `at`. Counts nothing.
    ///
    /// # Errors
    /// [`Unavailable`] if the count could not be read.
    pub async fn attempts(
        &self,
        id: &str,
        window_seconds: u64,
        at: UnixSeconds,
    ) -> Result<u64, Unavailable> {
        self.add(0, id, window_seconds, at).await
    }

    /// Subtracts an attempt that was counted at `now`.
    ///
    /// # Errors
    /// [`Unavailable`] if it could not be subtracted.
    pub async fn refund(
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
        // Kept for one more window, because the next window reads the previous one.
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
        let answer = update
            .send()
            .in_span(Dependency::Attempts)
            .await
            .map_err(aws_client::unavailable(Dependency::Attempts))?;
        attempts(answer.attributes.as_ref()).ok_or(Dependency::Attempts.unavailable(Cause::Invalid))
    }
}

fn attempts(item: Option<&HashMap<String, AttributeValue>>) -> Option<u64> {
    item?.get("attempts")?.as_n().ok()?.parse().ok()
}
