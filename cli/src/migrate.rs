//! `gatehouse migrate`: before the migration, checks which users of an export can be migrated;
//! during and after it, lists who is left.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use auth_cognito::{CognitoUsers, UserPoolError};
use aws_sdk_dynamodb::types::AttributeValue;
use clap::{Args, Subcommand};
use migrate_user::check::{Checker, timing_password};
use serde_json::{Value, json};

use crate::export::Records;
use crate::operator::{Printed, in_words, required};

/// Lambda gives a function one vCPU for this much memory.
const MEGABYTES_PER_PROCESSOR: f64 = 1_769.0;
/// Below the quota of `AdminGetUser`, which sign-ins need too.
const CALLS_PER_SECOND: u64 = 20;

/// The checker's word for a record without a name.
const NO_NAME: &str = "no_name";

/// Prepare and follow a migration. Fields, attributes and rules are those of migrate-user's own
/// environment variables.
#[derive(Args)]
pub(crate) struct Migrate {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Check an export of the old store: which users cannot be migrated, and why.
    Check {
        /// The export: CSV with a header, a JSON object on each line, or a JSON array.
        export: PathBuf,
        /// The output file for users who need manual work, one JSON object per line.
        #[arg(long)]
        work_file: Option<PathBuf>,
        /// The memory of migrate-user in megabytes, for an estimate of its hash times.
        #[arg(long, default_value = "1769")]
        memory: u32,
        /// A DynamoDB table to fill with spellings of names that migrate-user would not try itself.
        #[arg(long)]
        spellings_table: Option<String>,
    },
    /// Look up every user of an export in the new pool: who is migrated, and who is left.
    Status {
        /// The export, as for `check`.
        export: PathBuf,
        /// The output file of the look-ups. If it exists, an interrupted run continues after its
        /// last line.
        #[arg(long)]
        work_file: PathBuf,
    },
}

impl Migrate {
    /// Runs the command. Also returns whether every record was readable and had a name.
    ///
    /// # Errors
    /// A text about the failure.
    pub(crate) async fn run(self) -> Result<(Printed, bool), String> {
        let (rows, is_whole) = match self.command {
            Command::Check {
                export,
                work_file,
                memory,
                spellings_table,
            } => {
                let (checker, unreadable) = check(&export, work_file.as_deref())?;
                if let Some(table) = spellings_table {
                    write_spellings(&checker, &table).await?;
                }
                let nameless = checker.problems().contains_key(NO_NAME);
                let rows = report(&checker, unreadable, memory);
                (rows, unreadable == 0 && !nameless)
            }
            Command::Status { export, work_file } => status(&export, &work_file).await?,
        };
        Ok((Printed::new(rows, self.json), is_whole))
    }
}

/// The checker with all records, and the number of unreadable records.
fn check(export: &Path, work_file: Option<&Path>) -> Result<(Checker, u64), String> {
    let mut checker = checker()?;
    let mut unreadable = 0;
    let mut work = work_file.map(create).transpose()?;
    for (at, record) in Records::open(export)?.enumerate() {
        let (name, problems) = match record? {
            Some(record) => (checker.name(&record), checker.add(&record)),
            None => {
                unreadable += 1;
                (None, vec!["unreadable".to_owned()])
            }
        };
        if let (false, Some(work)) = (problems.is_empty(), &mut work) {
            // Without the hash, because people read this file.
            let line = json!({"record": at + 1, "username": name, "problems": problems});
            writeln!(work, "{line}").map_err(|error| error.to_string())?;
        }
    }
    if let Some(work) = &mut work {
        for (name, spellings) in checker.conflicts() {
            let line = json!({"username": name, "problems": ["conflict"], "spellings": spellings});
            writeln!(work, "{line}").map_err(|error| error.to_string())?;
        }
        work.flush().map_err(|error| error.to_string())?;
    }
    let nameless = checker.problems().get(NO_NAME).copied();
    if checker.users() > 0 && nameless == Some(checker.users()) {
        return Err(no_names(export, &checker));
    }
    Ok((checker, unreadable))
}

fn checker() -> Result<Checker, String> {
    Checker::from_lookup(&env_config::process).map_err(|error| error.0.join("\n"))
}

fn no_names(export: &Path, checker: &Checker) -> String {
    format!(
        "{}: no record has a field {:?}, the user's name. Set LEGACY_FIELDS to its name in this export",
        export.display(),
        checker.name_field()
    )
}

/// The counts, and for each kind of hash its time here and an estimate for the function's share of
/// a vCPU.
fn report(checker: &Checker, unreadable: u64, memory: u32) -> Vec<Value> {
    let mut rows = vec![json!({"what": "users", "count": checker.users()})];
    if unreadable > 0 {
        rows.push(json!({"what": "records that can't be read", "count": unreadable}));
    }
    let conflicts = checker.conflicts().count();
    rows.push(json!({"what": "names shared by several people", "count": conflicts}));
    for (problem, count) in checker.problems() {
        rows.push(json!({"what": problem, "count": count}));
    }
    let share = (MEGABYTES_PER_PROCESSOR / f64::from(memory)).max(1.0);
    let password = timing_password();
    for (kind, hashes) in checker.hashes() {
        let began = Instant::now();
        std::hint::black_box(hashes.example.verify(&password));
        let here = began.elapsed().as_secs_f64() * 1_000.0;
        rows.push(json!({
            "what": format!("hash: {kind}"),
            "count": hashes.count,
            "ms_here": here.round(),
            "ms_there": (here * share).round(),
        }));
    }
    rows
}

async fn write_spellings(checker: &Checker, table: &str) -> Result<(), String> {
    let client = aws_sdk_dynamodb::Client::new(&aws_client::sdk_config().await);
    for (name, spellings) in checker.unusual() {
        let spellings = spellings.iter().cloned().collect();
        let put = client
            .put_item()
            .table_name(table)
            .item("id", AttributeValue::S(name.to_owned()))
            .item("spellings", AttributeValue::Ss(spellings));
        put.send().await.map_err(|error| {
            let cause = aws_client::cause_of(&error);
            format!("could not write to the table of spellings: {cause}")
        })?;
    }
    Ok(())
}

/// Which users of an export are in the new pool. A record without a name is not looked up, and
/// counted separately.
async fn status(export: &Path, work_file: &Path) -> Result<(Vec<Value>, bool), String> {
    let pool = required("USER_POOL_ID")?;
    let checker = checker()?;
    let users = CognitoUsers::new(&aws_client::sdk_config().await, pool);
    let mut tally = Tally::of(work_file)?;
    let mut work = BufWriter::new(
        File::options()
            .create(true)
            .append(true)
            .open(work_file)
            .map_err(|error| format!("{}: {error}", work_file.display()))?,
    );
    let mut pace = tokio::time::interval(Duration::from_millis(1_000 / CALLS_PER_SECOND));
    for (at, record) in (1_u64..).zip(Records::open(export)?) {
        let record = record?;
        if at <= tally.seen {
            continue;
        }
        let name = record.and_then(|record| checker.name_in_pool(&record));
        let is_there = match &name {
            None => None,
            Some(name) => loop {
                pace.tick().await;
                match users.get(name).await {
                    Ok(_) => break Some(true),
                    Err(UserPoolError::NotFound) => break Some(false),
                    Err(UserPoolError::Throttled) => {
                        tokio::time::sleep(Duration::from_secs(1)).await
                    }
                    Err(error @ UserPoolError::Unavailable(_)) => return Err(in_words(error)),
                }
            },
        };
        let line = json!({"line": at, "username": name, "is_there": is_there});
        tally.add(at, is_there);
        let written = writeln!(work, "{line}").and_then(|()| work.flush());
        written.map_err(|error| error.to_string())?;
    }
    if tally.seen > 0 && tally.nameless == tally.seen {
        return Err(no_names(export, &checker));
    }
    let mut rows = vec![
        json!({"what": "users", "count": tally.seen}),
        json!({"what": "moved", "count": tally.moved}),
        json!({"what": "still to come", "count": tally.to_come}),
    ];
    if tally.nameless > 0 {
        rows.push(json!({"what": "without a name, not looked up", "count": tally.nameless}));
    }
    Ok((rows, tally.nameless == 0))
}

/// The progress and the counts of a run.
#[derive(Default)]
struct Tally {
    seen: u64,
    moved: u64,
    to_come: u64,
    nameless: u64,
}

impl Tally {
    /// Reads the file of an earlier run, if it exists.
    fn of(work_file: &Path) -> Result<Self, String> {
        let mut tally = Self::default();
        let Ok(file) = File::open(work_file) else {
            return Ok(tally);
        };
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|error| error.to_string())?;
            let line: BTreeMap<String, Value> = serde_json::from_str(&line)
                .map_err(|_| format!("{} was not written by `status`", work_file.display()))?;
            if let Some(at) = line.get("line").and_then(Value::as_u64) {
                tally.add(at, line.get("is_there").and_then(Value::as_bool));
            }
        }
        Ok(tally)
    }

    fn add(&mut self, at: u64, is_there: Option<bool>) {
        self.seen = at;
        match is_there {
            Some(true) => self.moved += 1,
            Some(false) => self.to_come += 1,
            None => self.nameless += 1,
        }
    }
}

fn create(path: &Path) -> Result<BufWriter<File>, String> {
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(BufWriter::new(file))
}
