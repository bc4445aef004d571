//! The Lambda binary: reads the configuration, opens the connections, answers events.

use std::process::ExitCode;

use user_sweep::{Config, UserSweep};

fn main() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        UserSweep::connect,
    )
}
