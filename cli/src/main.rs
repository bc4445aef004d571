//! `gatehouse`: the operator's tool.

mod audit_trail;
mod definition;
mod enable;
mod explain;
mod export;
mod external;
mod key_store;
mod keys;
mod mails;
mod migrate;
mod operator;
mod phantom_keys;
mod revoke;
mod status;

use std::fmt::Display;
use std::io::Write;
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
    /// Put Gatehouse in front of an existing user pool and its APIs, and undo it (gatehouse-adopt).
    Adopt(external::External),
    /// Look for weak settings in user pools, APIs and this system (gatehouse-audit).
    Audit(external::External),
    /// Export the acts of a stack: what was done to sessions, users, clients and keys, by whom, when.
    AuditTrail(audit_trail::AuditTrail),
    /// Generate generated/api-gateway.json, which template.yaml deploys, from openapi.yaml.
    Definition(definition::Definition),
    /// Let a disabled user sign in again, in the pool and in the table.
    Enable(enable::Enable),
    /// Show, step by step, how the authorizer decides about a token. The token is read from
    /// standard input and never printed.
    Explain(explain::Explain),
    /// Create, list and revoke API keys.
    Keys(keys::Keys),
    /// Render every email in every language into a folder.
    Mails(mails::Mails),
    /// Before, during and after a migration of users: who cannot be migrated, and who is left.
    Migrate(migrate::Migrate),
    /// Create, rotate and list the keys that sign phantom tokens.
    PhantomKeys(phantom_keys::PhantomKeys),
    /// Revoke a user's sessions, one session, one token, an app client's tokens, or all tokens.
    Revoke(revoke::Revoke),
    /// Show all revocations of a user.
    Status(status::Status),
}

#[tokio::main]
async fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Adopt(external) => finish(Err::<String, _>(external.run("adopt"))),
        Command::Audit(external) => finish(Err::<String, _>(external.run("audit"))),
        Command::AuditTrail(trail) => finish(trail.run().await),
        Command::Definition(definition) => finish(definition.run()),
        Command::Enable(enable) => finish_act(enable.run().await).await,
        Command::Explain(explain) => {
            let report = explain.run().await;
            let allowed = report.as_ref().is_ok_and(explain::Report::is_allowed);
            let code = finish(report);
            if code == ExitCode::SUCCESS && !allowed {
                ExitCode::FAILURE
            } else {
                code
            }
        }
        Command::Keys(keys) => finish_act(keys.run().await).await,
        Command::Mails(mails) => finish(mails.run()),
        Command::Migrate(migrate) => match migrate.run().await {
            Ok((printed, is_whole)) => {
                let code = finish(Ok(printed));
                if is_whole { code } else { ExitCode::FAILURE }
            }
            Err(problem) => finish(Err::<operator::Printed, _>(problem)),
        },
        Command::PhantomKeys(keys) => finish_act(keys.run().await).await,
        Command::Revoke(revoke) => finish_act(revoke.run().await).await,
        Command::Status(status) => finish(status.run().await),
    }
}

/// Prints the result, or the error to standard error.
fn finish(result: Result<impl Display, String>) -> ExitCode {
    let problem = match result {
        Ok(result) => match writeln!(std::io::stdout(), "{result}") {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => format!("the result could not be printed: {error}"),
        },
        Err(problem) => problem,
    };
    // No panic: the act is still to be recorded.
    let _ = writeln!(std::io::stderr(), "{problem}");
    ExitCode::from(2)
}

/// Prints the result, then the failed steps to standard error, and then records the act, which may take seconds.
async fn finish_act(acted: Result<audit_trail::Acted, String>) -> ExitCode {
    match acted {
        Ok(audit_trail::Acted {
            result,
            failed_steps,
            act,
        }) => {
            let mut code = finish(result);
            for step in &failed_steps {
                let _ = writeln!(std::io::stderr(), "{step}");
                if code == ExitCode::SUCCESS {
                    code = ExitCode::FAILURE;
                }
            }
            act.record().await;
            code
        }
        Err(problem) => finish(Err::<operator::Printed, _>(problem)),
    }
}
