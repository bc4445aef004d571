//! What the commands that touch a deployment share: its tables, the clock, how results look.

use std::collections::BTreeSet;
use std::fmt;

use auth::UnixSeconds;
use auth_cognito::{CognitoSignOut, CognitoUsers, Trouble};
use auth_dynamodb::DynamoRevocations;
use serde_json::Value;

/// Somebody with the credentials of the shell, at one deployment.
pub(crate) struct Operator {
    /// The revocation table.
    pub(crate) revocations: DynamoRevocations,
    /// The users of the pool.
    pub(crate) users: CognitoUsers,
    /// Ends sessions at Cognito.
    pub(crate) cognito: CognitoSignOut,
    /// The user pool, under whose id marks are kept.
    pub(crate) user_pool_id: String,
    /// When the command began.
    pub(crate) now: UnixSeconds,
}

impl Operator {
    /// The deployment that the functions' own variables name.
    ///
    /// # Errors
    /// The variables that are not set.
    pub(crate) async fn from_environment() -> Result<Self, String> {
        let user_pool_id = required("USER_POOL_ID")?;
        let table = required("REVOCATION_TABLE")?;
        let sdk = aws_config::load_from_env().await;
        Ok(Self {
            revocations: DynamoRevocations::new(&sdk, table),
            users: CognitoUsers::new(&sdk, user_pool_id.clone()),
            cognito: CognitoSignOut::new(&sdk, user_pool_id.clone()),
            user_pool_id,
            now: UnixSeconds(lambda::clock::unix_seconds()),
        })
    }
}

/// A look-up that brought nothing, in words.
pub(crate) fn in_words(trouble: Trouble) -> String {
    match trouble {
        Trouble::NotFound => "the pool has no such user",
        Trouble::Throttled => "Cognito asks for patience: try again in a moment",
        Trouble::Unavailable => "Cognito did not answer",
    }
    .to_owned()
}

/// The value of a variable, or a sentence about its absence.
pub(crate) fn required(name: &str) -> Result<String, String> {
    lambda::env::process(name)
        .filter(|value| !value.trim().is_empty())
        .ok_or_else(|| format!("{name} is not set"))
}

/// Results for people, or for programs.
pub(crate) struct Printed {
    rows: Vec<Value>,
    json: bool,
}

impl Printed {
    /// Rows that are JSON objects.
    pub(crate) fn new(rows: Vec<Value>, json: bool) -> Self {
        Self { rows, json }
    }
}

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
