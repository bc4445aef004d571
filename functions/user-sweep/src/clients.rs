//! Compares the session lifetime of each app client with the time for which revocations are kept.

use std::time::Instant;

use auth::{Cause, Unavailable};
use auth_cognito::{AppClient, UserPoolError};
use runtime::log::{self, Level};
use serde_json::Value;

use crate::{PAUSE, UserSweep};

impl UserSweep {
    /// The number of app clients whose sessions can outlive their revocations; each is logged.
    /// `None` if Cognito did not answer for all of them in time.
    pub(crate) async fn outliving(&self, until: Instant, request_id: &str) -> Option<u64> {
        let found = tokio::time::timeout_at(until.into(), self.clients_that_outlive()).await;
        let found = found.map_err(|_| Cause::Timeout);
        let found = found.and_then(|found| found.map_err(|error| Unavailable::from(error).cause));
        let found = match found {
            Ok(found) => found,
            Err(cause) => {
                log::failure("could not read the app clients", cause);
                return None;
            }
        };
        for (client, problem) in &found {
            let fields = [
                ("client", Value::from(client.name.as_str())),
                ("problem", Value::from(*problem)),
                (
                    "refresh_token_seconds",
                    Value::from(client.refresh_token_seconds),
                ),
                ("kept_for", Value::from(self.refresh_token_ttl_seconds)),
                ("request_id", Value::from(request_id)),
            ];
            log::line(
                Level::Error,
                "sessions of an app client can outlive their revocations",
                fields,
            );
        }
        u64::try_from(found.len()).ok()
    }

    async fn clients_that_outlive(&self) -> Result<Vec<(AppClient, &'static str)>, UserPoolError> {
        let mut found = Vec::new();
        for id in self.users.client_ids().await? {
            let client = match self.users.app_client(&id).await {
                Ok(client) => client,
                // Deleted in the meantime.
                Err(UserPoolError::NotFound) => continue,
                Err(error) => return Err(error),
            };
            if let Some(problem) = problem(&client, self.refresh_token_ttl_seconds) {
                found.push((client, problem));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(found)
    }
}

/// The client's problem, if it has one, when revocations are kept for `kept_for` seconds.
fn problem(client: &AppClient, kept_for: u64) -> Option<&'static str> {
    let seconds = client.refresh_token_seconds?;
    if seconds > kept_for {
        Some("refresh_tokens_live_longer")
    } else if !client.revokes_tokens {
        // Its tokens have no `origin_jti`: no session can be revoked, and no refresh token.
        Some("token_revocation_is_off")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_clients_whose_sessions_outlive_revocations() {
        let rows = [
            (Some(28_800), true, None),
            (Some(28_801), true, Some("refresh_tokens_live_longer")),
            (Some(3_600), false, Some("token_revocation_is_off")),
            // A machine-to-machine client gets no refresh token.
            (None, false, None),
        ];
        for (refresh_token_seconds, revokes_tokens, expected) in rows {
            let client = AppClient {
                name: "web".to_owned(),
                refresh_token_seconds,
                revokes_tokens,
            };
            assert_eq!(problem(&client, 28_800), expected, "{client:?}");
        }
    }
}
