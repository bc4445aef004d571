//! The Lambda binary: reads the configuration, opens the connections, answers events.

use std::process::ExitCode;

use post_confirmation::{Config, PostConfirmation};

fn main() -> ExitCode {
    lambda::run(
        Config::from_lookup(&lambda::env::process),
        PostConfirmation::connect,
    )
}
