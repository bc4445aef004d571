//! Logs every act of an administrator on another user, successful or refused: actor, act, target.
//! The line is written at every `LOG_LEVEL` (OWASP ASVS 16.3).

use auth::subject_hash;
use serde_json::Value;

use crate::log::{self, Level};

/// One act, as far as it is known.
pub struct Audit<'a> {
    issuer_id: &'a str,
    act: &'static str,
    actor: Option<String>,
    target: Option<String>,
}

impl<'a> Audit<'a> {
    /// An act of which nothing is known yet, on something that `issuer_id` has issued.
    #[must_use]
    pub fn new(issuer_id: &'a str) -> Self {
        Self {
            issuer_id,
            act: "unknown",
            actor: None,
            target: None,
        }
    }

    /// Sets the act: a word from a closed list.
    pub fn act(&mut self, act: &'static str) {
        self.act = act;
    }

    /// Sets the `sub` of the caller.
    pub fn actor(&mut self, subject: &str) {
        self.actor = Some(subject_hash(self.issuer_id, subject));
    }

    /// Sets the target by its id: a user, session or app client. The line has a hash of it.
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
