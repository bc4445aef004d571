//! The Lambda binary: reads the configuration, opens the connections, handles events.

use std::process::ExitCode;

use migrate_user::{Config, MigrateUser};
use zeroizing_alloc::ZeroAlloc;

/// Zeroes memory when it is freed: passwords pass through the buffers of HTTP clients, which do not wipe them.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    runtime::run(
        Config::from_lookup(&env_config::process),
        MigrateUser::connect,
    )
}
