//! The Lambda binary: reads the configuration, opens the connections, handles requests.

use std::process::ExitCode;

use logout::{Config, Logout};

fn main() -> ExitCode {
    runtime::run(Config::from_lookup(&env_config::process), Logout::connect)
}
