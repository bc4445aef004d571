//! The Lambda binary: reads the configuration, opens the connections, answers requests.

use std::process::ExitCode;

use auth_api::{AuthApi, Config};

fn main() -> ExitCode {
    runtime::run(Config::from_lookup(&env_config::process), AuthApi::connect)
}
