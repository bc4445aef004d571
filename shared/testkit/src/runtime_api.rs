//! A local Lambda Runtime API for a function's process.
//! Source: AWS, "Using the Lambda runtime API for custom runtimes".

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use crate::server::Server;
use crate::token::now;

/// The result that a function posted for one invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Posted to `/response`.
    Response(String),
    /// Posted to `/error`.
    Error(String),
}

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Outcome>>>>;

/// A Runtime API for one function process.
pub struct RuntimeApi {
    server: Server,
    events: mpsc::UnboundedSender<(String, String)>,
    waiting: Waiting,
    polled: Arc<Notify>,
    next_id: AtomicU64,
}

#[derive(Clone)]
struct Api {
    events: Arc<Mutex<mpsc::UnboundedReceiver<(String, String)>>>,
    waiting: Waiting,
    polled: Arc<Notify>,
}

impl RuntimeApi {
    /// Starts the API; pass [`RuntimeApi::address`] to the process as `AWS_LAMBDA_RUNTIME_API`.
    pub async fn start() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let api = Api {
            events: Arc::new(Mutex::new(receiver)),
            waiting: Waiting::default(),
            polled: Arc::new(Notify::new()),
        };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route(
                "/2018-06-01/runtime/invocation/{id}/response",
                post(response),
            )
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(api.clone());
        Self {
            server: Server::start(router).await,
            events: sender,
            waiting: api.waiting,
            polled: api.polled,
            next_id: AtomicU64::new(1),
        }
    }

    /// `127.0.0.1:port`
    #[must_use]
    pub fn address(&self) -> &str {
        &self.server.address
    }

    /// Returns at the function's first poll: its init is complete.
    pub async fn polled(&self) {
        self.polled.notified().await;
    }

    /// Sends one event and waits for the result.
    pub async fn invoke(&self, event: String) -> Option<Outcome> {
        let number = self.next_id.fetch_add(1, Ordering::SeqCst);
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().await.insert(id.clone(), sender);
        self.events.send((id, event)).ok()?;
        receiver.await.ok()
    }
}

async fn next(State(api): State<Api>) -> Response {
    api.polled.notify_one();
    let Some((id, event)) = api.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = (now() + 10) * 1000;
    let headers = [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:123456789012:function:under-test".to_owned(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0".to_owned(),
        ),
        ("content-type", "application/json".to_owned()),
    ];
    (axum::response::AppendHeaders(headers), event).into_response()
}

async fn response(State(api): State<Api>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    finish(&api, &id, Outcome::Response(text(&body))).await
}

async fn error(State(api): State<Api>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    finish(&api, &id, Outcome::Error(text(&body))).await
}

fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}

async fn finish(api: &Api, id: &str, outcome: Outcome) -> StatusCode {
    if let Some(sender) = api.waiting.lock().await.remove(id) {
        // The test may have stopped waiting.
        let _ = sender.send(outcome);
    }
    StatusCode::ACCEPTED
}
