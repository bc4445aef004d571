//! The Lambda binary: reads the configuration, answers batches of messages.

use std::process::ExitCode;

use logout_retry::{Config, LogoutRetry};

fn main() -> ExitCode {
    lambda::run(
        Config::from_lookup(&lambda::env::process),
        LogoutRetry::connect,
    )
}
