//! The Lambda binary: reads the configuration, opens the connections, handles events.

use std::process::ExitCode;

use migrate_user::{Config, MigrateUser};

fn main() -> ExitCode {
    lambda::run(
        Config::from_lookup(&lambda::env::process),
        MigrateUser::connect,
    )
}
