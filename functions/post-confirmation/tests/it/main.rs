//! The tests, as one executable: each more would link the SDK again.

mod confirmations;
mod resets;
