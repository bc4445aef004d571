//! Ending sessions and users. Every write can be repeated and can come late: it never brings
//! back what another one ended.

use auth::revocation::{MARGIN_SECONDS, RowKey};
use auth::{Unavailable, UnixSeconds};
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::DynamoRevocations;
use crate::read::key_attributes;

const SET_CUTOFF: &str =
    "SET not_before = :not_before, reason = :reason, actor = :actor, updated_at = :now";
const RISES: &str = "attribute_not_exists(not_before) OR not_before < :not_before";
const EXCEPTION: &str = "except_session, except_since";

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
    pub(crate) fn expires_at(&self, from: UnixSeconds) -> AttributeValue {
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
            .recorded(key, ending)
            .update_expression(
                "SET revoked_at = if_not_exists(revoked_at, :now), \
                 reason = if_not_exists(reason, :reason), \
                 actor = if_not_exists(actor, :actor), \
                 expires_at = :expires_at",
            )
            .condition_expression("attribute_not_exists(expires_at) OR expires_at < :expires_at")
            .expression_attribute_values(":expires_at", ending.expires_at(ending.at));
        is_applied(update).await.map(drop)
    }

    /// Ends all that this user authenticated up to `not_before`, a spared session included.
    ///
    /// Updates that are each monotone: the cutoff only rises, the expiry only grows. In this order
    /// a crash between them leaves a mark that stays too long, never one that goes too early.
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
            .cutoff(key, not_before, ending)
            .update_expression(format!("{SET_CUTOFF} REMOVE {EXCEPTION}"))
            .condition_expression(RISES);
        if !is_applied(cutoff).await? {
            // A later cutoff is there already. The session that it spares falls under this one.
            let exception = self
                .update(key)
                .update_expression(format!("REMOVE {EXCEPTION}"))
                .condition_expression("except_since <= :not_before")
                .expression_attribute_values(":not_before", number(not_before));
            is_applied(exception).await?;
        }
        self.keep(key, not_before, ending).await
    }

    /// Ends all that this user authenticated up to `not_before`, but spares `session`, which was
    /// authenticated at `since`. `false` if that session has been ended itself meanwhile: then
    /// nothing is written.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless it is certain.
    pub async fn end_other_sessions(
        &self,
        key: &RowKey,
        not_before: UnixSeconds,
        (session, since): (&str, UnixSeconds),
        ending: &Ending<'_>,
    ) -> Result<bool, Unavailable> {
        let cutoff = self
            .cutoff(key, not_before, ending)
            .update_expression(format!(
                "{SET_CUTOFF}, except_session = :session, except_since = :since"
            ))
            // Sparing a session must not bring it back.
            .condition_expression(
                "attribute_not_exists(not_before) OR not_before < :since OR \
                 (except_session = :session AND not_before <= :not_before)",
            )
            .expression_attribute_values(":session", text(session))
            .expression_attribute_values(":since", number(since));
        if !is_applied(cutoff).await? {
            return Ok(false);
        }
        self.keep(key, not_before, ending).await?;
        Ok(true)
    }

    /// Ends all that this user authenticated up to `not_before`, unless a cutoff no more than
    /// `tolerance` seconds older says so already, be it with a spared session: an event that tells
    /// of a password change must not undo the exception which that very change made.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the mark is certainly there.
    pub async fn end_user_unless_covered(
        &self,
        key: &RowKey,
        not_before: UnixSeconds,
        tolerance: u64,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let covered = UnixSeconds(not_before.0.saturating_sub(tolerance));
        let cutoff = self
            .cutoff(key, not_before, ending)
            .update_expression(format!("{SET_CUTOFF} REMOVE {EXCEPTION}"))
            .condition_expression(
                "(attribute_not_exists(except_session) AND \
                  (attribute_not_exists(not_before) OR not_before < :not_before)) OR \
                 (attribute_exists(except_session) AND not_before < :covered)",
            )
            .expression_attribute_values(":covered", number(covered));
        is_applied(cutoff).await?;
        self.keep(key, not_before, ending).await
    }

    /// Refuses whatever was issued to this user up to `at`. Their sessions go on: a refresh brings
    /// a token that passes.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the mark is certainly there.
    pub async fn outdate_tokens(
        &self,
        key: &RowKey,
        at: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let mark = self
            .recorded(key, ending)
            .update_expression(
                "SET tokens_not_before = :at, reason = :reason, actor = :actor, updated_at = :now",
            )
            .condition_expression(
                "attribute_not_exists(tokens_not_before) OR tokens_not_before < :at",
            )
            .expression_attribute_values(":at", number(at));
        is_applied(mark).await?;
        self.keep(key, at, ending).await
    }

    /// Disables a user as of `at` and ends all that they authenticated until then. An enabling
    /// that is later, wherever it comes in, counts more; one of the same second counts less.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the marks are certainly there.
    pub async fn disable_user(
        &self,
        key: &RowKey,
        at: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let disabled = self
            .recorded(key, ending)
            .update_expression(
                "SET disabled = :true, status_at = :at, reason = :reason, actor = :actor, \
                 updated_at = :now REMOVE expires_at",
            )
            .condition_expression("attribute_not_exists(status_at) OR status_at <= :at")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":at", number(at));
        is_applied(disabled).await?;
        self.end_user(key, at, ending).await
    }

    /// Lets a user who was disabled before `at` sign in again. What was ended stays ended.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless it is certain.
    pub async fn enable_user(
        &self,
        key: &RowKey,
        at: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let enabled = self
            .update(key)
            .update_expression(
                "SET status_at = :at, updated_at = :now, expires_at = :expires_at REMOVE disabled",
            )
            .condition_expression("attribute_not_exists(status_at) OR status_at < :at")
            .expression_attribute_values(":at", number(at))
            .expression_attribute_values(":now", number(ending.at))
            .expression_attribute_values(":expires_at", ending.expires_at(ending.at.max(at)));
        is_applied(enabled).await.map(drop)
    }

    /// Ends all that an app client, or the whole issuer, got up to `not_before`: whichever row
    /// `key` names. These rows are few and don't run out.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the mark is certainly there.
    pub async fn end_all_of(
        &self,
        key: &RowKey,
        not_before: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let cutoff = self
            .cutoff(key, not_before, ending)
            .update_expression(SET_CUTOFF)
            .condition_expression(RISES);
        is_applied(cutoff).await.map(drop)
    }

    fn cutoff(
        &self,
        key: &RowKey,
        not_before: UnixSeconds,
        ending: &Ending<'_>,
    ) -> UpdateItemFluentBuilder {
        self.recorded(key, ending)
            .expression_attribute_values(":not_before", number(not_before))
    }

    /// An update that says who did it, when and why.
    fn recorded(&self, key: &RowKey, ending: &Ending<'_>) -> UpdateItemFluentBuilder {
        self.update(key)
            .expression_attribute_values(":reason", text(ending.reason))
            .expression_attribute_values(":actor", text(ending.actor))
            .expression_attribute_values(":now", number(ending.at))
    }

    /// Lets a user's row live as long as what it has to stop.
    async fn keep(
        &self,
        key: &RowKey,
        not_before: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let expiry = self
            .update(key)
            .update_expression("SET expires_at = :expires_at")
            .condition_expression(
                "attribute_not_exists(disabled) AND \
                 (attribute_not_exists(expires_at) OR expires_at < :expires_at)",
            )
            .expression_attribute_values(":expires_at", ending.expires_at(not_before));
        is_applied(expiry).await.map(drop)
    }

    pub(crate) fn update(&self, key: &RowKey) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key_attributes(key)))
    }
}

/// Sends an update. `false` if its condition doesn't hold: mostly, the row says as much or more.
pub(crate) async fn is_applied(update: UpdateItemFluentBuilder) -> Result<bool, Unavailable> {
    match update.send().await {
        Ok(_) => Ok(true),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
        {
            Ok(false)
        }
        Err(_) => Err(Unavailable::Revocations),
    }
}

pub(crate) fn number(time: UnixSeconds) -> AttributeValue {
    AttributeValue::N(time.0.to_string())
}

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}
