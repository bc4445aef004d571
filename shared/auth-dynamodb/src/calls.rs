//! The request ids of Gatehouse's own calls to Cognito, which distinguish their CloudTrail records
//! from those of other programs.

use auth::Unavailable;

use crate::DynamoRevocations;
use crate::key::RowKey;

impl DynamoRevocations {
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
