//! Finds what no event has reported: users who are disabled in the pool without a revocation, and
//! users who are disabled here but no longer in the pool. It also monitors what revocations rely
//! on: the lifetime of each app client's refresh tokens, and a trail.
//!
//! It reads the disabled users page by page and stores its position, so that a pool of any size
//! takes as many runs as it needs, within Cognito's request quota.

mod clients;
mod locked_out;
mod unconfirmed;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use auth::{RevocationContext, RevocationWriter, Unavailable, UnixSeconds, UserRef};
use auth_cognito::{CognitoUsers, User, UserPoolError};
use auth_dynamodb::{DynamoRevocations, Profiles, Status, SweepState};
use aws_config::SdkConfig;
use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level, Measure};
use runtime::{Handler, InvocationError, clock};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The longest time for which a run reads users: Lambda's timeout, 15 minutes, leaves time for the
/// rest.
const BUDGET: Duration = Duration::from_secs(12 * 60);
/// The longest time for which a run deletes unconfirmed sign-ups.
const UNCONFIRMED_BUDGET: Duration = Duration::from_secs(60);
/// The pause between two pages: reading users shares a quota of the pool with sign-ins.
const PAUSE: Duration = Duration::from_millis(200);

/// The configuration, read from the environment. `docs/configuration.md` has the table.
pub struct Config {
    /// `USER_POOL_ID`.
    pub user_pool_id: String,
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `USERS_TABLE`: the table of profiles; no profiles are kept without it.
    pub users_table: Option<String>,
    /// `USER_POOL_ARN`: the pool for the call that proves that a trail exists; no such call without
    /// it.
    pub user_pool_arn: Option<String>,
    /// `REFRESH_TOKEN_TTL_SECONDS`.
    pub refresh_token_ttl_seconds: u64,
    /// `UNCONFIRMED_HOURS`: the age in hours at which an unconfirmed sign-up is deleted; 0 disables
    /// deletion.
    pub unconfirmed_hours: u64,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [Var] = &[
        vars::USER_POOL_ID,
        vars::REVOCATION_TABLE,
        vars::USERS_TABLE,
        Var::new(
            "USER_POOL_ARN",
            "unset",
            "The pool's ARN, for the hourly call that shows that a trail exists \
             (`UntagResource` with a tag that the pool does not have). Unset: no call.",
        ),
        vars::REFRESH_TOKEN_TTL_SECONDS,
        Var::new(
            "UNCONFIRMED_HOURS",
            "`24`",
            "After how many hours a sign-up that was not confirmed is deleted, up to 8760. \
             `0`: never.",
        ),
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// All problems of the configuration, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let config = Self {
            user_pool_id: env.user_pool_id(),
            revocation_table: env.required("REVOCATION_TABLE"),
            users_table: env.optional("USERS_TABLE"),
            user_pool_arn: env.optional("USER_POOL_ARN"),
            refresh_token_ttl_seconds: env.refresh_token_ttl_seconds(),
            unconfirmed_hours: env.number("UNCONFIRMED_HOURS", 24, 0..=8_760),
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
    user_pool_arn: Option<String>,
    refresh_token_ttl_seconds: u64,
    unconfirmed_hours: u64,
}

/// The result of a run.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Disabled users that were read.
    pub seen: u64,
    /// Revocations that were missing.
    pub written: u64,
    /// Whether the run reached the end of the list; else the next run continues.
    pub finished: bool,
    /// Users who were disabled here but enabled in the pool.
    pub enabled: u64,
    /// App clients whose sessions can outlive their revocations; `None` if Cognito did not answer.
    pub outliving: Option<u64>,
}

impl UserSweep {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let sweep = Self::new(&sdk, config);
        sweep.revocations.warm_up().await;
        Ok(sweep)
    }

    /// The function over the services that `sdk` leads to.
    #[must_use]
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        let revocations = DynamoRevocations::new(sdk, config.revocation_table);
        let profiles = config.users_table;
        Self {
            profiles: profiles.map(|table| Profiles::beside(&revocations, table)),
            revocations,
            users: CognitoUsers::new(sdk, config.user_pool_id.clone()),
            user_pool_id: config.user_pool_id,
            user_pool_arn: config.user_pool_arn,
            refresh_token_ttl_seconds: config.refresh_token_ttl_seconds,
            unconfirmed_hours: config.unconfirmed_hours,
        }
    }

    async fn sweep(&self, state: &mut SweepState) -> Result<Run, Unavailable> {
        let began = Instant::now();
        let mut run = Run::default();
        let mut disabled = HashSet::new();
        let is_whole = state.cursor.is_none();
        loop {
            if state.cursor.is_none() {
                state.began_at = Some(now());
            }
            let page = match self.users.disabled(state.cursor.clone()).await {
                Ok(page) => page,
                Err(UserPoolError::Throttled) => return Ok(run),
                Err(error) if state.cursor.is_some() => {
                    // Cognito's pagination token has expired: the next run starts again.
                    state.cursor = None;
                    self.remember(state).await?;
                    return Err(error.into());
                }
                Err(error) => return Err(error.into()),
            };
            run.seen += u64::try_from(page.users.len()).unwrap_or(u64::MAX);
            run.written += self.write_missing(&page.users).await?;
            let users = page.users.into_iter().filter(|user| !user.enabled);
            disabled.extend(users.map(|user| user.subject));
            state.cursor = page.next;
            if state.cursor.is_none() {
                state.passed_at = state.began_at;
            }
            self.remember(state).await?;
            if state.cursor.is_none() {
                run.finished = true;
                break;
            }
            if began.elapsed() > BUDGET {
                return Ok(run);
            }
            tokio::time::sleep(PAUSE).await;
        }
        if is_whole && locked_out::is_due(state, now()) {
            run.enabled = self.let_in(&disabled).await?;
            state.compared_at = Some(now());
            self.remember(state).await?;
        }
        Ok(run)
    }

    async fn remember(&self, state: &SweepState) -> Result<(), Unavailable> {
        let pool = &self.user_pool_id;
        self.revocations.set_sweep_state(pool, state).await
    }

    /// Writes missing revocations of disabled users, and returns their number.
    async fn write_missing(&self, users: &[User]) -> Result<u64, Unavailable> {
        let targets: HashSet<UserRef<'_>> = users
            .iter()
            .map(|user| self.user_ref(&user.subject))
            .collect();
        let rows = self.revocations.user_rows(&targets).await?;
        let mut written = 0;
        // Protects enabled users if Cognito did not apply the filter.
        for user in users.iter().filter(|user| !user.enabled) {
            let target = self.user_ref(&user.subject);
            let row = rows.get(&target);
            if row.is_some_and(|row| row.disabled) {
                continue;
            }
            let now = now();
            let enabled_at = row.and_then(|row| row.status_at);
            let at = disabled_at(UnixSeconds(user.modified_at), enabled_at, now);
            let context = self.context(now);
            self.revocations.disable_user(&target, at, &context).await?;
            self.set_profile_status(&user.subject, Status::Disabled, at)
                .await?;
            written += 1;
        }
        Ok(written)
    }

    async fn set_profile_status(
        &self,
        subject: &str,
        status: Status,
        at: UnixSeconds,
    ) -> Result<(), Unavailable> {
        match &self.profiles {
            Some(profiles) => profiles.set_status(subject, status, at).await,
            None => Ok(()),
        }
    }

    fn user_ref<'a>(&'a self, subject: &'a str) -> UserRef<'a> {
        UserRef {
            issuer: &self.user_pool_id,
            subject,
        }
    }

    fn context(&self, now: UnixSeconds) -> RevocationContext<'static> {
        RevocationContext {
            reason: "sweep",
            actor: SWEEP,
            at: now,
            refresh_token_ttl_seconds: self.refresh_token_ttl_seconds,
        }
    }

    /// Makes the call that CloudTrail reports to user-events: an alarm rings when no record
    /// arrives.
    async fn beat(&self, request_id: &str) {
        if let Some(arn) = &self.user_pool_arn
            && self.users.heartbeat(arn).await.is_err()
        {
            let fields = [("request_id", Value::from(request_id))];
            log::line(
                Level::Error,
                "could not make the call that proves a trail",
                fields,
            );
        }
    }

    fn report(&self, result: &Result<Run, Unavailable>, state: &SweepState, request_id: &str) {
        let (level, outcome) = match result {
            // An event was missed: an operator should check the event delivery.
            Ok(run) if run.written > 0 => (Level::Warn, "marks_were_missing"),
            Ok(run) if run.enabled > 0 => (Level::Warn, "users_were_locked_out"),
            Ok(run) if !run.finished => (Level::Info, "not_finished"),
            Ok(_) => (Level::Info, "nothing_missing"),
            Err(unavailable) => (Level::Error, unavailable.as_str()),
        };
        let now = now();
        let run = result.as_ref().ok();
        let count = |of: fn(&Run) -> u64| Value::from(run.map_or(0, of));
        let measure = |name, unit, by| Measure { name, unit, by };
        let mut measures = vec![measure("MissingMarks", "Count", Some("outcome"))];
        let mut fields = vec![
            ("outcome", Value::from(outcome)),
            ("seen", count(|run| run.seen)),
            ("enabled", count(|run| run.enabled)),
            ("request_id", Value::from(request_id)),
            ("MissingMarks", count(|run| run.written)),
        ];
        // Until the first pass is complete: the time since its start.
        if let Some(since) = state.passed_at.or(state.began_at) {
            measures.push(measure("SweepAge", "Seconds", None));
            fields.push(("SweepAge", now.since(since).unwrap_or(0).into()));
        }
        if let Some(clients) = run.and_then(|run| run.outliving) {
            measures.push(measure("OutlivingClients", "Count", None));
            fields.push(("OutlivingClients", clients.into()));
        }
        fields.push(("_aws", log::metrics(&measures, now.0)));
        // Alarms read this line's metrics, so no `LOG_LEVEL` turns it off.
        log::line(level, "sweep", fields);
    }
}

/// Seconds by which a disabled user's event, or Cognito's list of users, may be delayed.
const SETTLED: u64 = 60 * 60;
/// The actor of the sweep's revocations.
const SWEEP: &str = "sweep";

/// The time of the disabling of a user whom Cognito modified at `modified_at` and who was enabled
/// here at `enabled_at`. The table's clock may be ahead of Cognito's, and then an enabling seems
/// later than the disabling that followed it; one that is older than the delay of Cognito's list
/// is not.
fn disabled_at(
    modified_at: UnixSeconds,
    enabled_at: Option<UnixSeconds>,
    now: UnixSeconds,
) -> UnixSeconds {
    let settled = enabled_at.filter(|at| now.since(*at).is_some_and(|age| age >= SETTLED));
    settled
        .map_or(modified_at, |at| at.max(modified_at))
        .min(now)
}

fn now() -> UnixSeconds {
    UnixSeconds(clock::unix_seconds())
}

impl Handler for UserSweep {
    type Answer = Run;

    async fn handle(&self, _: &RawValue, request_id: &str) -> Result<Run, InvocationError> {
        self.beat(request_id).await;
        let mut state = SweepState::default();
        let result = match self.revocations.sweep_state(&self.user_pool_id).await {
            Ok(read) => {
                state = read;
                self.sweep(&mut state).await
            }
            Err(unavailable) => Err(unavailable),
        };
        let until = Instant::now() + UNCONFIRMED_BUDGET;
        unconfirmed::sweep(&self.users, self.unconfirmed_hours, until, request_id).await;
        let outliving = self.outliving(request_id).await;
        let result = result.map(|run| Run { outliving, ..run });
        self.report(&result, &state, request_id);
        result.map_err(|_| InvocationError::Internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disabling_follows_an_enabling_that_is_settled() {
        let now = UnixSeconds(1_000_000);
        let modified_at = now.0 - SETTLED - 10;
        let rows = [
            (None, modified_at),
            (Some(modified_at - 1), modified_at),
            // The enabling was written with a clock that is ahead.
            (Some(modified_at + 2), modified_at + 2),
            (Some(now.0 - SETTLED), now.0 - SETTLED),
            // Cognito's list may be older than the enabling.
            (Some(now.0 - SETTLED + 1), modified_at),
            (Some(now.0 + 5), modified_at),
        ];
        for (enabled_at, expected) in rows {
            let at = disabled_at(UnixSeconds(modified_at), enabled_at.map(UnixSeconds), now);
            assert_eq!(at, UnixSeconds(expected), "{enabled_at:?}");
        }
        assert_eq!(disabled_at(UnixSeconds(now.0 + 9), None, now), now);
    }
}
