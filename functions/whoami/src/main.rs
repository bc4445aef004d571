//! The Lambda binary.

use std::process::ExitCode;

use whoami::Whoami;

fn main() -> ExitCode {
    runtime::run(Ok(()), async |()| Ok::<_, std::convert::Infallible>(Whoami))
}
