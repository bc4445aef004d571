//! The Lambda binary: reads the configuration, opens the connections, handles events.

use std::process::ExitCode;

use authorizer::{Authorizer, Config};

fn main() -> ExitCode {
    lambda::run(
        Config::from_lookup(&lambda::env::process),
        Authorizer::connect,
    )
}
