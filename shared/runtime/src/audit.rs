//! Acts: what was done to sessions, users, clients and keys, or tried, as log lines.
//!
//! An act is written once, as a line with the message `audit`, at every `LOG_LEVEL` (OWASP ASVS
//! 16.3). From the log groups publish-acts publishes it, and `gatehouse audit-trail` exports it, so
//! that no function needs a client of the topic. Both read the line by [`Act::of_line`].

use auth::{UnixSeconds, VerifiedClaims, subject_hash};
use serde_json::{Map, Value, json};

use crate::log::{self, Level};
use crate::{clock, invocation};

/// The term that every line about an act contains: the pattern of subscriptions and searches.
pub const TERM: &str = "audit";
/// The act of a request with a revoked credential, a member of the authorizer's decision line.
pub const USE_AFTER_REVOCATION: &str = "use_after_revocation";
/// The member of the decision line that says how many acts of this kind by this caller it stands for.
pub const USES: &str = "uses";
/// The absent actor or target.
const NOTHING: &str = "-";
/// The longest word of an act, in bytes.
const MAX_WORD_BYTES: usize = 64;

/// One act, as far as it is known.
pub struct Audit<'a> {
    source: &'static str,
    issuer_id: &'a str,
    act: &'static str,
    actor: Option<String>,
    target: Option<String>,
    id: Option<String>,
    at: Option<UnixSeconds>,
}

impl<'a> Audit<'a> {
    /// An act of which nothing is known yet, seen by the function `source`, on something that
    /// `issuer_id` has issued.
    #[must_use]
    pub fn new(source: &'static str, issuer_id: &'a str) -> Self {
        Self {
            source,
            issuer_id,
            act: "unknown",
            actor: None,
            target: None,
            id: None,
            at: None,
        }
    }

    /// Sets the act: a word from a closed list.
    pub fn act(&mut self, act: &'static str) {
        self.act = act;
    }

    /// Sets the caller by the `sub`, or another id. The line has a hash of it.
    pub fn actor(&mut self, subject: &str) {
        self.actor = Some(subject_hash(self.issuer_id, subject));
    }

    /// Sets the target by its id: a user, session or app client. The line has a hash of it.
    pub fn target(&mut self, id: &str) {
        self.target = Some(subject_hash(self.issuer_id, id));
    }

    /// Sets the caller of an act on their own sessions, of any issuer.
    pub fn own_act(&mut self, claims: &VerifiedClaims) {
        self.actor = Some(claims.subject_hash());
        self.target.clone_from(&self.actor);
    }

    /// Sets the target by a hash of another kind.
    pub fn target_hash(&mut self, hash: &str) {
        self.target = Some(hash.to_owned());
    }

    /// Sets the id, for an act that is told of by a message that may come twice. Otherwise it is the
    /// request id of the invocation, which Lambda keeps when it repeats one.
    pub fn id(&mut self, id: &str) {
        self.id = Some(id.to_owned());
    }

    /// Sets the time, for an act that is told of by a message that may come late. Otherwise it is the time of the line.
    pub fn at(&mut self, at: UnixSeconds) {
        self.at = Some(at);
    }

    /// Writes the line. `outcome` is a word from the function's closed list.
    pub fn write(self, outcome: &str, request_id: &str) {
        let or_dash = |hash: Option<String>| Value::from(hash.as_deref().unwrap_or(NOTHING));
        let id = self.id.as_deref().unwrap_or(request_id);
        let UnixSeconds(at) = self.at.unwrap_or_else(clock::now);
        log::line(
            Level::Info,
            TERM,
            [
                ("id", Value::from(id)),
                ("source", Value::from(self.source)),
                ("act", Value::from(self.act)),
                ("actor", or_dash(self.actor)),
                ("target", or_dash(self.target)),
                ("outcome", Value::from(outcome)),
                ("at", Value::from(at)),
                ("request_id", Value::from(request_id)),
            ],
        );
    }

    /// Writes the line in the invocation that the current task handles.
    pub fn write_here(self, outcome: &str) {
        let mut request_id = NOTHING.to_owned();
        invocation::current(|current| current.request_id.clone_into(&mut request_id));
        self.write(outcome, &request_id);
    }
}

/// An act that was read from a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Identifies the act: the same in every copy of it.
    pub id: String,
    /// What was done: a word from a closed list.
    pub kind: String,
    /// The function that saw it, or `operator`.
    pub source: String,
    /// What became of it: a word from the source's closed list.
    pub outcome: String,
    /// When, in seconds since 1970.
    pub at: u64,
    /// The hash of the caller, or an operator's own word; `-` if unknown.
    pub actor: String,
    /// The hash of the user, session, client or key, else `-`.
    pub target: String,
    /// How many acts of the same caller the line stands for: refusals are logged in few lines.
    pub count: u64,
}

impl Act {
    /// Reads a line with [`TERM`], which was written at `at` (seconds since 1970); `None` if it is
    /// about something else. Unknown members are dropped: only words, hashes and numbers remain.
    #[must_use]
    pub fn of_line(line: &str, at: u64) -> Option<Self> {
        let line: Map<String, Value> = serde_json::from_str(line.trim()).ok()?;
        let text = |name: &str| line.get(name).and_then(Value::as_str);
        let word = |name: &str| text(name).filter(|text| is_word(text)).map(str::to_owned);
        let or_nothing = |name: &str| word(name).unwrap_or_else(|| NOTHING.to_owned());
        if text("message") == Some(TERM) {
            return Some(Self {
                id: word("id")?,
                kind: word("act")?,
                source: word("source")?,
                outcome: or_nothing("outcome"),
                at: line.get("at").and_then(Value::as_u64).unwrap_or(at),
                actor: or_nothing("actor"),
                target: or_nothing("target"),
                count: 1,
            });
        }
        Some(Self {
            id: word("request_id")?,
            kind: word(TERM).filter(|kind| kind == USE_AFTER_REVOCATION)?,
            source: "authorizer".to_owned(),
            outcome: or_nothing("reason"),
            at,
            actor: or_nothing("subject_hash"),
            target: NOTHING.to_owned(),
            // `Decisions` counts other callers too.
            count: line.get(USES).and_then(Value::as_u64).unwrap_or(1),
        })
    }

    /// The act as a message and as a line of the exported trail.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "kind": self.kind,
            "source": self.source,
            "outcome": self.outcome,
            "at": self.at,
            "actor": self.actor,
            "target": self.target,
            "count": self.count,
        })
    }
}

/// A word, a hash or an id: printable, without white space.
fn is_word(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    !text.is_empty() && text.len() <= MAX_WORD_BYTES && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_about_acts_and_nothing_else() {
        let line = json!({
            "level": "INFO", "message": "audit", "id": "r-1", "source": "admin",
            "act": "disable_user", "actor": "0011223344556677", "target": "-",
            "outcome": "done", "at": 7, "request_id": "r-1", "secret": "eyJ0.eyJ1.c2ln",
        });
        let act = Act::of_line(&format!("{line}\n"), 9).unwrap();
        assert_eq!(
            act.to_json(),
            json!({
                "id": "r-1", "kind": "disable_user", "source": "admin", "outcome": "done",
                "at": 7, "actor": "0011223344556677", "target": "-", "count": 1,
            })
        );
        let decision = json!({
            "level": "WARN", "message": "decision", "outcome": "unauthorized",
            "reason": "session_revoked", "audit": "use_after_revocation",
            "subject_hash": "0011223344556677", "request_id": "r-2", "Decisions": 41, "uses": 3,
        });
        let act = Act::of_line(&decision.to_string(), 9).unwrap();
        assert_eq!(
            (&*act.kind, &*act.outcome, act.at, act.count),
            ("use_after_revocation", "session_revoked", 9, 3)
        );
        let without = |name: &str| {
            let mut line = line.clone();
            line.as_object_mut().unwrap().remove(name);
            line.to_string()
        };
        let with = |name: &str, value: Value| {
            let mut line = line.clone();
            line[name] = value;
            line.to_string()
        };
        for other in [
            "START RequestId: audit".to_owned(),
            "\"audit\"".to_owned(),
            json!({"message": "decision", "request_id": "r", "audit": "other"}).to_string(),
            json!({"message": "decision", "request_id": "r", "group": "audit"}).to_string(),
            without("id"),
            without("act"),
            without("source"),
            with("act", json!(7)),
            with("act", json!("ada@example.com")),
            with("id", json!("x".repeat(65))),
        ] {
            assert_eq!(Act::of_line(&other, 9), None, "{other}");
        }
        for (name, value) in [
            ("actor", json!("ada@example.com")),
            ("actor", json!("a b")),
            ("target", json!("\u{fc}")),
            ("target", json!({"x": 1})),
        ] {
            let act = Act::of_line(&with(name, value.clone()), 9).unwrap();
            assert_eq!(act.to_json()[name], "-", "{value}");
        }
    }
}
