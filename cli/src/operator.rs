//! Shared by the commands that use a deployment: tables, clock, output.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use auth::{Secret, Unavailable, UnixSeconds};
use auth_cognito::{CognitoSignOut, CognitoUsers, UserPoolError};
use auth_dynamodb::DynamoRevocations;
use serde_json::Value;

/// A deployment, accessed with the shell's AWS credentials.
pub(crate) struct Operator {
    /// The revocation table.
    pub(crate) revocations: DynamoRevocations,
    /// The users of the pool.
    pub(crate) users: CognitoUsers,
    /// Revokes sessions at Cognito.
    pub(crate) cognito: CognitoSignOut,
    /// The user pool, whose id is the issuer id of revocations.
    pub(crate) user_pool_id: String,
    /// The table's time at the start of the command. With this computer's clock, which may be
    /// wrong, a command would revoke too little, or later sign-ins too.
    pub(crate) now: UnixSeconds,
    /// `CLOCK_LEEWAY_SECONDS`: how far a revocation reaches past that.
    pub(crate) leeway_seconds: u64,
    /// Seconds by which this computer's clock is ahead of the table's.
    ahead: i64,
}

const LEEWAY: &str = "CLOCK_LEEWAY_SECONDS";
const MAX_LEEWAY_SECONDS: u64 = 60;

impl Operator {
    /// The deployment that the functions' environment variables describe.
    ///
    /// # Errors
    /// The variables that are not set.
    pub(crate) async fn from_environment() -> Result<Self, String> {
        let user_pool_id = required("USER_POOL_ID")?;
        let table = required("REVOCATION_TABLE")?;
        let leeway_seconds = leeway_seconds()?;
        let sdk = aws_client::sdk_config().await;
        let revocations = DynamoRevocations::new(&sdk, table);
        let here = runtime::clock::unix_seconds();
        let now = revocations.server_time().await.map_err(|unavailable| {
            let text = "the table did not answer, or its response has no time";
            format!("{text}: {}", unavailable.cause)
        })?;
        Ok(Self {
            revocations,
            users: CognitoUsers::new(&sdk, user_pool_id.clone()),
            cognito: CognitoSignOut::new(&sdk, user_pool_id.clone()),
            user_pool_id,
            now,
            leeway_seconds,
            ahead: here.cast_signed().saturating_sub(now.0.cast_signed()),
        })
    }

    /// The `not_before` of revocations: one second more than the leeway, since the table's time has
    /// whole seconds.
    pub(crate) fn not_before(&self) -> UnixSeconds {
        self.time().plus(self.leeway_seconds).plus(1)
    }

    /// The table's present time.
    pub(crate) fn time(&self) -> UnixSeconds {
        UnixSeconds(runtime::clock::unix_seconds().saturating_add_signed(-self.ahead))
    }

    /// Returns once the second `time` is over by the table's clock: the next sign-in is later
    /// than the revocation.
    pub(crate) async fn until_after(&self, time: UnixSeconds) {
        // Bounded, in case the clock is set back in the meantime.
        for _ in 0..=(self.leeway_seconds + 3) * 20 {
            if self.time() > time {
                return;
            }
            tokio::time::sleep(STEP).await;
        }
    }
}

const STEP: Duration = Duration::from_millis(50);

fn leeway_seconds() -> Result<u64, String> {
    let Ok(text) = required(LEEWAY) else {
        return Ok(0);
    };
    let seconds = text.trim().parse().ok();
    seconds
        .filter(|seconds| *seconds <= MAX_LEEWAY_SECONDS)
        .ok_or_else(|| {
            format!("{LEEWAY} is not a number of seconds from 0 to {MAX_LEEWAY_SECONDS}")
        })
}

/// The text for a failed look-up.
pub(crate) fn in_words(error: UserPoolError) -> String {
    match error {
        UserPoolError::NotFound => "the pool has no such user".to_owned(),
        UserPoolError::Throttled => "Cognito throttles: try again in a moment".to_owned(),
        UserPoolError::Unavailable(cause) => format!("Cognito did not answer: {}", cause.as_str()),
    }
}

/// The text for a failed dependency: its name, and why it failed.
pub(crate) fn failed(unavailable: Unavailable) -> String {
    format!("{unavailable}: {}", unavailable.cause.as_str())
}

/// The value of a variable, or a text that says that it is not set.
pub(crate) fn required(name: &str) -> Result<String, String> {
    env_config::process(name)
        .filter(|value| !value.trim().is_empty())
        .ok_or_else(|| format!("{name} is not set"))
}

/// Results as a table, or as JSON, or as a text.
pub(crate) struct Printed {
    rows: Vec<Value>,
    json: bool,
    text: Option<Secret>,
}

impl Printed {
    /// Rows that are JSON objects.
    pub(crate) fn new(rows: Vec<Value>, json: bool) -> Self {
        Self {
            rows,
            json,
            text: None,
        }
    }

    /// A text as it is.
    pub(crate) fn text(text: Secret) -> Self {
        Self {
            rows: Vec::new(),
            json: false,
            text: Some(text),
        }
    }
}

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text.expose());
        }
        if self.json {
            let lines: Vec<String> = self.rows.iter().map(Value::to_string).collect();
            return f.write_str(&lines.join("\n"));
        }
        let names: BTreeSet<&String> = self
            .rows
            .iter()
            .filter_map(Value::as_object)
            .flat_map(serde_json::Map::keys)
            .collect();
        if names.is_empty() {
            return f.write_str("nothing");
        }
        let cell = |row: &Value, name: &str| match row.get(name) {
            None | Some(Value::Null) => "-".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        let width = |name: &String| {
            let cells = self.rows.iter().map(|row| cell(row, name).chars().count());
            cells.chain([name.len()]).max().unwrap_or(0)
        };
        let columns: Vec<(&String, usize)> =
            names.iter().map(|name| (*name, width(name))).collect();
        let line = |cells: Vec<String>| cells.join("  ").trim_end().to_owned();
        let head = columns
            .iter()
            .map(|(name, width)| format!("{name:<width$}"));
        f.write_str(&line(head.collect()))?;
        for row in &self.rows {
            let cells = columns
                .iter()
                .map(|(name, width)| format!("{:<width$}", cell(row, name)));
            write!(f, "\n{}", line(cells.collect()))?;
        }
        Ok(())
    }
}
