//! The table of API keys: read by key on a request, listed only by the operator's tool.

use std::collections::HashMap;

use auth::api_key::StoredKey;
use auth::{
    ApiKeyStore, ApiKeyWriter, AuthError, DenyReason, Dependency, Unavailable, UnixSeconds,
};
use aws_client::Call;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::DynamoRevocations;
use crate::pages::{self, PageError};
use crate::row::{Row, RowError, time};

/// API keys in a DynamoDB table with the key `id`.
pub struct DynamoApiKeys {
    client: Client,
    table: String,
}

impl DynamoApiKeys {
    /// The API keys in `table`, over the connection of `revocations`.
    #[must_use]
    pub fn beside(revocations: &DynamoRevocations, table: String) -> Self {
        Self {
            client: revocations.client.clone(),
            table,
        }
    }

    /// All keys by their ids, without rows that Gatehouse did not write. Reads the whole table.
    ///
    /// # Errors
    /// [`Unavailable`] if some could not be read.
    pub async fn list(&self) -> Result<Vec<(String, StoredKey)>, Unavailable> {
        let rows = pages::whole_table(&self.client, Dependency::ApiKeys, &self.table).await;
        let rows = rows.map_err(|PageError(cause)| Dependency::ApiKeys.unavailable(cause))?;
        let key = |row: &Row| {
            let id = row.get("id")?.as_s().ok()?;
            Some((id.clone(), stored_key(row).ok()?))
        };
        Ok(rows.iter().filter_map(key).collect())
    }
}

impl ApiKeyStore for DynamoApiKeys {
    async fn find(&self, id: &str) -> Result<Option<StoredKey>, AuthError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("id", AttributeValue::S(id.to_owned()))
            .consistent_read(true)
            .send()
            .in_span(Dependency::ApiKeys)
            .await
            .map_err(aws_client::unavailable(Dependency::ApiKeys))?;
        let key = answer.item.as_ref().map(stored_key).transpose();
        key.map_err(|RowError| DenyReason::UnreadableRevocation.into())
    }
}

impl ApiKeyWriter for DynamoApiKeys {
    async fn put(&self, id: &str, key: &StoredKey) -> Result<(), Unavailable> {
        let number = |time: UnixSeconds| AttributeValue::N(time.0.to_string());
        let bytes = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let mut row: Row = HashMap::from([
            ("id".to_owned(), text(id)),
            ("owner".to_owned(), text(&key.owner)),
            ("scope".to_owned(), text(&key.scope)),
            ("created_at".to_owned(), number(key.created_at)),
            ("expires_at".to_owned(), number(key.expires_at)),
            ("salt".to_owned(), bytes(&key.salt)),
            ("hash".to_owned(), bytes(&key.hash)),
        ]);
        if let Some(usage) = &key.usage_plan_key {
            row.insert("usage_plan_key".to_owned(), text(usage));
        }
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(row))
            .condition_expression("attribute_not_exists(id)")
            .send()
            .in_span(Dependency::ApiKeys)
            .await
            .map(drop)
            .map_err(aws_client::unavailable(Dependency::ApiKeys))
    }
}

fn stored_key(row: &Row) -> Result<StoredKey, RowError> {
    let value = |name: &str| row.get(name).ok_or(RowError);
    let text = |name| {
        let text = value(name)?.as_s().map_err(|_| RowError)?;
        Ok(text.clone())
    };
    let bytes = |name| {
        let bytes = value(name)?.as_b().map_err(|_| RowError)?;
        Ok(bytes.as_ref().to_vec())
    };
    let moment = |name| time(row, name)?.ok_or(RowError);
    Ok(StoredKey {
        owner: text("owner")?,
        scope: text("scope")?,
        created_at: moment("created_at")?,
        expires_at: moment("expires_at")?,
        usage_plan_key: row
            .contains_key("usage_plan_key")
            .then(|| text("usage_plan_key"))
            .transpose()?,
        salt: bytes("salt")?,
        hash: bytes("hash")?,
    })
}
