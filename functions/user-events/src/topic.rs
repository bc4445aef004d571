//! The topic that reports every security action.

use std::time::Duration;

use auth::{Cause, Dependency, Unavailable, UnixSeconds};
use aws_client::{Call, Limits, with_limits};
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use aws_types::SdkConfig;
use serde_json::json;

use crate::action::Action;
use crate::record::Record;

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    operation: Duration::from_secs(5),
    attempts: 3,
    first_backoff: Duration::from_millis(100),
};

/// The source and the outcome of every message: a call that CloudTrail recorded as successful.
pub(crate) const SOURCE: &str = "cognito";
pub(crate) const OUTCOME: &str = "done";

/// What an action was about, as members of the message.
pub(crate) struct Target<'a> {
    pub(crate) user_pool_id: &'a str,
    /// The name of the member that holds the target.
    pub(crate) member: &'static str,
    pub(crate) value: &'a str,
}

/// An SNS topic.
pub(crate) struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    pub(crate) fn new(sdk: &SdkConfig, arn: String) -> Self {
        Self {
            client: Client::new(&with_limits(sdk, &LIMITS)),
            arn,
        }
    }

    /// Publishes an action. Subscriptions can filter on the attribute `kind`. The message contains no
    /// user name or address.
    pub(crate) async fn publish(
        &self,
        action: &Action,
        target: &Target<'_>,
        at: UnixSeconds,
        record: &Record,
    ) -> Result<(), Unavailable> {
        let message = json!({
            "id": record.event_id(),
            "kind": action.kind,
            "source": SOURCE,
            "outcome": OUTCOME,
            "user_pool_id": target.user_pool_id,
            target.member: target.value,
            "at": at.0,
            "call": record.event_name(),
            "event_id": record.event_id(),
            "actor": record.actor(),
        });
        let kind = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(action.kind)
            .build()
            .map_err(|_| Dependency::Topic.unavailable(Cause::Other))?;
        self.client
            .publish()
            .topic_arn(&self.arn)
            .message_attributes("kind", kind)
            .message(message.to_string())
            .send()
            .in_span(Dependency::Topic)
            .await
            .map(drop)
            .map_err(aws_client::unavailable(Dependency::Topic))
    }
}
