//! A fake JWKS endpoint of an issuer.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;

use crate::server::{Fault, Server};

/// Serves a key set, counts the fetches, and injects faults.
pub struct JwksServer {
    server: Server,
    state: Arc<JwksState>,
}

struct JwksState {
    body: Mutex<String>,
    fault: Mutex<Fault>,
    fetches: Mutex<Vec<Instant>>,
}

impl JwksServer {
    /// Starts a server that returns `keys` for any path.
    pub async fn start(keys: &Value) -> Self {
        let state = Arc::new(JwksState {
            body: Mutex::new(keys.to_string()),
            fault: Mutex::default(),
            fetches: Mutex::default(),
        });
        let router = Router::new()
            .fallback(get(answer))
            .with_state(Arc::clone(&state));
        Self {
            server: Server::start(router).await,
            state,
        }
    }

    /// The URL of the key set.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{}/.well-known/jwks.json", self.server.url())
    }

    /// Serves this text from now on.
    pub fn set_body(&self, body: impl Into<String>) {
        *self.state.body.lock().expect("a lock") = body.into();
    }

    /// Injects the fault from now on.
    pub fn set_fault(&self, fault: Fault) {
        *self.state.fault.lock().expect("a lock") = fault;
    }

    /// Number of fetches so far.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.state.fetches.lock().expect("a lock").len()
    }

    /// When each fetch arrived.
    #[must_use]
    pub fn fetched_at(&self) -> Vec<Instant> {
        self.state.fetches.lock().expect("a lock").clone()
    }
}

async fn answer(State(state): State<Arc<JwksState>>) -> Response {
    state.fetches.lock().expect("a lock").push(Instant::now());
    let fault = state.fault.lock().expect("a lock").clone();
    let body = state.body.lock().expect("a lock").clone();
    match fault {
        Fault::None => {}
        Fault::Drip => return crate::server::drip(body).into_response(),
        Fault::Part(bytes, framing) => return crate::server::part(&body.into(), bytes, framing),
        Fault::Slow(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
        Fault::SlowAnswer(millis, status, body) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            let status = StatusCode::from_u16(status).expect("a status");
            return (status, body).into_response();
        }
        Fault::Hang => std::future::pending().await,
        Fault::Cut => crate::server::cut(),
        Fault::Answer(status, body) => {
            let status = StatusCode::from_u16(status).expect("a status");
            let elsewhere = [("location", "http://127.0.0.1:9/elsewhere")];
            return (status, elsewhere, body).into_response();
        }
    }
    ([("content-type", "application/json")], body).into_response()
}
