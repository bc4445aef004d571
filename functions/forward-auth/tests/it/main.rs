//! The tests, as one executable: each more would link the SDK again.

mod common;
mod decisions;
mod lambda;
mod server;
