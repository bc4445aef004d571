//! Revokes sessions and users. Every write can be repeated and can arrive late: it never undoes
//! another revocation.

use auth::revocation::{MARGIN_SECONDS, RowKey};
use auth::{Unavailable, UnixSeconds};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use crate::DynamoRevocations;
use crate::read::key_attributes;
use crate::row::{Row, RowError};
use crate::user_row::{Act, After, DECISIVE, UserRow};

const RISES: &str = "attribute_not_exists(not_before) OR not_before < :not_before";
/// How often an update is tried against concurrent writers. A user's decisive attributes change a
/// few times a second at most.
const ROUNDS: usize = 8;

/// The actor and the reason of a revocation, and the time until which it is needed.
#[derive(Clone)]
pub struct Ending<'a> {
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

impl Ending<'_> {
    pub(crate) fn expires_at(&self, from: UnixSeconds) -> AttributeValue {
        number(from.plus(self.kept_seconds()))
    }

    pub(crate) fn kept_seconds(&self) -> u64 {
        self.refresh_token_ttl_seconds
            .saturating_add(MARGIN_SECONDS)
    }
}

impl DynamoRevocations {
    /// Revokes one session or one token, depending on `key`.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn end(&self, key: &RowKey, ending: &Ending<'_>) -> Result<(), Unavailable> {
        let update = self
            .recorded(key, ending)
            .update_expression(
                "SET revoked_at = if_not_exists(revoked_at, :now), \
                 reason = if_not_exists(reason, :reason), \
                 actor = if_not_exists(actor, :actor), \
                 expires_at = :expires_at",
            )
            // A revocation that an operator wrote without an expiry keeps none.
            .condition_expression("attribute_not_exists(pk) OR expires_at < :expires_at")
            .expression_attribute_values(":expires_at", ending.expires_at(ending.at));
        is_applied(update).await.map(drop)
    }

    /// Revokes everything that this user authenticated up to `not_before`, including a spared
    /// session.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn end_user(
        &self,
        key: &RowKey,
        not_before: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::EndAll(not_before);
        self.change(key, &act, ending).await.map(drop)
    }

    /// Revokes everything that this user authenticated up to `not_before`, but spares `session`,
    /// which was authenticated at `since`. `false` if that session has been revoked in the
    /// meantime: then nothing is written.
    ///
    /// The record of a password change made at Cognito revokes the spared session too.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the result is certain.
    pub async fn end_other_sessions(
        &self,
        key: &RowKey,
        not_before: UnixSeconds,
        (session, since): (&str, UnixSeconds),
        ending: &Ending<'_>,
    ) -> Result<bool, Unavailable> {
        let act = Act::EndOthers {
            not_before,
            session,
            since,
            changed_at: None,
        };
        self.change(key, &act, ending).await
    }

    /// The same for a password change at `changed_at` whose caller proved the old password to our
    /// own API: the CloudTrail record of this change, and no other, spares the session too.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the result is certain.
    pub async fn end_other_sessions_for_change(
        &self,
        key: &RowKey,
        (not_before, changed_at): (UnixSeconds, UnixSeconds),
        (session, since): (&str, UnixSeconds),
        ending: &Ending<'_>,
    ) -> Result<bool, Unavailable> {
        let act = Act::EndOthers {
            not_before,
            session,
            since,
            changed_at: Some(changed_at),
        };
        self.change(key, &act, ending).await
    }

    /// Revokes everything that this user authenticated before the password change at `at`, but for
    /// the session that [`Self::end_other_sessions_for_change`] spared for that very change. The
    /// two clocks' times of the change may differ by `tolerance` seconds.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn end_user_for_change(
        &self,
        key: &RowKey,
        at: UnixSeconds,
        tolerance: u64,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::PasswordChanged { at, tolerance };
        self.change(key, &act, ending).await.map(drop)
    }

    /// Refuses tokens issued to this user up to `at`. The sessions stay valid: a refresh brings a
    /// token that is accepted.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn outdate_tokens(
        &self,
        key: &RowKey,
        at: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::Outdate(at);
        self.change(key, &act, ending).await.map(drop)
    }

    /// Disables a user at `at` and revokes everything authenticated until then. The later of
    /// disable and enable wins, in any order of arrival; within one second, disable wins.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn disable_user(
        &self,
        key: &RowKey,
        at: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::Disable(at);
        self.change(key, &act, ending).await.map(drop)
    }

    /// The same for a deleted user, whose row is kept only for the lifetime of a refresh token and
    /// a day.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn delete_user(
        &self,
        key: &RowKey,
        at: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::Delete(at);
        self.change(key, &act, ending).await.map(drop)
    }

    /// Lets a user who was disabled before `at` sign in again. Earlier revocations stay in force.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the result is certain.
    pub async fn enable_user(
        &self,
        key: &RowKey,
        at: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::Enable(at);
        self.change(key, &act, ending).await.map(drop)
    }

    /// Applies an act to a user's row by one update, on the condition that the row is unchanged
    /// since it was read; a failed condition returns the present row. So a crash leaves all of an
    /// act or nothing. `false` if the session to spare has been revoked.
    async fn change(
        &self,
        key: &RowKey,
        act: &Act<'_>,
        ending: &Ending<'_>,
    ) -> Result<bool, Unavailable> {
        // Most users have no row: the first attempt needs no read, and no permission to read.
        let mut row = Row::new();
        for _ in 0..ROUNDS {
            let said = UserRow::read(&row).map_err(|RowError| Unavailable::Revocations)?;
            let new = match said.after(act, ending.at, ending.kept_seconds()) {
                After::Same => return Ok(true),
                After::TooLate => return Ok(false),
                After::Changed(new) => new,
            };
            let update = self.replacing(key, &row, &new);
            match try_update(recorded(update, act, &new, ending)).await? {
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

    /// Revokes everything issued to an app client, or by the whole issuer, up to `not_before`,
    /// depending on `key`. These rows are few and do not expire.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless DynamoDB confirmed the write.
    pub async fn end_all_of(
        &self,
        key: &RowKey,
        not_before: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let cutoff = self
            .recorded(key, ending)
            .update_expression(
                "SET not_before = :not_before, reason = :reason, actor = :actor, \
                 updated_at = :now",
            )
            .condition_expression(RISES)
            .expression_attribute_values(":not_before", number(not_before));
        is_applied(cutoff).await.map(drop)
    }

    /// An update that records actor, time and reason.
    fn recorded(&self, key: &RowKey, ending: &Ending<'_>) -> UpdateItemFluentBuilder {
        self.update(key)
            .expression_attribute_values(":reason", text(ending.reason))
            .expression_attribute_values(":actor", text(ending.actor))
            .expression_attribute_values(":now", number(ending.at))
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
    ending: &Ending<'_>,
) -> UpdateItemFluentBuilder {
    parts.set("reason", text(ending.reason));
    parts.set("actor", text(ending.actor));
    parts.set("updated_at", number(ending.at));
    match act {
        Act::Disable(_) | Act::Delete(_) if new.disabled => {
            parts.set("disabled_by", text(ending.actor))
        }
        Act::Enable(_) => parts.set("enabled_by", text(ending.actor)),
        Act::Disable(_)
        | Act::Delete(_)
        | Act::EndAll(_)
        | Act::EndOthers { .. }
        | Act::PasswordChanged { .. }
        | Act::Outdate(_) => {}
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
