//! Reads secrets from Secrets Manager, once at the start of a function.

#![warn(missing_docs)]

use auth::Secret;
use aws_sdk_secretsmanager::Client;
use aws_types::SdkConfig;

/// The app client's secret could not be read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the app client's secret could not be read")]
pub struct SecretError;

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
        Some(arn) => read(sdk, arn).await.map(Some).ok_or(SecretError),
    }
}

/// The text of the secret `arn`; `None` if it cannot be read, is not text, or is empty. The cause
/// is not reported, because it may contain the secret.
pub async fn read(sdk: &SdkConfig, arn: &str) -> Option<Secret> {
    let call = Client::new(sdk).get_secret_value().secret_id(arn);
    let text = call.send().await.ok()?.secret_string?;
    (!text.is_empty()).then(|| Secret::new(text))
}
