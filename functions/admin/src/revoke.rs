//! Revokes the tokens and sessions of an app client, or of the whole pool.

use auth::{ClientRef, IssuerRef, RevocationContext, RevocationWriter};
use runtime::clock;
use serde_json::{Value, json};

use crate::Admin;
use crate::outcome::AdminError;

impl Admin {
    /// Refuses app clients that are not configured.
    pub(crate) fn check_client(&self, client_id: &str) -> Result<(), AdminError> {
        let mut known = self.config.client_ids.iter();
        if known.any(|known| known == client_id) {
            Ok(())
        } else {
            Err(AdminError::UnknownClient)
        }
    }

    /// Revokes the tokens and sessions of an app client.
    pub(crate) async fn revoke_client(
        &self,
        client_id: &str,
        context: &RevocationContext<'_>,
    ) -> Result<Value, AdminError> {
        let client = ClientRef {
            issuer: &self.config.user_pool_id,
            client_id,
        };
        let not_before = context.at.plus(self.config.leeway_seconds);
        self.revocations
            .revoke_client(&client, not_before, context)
            .await?;
        clock::until_after(not_before.0).await;
        Ok(json!({"done": "client_revoked", "client_id": client_id}))
    }

    /// Revokes all tokens and sessions of the pool.
    pub(crate) async fn revoke_everyone(
        &self,
        context: &RevocationContext<'_>,
    ) -> Result<Value, AdminError> {
        let issuer = IssuerRef {
            issuer: &self.config.user_pool_id,
        };
        let not_before = context.at.plus(self.config.leeway_seconds);
        self.revocations
            .revoke_issuer(&issuer, not_before, context)
            .await?;
        clock::until_after(not_before.0).await;
        Ok(json!({"done": "everyone_revoked"}))
    }
}
