//! Clients log in, call, refresh and log out, and compare each verdict with the state of the session.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use auth_tests::Verdict;
use serde_json::{Value, json};
use testkit::token::now;
use testkit::{Pool, TokenBuilder};

use super::browser::{COOKIE, ORIGIN};
use super::cognito::refresh_token;
use super::front::{Credential, Decided, Front};
use super::state::Session;
use super::system::{Checker, Random, Sabotage};
use crate::world::unique;

/// Numbers of a user's sessions: those that clients use, and those whose tokens only thieves still have.
pub(super) const IN_USE: usize = 12;

const STOLEN: usize = 24;

/// Requests that a client sends at once.
const BURST: usize = 4;

/// A client's pause after an error.
const BACK_OFF: Duration = Duration::from_millis(25);

impl Checker {
    pub(super) fn log_in(&self, user: u64) {
        let mut state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
        let at = now();
        let token = Pool::ours()
            .access_token()
            .claim("sub", self.subject(user))
            .claim("username", self.subject(user))
            .claim("origin_jti", unique("session"))
            .claim("auth_time", at)
            .claim("iat", at)
            .claim("exp", at + 3_600);
        // A concurrent revocation of the user may include this session.
        let tried = state.trying > 0 || state.disabled.is_some();
        state.sessions.push_back(Session {
            token,
            authenticated_at: at,
            since: Instant::now(),
            ended: None,
            ended_at_cognito: None,
            cookie: None,
            tried,
        });
        if state.sessions.len() > IN_USE {
            let stolen = state.sessions.pop_front();
            state.stolen.extend(stolen);
        }
        if state.stolen.len() > STOLEN {
            state.stolen.pop_front();
        }
    }

    pub(super) fn subject(&self, user: u64) -> String {
        format!("checked-{}-{:p}-{user}", std::process::id(), self)
    }

    /// A session of the user, its revocations so far, and its token, sometimes a refreshed one.
    pub(super) fn pick(
        &self,
        user: u64,
        random: &mut Random,
    ) -> Option<(String, TokenBuilder<'static>)> {
        let state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
        let many = u64::try_from(state.sessions.len()).unwrap();
        let at = usize::try_from(random.below(many.max(1))).unwrap();
        let session = state.sessions.get(at)?;
        let mut token = session.token.clone();
        if random.below(3) == 0 {
            token = self.refreshed(token);
        }
        Some((session.id().to_owned(), token))
    }

    /// A token as Cognito issues it for a refresh token.
    pub(super) fn refreshed(&self, token: TokenBuilder<'static>) -> TokenBuilder<'static> {
        let at = now();
        let token = token.claim("jti", unique("token"));
        let token = token.claim("iat", at).claim("exp", at + 3_600);
        match self.sabotage {
            Sabotage::NewAuthTime => token.claim("auth_time", at),
            _ => token,
        }
    }

    pub(super) async fn call(&self, user: u64, random: &mut Random) {
        let Some((id, token)) = self.pick(user, random) else {
            return self.log_in(user);
        };
        // Concurrent requests of one credential share reads in forward-auth.
        let burst = self.front != Front::Authorizer && random.below(8) == 0;
        let at = usize::try_from(random.below(2)).unwrap();
        let cookie = match random.below(3) {
            0 => self.cookie(user, &id, &token).await,
            _ => None,
        };
        let (credential, token) = match cookie {
            Some((cookie, token)) => (Credential::cookie(&cookie), token),
            None => (Credential::bearer(&token.build()), token),
        };
        let calls = (0..if burst { BURST } else { 1 })
            .map(|_| self.call_at(at, user, (&id, &token), &credential));
        futures_util::future::join_all(calls).await;
    }

    pub(super) async fn call_with(
        &self,
        user: u64,
        id: &str,
        token: &TokenBuilder<'static>,
        random: &mut Random,
    ) {
        let at = usize::try_from(random.below(2)).unwrap();
        let credential = Credential::bearer(&token.build());
        self.call_at(at, user, (id, token), &credential).await;
    }

    /// Calls through the decider with this number, with a credential of this session and token.
    async fn call_at(
        &self,
        at: usize,
        user: u64,
        (id, token): (&str, &TokenBuilder<'static>),
        credential: &Credential,
    ) {
        let issued_at = token.get("iat").as_u64().unwrap();
        let began = Instant::now();
        let decided = self.deciders[at].decide_by(credential).await;
        let verdict = decided.verdict;
        if verdict == Verdict::Allow && !self.names(user, &decided) {
            self.violation(format!("another caller's identity: {id}"));
        }
        if credential.is_cookie() && verdict != Verdict::Failure {
            self.counts.cookies.fetch_add(1, Ordering::SeqCst);
        }
        let fate = {
            let state = self.users[usize::try_from(user).unwrap()].lock().unwrap();
            let until = state.tried_until;
            let outdated = state.outdated;
            let outdated = outdated.filter(|(second, _)| issued_at <= *second);
            let outdated = outdated.map(|(_, since)| (since, "RevokeToken"));
            let session = state.all().find(|session| session.id() == id);
            session.map(|session| {
                let tried = session.tried || session.authenticated_at <= until;
                let tried = tried || issued_at <= state.outdated_until;
                (session.ended.or(outdated), tried)
            })
        };
        let Some((ended, tried)) = fate else { return };
        match verdict {
            Verdict::Allow => {
                self.counts.allowed.fetch_add(1, Ordering::SeqCst);
                let bound = self.front.bound();
                if let Some((ended, _)) = ended.filter(|(ended, _)| *ended < began) {
                    let mut latest = self.counts.latest.lock().unwrap();
                    *latest = began.duration_since(ended).max(*latest);
                }
                if let Some((ended, by)) = ended.filter(|(ended, _)| *ended + bound < began) {
                    let late = began.duration_since(ended);
                    self.violation(format!(
                        "allowed after its revocation by {by}: {late:?} {id}"
                    ));
                }
            }
            Verdict::Unauthorized => {
                self.counts.refused.fetch_add(1, Ordering::SeqCst);
                if !tried {
                    self.violation(format!("rejected without a revocation: {id}"));
                }
            }
            Verdict::Failure => {
                self.counts.errors.fetch_add(1, Ordering::SeqCst);
                // As clients do. A fault that fails fast would use up the operations.
                tokio::time::sleep(BACK_OFF).await;
                if !self.was_broken(began) && !self.recovers(at, credential).await {
                    self.violation(format!("an error without an active fault: {id}"));
                }
            }
            Verdict::Deny => self.violation(format!("denied: {id}")),
        }
    }

    /// Whether forward-auth names this user, in its header and in the phantom token.
    fn names(&self, user: u64, decided: &Decided) -> bool {
        let subject = self.subject(user);
        if self.front == Front::Authorizer {
            return true;
        }
        let of_token = self.browsers.as_ref().is_none_or(|browsers| {
            let token = decided.phantom.as_deref();
            token.and_then(|token| browsers.subject_of(token)).as_ref() == Some(&subject)
        });
        decided.subject.as_ref() == Some(&subject) && of_token
    }

    /// An overloaded machine is a fault too, and temporary. Each round of this takes a second at least.
    async fn recovers(&self, at: usize, credential: &Credential) -> bool {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let decided = self.deciders[at].decide_by(credential).await;
            if decided.verdict != Verdict::Failure {
                return true;
            }
        }
        false
    }

    pub(super) async fn log_out(&self, user: u64, scope: &str, random: &mut Random) {
        let Some((id, token)) = self.pick(user, random) else {
            return;
        };
        let mut body = json!({"scope": scope});
        if scope == "session" && random.below(2) == 0 {
            body["refresh_token"] = refresh_token(&id).into();
        }
        let cookie = match random.below(3) {
            0 => self.cookie(user, &id, &token).await,
            _ => None,
        };
        let headers = match cookie {
            Some((cookie, _)) => {
                json!({"Cookie": format!("{COOKIE}={cookie}"), "Origin": ORIGIN})
            }
            None => json!({"Authorization": format!("Bearer {}", token.build())}),
        };
        let event = json!({"httpMethod": "POST", "headers": headers, "body": body.to_string()});
        let at = usize::try_from(random.below(2)).unwrap();
        let covered = match scope {
            "session" => {
                self.with(user, &id, |session| session.tried = true);
                vec![id.clone()]
            }
            _ => self.begin_revocation(user, |session| scope == "all" || session.id() != id),
        };
        if self.sabotage == Sabotage::LateRevocations {
            self.acknowledge(user, &covered, "logout");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let outcome = self.logouts[at].invoke(&event).await;
        let answer = match outcome {
            Some(testkit::Invocation::Answer(answer)) if answer["statusCode"] == 200 => {
                serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
            }
            _ => Value::Null,
        };
        if scope != "session" {
            self.finish_revocation(user);
        }
        // `already` guarantees nothing about sessions that began since.
        if answer["ended"] != scope {
            return;
        }
        self.acknowledge(user, &covered, "logout");
        if answer["cognito"] == "ended" {
            let now = Instant::now();
            for id in &covered {
                self.with(user, id, |session| {
                    session.ended_at_cognito.get_or_insert(now).to_owned()
                });
            }
        }
    }
}
