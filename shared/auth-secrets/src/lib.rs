//! Secrets that a function reads once, at its start, from Secrets Manager.

#![warn(missing_docs)]

use auth::Secret;
use aws_sdk_secretsmanager::Client;
use aws_types::SdkConfig;

/// The text of the secret `arn`; `None` if it can't be read, is no text, or is empty. Why is for nobody:
/// the answer may hold the secret.
pub async fn read(sdk: &SdkConfig, arn: &str) -> Option<Secret> {
    let call = Client::new(sdk).get_secret_value().secret_id(arn);
    let text = call.send().await.ok()?.secret_string?;
    (!text.is_empty()).then(|| Secret::new(text))
}
