//! A line for every act of an administrator on another user, done or refused: who, what, whom. It is
//! written at every `LOG_LEVEL` (OWASP ASVS 16.3).

use auth::subject_hash;
use serde_json::Value;

use crate::log::{self, Level};

/// One act, as far as it is known yet.
pub struct Audit<'a> {
    issuer_id: &'a str,
    act: &'static str,
    actor: Option<String>,
    target: Option<String>,
}

impl<'a> Audit<'a> {
    /// An act of which nothing is known, on what `issuer_id` has issued.
    #[must_use]
    pub fn new(issuer_id: &'a str) -> Self {
        Self {
            issuer_id,
            act: "unknown",
            actor: None,
            target: None,
        }
    }

    /// What is done: a word from a closed list.
    pub fn act(&mut self, act: &'static str) {
        self.act = act;
    }

    /// The `sub` of the caller.
    pub fn actor(&mut self, subject: &str) {
        self.actor = Some(subject_hash(self.issuer_id, subject));
    }

    /// The user, session, or app client that it is done to: its id, of which the line has a hash.
    pub fn target(&mut self, id: &str) {
        self.target = Some(subject_hash(self.issuer_id, id));
    }

    /// Writes the line. `outcome` is a word from the function's closed list.
    pub fn write(self, outcome: &str, request_id: &str) {
        let or_dash = |hash: Option<String>| Value::from(hash.unwrap_or_else(|| "-".to_owned()));
        log::line(
            Level::Info,
            "audit",
            [
                ("act", Value::from(self.act)),
                ("actor", or_dash(self.actor)),
                ("target", or_dash(self.target)),
                ("outcome", Value::from(outcome)),
                ("request_id", Value::from(request_id)),
            ],
        );
    }
}
