//! The Lambda binary: reads the configuration, answers batches of messages.

use std::process::ExitCode;

use logout_retry::{Config, LogoutRetry};

fn main() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        LogoutRetry::connect,
    )
}
