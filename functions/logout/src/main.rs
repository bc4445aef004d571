//! The Lambda binary: reads the configuration, opens the connections, handles requests.

use std::process::ExitCode;

fn main() -> ExitCode {
    logout::run()
}
