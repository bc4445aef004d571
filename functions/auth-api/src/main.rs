//! The Lambda binary: reads the configuration, opens the connections, answers requests.

use std::process::ExitCode;

use auth_api::{AuthApi, Config};

fn main() -> ExitCode {
    lambda::run(Config::from_lookup(&lambda::env::process), AuthApi::connect)
}
