//! The queue of calls to Cognito that have to be made again; `logout-retry` reads it.

use std::time::Duration;

use auth_cognito::SignOutTask;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{Builder, StalledStreamProtectionConfig};
use aws_types::SdkConfig;

const OPERATION: Duration = Duration::from_secs(3);
const ATTEMPT: Duration = Duration::from_secs(1);

/// Where failed calls go.
pub(crate) struct RetryQueue {
    client: Client,
    url: String,
}

impl RetryQueue {
    pub(crate) fn new(sdk: &SdkConfig, url: String) -> Self {
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
            url,
        }
    }

    /// Whether the task is in the queue now.
    pub(crate) async fn put(&self, task: &SignOutTask) -> bool {
        let Ok(body) = serde_json::to_string(task) else {
            return false;
        };
        let message = self.client.send_message().queue_url(&self.url);
        message.message_body(body).send().await.is_ok()
    }
}
