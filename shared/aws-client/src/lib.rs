//! One set-up of the AWS SDK's clients: their limits, the roots that they trust, the causes of their errors, and a span
//! for each call.
//!
//! ```
//! use std::time::Duration;
//!
//! use aws_client::Limits;
//!
//! const LIMITS: Limits = Limits {
//!     connect: Duration::from_millis(300),
//!     attempt: Duration::from_millis(250),
//!     operation: Duration::from_millis(800),
//!     attempts: 3,
//!     first_backoff: Duration::from_millis(20),
//! };
//! # let sdk = aws_types::SdkConfig::builder().build();
//! let config = aws_client::with_limits(&sdk, &LIMITS);
//! // let client = aws_sdk_dynamodb::Client::new(&config);
//! # assert_eq!(config.retry_config().map(|retry| retry.max_attempts()), Some(3));
//! ```

#![warn(missing_docs)]

mod cause;
mod date;
mod environment;
mod https;
mod roots;
mod span;

use std::time::Duration;

use aws_types::sdk_config::{RetryConfig, StalledStreamProtectionConfig, TimeoutConfig};

use crate::https::HttpsClient;

pub use aws_types::SdkConfig;
pub use cause::{cause_of, cause_of_connector, unavailable};
pub use date::ServerDate;
pub use environment::sdk_config_in_lambda;
pub use https::connector_without_pool;
pub use span::{Call, in_span};

/// The limits of a client's calls. The SDK has none by default, except for the connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a new connection, with its TLS handshake.
    pub connect: Duration,
    /// For one attempt.
    pub attempt: Duration,
    /// For all attempts of one call, with the pauses between them.
    pub operation: Duration,
    /// How often a call is tried, at least once.
    pub attempts: u32,
    /// The upper bound of the pause after the first attempt; each later pause may be twice as long.
    pub first_backoff: Duration,
}

impl Limits {
    /// Only the time limits, for a call that needs others than its client.
    #[must_use]
    pub fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.operation)
            .build()
    }
}

/// The SDK's configuration of a program that does not only run in Lambda, from all sources of the SDK's default chain. For AWS's endpoints its clients
/// trust the roots of Amazon Trust Services, and those of the system only if another authority has issued the certificate
/// that they receive; for other hosts those of the system. If `SSL_CERT_FILE` or `SSL_CERT_DIR` names a trust store, they
/// trust that one alone.
pub async fn sdk_config() -> SdkConfig {
    aws_config::from_env()
        .http_client(HttpsClient::new(false))
        .load()
        .await
}

/// `sdk` with these limits, for the `Client::new` of every service.
#[must_use]
pub fn with_limits(sdk: &SdkConfig, limits: &Limits) -> SdkConfig {
    sdk.to_builder()
        .timeout_config(limits.timeouts())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(limits.attempts)
                .with_initial_backoff(limits.first_backoff),
        )
        // Each attempt has a limit.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_the_limits_and_keeps_the_rest() {
        let limits = Limits {
            connect: Duration::from_millis(1),
            attempt: Duration::from_millis(2),
            operation: Duration::from_millis(3),
            attempts: 4,
            first_backoff: Duration::from_millis(5),
        };
        let region = aws_types::region::Region::new("eu-north-1");
        let sdk = SdkConfig::builder()
            .region(region.clone())
            .endpoint_url("http://127.0.0.1:1")
            .build();
        let config = with_limits(&sdk, &limits);
        let timeouts = config.timeout_config().unwrap();
        assert_eq!(timeouts.connect_timeout(), Some(limits.connect));
        assert_eq!(timeouts.operation_attempt_timeout(), Some(limits.attempt));
        assert_eq!(timeouts.operation_timeout(), Some(limits.operation));
        let retry = config.retry_config().unwrap();
        assert_eq!(retry.max_attempts(), 4);
        assert_eq!(retry.initial_backoff(), limits.first_backoff);
        let stalled = config.stalled_stream_protection().unwrap();
        assert!(!stalled.download_enabled() && !stalled.upload_enabled());
        assert_eq!(config.region(), Some(&region));
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:1"));
    }
}
