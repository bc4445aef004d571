//! Commands that are programs of their own, `gatehouse-<name>`: `operate/` has them.

use std::env;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

/// The arguments of another program, which reads them itself.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct External {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl External {
    /// Becomes the program, which lies beside this one or on the `PATH`. Returns only if it cannot
    /// be started.
    pub(crate) fn run(self, name: &str) -> String {
        let program = format!("gatehouse-{name}");
        let own = env::current_exe().unwrap_or_default();
        let beside = own.with_file_name(&program);
        let found = if beside.is_file() {
            beside
        } else {
            PathBuf::from(&program)
        };
        let error = Command::new(found).args(self.arguments).exec();
        if error.kind() == ErrorKind::NotFound {
            format!(
                "{program} was not found. `pip install ./operate` in a checkout installs it; see operate/README.md."
            )
        } else {
            format!("{program} cannot be started: {}", error.kind())
        }
    }
}
