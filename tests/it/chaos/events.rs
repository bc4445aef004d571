//! Events that are delivered more than once and in any order, as EventBridge, SQS and CloudWatch Logs may.

use std::collections::BTreeSet;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use testkit::token::now;
use testkit::{Binary, TokenBuilder};

use super::log_out;
use super::report::{Report, length};
use crate::user_events::record;
use crate::world::{World, ask, batch, behind_authorizer, failures, text_of, unique, user_token};

/// Seconds before now in which the events of a user happened.
const SPAN: u64 = 40;

/// A small random generator.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }
}

/// Something that happened to a user, and so many seconds ago.
#[derive(Clone, Copy, Debug)]
struct Happened {
    what: What,
    at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Disabled,
    Enabled,
    SignedOut,
    Refreshed,
    /// A revocation that was queued at that time, for logout-retry.
    Queued,
}

const KINDS: [What; 5] = [
    What::Disabled,
    What::Enabled,
    What::SignedOut,
    What::Refreshed,
    What::Queued,
];

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Disabled => "AdminDisableUser",
            Self::Enabled => "AdminEnableUser",
            Self::SignedOut => "GlobalSignOut",
            Self::Refreshed => "AdminUpdateUserAttributes",
            Self::Queued => "",
        }
    }
}

/// Whether a session of `since` is accepted after these events in the order in which they happened, by docs/tokens.md.
/// Independent of the functions.
fn is_accepted(happened: &[Happened], since: u64, issued_at: u64) -> bool {
    let mut in_order = happened.to_vec();
    // Within one second, disabling wins.
    in_order.sort_by_key(|one| (one.at, one.what == What::Disabled));
    let mut is_disabled = false;
    let (mut not_before, mut tokens_not_before) = (0, 0);
    for one in in_order {
        match one.what {
            What::Disabled => {
                is_disabled = true;
                not_before = one.at;
            }
            What::Enabled => is_disabled = false,
            What::SignedOut | What::Queued => not_before = one.at,
            What::Refreshed => tokens_not_before = one.at,
        }
    }
    !is_disabled && since > not_before && issued_at > tokens_not_before
}

async fn deliver(is_sabotaged: bool) -> Report {
    let mut report = Report::of("events");
    let world = World::start().await;
    let functions = [
        world.function("user-events", &[]).await,
        world.function("user-events", &[]).await,
    ];
    let retry = world.function("logout-retry", &[]).await;
    let mut random = Random(now() | 1);
    // An event whose loss changes no decision is lost unnoticed: a sabotaged run ends at its first violation.
    let rounds = if is_sabotaged { 200 } else { length(8, 400) };
    for _ in 0..rounds {
        if is_sabotaged && !report.violations.is_empty() {
            break;
        }
        let token = user_token();
        let begun = now();
        let happened: Vec<Happened> = (0..1 + random.below(5))
            .map(|_| Happened {
                what: KINDS[random.below(KINDS.len())],
                at: begun - 1 - u64::try_from(random.below(SPAN as usize)).unwrap(),
            })
            .collect();
        let mut delivered = happened.clone();
        for one in &happened {
            for _ in 0..random.below(3) {
                delivered.push(*one);
            }
        }
        random.shuffle(&mut delivered);
        if is_sabotaged {
            // A queue that loses the first event, with its copies.
            let lost = happened[0];
            delivered.retain(|one| (one.what, one.at) != (lost.what, lost.at));
        }
        report.injected += u64::try_from(delivered.len()).unwrap();
        for some in delivered.chunks(2) {
            let sent = some.iter().enumerate().map(async |(number, one)| {
                let answer = if one.what == What::Queued {
                    let late = json!({"kind": "end_sessions", "subject": token.get("sub"),
                        "not_before": one.at, "spared": null, "reason": "test"});
                    retry.invoke(&batch(&[late.to_string()])).await
                } else {
                    let record = record(one.what.name(), &token, now() - one.at);
                    // Two processes at once.
                    functions[number]
                        .invoke(&batch(&[at_time(record, one.at)]))
                        .await
                };
                failures(&answer.answer()).len()
            });
            let failed: usize = futures_util::future::join_all(sent).await.iter().sum();
            report.check(failed == 0, || format!("not applied: {some:?}"));
        }
        for ago in [0, 1, 2] {
            for one in &happened {
                let since = one.at + 1 - ago.min(one.at);
                for issued_at in [since, begun] {
                    let probe = token
                        .clone()
                        .claim("origin_jti", unique("session"))
                        .claim("auth_time", since)
                        .claim("iat", issued_at.max(since));
                    let expected = is_accepted(&happened, since, issued_at.max(since));
                    let passes = world.passes(&probe).await;
                    report.saw(if passes { "accepted" } else { "refused" });
                    report.check(passes == expected, || {
                        format!("{since} {issued_at}: {passes}: {happened:?} as {delivered:?}")
                    });
                }
            }
        }
    }
    if !is_sabotaged {
        list_late_sign_in(&world, &mut report).await;
        publish_twice(&world, &mut report).await;
    }
    report
}

/// The record at exactly this time: the clock may have moved since `ago` was computed.
fn at_time(mut record: Value, at: u64) -> String {
    let time = aws_sdk_dynamodb::primitives::DateTime::from_secs(at.cast_signed());
    let format = aws_sdk_dynamodb::primitives::DateTimeFormat::DateTime;
    record["detail"]["eventTime"] = json!(time.fmt(format).unwrap());
    record.to_string()
}

/// The record of a sign-in that arrives after the logout of its session does not bring it back.
async fn list_late_sign_in(world: &World, report: &mut Report) {
    let sessions = world.function("sessions", &[]).await;
    let logout = world.function("logout", &[]).await;
    let first = user_token();
    let second = first
        .clone()
        .claim("origin_jti", unique("session"))
        .claim("jti", unique("token"));
    let (status, _) = log_out(&logout, &first, &json!({"scope": "session"})).await;
    assert_eq!(status, 200);
    let id = text_of(&first, "origin_jti");
    for _ in 0..2 {
        report.injected += 1;
        let late = behind_authorizer(&first, ("POST", "/auth/sessions"), json!(null), json!(null));
        ask(&sessions, &late).await;
    }
    let list = behind_authorizer(&second, ("GET", "/auth/sessions"), json!(null), json!(null));
    let (status, listed) = ask(&sessions, &list).await;
    report.saw("late sign-ins");
    report.check(status == 200 && !listed.to_string().contains(&id), || {
        "a session is listed after its logout".to_owned()
    });
    report.check(!world.passes(&first).await, || {
        "a session is allowed after its logout".to_owned()
    });
}

/// Every copy of an act has the same id.
async fn publish_twice(world: &World, report: &mut Report) {
    let publisher = world.function("publish-acts", &[]).await;
    let admin = world.function("admin", &[("LOG_LEVEL", "ERROR")]).await;
    let user = user_token();
    administer(world, &admin, &user).await;
    let lines: Vec<String> = admin.output().lines().map(str::to_owned).collect();
    assert!(!lines.is_empty());
    let mut published = Vec::new();
    for is_reversed in [false, true] {
        let mut lines = lines.clone();
        if is_reversed {
            lines.reverse();
        }
        world.others.forget_requests();
        report.injected += 1;
        let _ = publisher.invoke(&packed(&lines)).await.answer();
        let ids: BTreeSet<String> = world
            .others
            .requests()
            .iter()
            .map(|(_, message)| {
                let act: Value =
                    serde_json::from_str(message["Message"].as_str().unwrap()).unwrap();
                act["id"].as_str().unwrap().to_owned()
            })
            .collect();
        published.push(ids);
    }
    report.saw_many("acts published", u64::try_from(published[0].len()).unwrap());
    report.check(
        !published[0].is_empty() && published[0] == published[1],
        || format!("{published:?}"),
    );
}

async fn administer(world: &World, admin: &Binary, user: &TokenBuilder<'_>) {
    world.cognito.set_answer(
        "AdminGetUser",
        json!({"Username": "ada", "Enabled": true,
            "UserAttributes": [{"Name": "sub", "Value": user.get("sub")}]}),
    );
    let administrator = user_token().claim("cognito:groups", json!(["admins"]));
    for task in ["disable", "enable", "sign-out"] {
        let route = format!("/admin/users/{{username}}/{task}");
        let parameters = json!({"username": "ada"});
        let event = behind_authorizer(&administrator, ("POST", &route), parameters, json!(null));
        assert_eq!(ask(admin, &event).await.0, 200);
    }
}

/// Log lines as a subscription of CloudWatch Logs sends them.
fn packed(lines: &[String]) -> Value {
    let events: Vec<Value> = lines
        .iter()
        .map(|line| json!({"id": unique("line"), "timestamp": now() * 1_000, "message": line}))
        .collect();
    let text = json!({"messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "g",
        "logStream": "s", "subscriptionFilters": ["f"], "logEvents": events});
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.to_string().as_bytes()).unwrap();
    json!({"awslogs": {"data": STANDARD.encode(packed.finish().unwrap())}})
}

#[tokio::test(flavor = "multi_thread")]
async fn order_and_duplicates_change_no_decision() {
    deliver(false).await.kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn sabotage_a_queue_that_loses_an_event() {
    deliver(true).await.detected();
}
