//! The Lambda binary: reads the configuration, opens the connections, handles events.

use std::process::ExitCode;

use post_authentication::{Config, PostAuthentication};

fn main() -> ExitCode {
    lambda::run(
        Config::from_lookup(&lambda::env::process),
        PostAuthentication::connect,
    )
}
