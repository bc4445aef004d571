//! `forward-auth` is a Lambda function; `forward-auth --listen <address>` is an HTTP server.

use std::net::SocketAddr;
use std::process::ExitCode;

use forward_auth::{Config, server};

const USAGE: &str = "usage: forward-auth [--listen <address>:<port>]\n\n\
    Without arguments: a Lambda function behind a function URL or an ALB.\n\
    The environment variables are described in docs/configuration.md.\n";

fn main() -> ExitCode {
    let config = || Config::from_lookup(&env_config::process);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => forward_auth::run_in_lambda(config()),
        ["--listen", address] => match address.parse::<SocketAddr>() {
            Ok(address) => server::run(config(), address),
            Err(_) => misused(),
        },
        ["--help" | "-h"] => {
            write(&mut std::io::stdout());
            ExitCode::SUCCESS
        }
        _ => misused(),
    }
}

fn misused() -> ExitCode {
    write(&mut std::io::stderr());
    ExitCode::from(2)
}

fn write(out: &mut impl std::io::Write) {
    // Without a terminal there is no reader to tell.
    let _ = out.write_all(USAGE.as_bytes());
}
