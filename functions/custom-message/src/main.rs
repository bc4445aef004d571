//! The Lambda binary: reads the configuration and the templates, handles Cognito's triggers.

use std::process::ExitCode;

use custom_message::{Config, CustomMessage, with_other_names};

fn main() -> ExitCode {
    runtime::run(
        Config::from_lookup(&with_other_names(env_config::process)),
        CustomMessage::start,
    )
}
