//! Revokes sessions and users. Every write can be repeated and can arrive late: it never undoes
//! another revocation.

use auth::user_state::{Act, After, UserState};
use auth::{
    Cause, ClientRef, Dependency, GroupRef, IssuerRef, RevocationContext, RevocationWriter,
    SessionRef, TokenRef, Unavailable, UnixSeconds, UserRef,
};
use aws_client::Call;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use crate::DynamoRevocations;
use crate::key::{RowKey, key_attributes};
use crate::row::{GroupScope, Row, RowError, number, text};
use crate::table_clock::TableClock;
use crate::user_row::{self, DECISIVE};

const RISES: &str = "attribute_not_exists(not_before) OR not_before < :not_before";
/// How often an update is tried against concurrent writers. A user's decisive attributes change a
/// few times a second at most.
const ROUNDS: usize = 8;
/// Seconds for which a call is stored: longer than EventBridge and a queue hold its record (1 + 4
/// days).
const CALL_KEPT_SECONDS: u64 = 6 * 24 * 60 * 60;

impl RevocationWriter for DynamoRevocations {
    // One update, on the condition that the row is unchanged since it was read; a failed condition returns the
    // present row. So a crash leaves all of an act or nothing.
    async fn change_user(
        &self,
        user: &UserRef<'_>,
        act: &Act<'_>,
        context: &RevocationContext<'_>,
    ) -> Result<bool, Unavailable> {
        let key = RowKey::from(user);
        let clock = TableClock::of(context);
        let (mut act, mut is_corrected) = (act.clone(), false);
        // Most users have no row: the first attempt needs no read, and no permission to read.
        let mut row = Row::new();
        for _ in 0..ROUNDS {
            let said = user_row::read_as_active(&row)
                .map_err(|RowError| Dependency::Revocations.unavailable(Cause::Invalid))?;
            let new = match said.after(&act, context.at, context.kept_seconds()) {
                // DynamoDB may read an expiry that is unreadable here, and delete the row.
                After::Same if user_row::has_unread_expiry(&row, &said) => said,
                After::Same => return Ok(true),
                After::TooLate => return Ok(false),
                After::Changed(new) => new,
            };
            let update = self.replacing(&key, &row, &new);
            let attempt = try_update(recorded(update, &act, &new, context), &clock).await?;
            let behind = if is_corrected {
                0
            } else {
                clock.behind(act.at())
            };
            if behind > 0 {
                act = act.later(behind);
                is_corrected = true;
            }
            row = match attempt {
                Attempt::Applied if behind == 0 => return Ok(true),
                Attempt::Applied => Row::new(),
                Attempt::Refused(now) => now,
            };
        }
        // Other writers were faster each time.
        Err(Dependency::Revocations.unavailable(Cause::Throttled))
    }

    async fn revoke_session(
        &self,
        session: &SessionRef<'_>,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        self.revoke(&session.into(), context).await
    }

    async fn revoke_token(
        &self,
        token: &TokenRef<'_>,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        self.revoke(&token.into(), context).await
    }

    async fn revoke_client(
        &self,
        client: &ClientRef<'_>,
        not_before: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        self.raise_not_before(&client.into(), not_before, context)
            .await
    }

    async fn revoke_issuer(
        &self,
        issuer: &IssuerRef<'_>,
        not_before: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        self.raise_not_before(&issuer.into(), not_before, context)
            .await
    }

    async fn require_refresh_of_group(
        &self,
        group: &GroupRef<'_>,
        at: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        self.revoke_group(group, GroupScope::Tokens, at, context)
            .await
    }

    async fn revoke_group_sessions(
        &self,
        group: &GroupRef<'_>,
        at: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        self.revoke_group(group, GroupScope::Sessions, at, context)
            .await
    }

    async fn note_call(
        &self,
        issuer_id: &str,
        request_id: &str,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let update = self
            .update(&RowKey::call(issuer_id, request_id))
            .update_expression("SET expires_at = :expires_at")
            .expression_attribute_values(":expires_at", number(now.plus(CALL_KEPT_SECONDS)));
        is_applied(update, Dependency::Revocations).await.map(drop)
    }
}

impl DynamoRevocations {
    async fn revoke(
        &self,
        key: &RowKey,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let clock = TableClock::of(context);
        let keep = |expires_at: UnixSeconds| {
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
                .expression_attribute_values(":expires_at", number(expires_at));
            is_applied_by(update, &clock)
        };
        let expires_at = context.at.plus(context.kept_seconds());
        keep(expires_at).await?;
        match clock.behind(context.at) {
            0 => Ok(()),
            behind => keep(expires_at.plus(behind)).await.map(drop),
        }
    }

    /// An update of the decisive attributes from `row` to `new`, without the start of its
    /// expression.
    fn replacing(&self, key: &RowKey, row: &Row, new: &UserState) -> Replacing {
        let mut parts = Replacing {
            update: self.update(key),
            set: Vec::new(),
            remove: Vec::new(),
        };
        let mut conditions = Vec::new();
        for name in DECISIVE {
            let (old, new) = (row.get(name), user_row::attribute(new, name));
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

    /// Raises the `not_before` of a row that does not expire, and keeps a later one.
    async fn raise_not_before(
        &self,
        key: &RowKey,
        not_before: UnixSeconds,
        context: &RevocationContext<'_>,
    ) -> Result<(), Unavailable> {
        let clock = TableClock::of(context);
        let raise = |not_before| {
            let update = self
                .recorded(key, context)
                .update_expression(
                    "SET not_before = :not_before, reason = :reason, actor = :actor, \
                     updated_at = :now REMOVE expires_at",
                )
                .condition_expression(RISES)
                .expression_attribute_values(":not_before", number(not_before));
            is_applied_by(update, &clock)
        };
        if !raise(not_before).await? {
            self.keep_for_good(key).await?;
        }
        match clock.behind(not_before) {
            0 => Ok(()),
            behind => raise(not_before.plus(behind)).await.map(drop),
        }
    }

    /// Removes the expiry of a row that revokes enough already: with it, the revocation would end.
    pub(crate) async fn keep_for_good(&self, key: &RowKey) -> Result<(), Unavailable> {
        let update = self
            .update(key)
            .update_expression("REMOVE expires_at")
            .condition_expression("attribute_exists(expires_at)");
        is_applied(update, Dependency::Revocations).await.map(drop)
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
    new: &UserState,
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

async fn try_update(
    update: UpdateItemFluentBuilder,
    clock: &TableClock,
) -> Result<Attempt, Unavailable> {
    let wanted = ReturnValuesOnConditionCheckFailure::AllOld;
    let update = update.return_values_on_condition_check_failure(wanted);
    let update = update.customize().interceptor(clock.date());
    match update.send().in_span(Dependency::Revocations).await {
        Ok(_) => Ok(Attempt::Applied),
        Err(error) => {
            let unavailable = Dependency::Revocations.unavailable(aws_client::cause_of(&error));
            let error = error.into_service_error();
            if let UpdateItemError::ConditionalCheckFailedException(refused) = error {
                Ok(Attempt::Refused(refused.item.unwrap_or_default()))
            } else {
                Err(unavailable)
            }
        }
    }
}

/// Sends an update to the table of `dependency`. `false` if its condition failed: mostly, the row
/// already contains the change.
pub(crate) async fn is_applied(
    update: UpdateItemFluentBuilder,
    dependency: Dependency,
) -> Result<bool, Unavailable> {
    applied(update.send().in_span(dependency).await, dependency)
}

/// The same for a revocation, with the time of the table's response.
pub(crate) async fn is_applied_by(
    update: UpdateItemFluentBuilder,
    clock: &TableClock,
) -> Result<bool, Unavailable> {
    let update = update.customize().interceptor(clock.date());
    let sent = update.send().in_span(Dependency::Revocations).await;
    applied(sent, Dependency::Revocations)
}

fn applied<T>(
    sent: Result<T, SdkError<UpdateItemError>>,
    dependency: Dependency,
) -> Result<bool, Unavailable> {
    match sent {
        Ok(_) => Ok(true),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
        {
            Ok(false)
        }
        Err(error) => Err(aws_client::unavailable(dependency)(error)),
    }
}
