//! What is done about one record.

use auth::{OwnCalls, RevocationWriter, Unavailable, UnixSeconds};
use auth_dynamodb::Status;
use runtime::Audit;

use crate::UserEvents;
use crate::action::{Action, Effect, Kind};
use crate::outcome::{EventError, Ignored, Outcome};
use crate::record::Record;
use crate::topic::{self, Target};

impl<R: RevocationWriter + OwnCalls> UserEvents<R> {
    pub(crate) async fn apply(&self, json: &str, now: UnixSeconds) -> Result<Outcome, EventError> {
        let record: Record = serde_json::from_str(json).map_err(|_| EventError::Unreadable)?;
        if let Some(why) = record.is_foreign(&self.origin) {
            return Ok(Outcome::Ignored(why));
        }
        if record.is_heartbeat() {
            return Ok(Outcome::Ignored(Ignored::Heartbeat));
        }
        let Some(action) = Action::of(record.event_name()) else {
            return Ok(Outcome::Ignored(Ignored::NothingToDo));
        };
        let by_groups = matches!(
            action.effect,
            Effect::RequireRefreshForGroups | Effect::RequireRefreshOfGroup
        );
        if by_groups && !self.outdate_on_group_change {
            return Ok(Outcome::Ignored(Ignored::NothingToDo));
        }
        let is_unsigned = record.event_name() == "RevokeToken";
        if is_unsigned && self.is_own_call(&record).await? {
            return Ok(Outcome::Ignored(Ignored::OwnCall));
        }
        let target = match self.target(&action, &record).await {
            // Every holder of a refresh token can make this call, and the revoked session cannot be
            // refreshed: no alarm.
            Err(EventError::NoSubject) if is_unsigned => {
                return Ok(Outcome::Ignored(Ignored::NoSubject));
            }
            target => target?,
        };
        if action.about() == Kind::User && !record.names_pool() && !self.knows(&target, now).await?
        {
            return Ok(Outcome::Ignored(Ignored::UnknownUser));
        }
        let at = record.at(now);
        let is_own = Self::is_by(&record, &self.own_role_arns);
        let is_reported = !is_own && !Self::is_by(&record, &self.reporting_role_arns);
        if is_reported {
            // Before the steps that may fail: the call was made, and the trail must depend on nothing else.
            self.audit(&action, &target, at, &record);
        }
        self.revoke(&target, &action, at, now).await?;
        if is_own {
            return Ok(Outcome::AppliedOwn(action));
        }
        self.set_profile_status(&target, action.effect, at).await?;
        if let Some(topic) = self.topic.as_ref().filter(|_| is_reported) {
            let about = Target {
                user_pool_id: &self.origin.user_pool_id,
                member: member(action.about()),
                value: &target,
            };
            topic.publish(&action, &about, at, &record).await?;
        }
        Ok(Outcome::Applied(action))
    }

    /// Whether logout, logout-retry or auth-api noted this call: the session is revoked already, or no client has its
    /// tokens.
    async fn is_own_call(&self, record: &Record) -> Result<bool, Unavailable> {
        let Some(request_id) = record.request_id() else {
            return Ok(false);
        };
        let pool = &self.origin.user_pool_id;
        self.revocations.is_own_call(pool, request_id).await
    }

    /// Whether one of these roles made the call. Users and strangers can cause calls of
    /// `OWN_ROLE_ARNS`, by a sign-up with another person's address for instance, so they must not
    /// reach the operator's mailbox.
    fn is_by(record: &Record, roles: &[String]) -> bool {
        let role = record.role_arn();
        role.is_some_and(|role| roles.iter().any(|own| own == role))
    }

    /// Writes the act for the audit trail. A redelivered record has the same id and the same time.
    fn audit(&self, action: &Action, target: &str, at: UnixSeconds, record: &Record) {
        let mut audit = Audit::new(topic::SOURCE, &self.origin.user_pool_id);
        audit.act(action.kind);
        audit.at(at);
        audit.target(target);
        if let Some(actor) = record.actor() {
            audit.actor(actor);
        }
        if let Some(id) = record.event_id() {
            audit.id(id);
        }
        audit.write_here(topic::OUTCOME);
    }

    async fn set_profile_status(
        &self,
        subject: &str,
        effect: Effect,
        at: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let status = match effect {
            Effect::Disable => Status::Disabled,
            Effect::Enable => Status::Confirmed,
            Effect::Delete => Status::Deleted,
            Effect::RevokeSessions
            | Effect::ChangePassword
            | Effect::RequireRefresh
            | Effect::RequireRefreshForGroups
            | Effect::RequireRefreshOfGroup
            | Effect::RevokeProvider
            | Effect::RevokeClient
            | Effect::RevokeIssuer
            | Effect::TellOfUser
            | Effect::Tell => return Ok(()),
        };
        match &self.profiles {
            Some(profiles) => profiles.set_status(subject, status, at).await,
            None => Ok(()),
        }
    }
}

/// The member of a message that holds the action's target.
fn member(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "sub",
        Kind::Group => "group",
        Kind::Provider => "provider",
        Kind::Client => "client_id",
        Kind::Pool => "pool",
    }
}
