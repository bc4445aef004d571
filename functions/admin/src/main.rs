//! The Lambda binary: reads the configuration, opens the connections, answers events.

use std::process::ExitCode;

use admin::{Admin, Config};

fn main() -> ExitCode {
    runtime::run(Config::from_lookup(&env_config::process), Admin::connect)
}
