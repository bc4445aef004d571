//! The retry queue: failed calls to Cognito, and revocations that could not be written.
//! `logout-retry` reads it.

#![warn(missing_docs)]

use std::time::Duration;

use auth::Cause;
use aws_client::{Call, Limits, cause_of, with_limits};
use aws_sdk_sqs::Client;
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(1),
    operation: Duration::from_secs(3),
    attempts: 3,
    first_backoff: Duration::from_millis(100),
};

/// The log's text for a task that the queue did not accept.
pub const NOT_QUEUED: &str = "the retry queue did not accept a task";

/// A revocation that could not be written, as a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LateRevocation {
    /// Revokes everything that a user authenticated up to a time, with or without an exception.
    #[serde(rename = "end_sessions")]
    RevokeSessions {
        /// The user's `sub`.
        subject: String,
        /// The time, in seconds since 1970.
        not_before: u64,
        /// The session that is kept.
        #[serde(rename = "spared")]
        kept: Option<LateKeptSession>,
        /// The time of the password change, if that is why the session is kept.
        #[serde(default)]
        changed_at: Option<u64>,
        /// The reason, for the operator.
        reason: String,
    },
}

/// The session that a [`LateRevocation`] keeps. In the message it is an array of both values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(String, u64)", into = "(String, u64)")]
pub struct LateKeptSession {
    /// `origin_jti`.
    pub session: String,
    /// When it was authenticated, in seconds since 1970.
    pub authenticated_at: u64,
}

impl From<(String, u64)> for LateKeptSession {
    fn from((session, authenticated_at): (String, u64)) -> Self {
        Self {
            session,
            authenticated_at,
        }
    }
}

impl From<LateKeptSession> for (String, u64) {
    fn from(kept: LateKeptSession) -> Self {
        (kept.session, kept.authenticated_at)
    }
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
        Self {
            client: Client::new(&with_limits(sdk, &LIMITS)),
            url,
        }
    }

    /// Sends the task.
    ///
    /// # Errors
    /// The cause, unless the queue accepted the task.
    pub async fn send(&self, task: &impl Serialize) -> Result<(), Cause> {
        let body = serde_json::to_string(task).map_err(|_| Cause::Other)?;
        let message = self.client.send_message().queue_url(&self.url);
        let sent = message
            .message_body(body)
            .send()
            .in_span_of("retry_queue")
            .await;
        sent.map(drop).map_err(|error| cause_of(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_form() {
        let message = |kept: Option<LateKeptSession>| LateRevocation::RevokeSessions {
            subject: "s".to_owned(),
            not_before: 5,
            kept,
            changed_at: None,
            reason: "r".to_owned(),
        };
        let kept = LateKeptSession {
            session: "a".to_owned(),
            authenticated_at: 3,
        };
        for (message, spared) in [(message(None), "null"), (message(Some(kept)), "[\"a\",3]")] {
            let text = format!(
                "{{\"kind\":\"end_sessions\",\"subject\":\"s\",\"not_before\":5,\
                 \"spared\":{spared},\"changed_at\":null,\"reason\":\"r\"}}"
            );
            assert_eq!(serde_json::to_string(&message).ok(), Some(text.clone()));
            assert_eq!(serde_json::from_str(&text).ok(), Some(message));
        }
    }
}
