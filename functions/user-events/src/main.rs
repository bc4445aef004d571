//! The Lambda binary: reads the configuration, opens the connections, answers events.

use std::process::ExitCode;

use user_events::{Config, UserEvents};

fn main() -> ExitCode {
    lambda::run(
        Config::from_lookup(&lambda::env::process),
        UserEvents::connect,
    )
}
