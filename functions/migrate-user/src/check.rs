//! Checks an export before the migration: which users migrate-user would refuse, and why.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use auth::Secret;
use env_config::{ConfigError, Env};
use serde_json::{Map, Value};

use crate::hash::PasswordHash;
use crate::rules::Rules;
use crate::user::{Bar, Credential, LegacyUser, spellings};
use usernames::normalize;

/// How many unknown statuses are counted separately.
const MAX_STATUSES: usize = 64;

/// Checks records one by one and collects the counts of the report.
pub struct Checker {
    rules: Rules,
    users: u64,
    problems: BTreeMap<String, u64>,
    hashes: BTreeMap<&'static str, HashKind>,
    names: HashMap<String, BTreeSet<String>>,
    unknown_statuses: BTreeSet<String>,
}

/// The hashes of one kind.
pub struct HashKind {
    /// The number of hashes.
    pub count: u64,
    /// One of the hashes, for measuring its time. No `Debug`.
    pub example: PasswordHash,
}

impl Checker {
    /// Reads migrate-user's variables for fields, attributes and rules.
    ///
    /// # Errors
    /// All problems of these variables.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let rules = Rules::read(&mut env);
        env.finish(Self {
            rules,
            users: 0,
            problems: BTreeMap::new(),
            hashes: BTreeMap::new(),
            names: HashMap::new(),
            unknown_statuses: BTreeSet::new(),
        })
    }

    /// The user name of a record in the spelling of the old store; `None` for a record without a name.
    #[must_use]
    pub fn name(&self, record: &Map<String, Value>) -> Option<String> {
        LegacyUser::from_record(record, &self.rules).map(|user| user.username)
    }

    /// The user name of a record as the new pool normalizes it.
    #[must_use]
    pub fn name_in_pool(&self, record: &Map<String, Value>) -> Option<String> {
        let name = self.name(record)?;
        Some(normalize(&name, self.rules.case_sensitive))
    }

    /// The field that holds the name.
    #[must_use]
    pub fn name_field(&self) -> &str {
        &self.rules.fields.username
    }

    /// Checks a record. Returns the reasons why the user cannot be migrated with the password, or has to
    /// choose a new one.
    pub fn add(&mut self, record: &Map<String, Value>) -> Vec<String> {
        self.users += 1;
        let Some(user) = LegacyUser::from_record(record, &self.rules) else {
            return self.noted(vec!["no_name".to_owned()]);
        };
        let mut problems = Vec::new();
        let mut unknown_status = None;
        match &user.bar {
            None => {}
            Some(Bar::Disabled) => problems.push("disabled"),
            Some(Bar::UnknownStatus(status)) => unknown_status = Some(self.unknown_status(status)),
        }
        if !user.confirmed {
            problems.push("unconfirmed");
        }
        if user.must_reset {
            problems.push("must_reset");
        }
        let has =
            |name: &String| user.attributes.contains_key(name) || user.left_behind.contains(name);
        if !self.rules.required.iter().all(has) {
            problems.push("missing_attribute");
        }
        if user.left_behind.contains("email") {
            problems.push("invalid_email");
        }
        let email = user.attributes.get("email");
        if email.is_some() && !user.is_verified(self.rules.username_is_email) {
            problems.push("not_verified");
        }
        let name = normalize(&user.username, self.rules.case_sensitive);
        if self.rules.username_is_email && email.is_some_and(|email| *email != name) {
            problems.push("other_address");
        }
        match &user.credential {
            Credential::Hash(text) => {
                match PasswordHash::parse(text.expose(), self.rules.allow_weak_hashes) {
                    Ok(hash) => {
                        let kind = hash.kind();
                        let known = self.hashes.entry(kind).or_insert(HashKind {
                            count: 0,
                            example: hash,
                        });
                        known.count += 1;
                    }
                    Err(unusable) => problems.push(unusable.as_str()),
                }
            }
            Credential::Checked(_) | Credential::AtSource | Credential::None => {
                problems.push("no_password");
            }
        }
        self.names.entry(name).or_default().insert(user.username);
        let left_behind = user.left_behind.iter().filter(|name| *name != "email");
        let left_behind = left_behind.map(|name| format!("stays behind: {name}"));
        let problems = problems.into_iter().map(str::to_owned);
        self.noted(problems.chain(unknown_status).chain(left_behind).collect())
    }

    /// The problem of a user with this status. Its words are few, unless the field has another meaning.
    fn unknown_status(&mut self, status: &str) -> String {
        let is_known = self.unknown_statuses.contains(status);
        if !is_known && self.unknown_statuses.len() == MAX_STATUSES {
            return "unknown_status: another one".to_owned();
        }
        if !is_known {
            self.unknown_statuses.insert(status.to_owned());
        }
        format!("unknown_status: {status}")
    }

    fn noted(&mut self, problems: Vec<String>) -> Vec<String> {
        for problem in &problems {
            *self.problems.entry(problem.clone()).or_default() += 1;
        }
        problems
    }

    /// The number of records.
    #[must_use]
    pub fn users(&self) -> u64 {
        self.users
    }

    /// The number of users for each problem.
    #[must_use]
    pub fn problems(&self) -> &BTreeMap<String, u64> {
        &self.problems
    }

    /// The usable hashes by kind.
    #[must_use]
    pub fn hashes(&self) -> &BTreeMap<&'static str, HashKind> {
        &self.hashes
    }

    /// Names that several users share, except for case, each with its spellings.
    pub fn conflicts(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        let all = self.names.iter().filter(|(_, all)| all.len() > 1);
        all.map(|(name, all)| (name.as_str(), all))
    }

    /// Names with a spelling that migrate-user does not try by default: the content of the table of spellings.
    pub fn unusual(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        let is_tried = |name: &str, spelling: &String| {
            spellings(name, self.rules.case_sensitive).contains(spelling)
        };
        let all = self.names.iter();
        all.filter(move |(name, all)| !all.iter().all(|one| is_tried(name, one)))
            .map(|(name, all)| (name.as_str(), all))
    }
}

/// A password for measuring how long a hash takes.
#[must_use]
pub fn timing_password() -> Secret {
    Secret::new("a password for timing".to_owned())
}
