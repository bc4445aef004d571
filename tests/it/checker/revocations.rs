//! Revocations by CloudTrail events and password resets, and what their acknowledgement covers.

use std::time::Instant;

use serde_json::{Value, json};
use testkit::Pool;
use testkit::token::now;

use super::state::Session;
use super::system::Checker;
use crate::world::ACCOUNT;

impl Checker {
    pub(super) fn with<T>(
        &self,
        user: u64,
        id: &str,
        change: impl FnOnce(&mut Session) -> T,
    ) -> Option<T> {
        let mut state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
        let session = state.all_mut().find(|session| session.id() == id)?;
        Some(change(session))
    }

    /// The sessions that a revocation of the user covers once it is acknowledged.
    pub(super) fn begin_revocation(
        &self,
        user: u64,
        covers: impl Fn(&Session) -> bool,
    ) -> Vec<String> {
        let mut state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
        state.trying += 1;
        let mut covered = Vec::new();
        for session in state.all_mut() {
            session.tried = true;
            if covers(session) {
                covered.push(session.id().to_owned());
            }
        }
        covered
    }

    pub(super) fn finish_revocation(&self, user: u64) {
        let mut state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
        state.trying -= 1;
        state.tried_until = now();
        for session in state.all_mut() {
            session.tried = true;
        }
    }

    pub(super) fn acknowledge(&self, user: u64, covered: &[String], by: &'static str) {
        *self
            .counts
            .revocations
            .lock()
            .unwrap()
            .entry(by)
            .or_default() += 1;
        let now = Instant::now();
        for id in covered {
            self.with(user, id, |session| {
                session.ended.get_or_insert((now, by)).to_owned()
            });
        }
    }

    pub(super) fn record(&self, user: u64, name: &str, at: u64) -> Value {
        let time = aws_sdk_dynamodb::primitives::DateTime::from_secs(at.cast_signed());
        let format = aws_sdk_dynamodb::primitives::DateTimeFormat::DateTime;
        json!({
            "id": "1", "source": "aws.cognito-idp", "account": ACCOUNT, "region": "us-east-1",
            "detail-type": "AWS API Call via CloudTrail",
            "detail": {"eventName": name, "eventSource": "cognito-idp.amazonaws.com",
                "eventTime": time.fmt(format).unwrap(), "additionalEventData": {"sub": self.subject(user)},
                "requestParameters": {"userPoolId": Pool::ours().id}},
        })
    }

    /// A revocation by an event.
    pub(super) async fn event(&self, user: u64, name: &'static str) {
        let covered = self.begin_revocation(user, |_| true);
        let outcome = self.events.invoke(&self.record(user, name, now())).await;
        let done = outcome.is_some_and(|outcome| !outcome.is_failure());
        self.finish_revocation(user);
        if done {
            self.acknowledge(user, &covered, name);
        }
    }

    pub(super) async fn disable(&self, user: u64) {
        let index = usize::try_from(user).unwrap();
        // From here on sign-ins may be rejected, until an enabling is acknowledged.
        self.users[index].lock().unwrap().disabled = Some(now() + 1);
        self.event(user, "AdminDisableUser").await;
        self.users[index].lock().unwrap().disabled = Some(now());
    }

    pub(super) async fn enable(&self, user: u64) {
        let index = usize::try_from(user).unwrap();
        let at = now();
        let disabled = self.users[index].lock().unwrap().disabled;
        // Within one second, disabling wins over enabling.
        if disabled.is_none_or(|disabled| at <= disabled) {
            return;
        }
        let record = self.record(user, "AdminEnableUser", at);
        let outcome = self.events.invoke(&record).await;
        if outcome.is_some_and(|outcome| !outcome.is_failure()) {
            let mut state = self.users[index].lock().unwrap();
            // Unless the user was disabled again meanwhile.
            if state.disabled == disabled && state.trying == 0 {
                state.disabled = None;
                state.tried_until = state.tried_until.max(now());
            }
        }
    }

    pub(super) async fn reset_password(&self, user: u64) {
        let event = json!({
            "version": "1", "userPoolId": Pool::ours().id, "userName": self.subject(user), "response": {},
            "triggerSource": "PostConfirmation_ConfirmForgotPassword",
            "request": {"userAttributes": {"sub": self.subject(user)}},
        });
        let covered = self.begin_revocation(user, |_| true);
        let outcome = self.resets.invoke(&event).await;
        self.finish_revocation(user);
        if matches!(outcome, Some(testkit::Invocation::Answer(_))) {
            self.acknowledge(user, &covered, "reset");
        }
    }
}
