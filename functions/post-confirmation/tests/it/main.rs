//! The tests, as one executable: each more would link the SDK again.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod confirmations;
mod resets;
