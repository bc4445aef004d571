//! The Lambda binary: reads the configuration, opens the connections, handles events.

use std::process::ExitCode;

use migrate_user::{Config, MigrateUser};

fn main() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        MigrateUser::connect,
    )
}
