//! The Lambda binary: reads the configuration, opens the connections, answers events.

use std::process::ExitCode;

use sessions::{Config, Sessions};

fn main() -> ExitCode {
    lambda::run(
        Config::from_lookup(&lambda::env::process),
        Sessions::connect,
    )
}
