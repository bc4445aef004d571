//! Batches from queues, streams and schedules: what fails is a part of what came, and a record of another account or pool
//! changes nothing.

use std::sync::OnceLock;

use close_connections::CloseConnections;
use logout_retry::LogoutRetry;
use publish_acts::PublishActs;
use serde_json::Value;
use serde_json::value::RawValue;
use testkit::{Pool, events};
use user_events::UserEvents;
use user_sweep::UserSweep;

use crate::aws::Aws;
use crate::edit::edited;
use crate::input::Input;
use crate::{LOG_LEVEL, announce, asked, no_call_to_another_pool, no_row_of_another_pool, samples};

const FUNCTIONS: [&str; 5] = [
    "user-events",
    "logout-retry",
    "close-connections",
    "publish-acts",
    "user-sweep",
];

/// The account of the functions.
const ACCOUNT: &str = "123456789012";

struct Functions {
    aws: Aws,
    user_events: UserEvents,
    logout_retry: LogoutRetry,
    close_connections: CloseConnections,
    publish_acts: PublishActs,
    user_sweep: UserSweep,
}

fn functions() -> &'static Functions {
    static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let variables = [
            ("LOG_LEVEL", LOG_LEVEL),
            ("ACCOUNT_ID", ACCOUNT),
            ("CONNECTION_TABLE", "connections"),
            ("CONNECTIONS_URL", "http://aws.example/prod"),
            (
                "SECURITY_TOPIC_ARN",
                "arn:aws:sns:us-east-1:123456789012:topic",
            ),
            ("REFRESH_TOKEN_TTL_SECONDS", "28800"),
            ("UNCONFIRMED_HOURS", "24"),
        ];
        let aws = Aws::default();
        let sdk = aws.sdk();
        let lookup = events::variables(&variables);
        let (user_events, logout_retry) = (
            user_events::Config::from_lookup(&lookup).expect("a configuration"),
            logout_retry::Config::from_lookup(&lookup).expect("a configuration"),
        );
        let close_connections = close_connections::Config::from_lookup(&lookup);
        let publish_acts = publish_acts::Config::from_lookup(&lookup);
        let user_sweep = user_sweep::Config::from_lookup(&lookup);
        Functions {
            user_events: UserEvents::new(&sdk, user_events),
            logout_retry: LogoutRetry::new(&sdk, logout_retry, None),
            close_connections: CloseConnections::new(
                &sdk,
                close_connections.expect("a configuration"),
            ),
            publish_acts: PublishActs::new(&sdk, publish_acts.expect("a configuration")),
            user_sweep: UserSweep::new(&sdk, user_sweep.expect("a configuration")),
            aws,
        }
    })
}

/// Runs the target.
///
/// # Panics
/// A failure names no record of the event, or a call goes to another user pool or is about a record of another account.
pub fn run(bytes: &[u8]) {
    announce(bytes);
    let mut input = Input::new(bytes);
    let function = FUNCTIONS[input.below(FUNCTIONS.len())];
    let at = input.below(64);
    let script = input.bytes();
    let body = input.program();
    let json = match at {
        63 => String::from_utf8_lossy(input.rest()).into_owned(),
        _ => {
            let samples = samples(function);
            let mut sample = samples[at % samples.len()].clone();
            // A body is JSON in a string.
            for record in sample["Records"].as_array_mut().into_iter().flatten() {
                let nested = record["body"]
                    .as_str()
                    .and_then(|text| serde_json::from_str(text).ok());
                if let Some(nested) = nested {
                    let nested: Value = nested;
                    record["body"] = edited(&nested, &body).into();
                }
            }
            edited(&sample, input.rest())
        }
    };
    let Ok(event) = serde_json::from_str::<Box<RawValue>>(&json) else {
        return;
    };
    let all = functions();
    all.aws.follow(script);
    let answer = match function {
        "user-events" => asked(&all.user_events, &event),
        "logout-retry" => asked(&all.logout_retry, &event),
        "close-connections" => asked(&all.close_connections, &event),
        "publish-acts" => asked(&all.publish_acts, &event),
        _ => asked(&all.user_sweep, &event),
    };
    let calls = all.aws.calls();
    no_call_to_another_pool(&calls);
    // The rows of its table are those of all issuers, and it reads what its stream names.
    if function != "close-connections" {
        no_row_of_another_pool(&calls);
    }
    let read: Value = serde_json::from_str(&json).unwrap_or_default();
    if function == "user-events" && !read.is_null() && !has_own_record(&read) {
        assert!(
            calls.is_empty(),
            "a call for a record of another account or pool"
        );
    }
    let Ok(answer) = answer else {
        return;
    };
    // A number that `Value` refuses may be in a member that no function reads, and the event is then unread here.
    // Serde fills the members of a struct from an array, too; AWS sends none.
    let records = read["Records"].as_array().into_iter().flatten();
    let mut parts = records.flat_map(|record| [record, &record["dynamodb"]]);
    if !read.is_object() || parts.any(Value::is_array) {
        return;
    }
    for failure in answer["batchItemFailures"].as_array().into_iter().flatten() {
        let id = failure["itemIdentifier"].as_str().expect("an id");
        let is_of = |record: &Value| {
            record["messageId"] == id || record["dynamodb"]["SequenceNumber"] == id
        };
        let mut records = read["Records"].as_array().into_iter().flatten();
        assert!(records.any(is_of), "a failure of no record");
    }
}

/// Whether the event is, or has in a queue's message, a record of the functions' account that names no other user pool.
fn has_own_record(event: &Value) -> bool {
    let is_own = |record: &Value| {
        let detail = &record["detail"];
        let named = ["requestParameters", "additionalEventData"];
        let mut pools = named.iter().map(|name| &detail[name]["userPoolId"]);
        let pool = pools.find(|pool| !pool.is_null());
        record["account"] == ACCOUNT && pool.is_none_or(|pool| *pool == Pool::ours().id)
    };
    let messages = event["Records"].as_array().into_iter().flatten();
    let mut bodies = messages.filter_map(|message| {
        let body = message["body"].as_str()?;
        serde_json::from_str::<Value>(body).ok()
    });
    is_own(event) || bodies.any(|body| is_own(&body))
}
