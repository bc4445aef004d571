//! What decides: an authorizer and a forward-auth server, over one key endpoint and one table of revocations.

use std::time::{Duration, Instant};

use auth_tests::{Verdict, environment};
use serde_json::json;
use testkit::jwks_server::JwksServer;
use testkit::token::now;
use testkit::{FakeAws, Pool, TokenBuilder};

use super::report::Report;
use crate::checker::front::{Decider, ServerSlot, Slot};
use crate::world::{text_of, user_token};

pub(crate) const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies");

/// How long a program may answer with errors on a busy machine when no fault is injected: a call that ran out of time
/// is no wrong decision, and its repetition is answered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// The decision of a program about this token. An error is counted, and the request repeated.
pub(crate) async fn settled(decider: &Decider, token: &str, report: &mut Report) -> Verdict {
    let began = Instant::now();
    loop {
        let verdict = decider.decide(token).await.verdict;
        if verdict != Verdict::Failure || began.elapsed() > PATIENCE {
            return verdict;
        }
        report.saw("errors repeated");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The deciding programs, with a table in memory that only the test writes.
pub(crate) struct Gates {
    pub(crate) jwks: JwksServer,
    pub(crate) store: FakeAws,
    pub(crate) deciders: Vec<(&'static str, Decider)>,
}

impl Gates {
    /// Starts them with these variables more.
    pub(crate) async fn start(more: &[(&'static str, String)]) -> Self {
        let jwks = JwksServer::start(&Pool::ours().jwks()).await;
        let store = FakeAws::start().await;
        let mut environment = environment(&jwks.uri(), &store.url(), &[("LOG_LEVEL", "ERROR")]);
        environment.extend(more.iter().cloned());
        let deciders = Self::deciders(&environment).await;
        Self {
            jwks,
            store,
            deciders,
        }
    }

    /// The same over another key set.
    pub(crate) async fn serving(keys: &str, more: &[(&'static str, String)]) -> Self {
        let gates = Self::start(more).await;
        gates.jwks.set_body(keys);
        for (_, decider) in &gates.deciders {
            decider.kill().await;
        }
        gates
    }

    /// The same with keys that are part of the configuration: a sabotage, because they are never withdrawn.
    pub(crate) async fn pinned(keys: &str) -> Self {
        Self::pinned_with(keys, &[]).await
    }

    pub(crate) async fn pinned_with(keys: &str, more: &[(&'static str, String)]) -> Self {
        let jwks = JwksServer::start(&Pool::ours().jwks()).await;
        let store = FakeAws::start().await;
        let mut environment = environment("", &store.url(), &[("LOG_LEVEL", "ERROR")]);
        environment.retain(|(name, _)| *name != "JWKS_URI");
        environment.push(("JWKS", keys.to_owned()));
        environment.extend(more.iter().cloned());
        let deciders = Self::deciders(&environment).await;
        Self {
            jwks,
            store,
            deciders,
        }
    }

    pub(crate) async fn deciders(
        environment: &[(&'static str, String)],
    ) -> Vec<(&'static str, Decider)> {
        let authorizer = Slot::start("authorizer", environment.to_vec()).await;
        let mut environment = environment.to_vec();
        environment.push(("PROXY_DIALECT", "envoy".to_owned()));
        environment.push(("POLICIES_DIR", POLICIES.to_owned()));
        let server = ServerSlot::start(environment).await;
        vec![
            ("authorizer", Decider::Authorizer(authorizer)),
            ("forward-auth", Decider::ForwardAuth(Box::new(server))),
        ]
    }

    /// The decisions of each program about this token.
    pub(crate) async fn decide(&self, token: &str) -> Vec<(&'static str, Verdict)> {
        let mut verdicts = Vec::new();
        for (name, decider) in &self.deciders {
            verdicts.push((*name, decider.decide(token).await.verdict));
        }
        verdicts
    }

    /// The decisions of each program about this token, with errors repeated and counted.
    pub(crate) async fn settle(
        &self,
        token: &str,
        report: &mut Report,
    ) -> Vec<(&'static str, Verdict)> {
        let mut verdicts = Vec::new();
        for (name, decider) in &self.deciders {
            verdicts.push((*name, settled(decider, token, report).await));
        }
        verdicts
    }

    /// Fails unless each program allows this token, before a fault is injected.
    pub(crate) async fn allow(&self, token: &str, report: &mut Report) {
        for (name, verdict) in self.settle(token, report).await {
            assert_eq!(verdict, Verdict::Allow, "{name}");
        }
    }

    /// Writes the revocation of a token's session, as logout does.
    pub(crate) fn revoke(&self, token: &TokenBuilder<'_>) {
        let user = format!("{}#user#{}", Pool::ours().id, text_of(token, "sub"));
        let session = format!("session#{}", text_of(token, "origin_jti"));
        let at = now();
        let number = |value: u64| json!({"N": value.to_string()});
        let row = json!({"revoked_at": number(at), "expires_at": number(at + 40 * 3_600)});
        self.store.put(&user, &session, row);
    }
}

/// A token that is valid for a day, so that a jump of some hours does not end it.
pub(crate) fn long_token() -> TokenBuilder<'static> {
    let at = now();
    let token = user_token().claim("auth_time", at - 30_000);
    token.claim("iat", at - 30_000).claim("exp", at + 50_000)
}

/// The resident memory of a process, in kB.
pub(crate) fn resident(pid: u32) -> u64 {
    status_of(pid, "VmRSS:")
}

/// A number of kB in a process's status.
pub(crate) fn status_of(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
