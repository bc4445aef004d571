//! SIGKILL between any two requests of an operation that writes several times: a relay counts the requests and kills the
//! process when one of them was executed, before its response.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, FakeAws, Invocation, Pool, TokenBuilder};

use super::logout_event;
use super::report::{Report, length, rows};
use crate::auth_api;
use crate::browser_sessions::{Functions, of_page};
use crate::user_events::record;
use crate::world::{
    World, batch, behind_authorizer, next_second, signed_in_again, unique, user_token,
};

/// Longer than any operation takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Kills a process after the request with a number.
struct Trap {
    seen: Arc<AtomicUsize>,
}

impl Trap {
    /// Counts the requests to these services from now on; kills `pid` after the request number `kill_after`.
    fn set(services: &[&FakeAws], pid: u32, kill_after: Option<usize>) -> Self {
        let seen = Arc::new(AtomicUsize::new(0));
        for service in services {
            let seen = Arc::clone(&seen);
            service.set_hook(Some(Box::new(move |_| {
                let number = seen.fetch_add(1, Ordering::SeqCst) + 1;
                let is_last = Some(number) == kill_after;
                if is_last {
                    let killed = std::process::Command::new("kill")
                        .args(["-KILL", &pid.to_string()])
                        .status();
                    assert!(killed.expect("kill").success());
                }
                is_last
            })));
        }
        Self { seen }
    }

    fn remove(self, services: &[&FakeAws]) -> usize {
        for service in services {
            service.set_hook(None);
        }
        self.seen.load(Ordering::SeqCst)
    }
}

/// The result; `None` if the process ended before.
async fn invoke(function: &Binary, event: &Value) -> Option<Invocation> {
    let ended = async {
        while function.is_running() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        outcome = function.try_invoke(event, PATIENCE) => outcome,
        () = ended => None,
    }
}

/// What an acknowledged operation revokes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Revokes {
    /// The session of the token.
    Session,
    /// All sessions of the user.
    All,
    /// All but the session of the token.
    Others,
    /// The user, until an administrator enables the user.
    User,
}

/// An operation with several writes.
struct Operation {
    name: &'static str,
    function: &'static str,
    /// What the function is asked before, which is not killed.
    before: Option<fn(&TokenBuilder<'_>) -> Value>,
    event: fn(&TokenBuilder<'_>) -> Value,
    revokes: Revokes,
    /// Calls that Cognito must have executed when it is acknowledged.
    at_cognito: &'static [&'static str],
    /// Whether `make test` tries it too.
    is_short: bool,
}

fn log_out(token: &TokenBuilder<'_>, scope: &str) -> Value {
    logout_event(token, &json!({"scope": scope, "refresh_token": "opaque"}))
}

fn administer(method: &str, task: &str) -> Value {
    let administrator = user_token().claim("cognito:groups", json!(["admins"]));
    let route = format!("/admin/users/{{username}}{task}");
    let parameters = json!({"username": "ada"});
    behind_authorizer(&administrator, (method, &route), parameters, json!(null))
}

/// A request of a user about the session of the token.
fn of_session(token: &TokenBuilder<'_>, method: &str, route: &str) -> Value {
    let route = format!("/auth/sessions{route}");
    let parameters = json!({"id": token.get("origin_jti")});
    behind_authorizer(token, (method, &route), parameters, json!(null))
}

fn reset(token: &TokenBuilder<'_>) -> Value {
    json!({
        "version": "1", "userPoolId": Pool::ours().id, "userName": "grace", "response": {},
        "triggerSource": "PostConfirmation_ConfirmForgotPassword",
        "request": {"userAttributes": {"sub": token.get("sub")}},
    })
}

const OPERATIONS: &[Operation] = &[
    Operation {
        name: "logout of a session",
        function: "logout",
        before: None,
        event: |token| log_out(token, "session"),
        revokes: Revokes::Session,
        at_cognito: &["RevokeToken"],
        is_short: true,
    },
    Operation {
        name: "logout everywhere",
        function: "logout",
        before: None,
        event: |token| log_out(token, "all"),
        revokes: Revokes::All,
        // Repeated after its write, it does not sign out everywhere: that would revoke newer sessions at Cognito.
        at_cognito: &["RevokeToken"],
        is_short: false,
    },
    Operation {
        name: "logout of the others",
        function: "logout",
        before: None,
        event: |token| log_out(token, "others"),
        revokes: Revokes::Others,
        at_cognito: &[],
        is_short: false,
    },
    Operation {
        name: "a record of a disabled user",
        function: "user-events",
        before: None,
        event: |token| batch(&[record("AdminDisableUser", token, 0).to_string()]),
        revokes: Revokes::User,
        at_cognito: &[],
        is_short: false,
    },
    Operation {
        name: "three records at once",
        function: "user-events",
        before: None,
        event: |token| {
            let names = ["RevokeToken", "GlobalSignOut", "ChangePassword"];
            batch(&names.map(|name| record(name, token, 0).to_string()))
        },
        revokes: Revokes::All,
        at_cognito: &[],
        is_short: false,
    },
    Operation {
        name: "an administrator's disabling",
        function: "admin",
        before: None,
        event: |_| administer("POST", "/disable"),
        revokes: Revokes::User,
        at_cognito: &["AdminDisableUser", "AdminUserGlobalSignOut"],
        is_short: false,
    },
    Operation {
        name: "an administrator's sign-out",
        function: "admin",
        before: None,
        event: |_| administer("POST", "/sign-out"),
        revokes: Revokes::All,
        at_cognito: &["AdminUserGlobalSignOut"],
        is_short: false,
    },
    Operation {
        name: "an administrator's deletion",
        function: "admin",
        before: None,
        event: |_| administer("DELETE", ""),
        revokes: Revokes::User,
        at_cognito: &["AdminDisableUser", "AdminDeleteUser"],
        is_short: false,
    },
    Operation {
        name: "a session ended by its user",
        function: "sessions",
        before: Some(|token| of_session(token, "POST", "")),
        event: |token| of_session(token, "DELETE", "/{id}"),
        revokes: Revokes::Session,
        at_cognito: &[],
        is_short: false,
    },
    Operation {
        name: "a password reset",
        function: "post-confirmation",
        before: None,
        event: reset,
        revokes: Revokes::All,
        at_cognito: &["AdminUserGlobalSignOut"],
        is_short: false,
    },
    Operation {
        name: "a late revocation and a late call",
        function: "logout-retry",
        before: None,
        event: |token| {
            let late = json!({"kind": "end_sessions", "subject": token.get("sub"),
                "not_before": testkit::token::now(), "spared": null, "reason": "test"});
            let call = json!({"kind": "revoke_refresh_token", "client_id": Pool::ours().client_id,
                "refresh_token": "opaque"});
            batch(&[late.to_string(), call.to_string()])
        },
        revokes: Revokes::All,
        at_cognito: &["RevokeToken"],
        is_short: false,
    },
];

/// Whether the function acknowledged the operation.
fn is_acknowledged(outcome: Option<Invocation>) -> bool {
    let Some(Invocation::Answer(answer)) = outcome else {
        return false;
    };
    let failed = answer["batchItemFailures"].as_array();
    let is_200 = answer["statusCode"]
        .as_u64()
        .is_none_or(|status| status == 200);
    is_200 && failed.is_none_or(Vec::is_empty)
}

/// One user with two sessions, and a stranger.
struct Subject {
    token: TokenBuilder<'static>,
    other: TokenBuilder<'static>,
    stranger: TokenBuilder<'static>,
}

impl Subject {
    fn new(world: &World) -> Self {
        let token = user_token();
        let other = token
            .clone()
            .claim("origin_jti", unique("session"))
            .claim("jti", unique("token"));
        world.cognito.set_answer(
            "AdminGetUser",
            json!({"Username": "ada", "Enabled": true,
                "UserAttributes": [{"Name": "sub", "Value": token.get("sub")}]}),
        );
        world.cognito.forget_requests();
        Self {
            token,
            other,
            stranger: user_token(),
        }
    }
}

async fn kill(is_sabotaged: bool) -> Report {
    let mut report = Report::of("kills");
    let world = World::start().await;
    let services = [&world.store, &world.cognito, &world.others];
    let mut most = 0;
    for operation in OPERATIONS {
        if rows().is_none() && !operation.is_short {
            continue;
        }
        let start = async || world.function(operation.function, &[]).await;
        let subject = Subject::new(&world);
        let function = start().await;
        prepare(operation, &function, &subject).await;
        let trap = Trap::set(&services, function.pid(), None);
        let done = invoke(&function, &(operation.event)(&subject.token)).await;
        assert!(is_acknowledged(done), "{}", operation.name);
        let requests = trap.remove(&services);
        assert!(requests > 1, "{}", operation.name);
        most = most.max(requests);
        for number in 1..=requests {
            let subject = Subject::new(&world);
            let event = (operation.event)(&subject.token);
            let function = start().await;
            prepare(operation, &function, &subject).await;
            if is_sabotaged {
                // The table acknowledges writes that it does not execute.
                let lie = Fault::Answer(200, "{}".to_owned());
                world.store.set_fault_for("UpdateItem", lie);
            }
            let trap = Trap::set(&services, function.pid(), Some(number));
            let done = invoke(&function, &event).await;
            trap.remove(&services);
            report.injected += 1;
            let at = format!("{} after request {number}", operation.name);
            report.check(done.is_none(), || format!("{at}: acknowledged: {done:?}"));
            spared(&world, operation, &subject, &at, &mut report).await;
            next_second().await;
            let later = signed_in_again(&subject.token);
            if world.passes(&later).await {
                report.saw("later sign-ins accepted");
            } else {
                report.check(operation.revokes == Revokes::User, || {
                    format!("{at}: a later sign-in is refused")
                });
            }
            let repeated = invoke(&start().await, &event).await;
            world.store.set_fault(Fault::None);
            let shown = format!("{repeated:?}");
            report.check(is_acknowledged(repeated), || {
                format!("{at}: repeated: {shown}")
            });
            report.saw("repetitions acknowledged");
            let (token, other) = (&subject.token, &subject.other);
            let refused: &[_] = match operation.revokes {
                Revokes::Session => &[token],
                Revokes::All | Revokes::User => &[token, other],
                Revokes::Others => &[other],
            };
            for token in refused {
                report.check(!world.passes(token).await, || {
                    format!("{at}: repeated, and a session is allowed")
                });
            }
            spared(&world, operation, &subject, &at, &mut report).await;
            let made = world.cognito.operations();
            for call in operation.at_cognito {
                report.check(made.iter().any(|one| one == call), || {
                    format!("{at}: no {call} at Cognito: {made:?}")
                });
            }
        }
    }
    report.worst = format!("{most} requests in one operation");
    report
}

/// Asks the function what the operation needs.
async fn prepare(operation: &Operation, function: &Binary, subject: &Subject) {
    if let Some(before) = operation.before {
        let done = invoke(function, &before(&subject.token)).await;
        assert!(is_acknowledged(done), "before {}", operation.name);
    }
}

/// Sessions that the operation does not revoke are accepted.
async fn spared(
    world: &World,
    operation: &Operation,
    subject: &Subject,
    at: &str,
    report: &mut Report,
) {
    let spared = match operation.revokes {
        Revokes::Session => Some(&subject.other),
        Revokes::Others => Some(&subject.token),
        Revokes::All | Revokes::User => None,
    };
    for token in spared.into_iter().chain([&subject.stranger]) {
        report.check(world.passes(token).await, || {
            format!("{at}: a session that it does not revoke is refused")
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_killed_between_two_writes_can_be_repeated() {
    kill(false).await.kept();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: `make chaos` runs it"]
async fn sabotage_a_table_that_loses_writes() {
    let report = kill(true).await;
    report.detected_as("repeated, and a session is allowed");
}

/// Requests of a refresh at least, after which it is killed: leases, the exchange, the new row.
const LEAST: usize = 4;

/// The time within which Cognito accepts a refresh token that it has replaced: `RetryGracePeriodSeconds`.
const GRACE: Duration = Duration::from_secs(10);

async fn kill_sessions(is_sabotaged: bool) -> Report {
    let mut report = Report::of("kills-sessions");
    let functions = Functions::start().await;
    let world = &functions.world;
    let services = [&world.store, &world.cognito, &world.others];
    let mut worst = Duration::ZERO;
    // A sign-in.
    let token = user_token();
    let function = functions.another().await;
    let trap = Trap::set(&services, function.pid(), None);
    functions.sign_in_at(&function, &token).await;
    let requests = trap.remove(&services);
    for number in (1..=requests).take(length(3, requests)) {
        let token = user_token();
        let function = functions.another().await;
        let trap = Trap::set(&services, function.pid(), Some(number));
        let event = functions.login(&token);
        let outcome = invoke(&function, &event).await;
        trap.remove(&services);
        report.injected += 1;
        report.saw("sign-ins killed");
        report.check(outcome.is_none(), || {
            format!("request {number} of a sign-in: {outcome:?}")
        });
        let cookie = functions
            .sign_in_at(&functions.another().await, &token)
            .await;
        report.check(functions.passes(&cookie).await, || {
            format!("request {number} of a sign-in: not after it")
        });
        end(&functions, &cookie, &token, &mut report).await;
    }
    if rows().is_none() && !is_sabotaged {
        return report;
    }
    // A refresh, with rotation; the first one is not killed.
    let operation = "GetTokensFromRefreshToken";
    let mut requests = 0;
    for number in 0.. {
        if number > 0 && number > requests {
            break;
        }
        let token = user_token();
        let cookie = functions
            .sign_in_at(&functions.another().await, &token)
            .await;
        let mut new = auth_api::tokens(&token);
        new["AuthenticationResult"]["RefreshToken"] = json!("the.next.refresh.token.opaque");
        world.cognito.set_answer(operation, new);
        world.cognito.forget_requests();
        let function = functions.another().await;
        let trap = Trap::set(&services, function.pid(), (number > 0).then_some(number));
        let event = of_page(
            auth_api::request("POST", "/auth/refresh", &json!(null)),
            Some(&cookie),
        );
        let outcome = invoke(&function, &event).await;
        let seen = trap.remove(&services);
        if number == 0 {
            assert!(is_acknowledged(outcome), "a refresh that is not killed");
            requests = seen;
            assert!(requests >= LEAST, "{requests} requests of a refresh");
            continue;
        }
        report.injected += 1;
        report.saw("refreshes killed");
        report.check(outcome.is_none(), || {
            format!("request {number} of a refresh: {outcome:?}")
        });
        let is_exchanged = world
            .cognito
            .operations()
            .iter()
            .any(|one| one == operation);
        if is_sabotaged && is_exchanged {
            // Cognito without a grace period: it refuses a token that it has replaced.
            let refusal =
                auth_api::exception("NotAuthorizedException", "Refresh Token has been revoked");
            world.cognito.set_fault_for(operation, refusal);
        }
        let killed_at = Instant::now();
        let again = functions.another().await;
        let mut status = 0;
        while status != 200 && killed_at.elapsed() < 2 * GRACE {
            report.check(functions.passes(&cookie).await, || {
                format!("request {number} of a refresh: the old tokens are refused")
            });
            status = auth_api::ask(&again, &event).await.status;
            if is_sabotaged && status == 401 {
                break;
            }
        }
        world.cognito.set_fault(Fault::None);
        let took = killed_at.elapsed();
        worst = worst.max(took);
        report.check(status == 200 && took < GRACE, || {
            format!("request {number} of a refresh: {status} after {took:?}")
        });
        // One exchange, or the same token again within the grace period.
        let exchanges = world.cognito.operations();
        let exchanges = exchanges.iter().filter(|one| *one == operation).count();
        report.check(exchanges <= 2, || format!("{exchanges} exchanges"));
        report.check(functions.passes(&cookie).await, || {
            format!("request {number} of a refresh: not after it")
        });
        end(&functions, &cookie, &token, &mut report).await;
    }
    report.check(report.count("refreshes killed") >= LEAST as u64, || {
        "fewer refreshes were killed than have requests".to_owned()
    });
    report.worst = format!("usable {:.1} s after the kill", worst.as_secs_f64());
    report
}

/// A logout by the cookie ends the session, and its tokens.
async fn end(functions: &Functions, cookie: &str, token: &TokenBuilder<'_>, report: &mut Report) {
    let event = of_page(
        auth_api::request("POST", "/auth/logout", &json!(null)),
        Some(cookie),
    );
    let answer = auth_api::ask(&functions.logout, &event).await;
    report.saw("logouts");
    report.check(answer.status == 200, || {
        format!("logout: {}", answer.status)
    });
    report.check(!functions.passes(cookie).await, || {
        "the session is allowed after its logout".to_owned()
    });
    report.check(!functions.world.passes(token).await, || {
        "the token is allowed after its logout".to_owned()
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_session_survives_a_kill() {
    kill_sessions(false).await.kept();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: `make chaos` runs it"]
async fn sabotage_a_cognito_without_a_grace_period() {
    kill_sessions(true)
        .await
        .detected_as("of a refresh: 401 after");
}
