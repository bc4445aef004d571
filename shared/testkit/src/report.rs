//! What a test could not do on this machine.

use std::io::Write;

/// Reports a test that this machine cannot run, or a part of one: at once, and at the end of `make test` and
/// `make chaos`, which name the file of such lines.
#[expect(clippy::print_stdout, reason = "a skipped test must be noticed")]
pub fn skip(what: &str) {
    println!("skipped: {what}");
    let Some(path) = std::env::var_os("GATEHOUSE_SKIPPED") else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(format!("{what}\n").as_bytes()));
    written.expect("the file of GATEHOUSE_SKIPPED");
}
