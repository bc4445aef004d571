//! The request ids of Gatehouse's own calls to Cognito, which distinguish their CloudTrail records
//! from those of other programs.

use auth::{OwnCalls, Unavailable};

use crate::DynamoRevocations;
use crate::key::RowKey;

impl OwnCalls for DynamoRevocations {
    async fn is_own_call(&self, issuer_id: &str, request_id: &str) -> Result<bool, Unavailable> {
        let key = RowKey::call(issuer_id, request_id);
        Ok(self.rows(&[&key]).await?.contains_key(&key))
    }
}
