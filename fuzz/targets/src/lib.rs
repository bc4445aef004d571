//! The bodies of the fuzz targets: what an input means, and what must be true of it. `fuzz/fuzz_targets` runs them
//! with libFuzzer, and `tests/corpus.rs` with the committed inputs.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a target panics where a promise is broken"
)]

mod aws;
mod edit;
mod input;
mod world;

pub mod api_event;
pub mod authorizer_event;
pub mod batch_event;
pub mod browser_session;
pub mod claims;
pub mod credential;
pub mod key_set;
pub mod mail;
pub mod password_hash;
pub mod path;
pub mod policy_uses;
pub mod proxy_request;
pub mod routes;
pub mod rules;
pub mod signing_keys;
pub mod token;
pub mod trigger_event;

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use runtime::{Handler, InvocationError, Members};
use serde_json::Value;
use serde_json::value::RawValue;
use testkit::Pool;

/// A target: its name, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// The folder of the programs and their inputs.
pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Every target.
pub const TARGETS: &[Target] = &[
    ("api_event", api_event::run),
    ("authorizer_event", authorizer_event::run),
    ("batch_event", batch_event::run),
    ("browser_session", browser_session::run),
    ("claims", claims::run),
    ("credential", credential::run),
    ("key_set", key_set::run),
    ("mail", mail::run),
    ("password_hash", password_hash::run),
    ("path", path::run),
    ("policy_uses", policy_uses::run),
    ("proxy_request", proxy_request::run),
    ("routes", routes::run),
    ("rules", rules::run),
    ("signing_keys", signing_keys::run),
    ("token", token::run),
    ("trigger_event", trigger_event::run),
];

/// `LOG_LEVEL` of the functions: a fuzzer's log is searched for secrets, a test's would only be long.
pub(crate) const LOG_LEVEL: &str = if cfg!(feature = "fuzzing") {
    "INFO"
} else {
    "ERROR"
};

/// Runs a future to its end.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            #[cfg(feature = "fuzzing")]
            builder.start_paused(true);
            builder.enable_all().build().expect("a runtime")
        };
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Writes the input into the log before what it causes, so that `fuzz/run.py` keeps the input of a line with a secret.
pub(crate) fn announce(bytes: &[u8]) {
    if cfg!(feature = "fuzzing") {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = format!("input {digits}\n");
        std::io::stdout()
            .write_all(line.as_bytes())
            .expect("the log");
    }
}

/// The answer of a function, as JSON.
pub(crate) fn asked<H: Handler>(function: &H, event: &RawValue) -> Result<Value, InvocationError> {
    let answer = wait(function.handle(event, "request-1"))?;
    Ok(serde_json::to_value(answer).expect("JSON"))
}

/// Fails if a call of Cognito names another user pool than ours.
pub(crate) fn no_call_to_another_pool(calls: &[(String, Value)]) {
    for (operation, input) in calls {
        let pool = input["UserPoolId"].as_str();
        assert!(
            pool.is_none_or(|pool| pool == Pool::ours().id),
            "{operation}: another pool"
        );
    }
}

/// Fails if a call of DynamoDB reads or writes a row of another pool: wherever an input has a key, also in a whole row,
/// a value of a query, or a part of a batch.
pub(crate) fn no_row_of_another_pool(calls: &[(String, Value)]) {
    fn check(operation: &str, json: &Value) {
        match json {
            Value::Object(members) => {
                for (name, member) in members {
                    if let ("pk" | ":pk", Some(partition)) = (name.as_str(), member["S"].as_str()) {
                        let pool = Pool::ours().id;
                        let rest = partition.strip_prefix(pool);
                        assert!(
                            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('#')),
                            "{operation}: a row of another pool: {partition}"
                        );
                    }
                    check(operation, member);
                }
            }
            Value::Array(list) => list.iter().for_each(|one| check(operation, one)),
            _ => {}
        }
    }
    for (operation, input) in calls {
        check(operation, input);
    }
}

/// The sample events of a function, without their expected answers, in the order of their names.
pub(crate) fn samples(function: &'static str) -> &'static [Value] {
    static SAMPLES: OnceLock<Mutex<HashMap<&'static str, &'static [Value]>>> = OnceLock::new();
    let mut known = SAMPLES.get_or_init(Mutex::default).lock().expect("a lock");
    known.entry(function).or_insert_with(|| {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../events")).join(function);
        let files = std::fs::read_dir(folder).expect("samples");
        let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        paths.retain(|path| !path.to_string_lossy().contains(".expected"));
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            let text = std::fs::read_to_string(path).expect("a sample");
            serde_json::from_str(&text).expect("JSON")
        };
        let samples: Vec<Value> = paths.iter().map(read).collect();
        Box::leak(samples.into_boxed_slice())
    })
}

/// The answer of a trigger is its event with another `response`.
pub(crate) fn unchanged_but_response(event: &RawValue, answer: &RawValue) {
    let (Some(before), Some(after)) = (Members::parse(event), Members::parse(answer)) else {
        panic!("an answer to an event that is no object");
    };
    let names = |json: &RawValue| -> Vec<String> {
        // Values are not read: the old response may have a number that `Value` refuses.
        let members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(json.get()).unwrap_or_default();
        members
            .into_keys()
            .filter(|name| name != "response")
            .collect()
    };
    assert_eq!(names(event), names(answer));
    for name in names(event) {
        let member =
            |members: &Members<'_>| members.member(&name).map(|json| json.get().to_owned());
        assert_eq!(member(&before), member(&after), "{name}");
    }
}
