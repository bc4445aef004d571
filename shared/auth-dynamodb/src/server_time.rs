//! The time of DynamoDB's clock, for programs whose own clock may be wrong: an operator's.

use std::sync::{Arc, Mutex};

use auth::{Cause, Dependency, Unavailable, UnixSeconds};
use aws_client::Call;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;

use crate::DynamoRevocations;
use crate::key::{RowKey, key_attributes};
use crate::read::keys_and_attributes;

/// Stores the `Date` header of a response (RFC 9110 section 6.6.1).
#[derive(Debug, Clone, Default)]
struct DateInterceptor(Arc<Mutex<Option<UnixSeconds>>>);

impl Intercept for DateInterceptor {
    fn name(&self) -> &'static str {
        "date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(seconds);
        if let Ok(mut seen) = self.0.lock() {
            *seen = date;
        }
        Ok(())
    }
}

fn seconds(date: &str) -> Option<UnixSeconds> {
    let date = DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?;
    u64::try_from(date.secs()).ok().map(UnixSeconds)
}

impl DynamoRevocations {
    /// The time at the table, to the second: the `Date` of its response to a read.
    ///
    /// # Errors
    /// [`Unavailable`] without a response, or without a time in it.
    pub async fn server_time(&self) -> Result<UnixSeconds, Unavailable> {
        let date = DateInterceptor::default();
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
        let seen = date.0.lock().ok().and_then(|seen| *seen);
        seen.ok_or(Dependency::Revocations.unavailable(Cause::Invalid))
    }
}
