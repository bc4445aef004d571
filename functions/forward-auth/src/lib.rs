//! Forward auth: decides about requests that a proxy (nginx, Traefik, Caddy, Envoy) asks about, by the authorizer's
//! rules. A plain HTTP server, or a Lambda function behind a function URL or an ALB.
//!
//! [`ForwardAuth::answer`] answers one request of a proxy. [`dialect`] reads the original request from it,
//! [`auth_tower::Gate`] decides, [`answer`] writes the response.

pub mod answer;
mod cache;
pub mod config;
mod connect;
pub mod dialect;
pub mod identity;
mod lambda;
mod logout;
mod metrics;
mod outcome;
pub mod phantom;
pub mod server;
mod service;
mod store;

pub use config::Config;
pub use connect::ConnectError;
pub use lambda::run_in_lambda;
pub use outcome::Outcome;
pub use service::ForwardAuth;
pub use store::{Memory, Store};

/// A file for a unit test, beside its binary.
#[cfg(test)]
fn scratch(name: &str) -> std::path::PathBuf {
    std::env::current_exe().unwrap().with_file_name(name)
}
