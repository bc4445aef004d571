//! Cognito as a thief uses it: it goes on giving tokens to a session, and carries out calls with its access
//! token, until it was told to end the session or the user's sessions. What our tables hold, it does not know.
//!
//! Source: AWS, `RevokeToken`, `AdminUserGlobalSignOut`, `GlobalSignOut`; "Verifying JSON web tokens" for
//! `auth_time` and `origin_jti`, which a refresh keeps.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::Value;
use testkit::server::Server;

/// The user pool's API on a port of its own.
pub(crate) struct Cognito {
    server: Server,
    state: Arc<Sessions>,
}

#[derive(Default)]
struct Sessions {
    /// Answers calls and does nothing about them.
    deaf: bool,
    /// When a user was signed out everywhere last, by user name.
    signed_out: Mutex<HashMap<String, Instant>>,
    /// Refresh tokens that were revoked.
    revoked: Mutex<HashSet<String>>,
}

impl Cognito {
    pub(crate) async fn start(deaf: bool) -> Self {
        let state = Arc::new(Sessions {
            deaf,
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

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Whether the tokens of a session that began at `since` still open Cognito's API.
    pub(crate) fn opens(&self, username: &str, session: &str, since: Instant) -> bool {
        let signed_out = self.state.signed_out.lock().unwrap();
        let revoked = self.state.revoked.lock().unwrap();
        signed_out.get(username).is_none_or(|at| *at < since)
            && !revoked.contains(&refresh_token(session))
    }

    /// `GlobalSignOut` by an access token of this user.
    pub(crate) fn sign_out(&self, username: &str) {
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
pub(crate) fn refresh_token(session: &str) -> String {
    format!("refresh-token-of-{session}")
}

async fn answer(
    State(state): State<Arc<Sessions>>,
    headers: HeaderMap,
    body: Bytes,
) -> &'static str {
    let target = headers.get("x-amz-target").and_then(|t| t.to_str().ok());
    let operation = target.unwrap().rsplit('.').next().unwrap();
    let request: Value = serde_json::from_slice(&body).unwrap();
    match operation {
        _ if state.deaf => (),
        "AdminUserGlobalSignOut" => state.sign_out(request["Username"].as_str().unwrap()),
        "RevokeToken" => {
            let token = request["Token"].as_str().unwrap().to_owned();
            state.revoked.lock().unwrap().insert(token);
        }
        other => panic!("the functions under test do not call {other}"),
    }
    "{}"
}
