//! The Lambda binary: reads the configuration, opens the connections, handles events.

use std::process::ExitCode;

use publish_acts::{Config, PublishActs};

fn main() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        PublishActs::connect,
    )
}
