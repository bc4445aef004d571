//! Cognito that throttles: the quotas of an account are shared by everything in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::server::Fault;

use super::log_out;
use super::report::{Report, length};
use crate::auth_api::{Answer, PASSWORD, ask, exception, post, tokens};
use crate::world::{World, batch, failures, unique, user_token};

/// Attempts of one operation at Cognito that one request may cause: the first and two more.
const ATTEMPTS: usize = 3;

const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/retry";

async fn throttle(is_sabotaged: bool) -> Report {
    let mut report = Report::of("throttling");
    let world = World::start().await;
    let queue = [("RETRY_QUEUE_URL", QUEUE)];
    let api = world.function("auth-api", &queue).await;
    let logout = world.function("logout", &queue).await;
    let retry = world.function("logout-retry", &[]).await;
    let body = |name: &str| json!({"__type": name, "message": "Rate exceeded"}).to_string();
    let mut storms = vec![
        exception("TooManyRequestsException", "Rate exceeded"),
        Fault::Answer(429, body("TooManyRequestsException")),
        exception("ThrottlingException", "Rate exceeded"),
        // A front end without a body.
        Fault::Answer(429, String::new()),
    ];
    if is_sabotaged {
        storms = vec![exception(
            "NotAuthorizedException",
            "Incorrect username or password.",
        )];
    }
    let mut worst = Duration::ZERO;
    for storm in storms {
        let shown = format!("{storm:.80?}");
        let mut queued: Vec<String> = Vec::new();
        // The same user all the time, from the same address: the attempts must not be used up.
        let (email, address) = (format!("{}@example.com", unique("ada")), unique("ip"));
        for _ in 0..length(1, 15) {
            world.cognito.set_fault(storm.clone());
            world.cognito.forget_requests();
            world.others.forget_requests();
            report.injected += 1;
            let began = Instant::now();
            let answer = ask(&api, &login(&email, &address)).await;
            worst = worst.max(began.elapsed());
            report.saw("sign-ins refused as temporary");
            check_refused(&answer, &shown, &mut report);
            check_attempts(&world, "sign-in", &shown, &mut report);
            let refresh = post("/auth/refresh", &json!({"refresh_token": unique("opaque")}));
            check_refused(&ask(&api, &refresh).await, &shown, &mut report);
            check_attempts(&world, "refresh", &shown, &mut report);
            for body in [
                json!({"scope": "session", "refresh_token": unique("opaque")}),
                json!({"scope": "all"}),
            ] {
                let token = user_token();
                let (status, cognito) = log_out(&logout, &token, &body).await;
                check_attempts(&world, "logout", &shown, &mut report);
                report.saw("logouts");
                report.check(status == 200, || format!("logout: {status} {shown}"));
                report.check(!world.passes(&token).await, || {
                    format!("acknowledged and not written: {shown}")
                });
                report.check(cognito == "queued", || {
                    format!("cognito: {cognito} {shown}")
                });
            }
            let sent = world.others.requests().into_iter();
            let sent = sent.filter(|(operation, _)| operation == "SendMessage");
            let bodies =
                sent.map(|(_, message)| message["MessageBody"].as_str().unwrap().to_owned());
            queued.extend(bodies);
        }
        report.saw_many("calls queued", u64::try_from(queued.len()).unwrap());
        // The queue delivers while Cognito still throttles, and again when it does not.
        let still: Vec<String> = queued.iter().take(2).cloned().collect();
        let answer = retry.invoke(&batch(&still)).await.answer();
        report.check(failures(&answer).len() == still.len(), || {
            format!("a queued call is lost: {answer} {shown}")
        });
        world.cognito.set_fault(Fault::None);
        world.cognito.forget_requests();
        for some in queued.chunks(10) {
            let answer = retry.invoke(&batch(some)).await.answer();
            report.check(failures(&answer).is_empty(), || format!("{answer} {shown}"));
        }
        let made = world.cognito.operations().len();
        report.check(made == queued.len(), || {
            format!("{made} of {} queued calls: {shown}", queued.len())
        });
        world
            .cognito
            .set_answer("InitiateAuth", tokens(&user_token()));
        let answer = ask(&api, &login(&email, &address)).await;
        report.saw("sign-ins after it");
        report.check(answer.status == 200, || {
            format!(
                "a sign-in after it: {} {} {shown}",
                answer.status, answer.body
            )
        });
    }
    report.worst = format!("a refusal after {:.1} s", worst.as_secs_f64());
    report
}

fn login(email: &str, address: &str) -> Value {
    let mut event = post(
        "/auth/login",
        &json!({"email": email, "password": PASSWORD}),
    );
    event["requestContext"]["identity"]["sourceIp"] = json!(address);
    event
}

fn check_refused(answer: &Answer, shown: &str, report: &mut Report) {
    report.check(matches!(answer.status, 429 | 503), || {
        format!("{} {} {shown}", answer.status, answer.body)
    });
}

/// The calls of one request: each operation was attempted, and repeated at most twice.
fn check_attempts(world: &World, request: &str, shown: &str, report: &mut Report) {
    let mut attempts: BTreeMap<String, usize> = BTreeMap::new();
    for operation in world.cognito.operations() {
        *attempts.entry(operation).or_default() += 1;
    }
    world.cognito.forget_requests();
    let most = attempts.values().max().copied().unwrap_or_default();
    report.check((1..=ATTEMPTS).contains(&most), || {
        format!("{request}: {attempts:?} {shown}")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_delays_and_loses_nothing() {
    throttle(false).await.kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn sabotage_throttling_that_looks_like_a_wrong_password() {
    throttle(true).await.detected();
}
