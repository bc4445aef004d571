//! Responses that are cut within the body, declare a wrong length, or are not JSON.

use auth::{AuthError, Issuer, KeySource, UnixSeconds};
use auth_jwks::{HttpsKeys, KeyLocation};
use auth_tests::Verdict;
use serde_json::json;
use testkit::jwks_server::JwksServer;
use testkit::server::{Fault, Framing};
use testkit::token::now;
use testkit::{Pool, SigningKey};

use super::gates::Gates;
use super::keys::with_key;
use super::log_out;
use super::report::{Report, length};
use crate::auth_api::{PASSWORD, ask, post, tokens};
use crate::logout::{LogoutFixture, session};
use crate::world::{World, unique, user_token};

/// Bodies that are no response. None of them is the shorter form of a correct one.
fn garbage() -> Vec<Fault> {
    let deep = "[".repeat(100_000);
    let long = "x".repeat(2_000_000);
    let texts = [
        "<html><body>502 Bad Gateway</body></html>",
        "{\"Responses\":",
        "[1,2,3]",
        "\u{0}\u{1}\u{2}",
        "nul",
        "\"text\"",
        deep.as_str(),
        long.as_str(),
    ];
    texts
        .iter()
        .map(|text| Fault::Answer(200, (*text).to_owned()))
        .collect()
}

/// Parts of a body of so many bytes: each framing at several offsets. A connection that stays open takes the time limit
/// of a call, so it is tried at fewer.
fn parts(body: usize, offsets: usize) -> Vec<Fault> {
    let mut faults = Vec::new();
    for framing in Framing::ALL {
        let offsets = if framing == Framing::Long {
            offsets.min(length(0, 6))
        } else {
            offsets.min(body)
        };
        for number in 0..offsets {
            faults.push(Fault::Part(number * body / offsets, framing));
        }
    }
    faults
}

/// Fetches on a busy machine, of which one must succeed.
const MOST_FETCHES: u64 = 4;

async fn read_halves(is_sabotaged: bool) -> Report {
    let mut report = Report::of("half-answers-store");
    let gates = Gates::start(&[]).await;
    let (valid, revoked) = (user_token(), user_token());
    gates.revoke(&revoked);
    let (valid, revoked) = (valid.build(), revoked.build());
    // The row of a session, with its keys.
    let mut faults = parts(330, length(3, 110));
    faults.extend(garbage());
    if is_sabotaged {
        // A whole response without the row.
        let empty = json!({"Responses": {auth_tests::TABLE: []}, "UnprocessedKeys": {}});
        faults = vec![Fault::Answer(200, empty.to_string())];
    }
    for (number, fault) in faults.into_iter().enumerate() {
        let shown = format!("{fault:.60?}");
        gates.store.set_fault(fault);
        report.injected += 1;
        for (name, verdict) in gates.decide(&revoked).await {
            report.saw(if verdict == Verdict::Failure {
                "errors"
            } else {
                "refused"
            });
            report.check(
                matches!(verdict, Verdict::Failure | Verdict::Unauthorized),
                || format!("{name}: a revoked session: {verdict:?} {shown}"),
            );
        }
        if number % 5 == 0 {
            for (name, verdict) in gates.decide(&valid).await {
                report.check(matches!(verdict, Verdict::Failure | Verdict::Allow), || {
                    format!("{name}: a valid session: {verdict:?} {shown}")
                });
            }
            gates.store.set_fault(Fault::None);
            for (name, verdict) in gates.settle(&valid, &mut report).await {
                report.saw("accepted after it");
                report.check(verdict == Verdict::Allow, || {
                    format!("{name}: after it: {verdict:?} {shown}")
                });
            }
        }
    }
    report
}

/// The writes of a logout. A garbled response to a write that was not executed must not acknowledge it.
async fn write_halves(report: &mut Report, is_sabotaged: bool) {
    let fixture = LogoutFixture::start().await;
    let mut faults: Vec<Fault> = parts(2, 2);
    faults.extend(garbage());
    if is_sabotaged {
        // A whole response to a write that was not executed.
        faults = vec![Fault::Answer(200, "{}".to_owned())];
    }
    for fault in faults {
        let shown = format!("{fault:.60?}");
        let token = user_token().build();
        fixture.store.set_fault_for("UpdateItem", fault);
        report.injected += 1;
        let (status, _) = fixture.post(&token, session("session")).await;
        fixture.store.set_fault(Fault::None);
        report.saw(if status == 200 {
            "logouts acknowledged"
        } else {
            "logouts not acknowledged"
        });
        report.check(matches!(status, 200 | 503), || format!("{status} {shown}"));
        if status == 200 {
            report.check(!fixture.passes(&token).await, || {
                format!("acknowledged and not written: {shown}")
            });
        } else {
            let (status, _) = fixture.post(&token, session("session")).await;
            report.check(status == 200 && !fixture.passes(&token).await, || {
                format!("not after it either: {shown}")
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_answers_of_the_table_are_errors() {
    let mut report = read_halves(false).await;
    write_halves(&mut report, false).await;
    report.kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn sabotage_a_whole_answer_without_the_row() {
    read_halves(true).await.detected();
}

#[tokio::test(flavor = "multi_thread")]
async fn sabotage_a_whole_answer_without_the_write() {
    let mut report = Report::of("half-answers-store");
    write_halves(&mut report, true).await;
    report.detected_as("acknowledged and not written");
}

async fn fetch_halves(is_sabotaged: bool) -> Report {
    let mut report = Report::of("half-answers-keys");
    let pool = Pool::ours();
    let server = JwksServer::start(&pool.jwks()).await;
    let issuer = Issuer::user_pool(
        pool.id.into(),
        pool.issuer(),
        vec![pool.client_id.to_owned()],
    );
    let (kid, key) = (unique("new"), SigningKey::rsa());
    let new_set = with_key(&kid, &key).to_string();
    let mut faults = parts(new_set.len(), length(20, 300));
    faults.extend(garbage());
    faults.push(Fault::Answer(200, "{\"keys\":[]}".to_owned()));
    if is_sabotaged {
        // A whole set with another key only.
        let other = json!({"keys": [key.jwk("other")]});
        faults = vec![Fault::Answer(200, other.to_string())];
    }
    let start = UnixSeconds(now());
    for fault in faults {
        let shown = format!("{fault:.60?}");
        report.injected += 1;
        server.set_fault(Fault::None);
        server.set_body(pool.jwks().to_string());
        let uri = server.uri().parse().unwrap();
        let keys = HttpsKeys::new([(pool.issuer(), KeyLocation::Uri(uri))]);
        // On a busy machine both attempts may run out of time.
        let mut prefetched = 0;
        while !keys.are_trusted(start).await {
            prefetched += 1;
            assert!(prefetched < MOST_FETCHES, "no key set before the fault");
        }
        server.set_body(new_set.clone());
        server.set_fault(fault);
        // The hourly fetch, and one for a key that is not known.
        for (kid, at) in [(pool.access_kid, 3_600), (kid.as_str(), 3_620)] {
            let found = keys.key_for(&issuer, kid, start.plus(at)).await;
            let is_known = kid == pool.access_kid;
            let is_right = match &found {
                Ok(_) => is_known,
                Err(AuthError::Unavailable(_)) => !is_known,
                Err(AuthError::Unauthorized(_)) => false,
            };
            report.saw(if found.is_ok() { "keys kept" } else { "errors" });
            report.check(is_right, || format!("at {at} s: {shown}"));
        }
        server.set_fault(Fault::None);
        let mut found = keys.key_for(&issuer, &kid, start.plus(3_640)).await;
        for repetition in 1..MOST_FETCHES {
            if !matches!(found, Err(AuthError::Unavailable(_))) {
                break;
            }
            report.saw("errors repeated");
            // After the cool-down.
            let at = start.plus(3_640 + 20 * repetition);
            found = keys.key_for(&issuer, &kid, at).await;
        }
        let is_found = found.is_ok();
        report.check(is_found, || {
            let reason = found.err().map(|error| match error {
                AuthError::Unauthorized(reason) => format!("{reason:?}"),
                AuthError::Unavailable(unavailable) => format!("{unavailable:?}"),
            });
            format!("after it: {reason:?} {shown}")
        });
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn half_key_sets_replace_nothing() {
    fetch_halves(false).await.kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn sabotage_a_whole_key_set_of_another_issuer() {
    fetch_halves(true).await.detected();
}

async fn call_halves(is_sabotaged: bool) -> Report {
    let mut report = Report::of("half-answers-cognito");
    let world = World::start().await;
    let logout = world.function("logout", &[]).await;
    let api = world.function("auth-api", &[]).await;
    for fault in parts(2, 2).into_iter().chain(garbage()) {
        let shown = format!("{fault:.60?}");
        let token = user_token();
        world.cognito.set_fault(fault);
        report.injected += 1;
        let body = json!({"scope": "session", "refresh_token": "opaque"});
        let (status, cognito) = log_out(&logout, &token, &body).await;
        report.saw("logouts");
        report.check(status == 200, || format!("logout: {status} {shown}"));
        report.check(!world.passes(&token).await, || {
            format!("acknowledged and not written: {shown}")
        });
        report.check(
            ["ended", "failed", "queued"].contains(&cognito.as_str()),
            || format!("logout: cognito {cognito} {shown}"),
        );
    }
    world.cognito.set_fault(Fault::None);
    let token = user_token();
    let whole = tokens(&token);
    world.cognito.set_answer("InitiateAuth", whole.clone());
    let body = whole.to_string().len();
    let mut faults = parts(body, length(3, 80));
    faults.extend(garbage());
    if is_sabotaged {
        faults = vec![Fault::Slow(10)];
    }
    for fault in faults {
        let shown = format!("{fault:.60?}");
        world.cognito.set_fault(fault);
        report.injected += 1;
        let login = json!({"email": unique("ada"), "password": PASSWORD});
        let answer = ask(&api, &post("/auth/login", &login)).await;
        let is_error = answer.status >= 500 && answer.body.get("access_token").is_none();
        report.saw(if is_error {
            "sign-ins refused"
        } else {
            "sign-ins"
        });
        report.check(is_error, || format!("sign-in: {} {shown}", answer.status));
    }
    world.cognito.set_fault(Fault::None);
    let login = json!({"email": unique("ada"), "password": PASSWORD});
    let answer = ask(&api, &post("/auth/login", &login)).await;
    report.check(answer.status == 200, || {
        format!("a sign-in after it: {}", answer.status)
    });
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn half_answers_of_cognito_hand_out_nothing() {
    call_halves(false).await.kept();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: `make chaos` runs it"]
async fn sabotage_a_whole_answer_of_cognito() {
    call_halves(true).await.detected();
}
