//! Revokes sessions and users. Every write can be repeated and can arrive late: it never undoes
//! another revocation.

use auth::{
    ClientRef, IssuerRef, REVOCATION_MARGIN_SECONDS, SessionRef, TokenRef, Unavailable,
    UnixSeconds, UserRef,
};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use crate::DynamoRevocations;
use crate::key::RowKey;
use crate::read::key_attributes;
use crate::row::{Row, RowError};
use crate::user_row::{Act, After, DECISIVE, OtherSessions, PasswordChange, UserRow};

const RISES: &str = "attribute_not_exists(not_before) OR not_before < :not_before";
/// How often an update is tried against concurrent writers. A user's decisive attributes change a
/// few times a second at most.
const ROUNDS: usize = 8;

/// The actor and the reason of a revocation, and the time until which it is needed.
#[derive(Clone)]
pub struct RevocationContext<'a> {
    /// The reason, for the operator: `logout`, `admin_disable`.
    pub reason: &'a str,
    /// The actor's `sub`.
    pub actor: &'a str,
    /// The time of the revocation.
    pub at: UnixSeconds,
    /// The lifetime in seconds of the session's refresh token: it could bring new tokens for so
    /// long, so the revocation must be kept for so long.
    pub refresh_token_ttl_seconds: u64,
}

impl RevocationContext<'_> {
    pub(crate) fn expires_at(&self, from: UnixSeconds) -> AttributeValue {
        number(from.plus(self.kept_seconds()))
    }

    pub(crate) fn kept_seconds(&self) -> u64 {
        self.refresh_token_ttl_seconds
            .saturating_add(REVOCATION_MARGIN_SECONDS)
    }
}

impl DynamoRevocations {
    /// Revokes one session.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn revoke_session(
        &self,
        session: &SessionRef<'_>,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        self.revoke(&session.into(), context).await
    }

    /// Revokes one token, or an API key.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn revoke_token(
        &self,
        token: &TokenRef<'_>,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        self.revoke(&token.into(), context).await
    }

    async fn revoke(
        &self,
        key: &RowKey,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let update = self
            .recorded(key, context)
            .update_expression(
                "SET revoked_at = if_not_exists(revoked_at, :now), \
                 reason = if_not_exists(reason, :reason), \
                 actor = if_not_exists(actor, :actor), \
                 expires_at = :expires_at",
            )
            // A revocation that an operator wrote without an expiry keeps none.
            .condition_expression("attribute_not_exists(pk) OR expires_at < :expires_at")
            .expression_attribute_values(":expires_at", context.expires_at(context.at));
        is_applied(update).await.map(drop)
    }

    /// Revokes everything that this user authenticated up to `not_before`, including a kept
    /// session.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn revoke_user_sessions(
        &self,
        user: &UserRef<'_>,
        not_before: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::RevokeAll(not_before);
        self.change(user, &act, context).await.map(drop)
    }

    /// Revokes everything that this user authenticated up to a time, but keeps one session.
    /// `false` if that session has been revoked in the meantime: then nothing is written.
    ///
    /// The record of a password change made at Cognito revokes the kept session too, unless
    /// [`OtherSessions::password_changed_at`] is the time of that change.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the result is certain.
    pub async fn revoke_other_sessions(
        &self,
        user: &UserRef<'_>,
        others: &OtherSessions<'_>,
        context: &RevocationContext<'_>,
    ) -> Result<bool, Unavailable> {
        let act = Act::RevokeOthers(*others);
        self.change(user, &act, context).await
    }

    /// Revokes everything that this user authenticated before a password change, but for the
    /// session that [`Self::revoke_other_sessions`] kept for that very change.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn revoke_sessions_before_password_change(
        &self,
        user: &UserRef<'_>,
        change: &PasswordChange,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::PasswordChanged(*change);
        self.change(user, &act, context).await.map(drop)
    }

    /// Refuses tokens issued to this user up to `at`. The sessions stay valid: a refresh brings a
    /// token that is accepted.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn require_refresh(
        &self,
        user: &UserRef<'_>,
        at: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::RequireRefresh(at);
        self.change(user, &act, context).await.map(drop)
    }

    /// Disables a user at `at` and revokes everything authenticated until then. The later of
    /// disable and enable wins, in any order of arrival; within one second, disable wins.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn disable_user(
        &self,
        user: &UserRef<'_>,
        at: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::Disable(at);
        self.change(user, &act, context).await.map(drop)
    }

    /// The same for a deleted user, whose row is kept only for the lifetime of a refresh token and
    /// a day.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn delete_user(
        &self,
        user: &UserRef<'_>,
        at: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::Delete(at);
        self.change(user, &act, context).await.map(drop)
    }

    /// Lets a user who was disabled before `at` sign in again. Earlier revocations stay in force.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the result is certain.
    pub async fn enable_user(
        &self,
        user: &UserRef<'_>,
        at: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::Enable(at);
        self.change(user, &act, context).await.map(drop)
    }

    /// Applies an act to a user's row by one update, on the condition that the row is unchanged
    /// since it was read; a failed condition returns the present row. So a crash leaves all of an
    /// act or nothing. `false` if the session to keep has been revoked.
    async fn change(
        &self,
        user: &UserRef<'_>,
        act: &Act<'_>,
        context: &RevocationContext<'_>,
    ) -> Result<bool, Unavailable> {
        let key = RowKey::from(user);
        // Most users have no row: the first attempt needs no read, and no permission to read.
        let mut row = Row::new();
        for _ in 0..ROUNDS {
            let said = UserRow::read(&row).map_err(|RowError| Unavailable::Revocations)?;
            let new = match said.after(act, context.at, context.kept_seconds()) {
                After::Same => return Ok(true),
                After::TooLate => return Ok(false),
                After::Changed(new) => new,
            };
            let update = self.replacing(&key, &row, &new);
            match try_update(recorded(update, act, &new, context)).await? {
                Attempt::Applied => return Ok(true),
                Attempt::Refused(now) => row = now,
            }
        }
        Err(Unavailable::Revocations)
    }

    /// An update of the decisive attributes from `row` to `new`, without the start of its
    /// expression.
    fn replacing(&self, key: &RowKey, row: &Row, new: &UserRow) -> Replacing {
        let mut parts = Replacing {
            update: self.update(key),
            set: Vec::new(),
            remove: Vec::new(),
        };
        let mut conditions = Vec::new();
        for name in DECISIVE {
            let (old, new) = (row.get(name), new.attribute(name));
            match old {
                None => conditions.push(format!("attribute_not_exists({name})")),
                Some(old) => {
                    conditions.push(format!("{name} = :old_{name}"));
                    let value = format!(":old_{name}");
                    parts.update = parts.update.expression_attribute_values(value, old.clone());
                }
            }
            match new {
                Some(new) if Some(&new) != old => parts.set(name, new),
                None if old.is_some() => parts.remove.push(name),
                Some(_) | None => {}
            }
        }
        parts.update = parts.update.condition_expression(conditions.join(" AND "));
        parts
    }

    /// Revokes everything issued to an app client up to `not_before`. These rows are few and do not
    /// expire.
    ///
    /// ```no_run
    /// use auth::{ClientRef, UnixSeconds};
    /// # use auth_dynamodb::{DynamoRevocations, RevocationContext};
    /// # async fn revoke(store: &DynamoRevocations, context: &RevocationContext<'_>) {
    /// let client = ClientRef { issuer: "us-east-1_Ab1", client_id: "c-1" };
    /// let _ = store.revoke_client(&client, UnixSeconds(0), context).await;
    /// # }
    /// ```
    ///
    /// A user's function does not accept a client:
    ///
    /// ```compile_fail,E0308
    /// use auth::{ClientRef, UnixSeconds};
    /// # use auth_dynamodb::{DynamoRevocations, RevocationContext};
    /// # async fn revoke(store: &DynamoRevocations, context: &RevocationContext<'_>) {
    /// let client = ClientRef { issuer: "us-east-1_Ab1", client_id: "c-1" };
    /// let _ = store.revoke_user_sessions(&client, UnixSeconds(0), context).await;
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn revoke_client(
        &self,
        client: &ClientRef<'_>,
        not_before: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        self.raise_not_before(&client.into(), not_before, context)
            .await
    }

    /// Revokes everything that the issuer issued up to `not_before`. This row does not expire.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn revoke_issuer(
        &self,
        issuer: &IssuerRef<'_>,
        not_before: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        self.raise_not_before(&issuer.into(), not_before, context)
            .await
    }

    async fn raise_not_before(
        &self,
        key: &RowKey,
        not_before: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let update = self
            .recorded(key, context)
            .update_expression(
                "SET not_before = :not_before, reason = :reason, actor = :actor, \
                 updated_at = :now",
            )
            .condition_expression(RISES)
            .expression_attribute_values(":not_before", number(not_before));
        is_applied(update).await.map(drop)
    }

    /// An update that records actor, time and reason.
    fn recorded(&self, key: &RowKey, context: &RevocationContext<'_>) -> UpdateItemFluentBuilder {
        self.update(key)
            .expression_attribute_values(":reason", text(context.reason))
            .expression_attribute_values(":actor", text(context.actor))
            .expression_attribute_values(":now", number(context.at))
    }

    pub(crate) fn update(&self, key: &RowKey) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key_attributes(key)))
    }
}

/// An update under construction.
struct Replacing {
    update: UpdateItemFluentBuilder,
    set: Vec<String>,
    remove: Vec<&'static str>,
}

impl Replacing {
    fn set(&mut self, name: &str, value: AttributeValue) {
        self.set.push(format!("{name} = :{name}"));
        let update = self.update.clone();
        self.update = update.expression_attribute_values(format!(":{name}"), value);
    }
}

/// Adds actor, time and reason. The actors of the last disabling and enabling outlive later acts.
fn recorded(
    mut parts: Replacing,
    act: &Act<'_>,
    new: &UserRow,
    context: &RevocationContext<'_>,
) -> UpdateItemFluentBuilder {
    parts.set("reason", text(context.reason));
    parts.set("actor", text(context.actor));
    parts.set("updated_at", number(context.at));
    match act {
        Act::Disable(_) | Act::Delete(_) if new.disabled => {
            parts.set("disabled_by", text(context.actor))
        }
        Act::Enable(_) => parts.set("enabled_by", text(context.actor)),
        Act::Disable(_)
        | Act::Delete(_)
        | Act::RevokeAll(_)
        | Act::RevokeOthers(_)
        | Act::PasswordChanged(_)
        | Act::RequireRefresh(_) => {}
    }
    let set = format!("SET {}", parts.set.join(", "));
    let expression = if parts.remove.is_empty() {
        set
    } else {
        format!("{set} REMOVE {}", parts.remove.join(", "))
    };
    parts.update.update_expression(expression)
}

/// The result of an update.
enum Attempt {
    Applied,
    /// Its condition failed: this is the present row, empty if there is no row.
    Refused(Row),
}

async fn try_update(update: UpdateItemFluentBuilder) -> Result<Attempt, Unavailable> {
    let wanted = ReturnValuesOnConditionCheckFailure::AllOld;
    let update = update.return_values_on_condition_check_failure(wanted);
    match update.send().await {
        Ok(_) => Ok(Attempt::Applied),
        Err(error) => {
            let error = error.into_service_error();
            if let UpdateItemError::ConditionalCheckFailedException(refused) = error {
                Ok(Attempt::Refused(refused.item.unwrap_or_default()))
            } else {
                Err(Unavailable::Revocations)
            }
        }
    }
}

/// Sends an update. `false` if its condition failed: mostly, the row already contains the change.
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
