//! The tests, as one executable: each more would link the SDK again.

mod api_keys;
mod browser_sessions;
mod context;
mod decisions;
