//! The Lambda binary: reads the configuration and the templates, answers Cognito's triggers.

use std::process::ExitCode;

use custom_message::{Config, CustomMessage};

fn main() -> ExitCode {
    lambda::run(
        Config::from_lookup(&lambda::env::process),
        CustomMessage::start,
    )
}
