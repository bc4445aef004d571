//! Finds what no event has reported: users who are disabled in the pool without a revocation, and
//! users who are disabled here but no longer in the pool. It also monitors what revocations rely
//! on: the lifetime of each app client's refresh tokens, and a trail.
//!
//! It reads the disabled users page by page and stores its position, so that a pool of any size
//! takes as many runs as it needs, within Cognito's request quota.

mod clients;
mod config;
mod disabled;
mod heartbeat;
mod locked_out;
mod outcome;
mod report;
mod unconfirmed;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use auth::{RevocationContext, Unavailable, UnixSeconds, UserRef};
use auth_cognito::CognitoUsers;
use auth_dynamodb::{DynamoRevocations, Profiles, Status, SweepState};
use aws_client::SdkConfig;
use runtime::{Handler, InvocationError};
use serde_json::value::RawValue;

pub use config::Config;
pub use outcome::Run;

/// The longest time for which a run deletes unconfirmed sign-ups.
const UNCONFIRMED_BUDGET: Duration = Duration::from_secs(60);
/// The longest time of a run. Lambda's timeout, 15 minutes, leaves time for the call that is in progress and for the
/// report, from which the alarms have their metrics.
const LIMIT: Duration = Duration::from_secs(13 * 60 + 30);
/// Seconds by which a disabled user's event, or Cognito's list of users, may be delayed.
const SETTLED: u64 = 60 * 60;

/// The pause between two pages: reading users shares a quota of the pool with sign-ins.
const PAUSE: Duration = Duration::from_millis(200);

/// The function.
pub struct UserSweep {
    revocations: DynamoRevocations,
    profiles: Option<Profiles>,
    users: CognitoUsers,
    user_pool_id: String,
    user_pool_arn: Option<String>,
    refresh_token_ttl_seconds: u64,
    unconfirmed_hours: u64,
    limit: Duration,
}

/// The whole program. It is a part of the library, so that the compiler generates its code once for the binary and all
/// tests.
#[must_use]
pub fn run() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        UserSweep::connect,
    )
}

impl UserSweep {
    /// Opens the connection to the tables during init.
    ///
    /// # Errors
    /// None.
    pub async fn connect(config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_client::sdk_config_in_lambda();
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
            limit: LIMIT,
        }
    }

    /// The function with another longest time of a run.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
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
}

/// The actor of the sweep's revocations.
const SWEEP: &str = "sweep";

impl Handler for UserSweep {
    type Answer = Run;

    async fn handle(&self, _: &RawValue, request_id: &str) -> Result<Run, InvocationError> {
        let until = Instant::now() + self.limit;
        self.beat().await;
        let mut state = SweepState::default();
        let result = match self.revocations.sweep_state(&self.user_pool_id).await {
            Ok(read) => {
                state = read;
                self.sweep(&mut state, until, request_id).await
            }
            Err(unavailable) => Err(unavailable),
        };
        let unconfirmed_until = until.min(Instant::now() + UNCONFIRMED_BUDGET);
        let hours = self.unconfirmed_hours;
        unconfirmed::sweep(&self.users, hours, unconfirmed_until, request_id).await;
        let outliving = self.outliving(until, request_id).await;
        let result = result.map(|run| Run { outliving, ..run });
        report::report(&result, &state, request_id);
        result.map_err(|_| InvocationError::Internal)
    }
}
