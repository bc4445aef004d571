//! `gatehouse`: the operator's tool.

#![expect(clippy::print_stdout, reason = "a command prints its result")]

mod explain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tools for the operator of Gatehouse.
#[derive(Parser)]
#[command(name = "gatehouse", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say, step by step, what the authorizer thinks of a token. The token is read from standard
    /// input and never printed.
    Explain(explain::Explain),
}

#[tokio::main]
async fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Explain(explain) => match explain.run().await {
            Ok(report) => {
                println!("{report}");
                if report.is_allowed() {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                }
            }
            Err(problem) => {
                println!("{problem}");
                ExitCode::from(2)
            }
        },
    }
}
