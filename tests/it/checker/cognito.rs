//! A model of Cognito for the checker's thieves: it refreshes a session and accepts calls with its access
//! token until a call revokes the session or all of the user's sessions. It does not read our tables.
//!
//! Source: AWS, `RevokeToken`, `AdminUserGlobalSignOut`, `GlobalSignOut`; "Verifying JSON web tokens" for
//! `auth_time` and `origin_jti`, which a refresh keeps.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use testkit::server::Server;

/// The user pool's API on a port of its own.
pub(super) struct Cognito {
    server: Server,
    state: Arc<Sessions>,
}

#[derive(Default)]
struct Sessions {
    /// Refuses calls because there are too many.
    is_throttled: AtomicBool,
    /// Acknowledges calls without performing them.
    ignores_calls: bool,
    /// The last global sign-out, by username.
    signed_out: Mutex<HashMap<String, Instant>>,
    /// The revoked refresh tokens.
    revoked: Mutex<HashSet<String>>,
}

impl Cognito {
    pub(super) async fn start(ignores_calls: bool) -> Self {
        let state = Arc::new(Sessions {
            ignores_calls,
            ..Sessions::default()
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&state));
        Self {
            server: Server::start(router).await,
            state,
        }
    }

    pub(super) fn url(&self) -> String {
        self.server.url()
    }

    /// Whether Cognito's API still accepts the tokens of a session that began at `since`.
    pub(super) fn accepts(&self, username: &str, session: &str, since: Instant) -> bool {
        let signed_out = self.state.signed_out.lock().unwrap();
        let revoked = self.state.revoked.lock().unwrap();
        signed_out.get(username).is_none_or(|at| *at < since)
            && !revoked.contains(&refresh_token(session))
    }

    /// Refuses all calls of functions, or none.
    pub(super) fn set_throttled(&self, is_throttled: bool) {
        self.state
            .is_throttled
            .store(is_throttled, Ordering::SeqCst);
    }

    /// `GlobalSignOut` with an access token of this user.
    pub(super) fn sign_out(&self, username: &str) {
        self.state.sign_out(username);
    }
}

impl Sessions {
    fn sign_out(&self, username: &str) {
        let mut signed_out = self.signed_out.lock().unwrap();
        signed_out.insert(username.to_owned(), Instant::now());
    }
}

/// The refresh token of a session.
pub(super) fn refresh_token(session: &str) -> String {
    format!("refresh-token-of-{session}")
}

async fn answer(
    State(state): State<Arc<Sessions>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    if state.is_throttled.load(Ordering::SeqCst) {
        let body = r#"{"__type": "TooManyRequestsException", "message": "Rate exceeded"}"#;
        return (StatusCode::BAD_REQUEST, body);
    }
    let target = headers.get("x-amz-target").and_then(|t| t.to_str().ok());
    let operation = target.unwrap().rsplit('.').next().unwrap();
    let request: Value = serde_json::from_slice(&body).unwrap();
    match operation {
        _ if state.ignores_calls => (),
        "AdminUserGlobalSignOut" => state.sign_out(request["Username"].as_str().unwrap()),
        "RevokeToken" => {
            let token = request["Token"].as_str().unwrap().to_owned();
            state.revoked.lock().unwrap().insert(token);
        }
        other => panic!("the functions under test do not call {other}"),
    }
    (StatusCode::OK, "{}")
}
