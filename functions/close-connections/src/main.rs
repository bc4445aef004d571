//! The Lambda binary: reads the configuration, opens the connections, handles events.

use std::process::ExitCode;

use close_connections::{CloseConnections, Config};

fn main() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        CloseConnections::connect,
    )
}
