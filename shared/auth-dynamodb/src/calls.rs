//! The request ids of Gatehouse's own calls to Cognito, which distinguish their CloudTrail records
//! from those of other programs.

use auth::{Dependency, Unavailable, UnixSeconds};

use crate::DynamoRevocations;
use crate::key::RowKey;
use crate::row::number;
use crate::write::is_applied;

/// Seconds for which a call is stored: longer than EventBridge and a queue hold its record (1 + 4
/// days).
const KEPT_SECONDS: u64 = 6 * 24 * 60 * 60;

impl DynamoRevocations {
    pub(crate) async fn store_call(
        &self,
        issuer_id: &str,
        request_id: &str,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let update = self
            .update(&RowKey::call(issuer_id, request_id))
            .update_expression("SET expires_at = :expires_at")
            .expression_attribute_values(":expires_at", number(now.plus(KEPT_SECONDS)));
        is_applied(update, Dependency::Revocations).await.map(drop)
    }

    /// Whether [`auth::RevocationWriter::note_call`] has stored this call.
    ///
    /// # Errors
    /// [`Unavailable`] if the table could not be read.
    pub async fn is_own_call(
        &self,
        issuer_id: &str,
        request_id: &str,
    ) -> Result<bool, Unavailable> {
        let key = RowKey::call(issuer_id, request_id);
        Ok(self.rows(&[&key]).await?.contains_key(&key))
    }
}
