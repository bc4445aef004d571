//! The Lambda binary: reads the configuration, opens the connections, answers events.

use std::process::ExitCode;

use sessions::{Config, Sessions};

fn main() -> ExitCode {
    runtime::run(Config::from_lookup(&env_config::process), Sessions::connect)
}
