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
mod user;

use std::sync::Mutex;
use std::time::Duration;

use auth::{Secret, Unavailable, UnixSeconds, hex};
use auth_dynamodb::{AttemptTable, LeftFor, PendingGroups};
use aws_lc_rs::digest;
use lambda::log::{self, Level};
use lambda::{Failure, Handler, clock};
use serde_json::value::RawValue;
use tokio::time::Instant;

pub use config::{CharacterClass, Config, ConflictRule, LookupConfig, Rules, SourceConfig};
pub use lookup::Lookup;

use crate::event::{Event, Moved};
use crate::hash::{Fit, PasswordHash};
use crate::source::{Answer, LegacySource, Source};
use crate::user::{Credential, LegacyUser};

/// Everything, in the five seconds that Cognito gives.
const BUDGET: Duration = Duration::from_secs(4);
/// Seconds of the window in which failures are counted.
const FAILURE_WINDOW_SECONDS: u64 = 300;
/// Under which the failures of all users are counted.
const EVERYBODY: &str = "migrate#everybody";
/// Seconds that a store is left alone after it did not answer: Cognito tries three times at once.
const COOL_DOWN_SECONDS: u64 = 5;
/// Who is not moved hears of it at one of these moments after the call: a row that was found and read
/// takes some microseconds more than one that wasn't, and thousands of guesses would show them.
const REFUSALS_EVERY: Duration = Duration::from_millis(25);
/// Cognito's longest password and user name.
const MAX_PASSWORD_CHARS: usize = 256;
const MAX_USERNAME_CHARS: usize = 128;
/// What an unknown user costs until a known one has shown what users cost here.
const FIRST_DUMMY: &str = "$2b$10$abcdefghijklmnopqrstuuv2PaxZO.gRiMKu8gyyycqlaX6nT7pjC";

/// The function.
pub struct MigrateUser {
    sources: Vec<Source>,
    conflict_rule: ConflictRule,
    rules: Rules,
    failures: Option<Failures>,
    pending_groups: Option<PendingGroups>,
    /// A hash as users have them, to spend the same time on somebody who is none.
    usual: Mutex<Secret>,
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
    /// A forgotten password can't be reset by mail to an address that nobody has verified.
    NotVerified,
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
    /// [`Unavailable::Legacy`] if the secret is none, or can't be read.
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
            sources.push(Source::connect(source, secret.as_ref(), &sdk).await?);
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
            usual: Mutex::new(Secret::new(FIRST_DUMMY.to_owned())),
            cooling_until: Mutex::new(UnixSeconds(0)),
            log_level: config.log_level,
        })
    }

    async fn migrate(&self, event: &Event<'_>) -> Result<Outcome, Unavailable> {
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
        let began = Instant::now();
        let decided = self.decide(&username, password.as_ref()).await;
        if !matches!(decided, Ok(Err(_))) {
            self.take_back(&id, now).await?;
        }
        match decided? {
            Ok(moved) => {
                self.leave_groups(&event.user_pool_id(), &username, &moved, now)
                    .await?;
                Ok(Outcome::Moved(moved))
            }
            Err(reason) => {
                tokio::time::sleep_until(next_moment(began)).await;
                Ok(Outcome::NotMoved(reason))
            }
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
    async fn decide(
        &self,
        typed: &str,
        password: Option<&Secret>,
    ) -> Result<Result<Moved, NotMoved>, Unavailable> {
        for source in &self.sources {
            let found = self
                .guarded(source.find(typed, password, &self.rules))
                .await?;
            if found.is_empty() {
                continue;
            }
            let user = match user::decide(found, self.conflict_rule) {
                None => Err(NotMoved::Ambiguous),
                Some(user) if !user.enabled => Err(NotMoved::Disabled),
                Some(user) => Ok(user),
            };
            let user = match user {
                Ok(user) => user,
                Err(reason) => {
                    self.spend(Some(source), typed, password).await;
                    return Ok(Err(reason));
                }
            };
            let moved = match password {
                None => self.forgotten(&user),
                Some(password) => self.signed_in(source, &user, password).await?,
            };
            return match moved {
                Ok(moved) => self.with_groups(source, &user, moved).await.map(Ok),
                Err(reason) => Ok(Err(reason)),
            };
        }
        self.spend(self.sources.last(), typed, password).await;
        Ok(Err(NotMoved::Unknown))
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
    ) -> Result<Moved, Unavailable> {
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

    async fn signed_in(
        &self,
        source: &Source,
        user: &LegacyUser,
        password: &Secret,
    ) -> Result<Result<Moved, NotMoved>, Unavailable> {
        let mut must_reset = user.must_reset || !self.meets_policy(password);
        match &user.credential {
            Credential::None => {
                self.spend(None, &user.username, Some(password)).await;
                return Ok(Err(NotMoved::NoPassword));
            }
            Credential::Checked(true) => {}
            Credential::Checked(false) => return Ok(Err(NotMoved::WrongPassword)),
            Credential::Hash(text) => {
                match PasswordHash::parse(text.expose(), self.rules.allow_weak_hashes) {
                    Err(unusable) => {
                        self.spend(None, &user.username, Some(password)).await;
                        return Ok(Err(NotMoved::Hash(unusable)));
                    }
                    Ok(hash) => {
                        if let Ok(mut usual) = self.usual.lock() {
                            *usual = text.clone();
                        }
                        match hash.verify(password) {
                            Fit::Right => {}
                            Fit::RightButCut => must_reset = true,
                            Fit::Wrong => return Ok(Err(NotMoved::WrongPassword)),
                        }
                    }
                }
            }
            Credential::AtSource => {
                let answer = self.guarded(source.check(&user.username, password)).await?;
                match answer {
                    Answer::Right => {}
                    Answer::Wrong => return Ok(Err(NotMoved::WrongPassword)),
                    Answer::ResetRequired => must_reset = true,
                    Answer::Challenged if self.rules.takes_challenged => must_reset = true,
                    Answer::Challenged => return Ok(Err(NotMoved::Challenged)),
                    Answer::Unconfirmed if self.rules.takes_unconfirmed => must_reset = true,
                    Answer::Unconfirmed => return Ok(Err(NotMoved::Unconfirmed)),
                }
            }
        }
        if !user.confirmed {
            if !self.rules.takes_unconfirmed {
                return Ok(Err(NotMoved::Unconfirmed));
            }
            must_reset = true;
        }
        Ok(self.moved(user, must_reset))
    }

    /// Cognito sends a code to the address that is handed over here: it must be the user's.
    fn forgotten(&self, user: &LegacyUser) -> Result<Moved, NotMoved> {
        if !user.confirmed && !self.rules.takes_unconfirmed {
            return Err(NotMoved::Unconfirmed);
        }
        if !user.is_verified() {
            return Err(NotMoved::NotVerified);
        }
        self.moved(user, true)
    }

    fn moved(&self, user: &LegacyUser, must_reset: bool) -> Result<Moved, NotMoved> {
        let has = |name: &String| user.attributes.contains_key(name);
        if !self.rules.required.iter().all(has) {
            return Err(NotMoved::MissingAttribute);
        }
        Ok(Moved {
            attributes: user.attributes.clone(),
            groups: Vec::new(),
            must_reset,
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
    async fn spend(&self, source: Option<&Source>, typed: &str, password: Option<&Secret>) {
        let Some(password) = password else {
            return;
        };
        match source {
            Some(source @ Source::Cognito(_)) => {
                // The answer is for nobody.
                let _ = source.check(typed, password).await;
            }
            Some(Source::Http(_)) => {}
            Some(Source::Dynamodb(_) | Source::Postgres(_)) | None => {
                let usual = self.usual.lock().map(|usual| usual.clone());
                let hash = usual.map(|usual| PasswordHash::parse(usual.expose(), true));
                if let Ok(Ok(hash)) = hash {
                    std::hint::black_box(hash.verify(password));
                }
            }
        }
    }

    /// Asks a store, unless it has just failed to answer.
    async fn guarded<T>(
        &self,
        asking: impl Future<Output = Result<T, Unavailable>>,
    ) -> Result<T, Unavailable> {
        let now = UnixSeconds(clock::unix_seconds());
        let is_cooling = |until: UnixSeconds| now < until && until <= now.plus(COOL_DOWN_SECONDS);
        if self
            .cooling_until
            .lock()
            .is_ok_and(|until| is_cooling(*until))
        {
            return Err(Unavailable::Legacy);
        }
        let answer = asking.await;
        if answer.is_err() {
            let failed_at = UnixSeconds(clock::unix_seconds());
            if let Ok(mut until) = self.cooling_until.lock() {
                *until = failed_at.plus(COOL_DOWN_SECONDS);
            }
        }
        answer
    }
}

/// The end of the running stretch of [`REFUSALS_EVERY`].
fn next_moment(began: Instant) -> Instant {
    let stretches = began.elapsed().as_millis() / REFUSALS_EVERY.as_millis();
    let stretches = u32::try_from(stretches).unwrap_or(0).saturating_add(1);
    began + REFUSALS_EVERY * stretches
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
        let (level, outcome) = match &result {
            Ok(Outcome::Moved(moved)) if moved.must_reset => (Level::Info, "moved_to_reset"),
            Ok(Outcome::Moved(_)) => (Level::Info, "moved"),
            Ok(Outcome::NotMoved(NotMoved::TooManyFailuresInAll)) => {
                (Level::Error, NotMoved::TooManyFailuresInAll.as_str())
            }
            Ok(Outcome::NotMoved(reason)) => (Level::Warn, reason.as_str()),
            Err(unavailable) => (Level::Error, unavailable.as_str()),
        };
        if level <= self.log_level {
            log::outcome(level, "user migration", "Migrations", outcome, request_id);
        }
        match result {
            Ok(Outcome::Moved(moved)) => event.answered(&moved).ok_or(Failure::Internal),
            Ok(Outcome::NotMoved(_)) => Ok(json.to_owned()),
            Err(_) => Err(Failure::Internal),
        }
    }
}
