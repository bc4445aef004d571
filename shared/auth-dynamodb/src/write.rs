//! Ending sessions and users. Every write can be repeated and can come late: it never brings
//! back what another one ended.

use auth::revocation::{MARGIN_SECONDS, RowKey};
use auth::{Unavailable, UnixSeconds};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use crate::DynamoRevocations;
use crate::read::key_attributes;
use crate::row::{Row, Unreadable};
use crate::user_row::{Act, After, DECISIVE, UserRow};

const RISES: &str = "attribute_not_exists(not_before) OR not_before < :not_before";
/// How often an update is tried against writers that were faster. A user's decisive attributes
/// change a few times a second at most.
const ROUNDS: usize = 8;

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
        number(from.plus(self.kept_seconds()))
    }

    pub(crate) fn kept_seconds(&self) -> u64 {
        self.refresh_token_ttl_seconds
            .saturating_add(MARGIN_SECONDS)
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
            // A mark that was made by hand without an end keeps having none.
            .condition_expression("attribute_not_exists(pk) OR expires_at < :expires_at")
            .expression_attribute_values(":expires_at", ending.expires_at(ending.at));
        is_applied(update).await.map(drop)
    }

    /// Ends all that this user authenticated up to `not_before`, a spared session included.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the mark is certainly there.
    pub async fn end_user(
        &self,
        key: &RowKey,
        not_before: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::EndAll(not_before);
        self.change(key, &act, ending).await.map(drop)
    }

    /// Ends all that this user authenticated up to `not_before`, but spares `session`, which was
    /// authenticated at `since`. `false` if that session has been ended itself meanwhile: then
    /// nothing is written.
    ///
    /// A password change that somebody makes at Cognito ends the spared session all the same.
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
        let act = Act::EndOthers {
            not_before,
            session,
            since,
            changed_at: None,
        };
        self.change(key, &act, ending).await
    }

    /// The same for a password that was changed at `changed_at` by whoever proved the old one to
    /// our own API: the event that tells of this change, and no other, spares the session too.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless it is certain.
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

    /// Ends all that this user authenticated until the password was changed at `at`, but for the
    /// session that [`Self::end_other_sessions_for_change`] spared for that very change, by whose
    /// clock it may have been `tolerance` seconds earlier or later.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the mark is certainly there.
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
        let act = Act::Outdate(at);
        self.change(key, &act, ending).await.map(drop)
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
        let act = Act::Disable(at);
        self.change(key, &act, ending).await.map(drop)
    }

    /// The same for a user who has been deleted, whose row is kept only for as long as a refresh token
    /// would have lived, and a day.
    ///
    /// # Errors
    /// [`Unavailable::Revocations`] unless the marks are certainly there.
    pub async fn delete_user(
        &self,
        key: &RowKey,
        at: UnixSeconds,
        ending: &Ending<'_>,
    ) -> Result<(), Unavailable> {
        let act = Act::Delete(at);
        self.change(key, &act, ending).await.map(drop)
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
        let act = Act::Enable(at);
        self.change(key, &act, ending).await.map(drop)
    }

    /// Carries out an act on a user's row by one update, whose condition is that the row is still
    /// what the act was judged by; the answer to one that isn't brings the row as it is. So a crash
    /// leaves all of an act or nothing. `false` if a session was to be spared that is over.
    async fn change(
        &self,
        key: &RowKey,
        act: &Act<'_>,
        ending: &Ending<'_>,
    ) -> Result<bool, Unavailable> {
        // Most users have no row: the first guess costs no read, and no permission to read.
        let mut row = Row::new();
        for _ in 0..ROUNDS {
            let said = UserRow::read(&row).map_err(|Unreadable| Unavailable::Revocations)?;
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

    /// An update of the decisive attributes from `row` to `new`, without its expression's begin.
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
            .recorded(key, ending)
            .update_expression(
                "SET not_before = :not_before, reason = :reason, actor = :actor, \
                 updated_at = :now",
            )
            .condition_expression(RISES)
            .expression_attribute_values(":not_before", number(not_before));
        is_applied(cutoff).await.map(drop)
    }

    /// An update that says who did it, when and why.
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

/// An update in the making.
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

/// Adds who did it, when and why. Who disabled a user and who enabled them last outlive later acts.
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

/// What became of an update.
enum Attempt {
    Applied,
    /// Its condition doesn't hold: this is the row, an empty one if there is none.
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
