//! The table of browser sessions: sealed rows, by the hash of the session's id.

use std::collections::HashMap;

use auth::{AuthError, Cause, DenyReason, Dependency, Unavailable, UnixSeconds};
use auth_sessions::{BrowserSessions, Lease, RowKey, SealedSession};
use aws_client::Call;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use aws_types::SdkConfig;

use crate::row::{Row, RowError, number, text, time};
use crate::write::is_applied;
use crate::{DynamoRevocations, client};

const TABLE: Dependency = Dependency::BrowserSessions;

/// Browser sessions in a DynamoDB table with the key `id`.
pub struct DynamoBrowserSessions {
    client: Client,
    table: String,
}

impl DynamoBrowserSessions {
    /// The sessions in `table`, with the endpoint, region and credentials of `sdk`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, table: String) -> Self {
        Self {
            client: client(sdk),
            table,
        }
    }

    /// The sessions in `table`, over the connection of `revocations`.
    #[must_use]
    pub fn beside(revocations: &DynamoRevocations, table: String) -> Self {
        Self {
            client: revocations.client.clone(),
            table,
        }
    }

    fn put(&self, key: &RowKey, row: &SealedSession) -> PutItemFluentBuilder {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(attributes(key, row)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}

impl BrowserSessions for DynamoBrowserSessions {
    async fn find(&self, key: &RowKey) -> Result<Option<SealedSession>, AuthError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("id", text(key.as_str()))
            .consistent_read(true)
            .send()
            .in_span(TABLE)
            .await
            .map_err(aws_client::unavailable(TABLE))?;
        let row = answer.item.as_ref().map(sealed_session).transpose();
        row.map_err(|RowError| DenyReason::UnreadableRevocation.into())
    }

    async fn create(
        &self,
        key: &RowKey,
        row: &SealedSession,
        _: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let put = self.put(key, row);
        let put = put.condition_expression("attribute_not_exists(id)");
        if is_stored(put, row).await? {
            Ok(())
        } else {
            Err(TABLE.unavailable(Cause::Other))
        }
    }

    async fn replace(&self, key: &RowKey, row: &SealedSession) -> Result<bool, Unavailable> {
        let Some(before) = row.version.checked_sub(1) else {
            return Ok(false);
        };
        let put = self
            .put(key, row)
            .condition_expression("version = :before")
            .expression_attribute_values(":before", AttributeValue::N(before.to_string()));
        is_stored(put, row).await
    }

    async fn lease(
        &self,
        key: &RowKey,
        version: u64,
        lease: &Lease,
        now: UnixSeconds,
    ) -> Result<bool, Unavailable> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("id", text(key.as_str()))
            .update_expression("SET lease_holder = :holder, lease_until = :until")
            .condition_expression(
                "version = :version AND (attribute_not_exists(lease_until) \
                 OR lease_until <= :now OR lease_holder = :holder)",
            )
            .expression_attribute_values(":version", AttributeValue::N(version.to_string()))
            .expression_attribute_values(":holder", text(&lease.holder))
            .expression_attribute_values(":until", number(lease.until))
            .expression_attribute_values(":now", number(now));
        is_applied(update, TABLE).await
    }

    async fn delete(&self, key: &RowKey) -> Result<(), Unavailable> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .key("id", text(key.as_str()))
            .send()
            .in_span(TABLE)
            .await
            .map(drop)
            .map_err(aws_client::unavailable(TABLE))
    }
}

/// Sends a conditional write. `false` if its condition failed, unless the table has this very row: then the response to
/// an earlier attempt was lost.
async fn is_stored(put: PutItemFluentBuilder, row: &SealedSession) -> Result<bool, Unavailable> {
    match put.send().in_span(TABLE).await {
        Ok(_) => Ok(true),
        Err(error) => {
            let unavailable = TABLE.unavailable(aws_client::cause_of(&error));
            let error = error.into_service_error();
            let PutItemError::ConditionalCheckFailedException(refused) = error else {
                return Err(unavailable);
            };
            let known = refused.item.as_ref().map(sealed_session);
            Ok(matches!(known, Some(Ok(known)) if known == *row))
        }
    }
}

fn attributes(key: &RowKey, row: &SealedSession) -> Row {
    let version = AttributeValue::N(row.version.to_string());
    let sealed = AttributeValue::B(Blob::new(row.sealed.clone()));
    HashMap::from([
        ("id".to_owned(), text(key.as_str())),
        ("version".to_owned(), version),
        ("expires_at".to_owned(), number(row.expires_at)),
        ("key_id".to_owned(), text(&row.key_id)),
        ("sealed".to_owned(), sealed),
    ])
}

/// # Errors
/// Gatehouse did not write the row.
fn sealed_session(row: &Row) -> Result<SealedSession, RowError> {
    let value = |name: &str| row.get(name).ok_or(RowError);
    let version = value("version")?.as_n().map_err(|_| RowError)?;
    let sealed = value("sealed")?.as_b().map_err(|_| RowError)?;
    Ok(SealedSession {
        version: version.parse().map_err(|_| RowError)?,
        expires_at: time(row, "expires_at")?.ok_or(RowError)?,
        key_id: value("key_id")?.as_s().map_err(|_| RowError)?.clone(),
        sealed: sealed.as_ref().to_vec(),
    })
}
