//! Processes at the limit of their memory. Lambda ends a function there; in a container malloc may fail before.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use auth_tests::{Verdict, environment, request_event, verdict};
use serde_json::{Value, json};

use super::gates::{Gates, POLICIES, status_of};
use super::report::{Report, length, rows};
use crate::checker::front::{Decider, ServerSlot, Slot};
use crate::world::{unique, user_token};

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

/// A control group whose memory is limited, as Lambda and containers limit it: the kernel ends the process that exceeds
/// it. What the process has already does not count (cgroup v1) or is the base of the limit (v2).
struct Group {
    folder: PathBuf,
}

impl Group {
    /// Moves the process into a new group with so much room, in kB. `None` where this user may not create one.
    fn with_room(pid: u32, kilobytes: u64) -> Option<Self> {
        let bytes = |kilobytes: u64| (kilobytes.max(4) * 1_024).to_string();
        let kinds = [
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                bytes(kilobytes),
            ),
            (
                "/sys/fs/cgroup",
                "memory.max",
                bytes(status_of(pid, "VmRSS:") + kilobytes),
            ),
        ];
        for (root, file, limit) in kinds {
            let folder = Path::new(root).join(unique("gatehouse"));
            if std::fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = Self { folder };
            // Only a controller's own files can be written.
            let limited = std::fs::write(group.folder.join(file), limit);
            let moved = std::fs::write(group.folder.join("cgroup.procs"), pid.to_string());
            if limited.is_ok() && moved.is_ok() {
                return Some(group);
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its process was killed a moment ago.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
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

/// What limits the memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// An allocation fails.
    AddressSpace,
    /// The kernel ends the process.
    ControlGroup,
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
    let limits = [Limit::AddressSpace, Limit::ControlGroup];
    let mut is_missing = false;
    let rooms = ROOMS.iter().copied().cycle().take(length(3, 40));
    for (room, kind) in rooms.flat_map(|room| limits.iter().map(move |kind| (room, *kind))) {
        let slot = Slot::start("authorizer", variables.clone()).await;
        let server = ServerSlot::start(of_server.clone()).await;
        for decider in [
            Decider::Authorizer(slot),
            Decider::ForwardAuth(Box::new(server)),
        ] {
            let pid = decider.pid().await;
            decider.decide(&valid).await;
            let group = match kind {
                Limit::AddressSpace => {
                    limit(pid, status_of(pid, "VmSize:") + room);
                    None
                }
                Limit::ControlGroup => match Group::with_room(pid, room) {
                    None => {
                        is_missing = true;
                        continue;
                    }
                    group => group,
                },
            };
            report.saw(match kind {
                Limit::AddressSpace => "address spaces limited",
                Limit::ControlGroup => "control groups limited",
            });
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
            if decider.is_running().await {
                decider.signal("-KILL").await;
            }
            drop(decider);
            drop(group);
        }
    }
    if is_missing {
        testkit::report::skip("limits of memory by control groups, which this user may not create");
        // Lambda and containers limit memory by them.
        report.check(rows().is_none(), || "no control groups".to_owned());
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
