//! Faults beyond those of the checker: keys that change, clocks that jump, frozen processes, half-written responses,
//! unknown `kid`s, exhausted memory, SIGKILL between two writes, throttling, and events in any order.
//!
//! Each experiment injects one kind of fault and checks one promise, the one of its row in [`EXPERIMENTS`], which
//! docs/reliability.md shows. A sabotaged run of each shows that its check can fail.
//!
//! `make test` runs them for seconds. `make chaos` runs them for longer, with a jumping clock and a freeze of ten
//! minutes, and writes the table of docs/reliability.md into `.local/chaos.md`.

mod clock;
mod events;
mod frozen;
mod gates;
mod halves;
mod keys;
mod kills;
mod memory;
pub(crate) mod report;
mod throttling;

use serde_json::{Value, json};
use testkit::{Binary, TokenBuilder};

use self::report::Experiment;
use crate::world::ask;

/// A logout with this body.
fn logout_event(token: &TokenBuilder<'_>, body: &Value) -> Value {
    json!({
        "httpMethod": "POST",
        "body": body.to_string(),
        "headers": {"Authorization": format!("Bearer {}", token.build())},
    })
}

/// Logs out: the status, and what became of the session at Cognito.
async fn log_out(logout: &Binary, token: &TokenBuilder<'_>, body: &Value) -> (u64, String) {
    let (status, answer) = ask(logout, &logout_event(token, body)).await;
    let cognito = answer["cognito"].as_str().unwrap_or_default().to_owned();
    (status, cognito)
}

/// What is injected and promised, in the order of the table in docs/reliability.md.
pub(crate) const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        id: "checker-authorizer",
        fault: "the checker's faults, the authorizer in front",
        promise: "A request that starts after a revocation was acknowledged is never allowed, and a token that was \
                  not revoked is never refused.",
        test: "checker::only_revoked_sessions_are_rejected",
    },
    Experiment {
        id: "checker-forward-auth",
        fault: "the checker's faults, forward-auth in front",
        promise: "The same holds for forward-auth, for bearer tokens and browser sessions, and a phantom token names \
                  its own caller.",
        test: "checker::forward_auth_rejects_only_revoked_sessions",
    },
    Experiment {
        id: "checker-cache",
        fault: "the checker's faults, forward-auth with `DECISION_CACHE_SECONDS=1`",
        promise: "A request may be allowed for one second after a revocation was acknowledged, and no longer.",
        test: "checker::forward_auth_keeps_the_bound_of_its_cache",
    },
    Experiment {
        id: "key-added",
        fault: "the issuer adds a signing key, while tokens of unknown keys keep arriving",
        promise: "A token of a new key is accepted at the latest 10 seconds after the key was published or a fetch \
                  has failed, plus the time of one fetch.",
        test: "chaos::keys::a_new_key_is_accepted_in_time",
    },
    Experiment {
        id: "key-withdrawn",
        fault: "the issuer withdraws a signing key under load; the function's clock advances",
        promise: "A token of a withdrawn key is refused at the latest one hour after the key was withdrawn, plus the \
                  time of one fetch.",
        test: "chaos::clock::a_withdrawn_key_is_refused_in_time",
    },
    Experiment {
        id: "key-endpoint-gone",
        fault: "the key endpoint is gone for 25 hours of the function's clock",
        promise: "Without its key endpoint a function uses the keys that it has for 24 hours, and then answers with \
                  errors.",
        test: "chaos::clock::keys_outlive_their_endpoint_for_a_day",
    },
    Experiment {
        id: "unknown-kids",
        fault: "tokens with unknown `kid`s",
        promise: "Tokens of unknown keys cause at most one fetch every 10 seconds, counted in whole seconds (one that \
                  fails is repeated once), take no memory, and do not disturb valid tokens. Each is refused, or gets \
                  an error if its own fetch failed.",
        test: "chaos::keys::unknown_kids_cost_little",
    },
    Experiment {
        id: "clock-jumps",
        fault: "the clock of a deciding function jumps by minutes and hours, forward and back",
        promise: "After a jump of its clock a function decides by the new time at once: it refuses revoked sessions \
                  and tokens that are expired by that time, and accepts the others.",
        test: "chaos::clock::decisions_follow_the_clock",
    },
    Experiment {
        id: "clock-behind",
        fault: "the clock of a revoking function jumps by minutes and hours, forward and back",
        promise: "A logout everywhere that is acknowledged by a function whose clock is wrong covers every session \
                  that began before it, but those of the last 2 seconds if the clock is 1 or 2 seconds behind; one \
                  that is behind refuses no later sign-in.",
        test: "chaos::clock::a_wrong_clock_revokes_no_less",
    },
    Experiment {
        id: "frozen",
        fault: "processes are frozen while sessions are revoked, connections are closed and tokens expire",
        promise: "A process that was frozen refuses each request that starts after a revocation was acknowledged, \
                  also one that waited for it, and accepts valid tokens again.",
        test: "chaos::frozen::a_frozen_process_decides_by_the_present",
    },
    Experiment {
        id: "half-answers-store",
        fault: "responses of the table are cut, too short, too long or not JSON",
        promise: "A response of the table that is not whole never makes a revoked session valid, and never \
                  acknowledges a revocation that is not written.",
        test: "chaos::halves::half_answers_of_the_table_are_errors",
    },
    Experiment {
        id: "half-answers-keys",
        fault: "responses of the key endpoint are cut, too short, too long or not JSON",
        promise: "A key set that is not whole replaces no key set.",
        test: "chaos::halves::half_key_sets_replace_nothing",
    },
    Experiment {
        id: "half-answers-cognito",
        fault: "responses of Cognito are cut, too short, too long or not JSON",
        promise: "A logout is written and acknowledged when Cognito's response is not whole, and no sign-in succeeds \
                  by such a response.",
        test: "chaos::halves::half_answers_of_cognito_hand_out_nothing",
    },
    Experiment {
        id: "memory",
        fault: "memory at its limit, by address space and by control group",
        promise: "A process whose memory is exhausted ends or answers with an error; it never allows a revoked \
                  session.",
        test: "chaos::memory::exhausted_memory_allows_nothing",
    },
    Experiment {
        id: "kills",
        fault: "SIGKILL after each request of eleven operations with several writes that revoke",
        promise: "An operation that was killed between two writes has acknowledged nothing and revoked nothing else; \
                  repeated, it completes: what it revokes is refused here and was ended at Cognito.",
        test: "chaos::kills::an_operation_killed_between_two_writes_can_be_repeated",
    },
    Experiment {
        id: "kills-sessions",
        fault: "SIGKILL after each request of a browser's sign-in and refresh",
        promise: "A browser session whose sign-in or refresh was killed is usable within ten seconds or was never \
                  handed out, and a logout still ends it.",
        test: "chaos::kills::a_browser_session_survives_a_kill",
    },
    Experiment {
        id: "throttling",
        fault: "Cognito throttles every call (`TooManyRequestsException`, 429, `ThrottlingException`)",
        promise: "While Cognito throttles, logouts revoke, sign-ins are refused as temporary, calls are repeated at \
                  most twice, and the first sign-in after it succeeds.",
        test: "chaos::throttling::throttling_delays_and_loses_nothing",
    },
    Experiment {
        id: "events",
        fault: "CloudTrail's records, queued calls and acts are delivered twice, late and in any order",
        promise: "Events that are delivered twice and in any order come to the same decisions as in the order in \
                  which they happened.",
        test: "chaos::events::order_and_duplicates_change_no_decision",
    },
];

/// The table of docs/reliability.md has the faults and promises of the code, in these words.
#[test]
fn the_document_has_every_promise() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reliability.md");
    let document = std::fs::read_to_string(path).unwrap();
    let rows: Vec<&str> = document
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("`make chaos T="))
        .collect();
    let expected: Vec<String> = EXPERIMENTS.iter().map(Experiment::first_cells).collect();
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        assert!(row.starts_with(expected), "{expected}");
    }
}
