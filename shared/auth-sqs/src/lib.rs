//! The retry queue: failed calls to Cognito, and revocations that could not be written.
//! `logout-retry` reads it.

#![warn(missing_docs)]

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{Builder, StalledStreamProtectionConfig};
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

const OPERATION: Duration = Duration::from_secs(3);
const ATTEMPT: Duration = Duration::from_secs(1);

/// A revocation that could not be written, as a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LateMark {
    /// Revokes everything that a user authenticated up to a time, with or without an exception.
    EndSessions {
        /// The user's `sub`.
        subject: String,
        /// The time, in seconds since 1970.
        not_before: u64,
        /// The spared session, and its authentication time.
        spared: Option<(String, u64)>,
        /// The time of the password change, if that spares the session.
        #[serde(default)]
        changed_at: Option<u64>,
        /// The reason, for the operator.
        reason: String,
    },
}

/// The queue for failed work.
pub struct RetryQueue {
    client: Client,
    url: String,
}

impl RetryQueue {
    /// The queue at `url`, with the endpoint, region and credentials of `sdk`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, url: String) -> Self {
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

    /// Sends the task. Returns whether the queue accepted it.
    pub async fn put(&self, task: &impl Serialize) -> bool {
        let Ok(body) = serde_json::to_string(task) else {
            return false;
        };
        let message = self.client.send_message().queue_url(&self.url);
        message.message_body(body).send().await.is_ok()
    }
}
