//! Processes at the limit of their memory. Lambda ends a function there; in a container malloc may fail before.

use std::future::Future;
use std::time::Duration;

use auth_tests::{Verdict, environment, request_event, verdict};
use serde_json::{Value, json};

use super::gates::{Gates, POLICIES, status_of};
use super::report::{Report, length};
use crate::checker::front::{Decider, ServerSlot, Slot};
use crate::world::user_token;

/// Room above the address space that the idle process uses, in kB.
const ROOMS: &[u64] = &[0, 128, 1_024, 8_192, 2_048, 512, 4_096, 256];

/// Sets the limit of a process's address space, in kB.
fn limit(pid: u32, kilobytes: u64) {
    let limit = format!("--as={0}:{0}", kilobytes * 1_024);
    let set = std::process::Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &limit])
        .status();
    assert!(set.expect("prlimit").success());
}

/// The output of a call, unless the process ends before.
async fn until_ended<T>(decider: &Decider, call: impl Future<Output = T>) -> Option<T> {
    let ended = async {
        while decider.is_running().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        output = call => Some(output),
        () = ended => None,
    }
}

/// An event of an API whose clients send long headers, with this token.
fn large(token: &str) -> Value {
    let mut event = request_event(&format!("Bearer {token}"));
    for number in 0..64 {
        event["headers"][format!("x-{number}")] = json!("x".repeat(64 * 1_024));
    }
    event
}

async fn exhaust(is_sabotaged: bool) -> Report {
    let mut report = Report::of("memory");
    let gates = Gates::start(&[]).await;
    let revoked = user_token();
    gates.revoke(&revoked);
    let (valid, revoked) = (user_token().build(), revoked.build());
    let variables = environment(
        &gates.jwks.uri(),
        &gates.store.url(),
        &[("LOG_LEVEL", "ERROR")],
    );
    let mut of_server = variables.clone();
    of_server.extend([
        ("PROXY_DIALECT", "envoy".to_owned()),
        ("POLICIES_DIR", POLICIES.to_owned()),
    ]);
    if is_sabotaged {
        of_server.retain(|(name, _)| *name != "REVOCATION_TABLE");
        of_server.push(("REVOCATION_STORE", "memory".to_owned()));
    }
    for room in ROOMS.iter().copied().cycle().take(length(3, 40)) {
        let slot = Slot::start("authorizer", variables.clone()).await;
        let server = ServerSlot::start(of_server.clone()).await;
        for decider in [
            Decider::Authorizer(slot),
            Decider::ForwardAuth(Box::new(server)),
        ] {
            let pid = decider.pid().await;
            decider.decide(&valid).await;
            limit(pid, status_of(pid, "VmSize:") + room);
            report.injected += 1;
            for number in 0..12 {
                if !decider.is_running().await {
                    report.saw("processes ended");
                    break;
                }
                if let (Decider::Authorizer(slot), 4) = (&decider, number) {
                    let answer = until_ended(&decider, slot.invoke(&large(&revoked))).await;
                    let answer = answer.flatten();
                    let verdict = answer.map_or(Verdict::Failure, |one| verdict(&one));
                    report.check(verdict != Verdict::Allow, || {
                        format!("a large event of a revoked session with {room} kB")
                    });
                    continue;
                }
                let of_revoked = number % 2 == 0;
                let token = if of_revoked { &revoked } else { &valid };
                let asked = until_ended(&decider, decider.decide(token)).await;
                let verdict = asked.map_or(Verdict::Failure, |one| one.verdict);
                report.saw(match verdict {
                    Verdict::Allow => "allowed",
                    Verdict::Unauthorized => "refused",
                    Verdict::Failure | Verdict::Deny => "errors",
                });
                report.check(!(of_revoked && verdict == Verdict::Allow), || {
                    format!("a revoked session is allowed with {room} kB")
                });
                report.check(verdict != Verdict::Deny, || {
                    format!("a Deny with {room} kB")
                });
            }
        }
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_memory_allows_nothing() {
    let report = exhaust(false).await;
    assert!(
        report.count("processes ended") > 0 || report.count("errors") > 0,
        "the limit had no effect"
    );
    report.kept();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: `make chaos` runs it"]
async fn sabotage_a_decision_without_the_table() {
    exhaust(true).await.detected();
}
