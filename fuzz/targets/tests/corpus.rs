//! Runs every target with its committed inputs, without libFuzzer.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fuzz_targets::{FOLDER, TARGETS};

fn folder(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// The names of the entries of a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|_| panic!("{}", folder.display()));
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The targets run at once, because some wait most of the time. One target's inputs share its functions: they run one
/// after the other.
#[test]
fn every_target_keeps_its_promises_for_every_committed_input() {
    std::thread::scope(|scope| {
        for (name, target) in TARGETS {
            scope.spawn(move || {
                let folder = folder("corpus").join(name);
                let inputs = names(&folder);
                assert!(inputs.len() >= 5, "{name}: {} inputs", inputs.len());
                for input in inputs {
                    let bytes = std::fs::read(folder.join(&input)).unwrap();
                    let result = std::panic::catch_unwind(|| target(&bytes));
                    assert!(result.is_ok(), "fuzz/corpus/{name}/{input}");
                }
            });
        }
    });
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder("corpus")), known);
    let programs = names(&folder("fuzz_targets"));
    let programs = programs
        .iter()
        .map(|name| name.trim_end_matches(".rs").to_owned());
    assert_eq!(programs.collect::<BTreeSet<_>>(), known);
    let manifest = std::fs::read_to_string(folder("Cargo.toml")).unwrap();
    for name in known {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
