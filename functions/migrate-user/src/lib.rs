//! Cognito's UserMigration trigger: moves a user into the new pool when they sign in for the first time,
//! or have forgotten their password.
//! Source: AWS, "Migrate user Lambda trigger".
//!
//! Whoever can't be moved gets the event back as it came, which Cognito takes for "unknown": nobody
//! learns whether there was such a user. A store that does not answer is an error, so that Cognito
//! doesn't conclude that there is none. The password is held once, and wiped.

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

use auth::{Secret, Unavailable, UnixSeconds, hex};
use auth_dynamodb::{AttemptTable, LeftFor, PendingGroups};
use aws_lc_rs::digest;
use lambda::log::{self, Level};
use lambda::{Failure, Handler, clock};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

pub use config::{CharacterClass, Config, ConflictRule, LookupConfig, Rules, SourceConfig};
pub use lookup::Lookup;

use crate::event::{Event, Moved, Next};
use crate::hash::{Fit, PasswordHash};
use crate::source::{Answer, LegacySource, Source, SourceError};
use crate::timing::{Hashing, Refusals};
use crate::user::{Credential, LegacyUser};

/// Everything, in the five seconds that Cognito gives.
const BUDGET: Duration = Duration::from_secs(4);
/// Seconds of the window in which failures are counted.
const FAILURE_WINDOW_SECONDS: u64 = 300;
/// Under which the failures of all users are counted.
const EVERYBODY: &str = "migrate#everybody";
/// Seconds that a store is left alone after it did not answer: Cognito tries three times at once.
const COOL_DOWN_SECONDS: u64 = 5;
/// Cognito's longest password and user name.
const MAX_PASSWORD_CHARS: usize = 256;
const MAX_USERNAME_CHARS: usize = 128;
/// The function.
pub struct MigrateUser {
    sources: Vec<Source>,
    conflict_rule: ConflictRule,
    rules: Rules,
    failures: Option<Failures>,
    pending_groups: Option<PendingGroups>,
    hashing: Hashing,
    refusals: Refusals,
    /// When the stores may be asked again.
    cooling_until: Mutex<UnixSeconds>,
    log_level: Level,
}

/// Where failures are counted, and how many are taken in a window.
struct Failures {
    table: AttemptTable,
    per_user: u64,
    in_all: u64,
}

/// Why nobody was moved: the closed list of docs/outcomes.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotMoved {
    /// Another occasion, or none.
    NothingToDo,
    /// No name or password that Cognito would look at.
    Malformed,
    /// There were too many failures lately.
    TooManyFailures,
    /// There were too many of all users together: somebody guesses names too.
    TooManyFailuresInAll,
    /// Nobody of that name.
    Unknown,
    /// Several, and no rule that says which.
    Ambiguous,
    /// They may not sign in.
    Disabled,
    /// They never confirmed.
    Unconfirmed,
    /// The old pool asks for more than a password.
    Challenged,
    /// Another password.
    WrongPassword,
    /// A hash that can't be used.
    Hash(hash::Unusable),
    /// There is no password.
    NoPassword,
    /// Something is missing without which the new pool takes nobody.
    MissingAttribute,
    /// A password can't be reset by a code to an address that nobody has verified.
    NotVerified,
    /// The store, or a trigger of the old pool, refuses this user.
    Refused,
    /// Their address is another than the name that was typed, in a pool whose names are addresses.
    OtherAddress,
}

/// Why nobody is moved, or that it can't be known.
#[derive(Clone, Copy)]
enum Stop {
    NotMoved(NotMoved),
    Unavailable(Unavailable),
}

impl From<NotMoved> for Stop {
    fn from(reason: NotMoved) -> Self {
        Self::NotMoved(reason)
    }
}

impl From<Unavailable> for Stop {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Down | SourceError::Unusable => Self::Unavailable(Unavailable::Legacy),
            SourceError::Refused => Self::NotMoved(NotMoved::Refused),
            SourceError::TooMany => Self::NotMoved(NotMoved::Ambiguous),
        }
    }
}

impl NotMoved {
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

/// What came of it.
enum Outcome {
    Moved(Moved),
    NotMoved(NotMoved),
}

impl MigrateUser {
    /// Reads the sources' secret and makes their clients during init.
    ///
    /// # Errors
    /// [`Unavailable::Legacy`] if the secret is none, or can't be read, or if the old pool is known to tell cases
    /// apart and nothing says how its names are spelled.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let secret = match &config.secret_arn {
            None => config.secret,
            Some(arn) => {
                let secret = auth_secrets::read(&sdk, arn).await;
                Some(secret.ok_or(Unavailable::Legacy)?)
            }
        };
        let mut sources = Vec::new();
        for source in config.sources {
            let source = Source::connect(source, secret.as_ref(), &sdk).await?;
            if let Source::Cognito(pool) = &source
                && pool.hides_spellings().await
            {
                let problem = "the old pool tells cases apart: set LEGACY_SPELLINGS_TABLE, or \
                    LEGACY_CASE_SENSITIVE to `false` if no two of its names differ by case alone";
                log::line(Level::Error, problem, []);
                return Err(Unavailable::Legacy);
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
            cooling_until: Mutex::new(UnixSeconds(0)),
            log_level: config.log_level,
        })
    }

    async fn migrate(&self, event: &Event<'_>) -> Result<Outcome, Unavailable> {
        let began = Instant::now();
        let Some(occasion) = event.occasion() else {
            return Ok(Outcome::NotMoved(NotMoved::NothingToDo));
        };
        let (Some(username), Ok(password)) = (event.username(), event.password(occasion)) else {
            return Ok(Outcome::NotMoved(NotMoved::Malformed));
        };
        let id = failure_id(&event.user_pool_id(), &username, self.rules.case_sensitive);
        let now = UnixSeconds(clock::unix_seconds());
        // Counted before it is known what comes of it, so that guesses made all at once count too.
        if let Some(reason) = self.limits_reached(&id, now).await? {
            return Ok(Outcome::NotMoved(reason));
        }
        let decided = self.decide(&username, password.as_ref()).await;
        if !matches!(decided, Err(Stop::NotMoved(_))) {
            self.take_back(&id, now).await?;
        }
        match decided {
            Ok(moved) => {
                self.leave_groups(&event.user_pool_id(), &username, &moved, now)
                    .await?;
                Ok(Outcome::Moved(moved))
            }
            Err(Stop::NotMoved(reason)) => {
                tokio::time::sleep_until(self.refusals.moment(began)).await;
                Ok(Outcome::NotMoved(reason))
            }
            Err(Stop::Unavailable(unavailable)) => Err(unavailable),
        }
    }

    /// Counts an attempt for the user and for all of the old store; whether one of both has had more
    /// than it may.
    async fn limits_reached(
        &self,
        id: &str,
        now: UnixSeconds,
    ) -> Result<Option<NotMoved>, Unavailable> {
        let Some(failures) = &self.failures else {
            return Ok(None);
        };
        let count = |id| failures.table.count(id, FAILURE_WINDOW_SECONDS, now);
        if count(id).await? > failures.per_user {
            return Ok(Some(NotMoved::TooManyFailures));
        }
        // After that, so that whoever is at one name doesn't keep everybody out.
        if count(EVERYBODY).await? > failures.in_all {
            return Ok(Some(NotMoved::TooManyFailuresInAll));
        }
        Ok(None)
    }

    /// Only failures count.
    async fn take_back(&self, id: &str, now: UnixSeconds) -> Result<(), Unavailable> {
        let Some(failures) = &self.failures else {
            return Ok(());
        };
        let take_back = |id| failures.table.take_back(id, FAILURE_WINDOW_SECONDS, now);
        tokio::try_join!(take_back(id), take_back(EVERYBODY)).map(drop)
    }

    /// Whoever is meant, and whether the password is theirs. Everybody who can't be moved costs the
    /// same as a wrong password.
    async fn decide(&self, typed: &str, password: Option<&Secret>) -> Result<Moved, Stop> {
        for source in &self.sources {
            let found = self
                .guarded(source.find(typed, password, &self.rules))
                .await?;
            if found.is_empty() {
                continue;
            }
            let user = user::decide(found, typed, self.conflict_rule, self.rules.case_sensitive);
            let user = match user {
                None => Err(NotMoved::Ambiguous),
                Some(user) if !user.enabled => Err(NotMoved::Disabled),
                Some(user) => Ok(user),
            };
            let user = match user {
                Ok(user) => user,
                Err(reason) => {
                    self.spend(Some(source), typed, password).await?;
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
        self.spend(self.sources.last(), typed, password).await?;
        Err(NotMoved::Unknown.into())
    }

    /// The trigger can't put anybody into a group: there is no user yet. So groups are left for
    /// post-authentication, which finds them when the user signs in, this time or the next. After a
    /// forgotten password that sign-in is the proof: it takes the code from the user's mailbox.
    async fn leave_groups(
        &self,
        user_pool_id: &str,
        username: &str,
        moved: &Moved,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let (Some(table), false) = (&self.pending_groups, moved.groups.is_empty()) else {
            return Ok(());
        };
        let normal = user::normal(username, self.rules.case_sensitive);
        // An address that nobody has verified may be claimed by anybody in the new pool.
        let is_verified = moved.attributes.contains_key("email_verified");
        let email = moved.attributes.get("email").filter(|_| is_verified);
        let user = email.map_or(LeftFor::Name(&normal), |email| LeftFor::Email(email));
        table.leave(user_pool_id, user, &moved.groups, now).await
    }

    async fn with_groups(
        &self,
        source: &Source,
        user: &LegacyUser,
        moved: Moved,
    ) -> Result<Moved, Stop> {
        if self.rules.groups.is_empty() {
            return Ok(moved);
        }
        let groups = self.guarded(source.groups(user)).await?;
        let known = groups.iter().filter_map(|old| self.rules.groups.get(old));
        let mut groups: Vec<String> = known.cloned().collect();
        groups.sort();
        groups.dedup();
        Ok(Moved { groups, ..moved })
    }

    /// What the user has to do about the password, if it is theirs.
    async fn signed_in(
        &self,
        source: &Source,
        user: &LegacyUser,
        password: &Secret,
    ) -> Result<Next, Stop> {
        let mut must_reset = user.must_reset;
        let mut is_cut = false;
        match &user.credential {
            Credential::None => {
                self.hashing.spend(password).await?;
                return Err(NotMoved::NoPassword.into());
            }
            Credential::Checked(true) => {}
            Credential::Checked(false) => return Err(NotMoved::WrongPassword.into()),
            Credential::Hash(text) => {
                let hash = PasswordHash::parse(text.expose(), self.rules.allow_weak_hashes);
                let hash = hash.and_then(|hash| hash.afford(password).map(|()| hash));
                match hash {
                    Err(unusable) => {
                        self.hashing.spend(password).await?;
                        return Err(NotMoved::Hash(unusable).into());
                    }
                    Ok(hash) => match self.hashing.fit(text, hash, password).await? {
                        Fit::Right => {}
                        Fit::RightButCut => is_cut = true,
                        Fit::Wrong => return Err(NotMoved::WrongPassword.into()),
                    },
                }
            }
            Credential::AtSource => {
                let answer = self.guarded(source.check(&user.username, password)).await?;
                match answer {
                    Answer::Right => {}
                    Answer::Wrong => return Err(NotMoved::WrongPassword.into()),
                    Answer::ResetRequired => must_reset = true,
                    Answer::Challenged if self.rules.takes_challenged => must_reset = true,
                    Answer::Challenged => return Err(NotMoved::Challenged.into()),
                    Answer::Unconfirmed if self.rules.takes_unconfirmed => must_reset = true,
                    Answer::Unconfirmed => return Err(NotMoved::Unconfirmed.into()),
                    Answer::Refused => return Err(NotMoved::Refused.into()),
                }
            }
        }
        if !user.confirmed {
            if !self.rules.takes_unconfirmed {
                return Err(NotMoved::Unconfirmed.into());
            }
            must_reset = true;
        }
        // Cognito tells nobody who has to reset that they must, and sends no code to an address that is not
        // verified: so a reset is for those of whom the old store wants it, or whose password it cut.
        match (must_reset, is_cut, user.is_verified()) {
            (true, _, false) => Err(NotMoved::NotVerified.into()),
            (true, _, true) | (false, true, true) => Ok(Next::Reset),
            (false, true, false) => Ok(Next::Change),
            (false, false, _) if self.meets_policy(password) => Ok(Next::Nothing),
            (false, false, _) => Ok(Next::Change),
        }
    }

    /// Cognito sends a code to the address that is handed over here: it must be the user's.
    fn forgotten(&self, user: &LegacyUser) -> Result<Next, NotMoved> {
        if !user.confirmed && !self.rules.takes_unconfirmed {
            return Err(NotMoved::Unconfirmed);
        }
        if !user.is_verified() {
            return Err(NotMoved::NotVerified);
        }
        Ok(Next::Reset)
    }

    fn moved(&self, typed: &str, user: &LegacyUser, next: Next) -> Result<Moved, NotMoved> {
        let has = |name: &String| user.attributes.contains_key(name);
        if !self.rules.required.iter().all(has) {
            return Err(NotMoved::MissingAttribute);
        }
        let name = user::normal(typed, self.rules.case_sensitive);
        if self.rules.username_is_email && user.attributes.get("email") != Some(&name) {
            return Err(NotMoved::OtherAddress);
        }
        let mut attributes = user.attributes.clone();
        if let (Next::Change, Some(attribute)) = (next, &self.rules.change_attribute) {
            attributes.insert(attribute.clone(), "true".to_owned());
        }
        Ok(Moved {
            attributes,
            groups: Vec::new(),
            left_behind: user.left_behind.clone(),
            next,
        })
    }

    /// Whether the new pool would take this password: it doesn't look at those that are moved.
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

    /// Takes as long as a wrong password would.
    async fn spend(
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
                // The answer is for nobody.
                let _ = source.check(typed, password).await;
                Ok(())
            }
            Some(Source::Http(_)) => Ok(()),
            Some(Source::Dynamodb(_) | Source::Postgres(_)) | None => {
                self.hashing.spend(password).await
            }
        }
    }

    /// Asks a store, unless it has just failed to answer. That it refuses one user, or has a record that can't be
    /// read, is no reason to leave it alone: anybody could bring that about for everybody.
    async fn guarded<T>(
        &self,
        asking: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        let now = UnixSeconds(clock::unix_seconds());
        let is_cooling = |until: UnixSeconds| now < until && until <= now.plus(COOL_DOWN_SECONDS);
        if self
            .cooling_until
            .lock()
            .is_ok_and(|until| is_cooling(*until))
        {
            return Err(SourceError::Down);
        }
        let answer = asking.await;
        if matches!(answer, Err(SourceError::Down)) {
            let failed_at = UnixSeconds(clock::unix_seconds());
            if let Ok(mut until) = self.cooling_until.lock() {
                *until = failed_at.plus(COOL_DOWN_SECONDS);
            }
        }
        answer
    }
}

/// Under which failures are counted: a hash, since the table is not for names.
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

    async fn handle(&self, json: &RawValue, request_id: &str) -> Result<Box<RawValue>, Failure> {
        let event = Event::read(json);
        let result = tokio::time::timeout(BUDGET, Box::pin(self.migrate(&event))).await;
        let result = result.unwrap_or(Err(Unavailable::Legacy));
        let none = BTreeSet::new();
        let (level, outcome, left_behind) = match &result {
            Ok(Outcome::Moved(moved)) => {
                let outcome = match moved.next {
                    Next::Nothing => "moved",
                    Next::Change => "moved_to_change",
                    Next::Reset => "moved_to_reset",
                };
                (Level::Info, outcome, &moved.left_behind)
            }
            Ok(Outcome::NotMoved(NotMoved::TooManyFailuresInAll)) => {
                (Level::Error, NotMoved::TooManyFailuresInAll.as_str(), &none)
            }
            Ok(Outcome::NotMoved(reason)) => (Level::Warn, reason.as_str(), &none),
            Err(unavailable) => (Level::Error, unavailable.as_str(), &none),
        };
        if level <= self.log_level {
            log::outcome(level, "user migration", "Migrations", outcome, request_id);
        }
        if !left_behind.is_empty() && Level::Warn <= self.log_level {
            // Names of the pool's attributes, never their values.
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
            Ok(Outcome::Moved(moved)) => event.answered(&moved).ok_or(Failure::Internal),
            Ok(Outcome::NotMoved(_)) => Ok(json.to_owned()),
            Err(_) => Err(Failure::Internal),
        }
    }
}
