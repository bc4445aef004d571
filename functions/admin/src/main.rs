//! The Lambda binary: reads the configuration, opens the connections, answers events.

use std::process::ExitCode;

fn main() -> ExitCode {
    admin::run()
}
