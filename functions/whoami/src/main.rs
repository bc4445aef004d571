//! The Lambda binary.

use std::process::ExitCode;

use whoami::Whoami;

fn main() -> ExitCode {
    lambda::run(Ok(()), async |()| Ok::<_, std::convert::Infallible>(Whoami))
}
