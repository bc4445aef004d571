//! The Lambda binary: reads the configuration, opens the connections, answers events.

use std::process::ExitCode;

use post_confirmation::{Config, PostConfirmation};

fn main() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        PostConfirmation::connect,
    )
}
