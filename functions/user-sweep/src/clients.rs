//! How long the sessions of each app client can live, against how long revocations are kept.

use auth_cognito::{AppClient, Trouble};
use lambda::log::{self, Level};
use serde_json::Value;

use crate::{PAUSE, UserSweep};

impl UserSweep {
    /// How many app clients have sessions that can outlive their revocations, each with a line in the
    /// log; `None` if Cognito did not say of all.
    pub(crate) async fn outliving(&self, request_id: &str) -> Option<u64> {
        let found = self.clients_that_outlive().await;
        let Ok(found) = found else {
            let fields = [("request_id", Value::from(request_id))];
            log::line(Level::Error, "app clients could not be looked at", fields);
            return None;
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
            log::line(Level::Error, "an app client outlives revocations", fields);
        }
        u64::try_from(found.len()).ok()
    }

    async fn clients_that_outlive(&self) -> Result<Vec<(AppClient, &'static str)>, Trouble> {
        let mut found = Vec::new();
        for id in self.users.client_ids().await? {
            let client = match self.users.app_client(&id).await {
                Ok(client) => client,
                // Deleted meanwhile.
                Err(Trouble::NotFound) => continue,
                Err(trouble) => return Err(trouble),
            };
            if let Some(problem) = problem(&client, self.refresh_token_ttl_seconds) {
                found.push((client, problem));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(found)
    }
}

/// What is wrong with a client, if anything is, where revocations cover refresh tokens of `kept_for`
/// seconds.
fn problem(client: &AppClient, kept_for: u64) -> Option<&'static str> {
    let seconds = client.refresh_token_seconds?;
    if seconds > kept_for {
        Some("refresh_tokens_live_longer")
    } else if !client.revokes_tokens {
        // Its tokens have no `origin_jti`: no session can be ended, and no refresh token revoked.
        Some("token_revocation_is_off")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_outlive_their_revocations() {
        let rows = [
            (Some(28_800), true, None),
            (Some(28_801), true, Some("refresh_tokens_live_longer")),
            (Some(3_600), false, Some("token_revocation_is_off")),
            // A machine's client gets no refresh token.
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
