//! The Lambda binary: reads the configuration and the mapping, handles events.

use std::process::ExitCode;

use pre_token_generation::{Config, PreTokenGeneration};

fn main() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        PreTokenGeneration::start,
    )
}
