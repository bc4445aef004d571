//! Ending sessions and users. Every write can be repeated and can come late: it never brings
//! back what another one ended.

use auth::revocation::{MARGIN_SECONDS, RowKey};
use auth::{Unavailable, UnixSeconds};
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::DynamoRevocations;
use crate::read::key_attributes;

/// Who ended something, why, and until when the mark is needed.
#[derive(Clone)]
pub struct Ending<'a> {
    /// A word for the operator: `logout`, `admin_disable`.
    pub reason: &'a str,
    /// The `sub` of whoever did it.
    pub actor: &'a str,
    /// When.
    pub at: UnixSeconds,
    /// Seconds that a refresh token of the session can live: for so long it could bring new
    /// tokens, and so long the mark has to stay.
    pub refresh_token_ttl_seconds: u64,
}

impl Ending<'_> {
    fn expires_at(&self, from: UnixSeconds) -> AttributeValue {
        number(
            from.plus(self.refresh_token_ttl_seconds)
                .plus(MARGIN_SECONDS),
        )
    }
}

impl DynamoRevocations {
    /// Ends one session or one token, whichever row `key` names.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the mark is certainly there.
    pub async fn end(&self, key: &RowKey, ending: &Ending<'_>) -> Result<(), Unavailable> {
        let update = self
            .update(key)
            .update_expression(
                "SET revoked_at = if_not_exists(revoked_at, :now), \
                 reason = if_not_exists(reason, :reason), \
                 actor = if_not_exists(actor, :actor), \
                 expires_at = :expires_at",
            )
            .condition_expression("attribute_not_exists(expires_at) OR expires_at < :expires_at")
            .expression_attribute_values(":now", number(ending.at))
            .expression_attribute_values(":reason", text(ending.reason))
            .expression_attribute_values(":actor", text(ending.actor))
            .expression_attribute_values(":expires_at", ending.expires_at(ending.at));
        applied(update).await
    }

    /// Ends all that this user authenticated up to `not_before`.
    ///
    /// Two updates, each monotone: the cutoff only rises, the expiry only grows. In this order a
    /// crash between them leaves a mark that stays too long, never one that goes too early.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the mark is certainly there.
    pub async fn end_user(
        &self,
        key: &RowKey,
        not_before: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let cutoff = self
            .update(key)
            .update_expression(
                "SET not_before = :not_before, reason = :reason, actor = :actor, \
                 updated_at = :now REMOVE except_session",
            )
            .condition_expression("attribute_not_exists(not_before) OR not_before < :not_before")
            .expression_attribute_values(":not_before", number(not_before))
            .expression_attribute_values(":reason", text(ending.reason))
            .expression_attribute_values(":actor", text(ending.actor))
            .expression_attribute_values(":now", number(ending.at));
        applied(cutoff).await?;
        let expiry = self
            .update(key)
            .update_expression("SET expires_at = :expires_at")
            .condition_expression(
                "attribute_not_exists(disabled) AND \
                 (attribute_not_exists(expires_at) OR expires_at < :expires_at)",
            )
            .expression_attribute_values(":expires_at", ending.expires_at(not_before));
        applied(expiry).await
    }

    fn update(&self, key: &RowKey) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key_attributes(key)))
    }
}

/// Sends an update. A condition that fails means that the row already says as much or more.
async fn applied(update: UpdateItemFluentBuilder) -> Result<(), Unavailable> {
    match update.send().await {
        Ok(_) => Ok(()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
        {
            Ok(())
        }
        Err(_) => Err(Unavailable::Revocations),
    }
}

fn number(time: UnixSeconds) -> AttributeValue {
    AttributeValue::N(time.0.to_string())
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}
