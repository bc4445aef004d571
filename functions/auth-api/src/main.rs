//! The Lambda binary: reads the configuration, opens the connections, answers requests.

use std::process::ExitCode;

use auth_api::{AuthApi, Config};
use zeroizing_alloc::ZeroAlloc;

/// Zeroes memory when it is freed: passwords pass through the buffers of HTTP clients, which do not wipe them.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    runtime::run(Config::from_lookup(&env_config::process), AuthApi::connect)
}
