//! Thieves use the tokens of sessions at Cognito, and then the API.

use std::sync::atomic::Ordering;
use std::time::Instant;

use testkit::token::now;

use super::system::{Checker, Random};

/// Calls that a thief makes at Cognito with an access token, by their names in CloudTrail.
/// Source: AWS, "Amazon Cognito user pools information in CloudTrail".
const THEFTS: &[&str] = &[
    "GetUser",
    "GetTokensFromRefreshToken",
    "UpdateUserAttributes",
    "VerifyUserAttribute",
    "AssociateSoftwareToken",
    "VerifySoftwareToken",
    "SetUserMFAPreference",
    "ChangePassword",
    "GlobalSignOut",
    "RevokeToken",
];

impl Checker {
    /// A thief uses a session's tokens at Cognito as long as Cognito accepts them, CloudTrail reports the calls,
    /// and our API is called with the resulting tokens.
    pub(super) async fn steal(&self, user: u64, random: &mut Random) {
        let subject = self.subject(user);
        let stolen = {
            let state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
            let many = u64::try_from(state.all().count()).unwrap();
            let at = usize::try_from(random.below(many.max(1))).unwrap();
            let session = state.all().nth(at);
            session.map(|session| {
                let id = session.id().to_owned();
                (
                    id,
                    session.token.clone(),
                    session.since,
                    session.ended_at_cognito,
                )
            })
        };
        let Some((id, token, since, ended_at_cognito)) = stolen else {
            return self.log_in(user);
        };
        self.counts.thefts.fetch_add(1, Ordering::SeqCst);
        let began = Instant::now();
        if !self.cognito.accepts(&subject, &id, since) {
            self.counts.thefts_refused.fetch_add(1, Ordering::SeqCst);
            // The thief still has the tokens issued before.
            return self.call_with(user, &id, &token, random).await;
        }
        if let Some(ended) = ended_at_cognito.filter(|ended| *ended < began) {
            let late = began.duration_since(ended);
            self.violation(format!(
                "accepted at Cognito after its revocation there: {late:?} {id}"
            ));
        }
        let many = u64::try_from(THEFTS.len()).unwrap();
        let theft = THEFTS[usize::try_from(random.below(many)).unwrap()];
        match theft {
            "ChangePassword" => {
                self.event(user, theft).await;
                // Signs in with the password that the thief has set.
                self.log_in(user);
            }
            "GlobalSignOut" => {
                self.cognito.sign_out(&subject);
                self.event(user, theft).await;
            }
            "RevokeToken" => self.outdate(user, theft).await,
            _ => {
                let _ = self.events.invoke(&self.record(user, theft, now())).await;
            }
        }
        let token = if self.cognito.accepts(&subject, &id, since) {
            self.refreshed(token)
        } else {
            token
        };
        self.call_with(user, &id, &token, random).await;
    }

    /// CloudTrail reports that a session was revoked, but not which one.
    pub(super) async fn outdate(&self, user: u64, name: &'static str) {
        let index = usize::try_from(user).unwrap();
        let at = now();
        {
            let mut state = self.users[index].lock().unwrap();
            state.outdated_until = state.outdated_until.max(at);
        }
        let outcome = self.events.invoke(&self.record(user, name, at)).await;
        if outcome.is_some_and(|outcome| !outcome.is_failure()) {
            let mut state = self.users[index].lock().unwrap();
            if state.outdated.is_none_or(|(second, _)| second < at) {
                state.outdated = Some((at, Instant::now()));
            }
        }
    }
}
