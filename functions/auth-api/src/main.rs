//! The Lambda binary: reads the configuration, opens the connections, answers requests.

use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Zeroes memory when it is freed: passwords pass through the buffers of HTTP clients, which do not wipe them.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    auth_api::run()
}
