//! The tests, as one executable: each more would link the SDK again.

mod attempts;
mod browser_sessions;
mod requests;
