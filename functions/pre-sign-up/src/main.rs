//! The Lambda binary: reads the configuration, opens the connections, answers events.

use std::process::ExitCode;

use pre_sign_up::{Config, PreSignUp};

fn main() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        PreSignUp::connect,
    )
}
