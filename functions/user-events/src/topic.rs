//! The topic that reports every security action.

use std::time::Duration;

use auth::{Unavailable, UnixSeconds};
use aws_sdk_sns::Client;
use aws_sdk_sns::config::timeout::TimeoutConfig;
use aws_sdk_sns::config::{Builder, StalledStreamProtectionConfig};
use aws_sdk_sns::types::MessageAttributeValue;
use aws_types::SdkConfig;
use serde_json::json;

use crate::action::Action;
use crate::record::Record;

const OPERATION: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(2);

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
        let config = Builder::from(sdk)
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(ATTEMPT)
                    .operation_timeout(OPERATION)
                    .build(),
            )
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self {
            client: Client::from_conf(config),
            arn,
        }
    }

    /// Publishes an action. Subscriptions can filter on the attribute `kind`. The message contains no user name or
    /// address.
    pub(crate) async fn publish(
        &self,
        action: &Action,
        target: &Target<'_>,
        at: UnixSeconds,
        record: &Record,
    ) -> Result<(), Unavailable> {
        let message = json!({
            "kind": action.kind,
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
            .map_err(|_| Unavailable::Topic)?;
        self.client
            .publish()
            .topic_arn(&self.arn)
            .message(message.to_string())
            .message_attributes("kind", kind)
            .send()
            .await
            .map(drop)
            .map_err(|_| Unavailable::Topic)
    }
}
