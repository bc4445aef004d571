//! The Lambda binary: reads the configuration, answers batches of messages.

use std::process::ExitCode;

fn main() -> ExitCode {
    logout_retry::run()
}
