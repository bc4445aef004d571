//! `gatehouse migrate`: before the move, what will become of the users of an export; during and after
//! it, who is still to come.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use auth_cognito::{CognitoUsers, Trouble};
use aws_sdk_dynamodb::types::AttributeValue;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use migrate_user::check::{Checker, nobodys_password};
use serde_json::{Map, Value, json};

use crate::operator::{Printed, in_words, required};

/// Lambda gives a function this much memory for each whole processor.
const MEGABYTES_PER_PROCESSOR: f64 = 1_769.0;
/// Below the quota of `AdminGetUser`, which sign-ins need too.
const CALLS_PER_SECOND: u64 = 20;

/// What to do about a move. Fields, attributes and rules are those of migrate-user's own environment
/// variables.
#[derive(Args)]
pub(crate) struct Migrate {
    #[command(subcommand)]
    command: Command,
    /// JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Look at an export of the old store: who can't be moved, and why.
    Check {
        /// The export: CSV with a header, or a JSON object on each line.
        export: PathBuf,
        /// Where to write those who need somebody's work, a JSON object on each line.
        #[arg(long)]
        work_file: Option<PathBuf>,
        /// Megabytes of migrate-user, to reckon how long a hash takes there.
        #[arg(long, default_value = "1769")]
        memory: u32,
        /// A DynamoDB table to fill with the spellings of names that are not tried anyway.
        #[arg(long)]
        spellings_table: Option<String>,
    },
    /// Ask the new pool for everybody in an export: who is there, and who is still to come.
    Status {
        /// The export, as for `check`.
        export: PathBuf,
        /// Where to write those who are still to come. If it is there, a run that was cut short goes
        /// on after the last line that it looked at.
        #[arg(long)]
        work_file: PathBuf,
    },
}

impl Migrate {
    /// Does it.
    ///
    /// # Errors
    /// A text about what kept it from being done.
    pub(crate) async fn run(self) -> Result<Printed, String> {
        let rows = match self.command {
            Command::Check {
                export,
                work_file,
                memory,
                spellings_table,
            } => {
                let checker = check(&export, work_file.as_deref())?;
                if let Some(table) = spellings_table {
                    write_spellings(&checker, &table).await?;
                }
                report(&checker, memory)
            }
            Command::Status { export, work_file } => status(&export, &work_file).await?,
        };
        Ok(Printed::new(rows, self.json))
    }
}

fn check(export: &Path, work_file: Option<&Path>) -> Result<Checker, String> {
    let mut checker = Checker::from_lookup(&lambda::env::process).map_err(|e| e.0.join("\n"))?;
    let mut work = work_file.map(create).transpose()?;
    for record in Records::open(export)? {
        let record = record?;
        let problems = checker.add(&record);
        if let (false, Some(work)) = (problems.is_empty(), &mut work) {
            // Without the hash: the file is for people.
            let name = record.get("username").cloned().unwrap_or_default();
            let line = json!({"username": name, "problems": problems});
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
    Ok(checker)
}

/// Counts, and what a hash of each kind costs here and, reckoned by its share of a processor, there.
fn report(checker: &Checker, memory: u32) -> Vec<Value> {
    let mut rows = vec![json!({"what": "users", "count": checker.users()})];
    let conflicts = checker.conflicts().count();
    rows.push(json!({"what": "names that are several people", "count": conflicts}));
    for (problem, count) in checker.problems() {
        rows.push(json!({"what": problem, "count": count}));
    }
    let share = (MEGABYTES_PER_PROCESSOR / f64::from(memory)).max(1.0);
    let password = nobodys_password();
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
    let client = aws_sdk_dynamodb::Client::new(&aws_config::load_from_env().await);
    for (name, spellings) in checker.unusual() {
        let spellings = spellings.iter().cloned().collect();
        let put = client
            .put_item()
            .table_name(table)
            .item("id", AttributeValue::S(name.to_owned()))
            .item("spellings", AttributeValue::Ss(spellings));
        put.send()
            .await
            .map_err(|_| "the table of spellings did not take a row")?;
    }
    Ok(())
}

/// Who of an export is in the new pool.
async fn status(export: &Path, work_file: &Path) -> Result<Vec<Value>, String> {
    let pool = required("USER_POOL_ID")?;
    let users = CognitoUsers::new(&aws_config::load_from_env().await, pool);
    let (seen, mut left) = seen_before(work_file)?;
    let mut work = BufWriter::new(
        File::options()
            .create(true)
            .append(true)
            .open(work_file)
            .map_err(|error| format!("{}: {error}", work_file.display()))?,
    );
    let mut total = 0;
    let mut pace = tokio::time::interval(Duration::from_millis(1_000 / CALLS_PER_SECOND));
    for record in Records::open(export)? {
        let record = record?;
        total += 1;
        if total <= seen {
            continue;
        }
        let Some(name) = record.get("username").and_then(Value::as_str) else {
            continue;
        };
        let is_there = loop {
            pace.tick().await;
            match users.get(&name.to_lowercase()).await {
                Ok(_) => break true,
                Err(Trouble::NotFound) => break false,
                Err(Trouble::Throttled) => tokio::time::sleep(Duration::from_secs(1)).await,
                Err(trouble @ Trouble::Unavailable) => return Err(in_words(trouble)),
            }
        };
        left += u64::from(!is_there);
        let line = json!({"line": total, "username": name, "is_there": is_there});
        let written = writeln!(work, "{line}").and_then(|()| work.flush());
        written.map_err(|error| error.to_string())?;
    }
    Ok(vec![
        json!({"what": "users", "count": total}),
        json!({"what": "moved", "count": total - left}),
        json!({"what": "still to come", "count": left}),
    ])
}

/// How far an earlier run came, and how many it found missing.
fn seen_before(work_file: &Path) -> Result<(u64, u64), String> {
    let Ok(file) = File::open(work_file) else {
        return Ok((0, 0));
    };
    let (mut seen, mut left) = (0, 0);
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|error| error.to_string())?;
        let line: BTreeMap<String, Value> = serde_json::from_str(&line)
            .map_err(|_| format!("{} is no work file of ours", work_file.display()))?;
        seen = line.get("line").and_then(Value::as_u64).unwrap_or(seen);
        left += u64::from(line.get("is_there") == Some(&Value::Bool(false)));
    }
    Ok((seen, left))
}

fn create(path: &Path) -> Result<BufWriter<File>, String> {
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(BufWriter::new(file))
}

/// The records of an export, with a bar that shows how far it is.
struct Records {
    lines: Box<dyn Iterator<Item = Result<Map<String, Value>, String>>>,
}

impl Records {
    fn open(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let style = ProgressStyle::with_template("{bar:40} {percent}% {msg} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(size).with_style(style);
        let file = BufReader::new(bar.wrap_read(file));
        let wrong = move |at: usize| format!("{name}: record {} can't be read", at + 1);
        let is_csv = path.extension().is_some_and(|extension| extension == "csv");
        let lines: Box<dyn Iterator<Item = _>> = if is_csv {
            let records = csv::Reader::from_reader(file).into_deserialize();
            Box::new(records.enumerate().map(
                move |(at, record): (usize, Result<BTreeMap<String, String>, _>)| {
                    let record = record.map_err(|_| wrong(at))?;
                    let fields = record.into_iter().filter(|(_, value)| !value.is_empty());
                    Ok(fields.map(|(name, value)| (name, value.into())).collect())
                },
            ))
        } else {
            Box::new(file.lines().enumerate().map(move |(at, line)| {
                let line = line.map_err(|_| wrong(at))?;
                serde_json::from_str(&line).map_err(|_| wrong(at))
            }))
        };
        Ok(Self { lines })
    }
}

impl Iterator for Records {
    type Item = Result<Map<String, Value>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.lines.next()
    }
}
