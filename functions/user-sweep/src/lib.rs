//! Finds what no event told of: users who are disabled in the pool and have no mark.
//!
//! It walks through the disabled users a page at a time and remembers where it was, so that a pool
//! of any size is done over as many runs as it takes, and Cognito's patience is never tried.

mod unconfirmed;

use std::time::{Duration, Instant};

use auth::env::{ConfigError, Env};
use auth::revocation::RowKey;
use auth::{Unavailable, UnixSeconds};
use auth_cognito::{CognitoUsers, Trouble, User};
use auth_dynamodb::{DynamoRevocations, Ending, Profiles, Status};
use lambda::log::{self, Level};
use lambda::{Failure, Handler, clock};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// How long a run takes at most: Lambda's timeout is longer.
const BUDGET: Duration = Duration::from_secs(50);
/// Until when sign-ups are deleted that were never confirmed.
const UNCONFIRMED_BUDGET: Duration = Duration::from_secs(56);
/// Between two pages: the pool's quota for reading users is shared with everybody's sign-in.
const PAUSE: Duration = Duration::from_millis(200);

/// What it reads from its environment. `docs/configuration.md` has the table.
pub struct Config {
    /// `USER_POOL_ID`.
    pub user_pool_id: String,
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `USERS_TABLE`: the profiles; none are kept without one.
    pub users_table: Option<String>,
    /// `REFRESH_TOKEN_TTL_SECONDS`.
    pub refresh_token_ttl_seconds: u64,
    /// `UNCONFIRMED_HOURS`: after which a sign-up that was not confirmed is deleted; never if 0.
    pub unconfirmed_hours: u64,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [&'static str] = &[
        "USER_POOL_ID",
        "REVOCATION_TABLE",
        "USERS_TABLE",
        "REFRESH_TOKEN_TTL_SECONDS",
        "UNCONFIRMED_HOURS",
        "LOG_LEVEL",
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            user_pool_id: env.user_pool_id(),
            revocation_table: env.required("REVOCATION_TABLE"),
            users_table: env.optional("USERS_TABLE"),
            refresh_token_ttl_seconds: env.refresh_token_ttl_seconds(),
            unconfirmed_hours: env.number("UNCONFIRMED_HOURS", 24, 0..=8_760),
            log_level: Level::read(&mut env),
        };
        env.finish(config)
    }
}

/// The function.
pub struct UserSweep {
    revocations: DynamoRevocations,
    profiles: Option<Profiles>,
    users: CognitoUsers,
    user_pool_id: String,
    refresh_token_ttl_seconds: u64,
    unconfirmed_hours: u64,
    log_level: Level,
}

/// What a run did.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Disabled users that were looked at.
    pub seen: u64,
    /// Marks that were missing.
    pub written: u64,
    /// Whether it came to the end of the list; else the next run goes on.
    pub finished: bool,
}

impl UserSweep {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let revocations = DynamoRevocations::new(&sdk, config.revocation_table);
        revocations.prime().await;
        let profiles = config.users_table;
        Ok(Self {
            profiles: profiles.map(|table| Profiles::beside(&revocations, table)),
            revocations,
            users: CognitoUsers::new(&sdk, config.user_pool_id.clone()),
            user_pool_id: config.user_pool_id,
            refresh_token_ttl_seconds: config.refresh_token_ttl_seconds,
            unconfirmed_hours: config.unconfirmed_hours,
            log_level: config.log_level,
        })
    }

    async fn sweep(&self) -> Result<Run, Unavailable> {
        let began = Instant::now();
        let mut run = Run::default();
        let mut cursor = self.revocations.cursor(&self.user_pool_id).await?;
        loop {
            let page = match self.users.disabled(cursor.clone()).await {
                Ok(page) => page,
                Err(Trouble::Throttled) => return Ok(run),
                Err(trouble) if cursor.is_some() => {
                    // Cognito forgets where a list was: begin again next time.
                    self.revocations
                        .set_cursor(&self.user_pool_id, None)
                        .await?;
                    return Err(trouble.into());
                }
                Err(trouble) => return Err(trouble.into()),
            };
            for user in &page.users {
                run.seen += 1;
                run.written += u64::from(self.mark(user).await?);
            }
            let next = page.next.as_deref();
            self.revocations
                .set_cursor(&self.user_pool_id, next)
                .await?;
            cursor = page.next;
            if cursor.is_none() {
                run.finished = true;
                return Ok(run);
            }
            if began.elapsed() > BUDGET {
                return Ok(run);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Writes the mark of a disabled user, if it is missing.
    async fn mark(&self, user: &User) -> Result<bool, Unavailable> {
        let now = UnixSeconds(clock::unix_seconds());
        let key = RowKey::user(&self.user_pool_id, &user.subject);
        let mark = self.revocations.mark(&key, now).await?;
        if mark.is_some_and(|mark| {
            mark.attributes
                .get("disabled")
                .is_some_and(|it| it == "true")
        }) {
            return Ok(false);
        }
        // A filter that Cognito didn't apply must not lock anybody out.
        if user.enabled {
            return Ok(false);
        }
        let at = UnixSeconds(user.modified_at).min(now);
        let ending = Ending {
            reason: "sweep",
            actor: "sweep",
            at: now,
            refresh_token_ttl_seconds: self.refresh_token_ttl_seconds,
        };
        self.revocations.disable_user(&key, at, &ending).await?;
        if let Some(profiles) = &self.profiles {
            profiles
                .set_status(&user.subject, Status::Disabled, at)
                .await?;
        }
        Ok(true)
    }
}

impl Handler for UserSweep {
    type Answer = Run;

    async fn handle(&self, _: &RawValue, request_id: &str) -> Result<Run, Failure> {
        let until = Instant::now() + UNCONFIRMED_BUDGET;
        let result = self.sweep().await;
        unconfirmed::sweep(&self.users, self.unconfirmed_hours, until, request_id).await;
        let (level, outcome, written) = match &result {
            // Something was missed, whatever the reason: somebody should look at the events.
            Ok(run) if run.written > 0 => (Level::Warn, "marks_were_missing", run.written),
            Ok(_) => (Level::Info, "nothing_missing", 0),
            Err(unavailable) => (Level::Error, unavailable.as_str(), 0),
        };
        if level <= self.log_level {
            let now = clock::unix_seconds();
            log::line(
                level,
                "sweep",
                [
                    ("outcome", Value::from(outcome)),
                    (
                        "seen",
                        Value::from(result.as_ref().map_or(0, |run| run.seen)),
                    ),
                    ("request_id", Value::from(request_id)),
                    ("MissingMarks", Value::from(written)),
                    ("_aws", log::metric("MissingMarks", "outcome", now)),
                ],
            );
        }
        result.map_err(|_| Failure::Internal)
    }
}
