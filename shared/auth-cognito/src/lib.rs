//! Calls to Cognito: those that revoke sessions, those that users make for themselves, and an
//! administrator's.
//!
//! The authorizer must not link this crate, so that it cannot make these calls.

#![warn(missing_docs)]

mod accounts;
mod legacy;
mod sign_out;
mod users;

use std::time::Duration;

use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::config::retry::RetryConfig;
use aws_sdk_cognitoidentityprovider::config::timeout::TimeoutConfig;
use aws_sdk_cognitoidentityprovider::config::{Builder, StalledStreamProtectionConfig};
use aws_types::SdkConfig;

pub use accounts::{Account, AccountError, Challenge, CognitoAccounts, SignIn, Tokens};
pub use legacy::{LegacyAccount, LegacyPool, LegacyPoolError, PasswordCheck};
pub use sign_out::{CognitoSignOut, Made, SignOut, SignOutTask, may_be_a_refresh_token};
pub use users::{AppClient, CognitoUsers, Page, Profile, SignedUp, Standing, User, UserPoolError};

const OPERATION: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// Whether Cognito's message is about the app client's secret, which only the operator can fix.
pub(crate) fn is_about_secret(message: &str) -> bool {
    message.to_ascii_lowercase().contains("secret")
}

/// A client with time limits that fit a request: the SDK has none by default.
fn client(sdk: &SdkConfig) -> Client {
    client_with(sdk, ATTEMPT, OPERATION, ATTEMPTS)
}

fn client_with(sdk: &SdkConfig, attempt: Duration, operation: Duration, attempts: u32) -> Client {
    let config = Builder::from(sdk)
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .operation_attempt_timeout(attempt)
                .operation_timeout(operation)
                .build(),
        )
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(attempts)
                .with_initial_backoff(FIRST_BACKOFF),
        )
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    Client::from_conf(config)
}
