//! The Lambda binary: reads the configuration and the templates, handles Cognito's triggers.

use std::process::ExitCode;

fn main() -> ExitCode {
    custom_message::run()
}
