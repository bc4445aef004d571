//! The Lambda binary: reads the configuration, opens the connections, handles events.

use std::process::ExitCode;

fn main() -> ExitCode {
    post_authentication::run()
}
