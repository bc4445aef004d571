//! The table of attempts, which counts recent attempts.

use std::collections::HashMap;

use auth::{Cause, Dependency, Unavailable, UnixSeconds};
use aws_client::Call;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use aws_types::SdkConfig;

use crate::row::{number, text};
use crate::write::is_applied;
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

    /// Subtracts an attempt that was counted at `now`, never below zero: the SDK repeats a call whose response was
    /// lost, and DynamoDB then subtracts twice.
    ///
    /// # Errors
    /// [`Unavailable`] if it could not be subtracted.
    pub async fn refund(
        &self,
        id: &str,
        window_seconds: u64,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let update = self
            .update(-1, id, window_seconds, now)
            .condition_expression("attempts > :zero")
            .expression_attribute_values(":zero", AttributeValue::N("0".to_owned()));
        is_applied(update, Dependency::Attempts).await.map(drop)
    }

    async fn add(
        &self,
        change: i8,
        id: &str,
        window_seconds: u64,
        now: UnixSeconds,
    ) -> Result<u64, Unavailable> {
        let update = self
            .update(change, id, window_seconds, now)
            .return_values(ReturnValue::UpdatedNew);
        let answer = update
            .send()
            .in_span(Dependency::Attempts)
            .await
            .map_err(aws_client::unavailable(Dependency::Attempts))?;
        attempts(answer.attributes.as_ref()).ok_or(Dependency::Attempts.unavailable(Cause::Invalid))
    }

    fn update(
        &self,
        change: i8,
        id: &str,
        window_seconds: u64,
        now: UnixSeconds,
    ) -> UpdateItemFluentBuilder {
        let window = now.0.checked_div(window_seconds).unwrap_or(0);
        // Kept for one more window, because the next window reads the previous one.
        let ends = UnixSeconds(window.saturating_add(2).saturating_mul(window_seconds));
        self.client
            .update_item()
            .table_name(&self.table)
            .key("id", text(&format!("{id}#{window}")))
            .update_expression("ADD attempts :change SET expires_at = :expires_at")
            .expression_attribute_values(":change", AttributeValue::N(change.to_string()))
            .expression_attribute_values(":expires_at", number(ends))
    }
}

/// The count of a row. Versions without the condition of a refund have left negative ones.
fn attempts(item: Option<&HashMap<String, AttributeValue>>) -> Option<u64> {
    let count: i64 = item?.get("attempts")?.as_n().ok()?.parse().ok()?;
    Some(count.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_count_is_zero_and_other_text_is_unreadable() {
        for (count, expected) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("-1", Some(0)),
            ("-9", Some(0)),
            ("x", None),
            ("", None),
        ] {
            let value = AttributeValue::N(count.to_owned());
            let item = HashMap::from([("attempts".to_owned(), value)]);
            assert_eq!(attempts(Some(&item)), expected, "{count}");
        }
        assert_eq!(attempts(Some(&HashMap::new())), None);
        assert_eq!(attempts(None), None);
    }
}
