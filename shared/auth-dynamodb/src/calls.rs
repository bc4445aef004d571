//! Calls to Cognito that Gatehouse made itself, by their request id, so that CloudTrail's record of one
//! can be told from the record of a call by another program.

use auth::revocation::RowKey;
use auth::{Unavailable, UnixSeconds};

use crate::DynamoRevocations;
use crate::write::{is_applied, number};

/// Seconds that a call is remembered: longer than EventBridge and a queue hold its record (1 + 4 days).
const KEPT_SECONDS: u64 = 6 * 24 * 60 * 60;

impl DynamoRevocations {
    /// Remembers a call to the issuer.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless it is remembered.
    pub async fn note_call(
        &self,
        issuer_id: &str,
        request_id: &str,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let update = self
            .update(&RowKey::call(issuer_id, request_id))
            .update_expression("SET expires_at = :expires_at")
            .expression_attribute_values(":expires_at", number(now.plus(KEPT_SECONDS)));
        is_applied(update).await.map(drop)
    }

    /// Whether [`Self::note_call`] has remembered this call.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] if it cannot be known.
    pub async fn is_own_call(
        &self,
        issuer_id: &str,
        request_id: &str,
    ) -> Result<bool, Unavailable> {
        let key = RowKey::call(issuer_id, request_id);
        Ok(self.rows(&[&key]).await?.contains_key(&key))
    }
}
