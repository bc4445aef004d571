//! Publishes acts to the topic: it reads the log lines about them, which subscriptions of CloudWatch
//! Logs send, so that no other function needs a client of the topic or waits for one.
//!
//! Delivery is at least once: Lambda repeats a failed invocation with the same lines. Each message
//! has the act's `id`, the same in every copy.

mod batch;
mod config;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use auth::{Cause, Dependency, Unavailable};
use aws_client::SdkConfig;
use aws_client::{Call, Limits, with_limits};
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use runtime::log::{self, Level, Outcome};
use runtime::{Act, Handler, InvocationError};
use serde_json::Value;
use serde_json::value::RawValue;

pub use config::Config;

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(3),
    operation: Duration::from_secs(10),
    attempts: 4,
    first_backoff: Duration::from_millis(200),
};

/// The function's handler.
pub struct PublishActs {
    client: Client,
    topic_arn: String,
    log_level: Level,
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        PublishActs::connect,
    )
}

impl PublishActs {
    /// Creates the client during init.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        Ok(Self::new(&aws_client::sdk_config_in_lambda(), config))
    }

    /// The function over the topic that `sdk` leads to.
    #[must_use]
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        Self {
            client: Client::new(&with_limits(sdk, &LIMITS)),
            topic_arn: config.security_topic_arn,
            log_level: config.log_level,
        }
    }

    /// Publishes all acts, or fails: the acts before the failed one are then published again.
    async fn publish(&self, acts: &[Act]) -> Result<(), Unavailable> {
        for act in acts {
            let mut call = self.client.publish().topic_arn(&self.topic_arn);
            for (name, value) in [
                ("kind", &act.kind),
                ("source", &act.source),
                ("outcome", &act.outcome),
            ] {
                let attribute = MessageAttributeValue::builder()
                    .data_type("String")
                    .string_value(value)
                    .build();
                let attribute =
                    attribute.map_err(|_| Dependency::Topic.unavailable(Cause::Other))?;
                call = call.message_attributes(name, attribute);
            }
            call.message(act.to_json().to_string())
                .send()
                .in_span(Dependency::Topic)
                .await
                .map_err(aws_client::unavailable(Dependency::Topic))?;
        }
        Ok(())
    }
}

impl Handler for PublishActs {
    type Answer = Value;

    async fn handle(&self, event: &RawValue, request_id: &str) -> Result<Value, InvocationError> {
        let began = Instant::now();
        let (outcome, published) = match batch::acts(event.get()) {
            None => (Outcome::from("unreadable"), None),
            Some(acts) => match self.publish(&acts).await {
                Ok(()) => (Outcome::from("published"), Some(acts.len())),
                Err(unavailable) => (Outcome::from(unavailable), None),
            },
        };
        let level = if published.is_some() {
            Level::Info
        } else {
            Level::Error
        };
        if level <= self.log_level {
            log::request(level, "publish acts", outcome, request_id, began);
        }
        match published {
            Some(_) => Ok(Value::Null),
            None => Err(InvocationError::Internal),
        }
    }
}
