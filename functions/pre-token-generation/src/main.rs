//! The Lambda binary: reads the configuration and the mapping, handles events.

use std::process::ExitCode;

fn main() -> ExitCode {
    pre_token_generation::run()
}
