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

use aws_client::{Limits, with_limits};
use aws_sdk_cognitoidentityprovider::Client;
use aws_types::SdkConfig;

pub use accounts::{Account, AccountError, Challenge, CognitoAccounts, SignIn, Tokens};
pub use legacy::{LegacyAccount, LegacyPool, LegacyPoolError, PasswordCheck};
pub use sign_out::{CognitoSignOut, Made, SignOut, SignOutTask, may_be_a_refresh_token};
pub use users::{AppClient, CognitoUsers, Page, Profile, SignedUp, Standing, User, UserPoolError};

/// Limits that fit a request.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    operation: Duration::from_secs(5),
    attempts: 3,
    first_backoff: Duration::from_millis(100),
};

/// Whether Cognito's message is about the app client's secret, which only the operator can fix.
pub(crate) fn is_about_secret(message: &str) -> bool {
    message.to_ascii_lowercase().contains("secret")
}

/// Whether a text is a UUID: 8-4-4-4-12 hexadecimal digits. Cognito's `sub` is one, and so is the name of a user who signs
/// in with an address.
#[must_use]
pub fn is_uuid(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.split('-').all(digits)
}

fn client(sdk: &SdkConfig, limits: &Limits) -> Client {
    Client::new(&with_limits(sdk, limits))
}
