//! The time of DynamoDB's clock, for programs whose own clock may be wrong: an operator's.

use auth::{Cause, Dependency, Unavailable, UnixSeconds};
use aws_client::{Call, ServerDate};

use crate::DynamoRevocations;
use crate::key::{RowKey, key_attributes};
use crate::read::keys_and_attributes;

impl DynamoRevocations {
    /// The time at the table, to the second: the `Date` of its response to a read.
    ///
    /// # Errors
    /// [`Unavailable`] without a response, or without a time in it.
    pub async fn server_time(&self) -> Result<UnixSeconds, Unavailable> {
        let date = ServerDate::default();
        let no_row = keys_and_attributes([key_attributes(&RowKey::missing())]);
        self.client
            .batch_get_item()
            .request_items(&self.table, no_row)
            .customize()
            .interceptor(date.clone())
            .send()
            .in_span(Dependency::Revocations)
            .await
            .map_err(aws_client::unavailable(Dependency::Revocations))?;
        date.seen()
            .ok_or(Dependency::Revocations.unavailable(Cause::Invalid))
    }
}
