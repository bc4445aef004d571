//! Reads secrets from Secrets Manager, once at the start of a function.

#![warn(missing_docs)]

use std::time::Duration;

use auth::{Cause, Secret};
use aws_client::{Call, Limits, cause_of, with_limits};
use aws_sdk_secretsmanager::Client;
use aws_types::SdkConfig;

/// Lambda allows ten seconds for a start. The first call of a process also reads the root certificates.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(3),
    attempt: Duration::from_secs(3),
    operation: Duration::from_secs(7),
    attempts: 3,
    first_backoff: Duration::from_millis(100),
};

/// A secret could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret could not be read")]
pub struct SecretError(#[source] pub Cause);

/// The text of the secret `arn`, if one is configured.
///
/// # Errors
/// [`SecretError`] if it cannot be read: Cognito would refuse every call without it.
pub async fn read_if_any(
    sdk: &SdkConfig,
    arn: Option<&str>,
) -> Result<Option<Secret>, SecretError> {
    match arn {
        None => Ok(None),
        Some(arn) => read(sdk, arn).await.map(Some),
    }
}

/// The text of the secret `arn`.
///
/// # Errors
/// [`SecretError`] if it cannot be read, is not text, or is empty. It contains no message of Secrets
/// Manager.
pub async fn read(sdk: &SdkConfig, arn: &str) -> Result<Secret, SecretError> {
    let client = Client::new(&with_limits(sdk, &LIMITS));
    let call = client.get_secret_value().secret_id(arn);
    let answer = call.send().in_span_of("secrets").await;
    let answer = answer.map_err(|error| SecretError(cause_of(&error)))?;
    match answer.secret_string {
        Some(text) if !text.is_empty() => Ok(Secret::new(text)),
        _ => Err(SecretError(Cause::Invalid)),
    }
}
