//! Cognito's UserMigration trigger: migrates a user into the new pool at the first sign-in, or when the user has
//! forgotten the password.
//! Source: AWS, "Migrate user Lambda trigger".
//!
//! For a user who cannot be migrated, the function returns the event unchanged. Cognito treats this as an unknown
//! user, so the response does not reveal whether the user exists. A store that does not answer is an error, so
//! that Cognito does not treat the user as unknown. The password is held in memory once, and wiped.

pub mod check;
mod config;
mod event;
pub mod hash;
mod lookup;
mod source;
mod timing;
mod user;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use auth::{Cause, Dependency, Secret, Unavailable, UnixSeconds};
use auth_dynamodb::{AttemptTable, LeftFor, PendingGroups};
use auth_secrets::SecretError;
use aws_config::SdkConfig;
use aws_lc_rs::digest;
use hex::encode as hex;
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, clock};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

pub use config::{
    CharacterClass, Config, ConflictRule, LEGACY_SOURCE, LookupConfig, Rules, SourceConfig,
};
pub use lookup::Lookup;

use crate::event::{Event, MigratedUser, Next};
use crate::hash::{PasswordHash, PasswordMatch};
use crate::source::{Answer, LegacySource, Source, SourceError};
use crate::timing::{Hashing, Refusals};
use crate::user::{Credential, LegacyUser};

/// The time budget of an event; Cognito's limit is five seconds.
const BUDGET: Duration = Duration::from_secs(4);
/// Seconds of the window in which failures are counted.
const FAILURE_WINDOW_SECONDS: u64 = 300;
/// The key of the count of all users' failures.
const ALL_USERS: &str = "migrate#everybody";
/// Seconds without calls to a store that did not answer: Cognito invokes the trigger three times in a row.
const COOL_DOWN_SECONDS: u64 = 5;
/// Cognito's maximum lengths of a password and of a user name.
const MAX_PASSWORD_CHARS: usize = 256;
const MAX_USERNAME_CHARS: usize = 128;
/// The handler of the function.
pub struct MigrateUser {
    sources: Vec<Source>,
    conflict_rule: ConflictRule,
    rules: Rules,
    failures: Option<Failures>,
    pending_groups: Option<PendingGroups>,
    hashing: Hashing,
    refusals: Refusals,
    cooling: Mutex<Cooling>,
    log_level: Level,
}

/// After a store has failed, it is not called for a while.
struct Cooling {
    /// The time from which the stores may be called again.
    until: UnixSeconds,
    /// Why the store failed.
    cause: Cause,
}

/// Reads the sources' secret.
pub(crate) async fn secret(sdk: &SdkConfig, arn: &str) -> Result<Secret, Unavailable> {
    let secret = auth_secrets::read(sdk, arn).await;
    secret.map_err(|SecretError(cause)| Dependency::Legacy.unavailable(cause))
}

/// The table that counts failures, and the limits within a window.
struct Failures {
    table: AttemptTable,
    per_user: u64,
    in_all: u64,
}

/// Why the user was not migrated: the closed list of docs/outcomes.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotMigratedError {
    /// The trigger source is missing or unknown.
    NothingToDo,
    /// The name or the password is missing, or Cognito would not accept it.
    Malformed,
    /// There were too many recent failures for this user.
    TooManyFailures,
    /// There were too many recent failures of all users together, as when an attacker also guesses names.
    TooManyFailuresInAll,
    /// The sources have no user of that name.
    Unknown,
    /// Several users share the name, and the rule does not single out one of them.
    Ambiguous,
    /// The user may not sign in.
    Disabled,
    /// The user is unconfirmed.
    Unconfirmed,
    /// The old pool requires a challenge besides the password.
    Challenged,
    /// The password is wrong.
    WrongPassword,
    /// The hash is unusable.
    Hash(hash::HashError),
    /// The old store has no password of this user.
    NoPassword,
    /// A required attribute of the new pool is missing.
    MissingAttribute,
    /// The password has to be reset, but the user has no verified address or number for the code.
    NotVerified,
    /// The store, or a trigger of the old pool, refuses this user.
    Refused,
    /// The e-mail address differs from the typed name, in a pool whose user names are addresses.
    OtherAddress,
}

/// Why the user is not migrated, or the failure of a dependency.
#[derive(Clone, Copy)]
enum MigrateError {
    NotMigrated(NotMigratedError),
    Unavailable(Unavailable),
}

impl From<NotMigratedError> for MigrateError {
    fn from(reason: NotMigratedError) -> Self {
        Self::NotMigrated(reason)
    }
}

impl From<Unavailable> for MigrateError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

impl From<SourceError> for MigrateError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Down(cause) | SourceError::Unusable(cause) => {
                Self::Unavailable(Dependency::Legacy.unavailable(cause))
            }
            SourceError::Refused => Self::NotMigrated(NotMigratedError::Refused),
            SourceError::TooMany => Self::NotMigrated(NotMigratedError::Ambiguous),
        }
    }
}

impl NotMigratedError {
    fn as_str(self) -> &'static str {
        match self {
            Self::NothingToDo => "nothing_to_do",
            Self::Malformed => "malformed",
            Self::TooManyFailures => "too_many_failures",
            Self::TooManyFailuresInAll => "too_many_failures_in_all",
            Self::Unknown => "unknown_user",
            Self::Ambiguous => "ambiguous",
            Self::Disabled => "disabled",
            Self::Unconfirmed => "unconfirmed",
            Self::Challenged => "challenged",
            Self::WrongPassword => "wrong_password",
            Self::Hash(unusable) => unusable.as_str(),
            Self::NoPassword => "no_password",
            Self::MissingAttribute => "missing_attribute",
            Self::NotVerified => "not_verified",
            Self::Refused => "refused_by_store",
            Self::OtherAddress => "other_address",
        }
    }
}

/// The outcome of an event.
enum Outcome {
    Migrated(MigratedUser),
    NotMigrated(NotMigratedError),
}

impl MigrateUser {
    /// Reads the sources' secret and creates their clients during init.
    ///
    /// # Errors
    /// [`Unavailable`] if the secret is invalid or cannot be read, or if the old pool is case-sensitive and
    /// no table of spellings is configured.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let secret = match &config.secret_arn {
            None => config.secret,
            Some(arn) => Some(secret(&sdk, arn).await?),
        };
        let mut sources = Vec::new();
        for source in config.sources {
            let source = Source::connect(source, secret.as_ref(), &sdk).await?;
            if let Source::Cognito(pool) = &source
                && pool.hides_spellings().await
            {
                let problem = "the old pool is case-sensitive: set LEGACY_SPELLINGS_TABLE, or \
                    LEGACY_CASE_SENSITIVE to `false` if no two of its names differ by case alone";
                log::line(Level::Error, problem, []);
                return Err(Dependency::Legacy.unavailable(Cause::Other));
            }
            sources.push(source);
        }
        let failures = config.failures;
        let groups_table = config.pending_groups_table;
        Ok(Self {
            pending_groups: groups_table.map(|table| PendingGroups::new(&sdk, table)),
            sources,
            conflict_rule: config.conflict_rule,
            rules: config.rules,
            failures: failures.map(|limits| Failures {
                table: AttemptTable::new(&sdk, limits.table),
                per_user: limits.per_user,
                in_all: limits.in_all,
            }),
            hashing: Hashing::new(),
            refusals: Refusals::every(config.refusal_step),
            cooling: Mutex::new(Cooling {
                until: UnixSeconds(0),
                cause: Cause::Other,
            }),
            log_level: config.log_level,
        })
    }

    async fn migrate(&self, event: &Event<'_>) -> Result<Outcome, Unavailable> {
        let began = Instant::now();
        let Some(occasion) = event.occasion() else {
            return Ok(Outcome::NotMigrated(NotMigratedError::NothingToDo));
        };
        let (Some(username), Ok(password)) = (event.username(), event.password(occasion)) else {
            return Ok(Outcome::NotMigrated(NotMigratedError::Malformed));
        };
        let id = failure_id(&event.user_pool_id(), &username, self.rules.case_sensitive);
        let now = UnixSeconds(clock::unix_seconds());
        // Counted before the password is checked, so that concurrent guesses count too.
        if let Some(reason) = self.limits_reached(&id, now).await? {
            return Ok(Outcome::NotMigrated(reason));
        }
        let decided = self.decide(&username, password.as_ref()).await;
        if !matches!(decided, Err(MigrateError::NotMigrated(_))) {
            self.refund(&id, now).await?;
        }
        match decided {
            Ok(moved) => {
                self.leave_groups(&event.user_pool_id(), &username, &moved, now)
                    .await?;
                Ok(Outcome::Migrated(moved))
            }
            Err(MigrateError::NotMigrated(reason)) => {
                tokio::time::sleep_until(self.refusals.moment(began)).await;
                Ok(Outcome::NotMigrated(reason))
            }
            Err(MigrateError::Unavailable(unavailable)) => Err(unavailable),
        }
    }

    /// Counts an attempt for the user and for all users. Returns a reason if one of the counts exceeds its limit.
    async fn limits_reached(
        &self,
        id: &str,
        now: UnixSeconds,
    ) -> Result<Option<NotMigratedError>, Unavailable> {
        let Some(failures) = &self.failures else {
            return Ok(None);
        };
        let count = |id| failures.table.count(id, FAILURE_WINDOW_SECONDS, now);
        if count(id).await? > failures.per_user {
            return Ok(Some(NotMigratedError::TooManyFailures));
        }
        // Counted second, so that guesses at one name do not exhaust the limit of all users.
        if count(ALL_USERS).await? > failures.in_all {
            return Ok(Some(NotMigratedError::TooManyFailuresInAll));
        }
        Ok(None)
    }

    /// Takes back the counts of an attempt, since only failures count.
    async fn refund(&self, id: &str, now: UnixSeconds) -> Result<(), Unavailable> {
        let Some(failures) = &self.failures else {
            return Ok(());
        };
        let refund = |id| failures.table.refund(id, FAILURE_WINDOW_SECONDS, now);
        tokio::try_join!(refund(id), refund(ALL_USERS)).map(drop)
    }

    /// Finds the user and checks the password. A user who cannot be migrated takes as much time as a wrong
    /// password.
    async fn decide(
        &self,
        typed: &str,
        password: Option<&Secret>,
    ) -> Result<MigratedUser, MigrateError> {
        for source in &self.sources {
            let found = self
                .with_circuit_breaker(source.find(typed, password, &self.rules))
                .await?;
            if found.is_empty() {
                continue;
            }
            let user = user::decide(found, typed, self.conflict_rule, self.rules.case_sensitive);
            let user = match user {
                None => Err(NotMigratedError::Ambiguous),
                Some(user) if !user.enabled => Err(NotMigratedError::Disabled),
                Some(user) => Ok(user),
            };
            let user = match user {
                Ok(user) => user,
                Err(reason) => {
                    self.equalize_timing(Some(source), typed, password).await?;
                    return Err(reason.into());
                }
            };
            let next = match password {
                None => self.forgotten(&user)?,
                Some(password) => self.signed_in(source, &user, password).await?,
            };
            let moved = self.moved(typed, &user, next)?;
            return self.with_groups(source, &user, moved).await;
        }
        self.equalize_timing(self.sources.last(), typed, password)
            .await?;
        Err(NotMigratedError::Unknown.into())
    }

    /// Stores the groups for post-authentication, because the trigger runs before the user exists in the pool.
    /// Post-authentication assigns them when the user signs in, this time or the next. After a forgotten password
    /// that sign-in proves who the user is: it requires the code from the user's mailbox.
    async fn leave_groups(
        &self,
        user_pool_id: &str,
        username: &str,
        moved: &MigratedUser,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let (Some(table), false) = (&self.pending_groups, moved.groups.is_empty()) else {
            return Ok(());
        };
        let normal = user::normal(username, self.rules.case_sensitive);
        // Any user of the new pool may claim an unverified address.
        let is_verified = moved.attributes.contains_key("email_verified");
        let email = moved.attributes.get("email").filter(|_| is_verified);
        let user = email.map_or(LeftFor::Name(&normal), |email| LeftFor::Email(email));
        table.store(user_pool_id, user, &moved.groups, now).await
    }

    async fn with_groups(
        &self,
        source: &Source,
        user: &LegacyUser,
        moved: MigratedUser,
    ) -> Result<MigratedUser, MigrateError> {
        if self.rules.groups.is_empty() {
            return Ok(moved);
        }
        let groups = self.with_circuit_breaker(source.groups(user)).await?;
        let known = groups.iter().filter_map(|old| self.rules.groups.get(old));
        let mut groups: Vec<String> = known.cloned().collect();
        groups.sort();
        groups.dedup();
        Ok(MigratedUser { groups, ..moved })
    }

    /// Checks the password. Returns what the user has to do about it.
    async fn signed_in(
        &self,
        source: &Source,
        user: &LegacyUser,
        password: &Secret,
    ) -> Result<Next, MigrateError> {
        let mut must_reset = user.must_reset;
        let mut is_cut = false;
        match &user.credential {
            Credential::None => {
                self.hashing.equalize_timing(password).await?;
                return Err(NotMigratedError::NoPassword.into());
            }
            Credential::Checked(true) => {}
            Credential::Checked(false) => return Err(NotMigratedError::WrongPassword.into()),
            Credential::Hash(text) => {
                let hash = PasswordHash::parse(text.expose(), self.rules.allow_weak_hashes);
                let hash = hash.and_then(|hash| hash.afford(password).map(|()| hash));
                match hash {
                    Err(unusable) => {
                        self.hashing.equalize_timing(password).await?;
                        return Err(NotMigratedError::Hash(unusable).into());
                    }
                    Ok(hash) => match self.hashing.fit(text, hash, password).await? {
                        PasswordMatch::Match => {}
                        PasswordMatch::MatchTruncated => is_cut = true,
                        PasswordMatch::Mismatch => {
                            return Err(NotMigratedError::WrongPassword.into());
                        }
                    },
                }
            }
            Credential::AtSource => {
                let answer = self
                    .with_circuit_breaker(source.check(&user.username, password))
                    .await?;
                match answer {
                    Answer::Right => {}
                    Answer::Wrong => return Err(NotMigratedError::WrongPassword.into()),
                    Answer::ResetRequired => must_reset = true,
                    Answer::Challenged if self.rules.takes_challenged => must_reset = true,
                    Answer::Challenged => return Err(NotMigratedError::Challenged.into()),
                    Answer::Unconfirmed if self.rules.takes_unconfirmed => must_reset = true,
                    Answer::Unconfirmed => return Err(NotMigratedError::Unconfirmed.into()),
                    Answer::Refused => return Err(NotMigratedError::Refused.into()),
                }
            }
        }
        if !user.confirmed {
            if !self.rules.takes_unconfirmed {
                return Err(NotMigratedError::Unconfirmed.into());
            }
            must_reset = true;
        }
        // Cognito does not tell a user that a reset is required, and sends no code to an unverified address. So
        // a reset is only for users of whom the old store requires one, or whose password bcrypt truncated.
        let is_verified = user.is_verified(self.rules.username_is_email);
        match (must_reset, is_cut, is_verified) {
            (true, _, false) => Err(NotMigratedError::NotVerified.into()),
            (true, _, true) | (false, true, true) => Ok(Next::Reset),
            (false, true, false) => Ok(Next::Change),
            (false, false, _) if self.meets_policy(password) => Ok(Next::Nothing),
            (false, false, _) => Ok(Next::Change),
        }
    }

    /// Checks a user who has forgotten the password. Cognito sends a code to the address of the response, so the
    /// address must be the user's.
    fn forgotten(&self, user: &LegacyUser) -> Result<Next, NotMigratedError> {
        if !user.confirmed && !self.rules.takes_unconfirmed {
            return Err(NotMigratedError::Unconfirmed);
        }
        if !user.is_verified(self.rules.username_is_email) {
            return Err(NotMigratedError::NotVerified);
        }
        Ok(Next::Reset)
    }

    fn moved(
        &self,
        typed: &str,
        user: &LegacyUser,
        next: Next,
    ) -> Result<MigratedUser, NotMigratedError> {
        let has = |name: &String| user.attributes.contains_key(name);
        if !self.rules.required.iter().all(has) {
            return Err(NotMigratedError::MissingAttribute);
        }
        let name = user::normal(typed, self.rules.case_sensitive);
        if self.rules.username_is_email && user.attributes.get("email") != Some(&name) {
            return Err(NotMigratedError::OtherAddress);
        }
        let mut attributes = user.attributes.clone();
        if let (Next::Change, Some(attribute)) = (next, &self.rules.change_attribute) {
            attributes.insert(attribute.clone(), "true".to_owned());
        }
        Ok(MigratedUser {
            attributes,
            groups: Vec::new(),
            left_behind: user.left_behind.clone(),
            next,
        })
    }

    /// Whether the password meets the new pool's policy, which Cognito does not apply to migrated passwords.
    fn meets_policy(&self, password: &Secret) -> bool {
        let text = password.expose();
        let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        length >= self.rules.min_length
            && text.trim() == text
            && self.rules.classes.iter().all(|class| match class {
                CharacterClass::Uppercase => text.contains(|c: char| c.is_ascii_uppercase()),
                CharacterClass::Lowercase => text.contains(|c: char| c.is_ascii_lowercase()),
                CharacterClass::Numbers => text.contains(|c: char| c.is_ascii_digit()),
                CharacterClass::Symbols => text.contains(|c: char| c.is_ascii_punctuation()),
            })
    }

    /// Takes as much time as a wrong password.
    async fn equalize_timing(
        &self,
        source: Option<&Source>,
        typed: &str,
        password: Option<&Secret>,
    ) -> Result<(), Unavailable> {
        let Some(password) = password else {
            return Ok(());
        };
        match source {
            Some(source @ Source::Cognito(_)) => {
                // Only the time of the call matters.
                let _ = source.check(typed, password).await;
                Ok(())
            }
            Some(Source::Http(_)) => Ok(()),
            Some(Source::Dynamodb(_) | Source::Postgres(_)) | None => {
                self.hashing.equalize_timing(password).await
            }
        }
    }

    /// Calls a store, unless it has just failed to answer. A refused user or an invalid record does not suspend the
    /// calls: otherwise a single client could keep all users out.
    async fn with_circuit_breaker<T>(
        &self,
        asking: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        let now = UnixSeconds(clock::unix_seconds());
        if let Ok(Cooling { until, cause }) = self.cooling.lock().as_deref()
            && now < *until
            && *until <= now.plus(COOL_DOWN_SECONDS)
        {
            return Err(SourceError::Down(*cause));
        }
        let answer = asking.await;
        if let Err(SourceError::Down(cause)) = answer {
            let failed_at = UnixSeconds(clock::unix_seconds());
            if let Ok(mut cooling) = self.cooling.lock() {
                *cooling = Cooling {
                    until: failed_at.plus(COOL_DOWN_SECONDS),
                    cause,
                };
            }
        }
        answer
    }
}

/// The key of a user's count of failures: a hash, so that the table contains no names.
fn failure_id(user_pool_id: &str, username: &str, case_sensitive: bool) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(user_pool_id.as_bytes());
    hash.update(b"#");
    hash.update(user::normal(username, case_sensitive).as_bytes());
    format!("migrate#{}", hex(hash.finish().as_ref()))
}

impl Handler for MigrateUser {
    type Answer = Box<RawValue>;

    const WIPES_EVENTS: bool = true;

    async fn handle(
        &self,
        json: &RawValue,
        request_id: &str,
    ) -> Result<Box<RawValue>, InvocationError> {
        let event = Event::read(json);
        let result = tokio::time::timeout(BUDGET, Box::pin(self.migrate(&event))).await;
        let result = result.unwrap_or(Err(Dependency::Legacy.unavailable(Cause::Timeout)));
        let none = BTreeSet::new();
        let (level, outcome, left_behind) = match &result {
            Ok(Outcome::Migrated(moved)) => {
                let outcome = match moved.next {
                    Next::Nothing => "moved",
                    Next::Change => "moved_to_change",
                    Next::Reset => "moved_to_reset",
                };
                (Level::Info, outcome.into(), &moved.left_behind)
            }
            Ok(Outcome::NotMigrated(NotMigratedError::TooManyFailuresInAll)) => (
                Level::Error,
                NotMigratedError::TooManyFailuresInAll.as_str().into(),
                &none,
            ),
            Ok(Outcome::NotMigrated(reason)) => {
                (Level::Warn, log::Outcome::from(reason.as_str()), &none)
            }
            Err(unavailable) => (Level::Error, (*unavailable).into(), &none),
        };
        if level <= self.log_level {
            log::outcome(level, "user migration", "Migrations", outcome, request_id);
        }
        if !left_behind.is_empty() && Level::Warn <= self.log_level {
            // Only names of attributes: values are personal data.
            let names = left_behind.iter().map(String::as_str);
            let fields = [
                ("attributes", Value::from(names.collect::<Vec<_>>())),
                ("request_id", Value::from(request_id)),
                ("AttributesLeftBehind", Value::from(left_behind.len())),
                (
                    "_aws",
                    log::metric("AttributesLeftBehind", "message", clock::unix_seconds()),
                ),
            ];
            log::line(Level::Warn, "attributes stay behind", fields);
        }
        match result {
            Ok(Outcome::Migrated(moved)) => event.answered(&moved).ok_or(InvocationError::Internal),
            Ok(Outcome::NotMigrated(_)) => Ok(json.to_owned()),
            Err(_) => Err(InvocationError::Internal),
        }
    }
}
