//! The Lambda binary: reads the configuration, opens the connections, handles requests.

use std::process::ExitCode;

use logout::{Config, Logout};

fn main() -> ExitCode {
    lambda::run(Config::from_lookup(&lambda::env::process), Logout::connect)
}
