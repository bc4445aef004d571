//! What an experiment promises, and what it has seen.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::EXPERIMENTS;

/// An experiment: a row of the table in docs/reliability.md.
pub(crate) struct Experiment {
    /// A word for files.
    pub(crate) id: &'static str,
    /// The injected fault.
    pub(crate) fault: &'static str,
    /// What must be true in spite of it, in one sentence.
    pub(crate) promise: &'static str,
    /// The test that injects it.
    pub(crate) test: &'static str,
}

impl Experiment {
    pub(crate) fn of(id: &str) -> &'static Self {
        EXPERIMENTS.iter().find(|one| one.id == id).unwrap()
    }

    /// The beginning of its row: the fault and the promise.
    pub(crate) fn first_cells(&self) -> String {
        format!("| {} | {} |", self.fault, self.promise)
    }

    fn name(&self) -> &'static str {
        self.test.rsplit("::").next().unwrap()
    }
}

/// What an experiment has injected and seen.
pub(crate) struct Report {
    experiment: &'static Experiment,
    pub(crate) injected: u64,
    seen: BTreeMap<&'static str, u64>,
    /// The worst value of the run, as text; empty where there is none.
    pub(crate) worst: String,
    pub(crate) violations: Vec<String>,
}

impl Report {
    pub(crate) fn of(id: &str) -> Self {
        Self {
            experiment: Experiment::of(id),
            injected: 0,
            seen: BTreeMap::new(),
            worst: String::new(),
            violations: Vec::new(),
        }
    }

    /// Counts something that was seen.
    pub(crate) fn saw(&mut self, what: &'static str) {
        self.saw_many(what, 1);
    }

    pub(crate) fn saw_many(&mut self, what: &'static str, count: u64) {
        *self.seen.entry(what).or_default() += count;
    }

    /// How often that was seen.
    pub(crate) fn count(&self, what: &str) -> u64 {
        self.seen.get(what).copied().unwrap_or_default()
    }

    /// Records a broken promise unless `holds`.
    pub(crate) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(what());
        }
    }

    /// Writes the row of a long run.
    #[expect(clippy::print_stdout, reason = "a long run reports its result")]
    pub(crate) fn write(&self) {
        let row = self.row();
        println!("chaos: {row}");
        if let Some(folder) = rows() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(self.experiment.id), format!("{row}\n")).unwrap();
        }
    }

    /// The promise held, and faults were injected.
    pub(crate) fn kept(self) {
        self.write();
        assert!(self.injected > 0, "no fault was injected");
        let violations = self.violations.len();
        assert!(
            violations == 0,
            "{violations} violations of: {} {:#?}",
            self.experiment.promise,
            &self.violations[..violations.min(20)]
        );
    }

    /// The sabotaged run was detected.
    pub(crate) fn detected(&self) {
        self.detected_as("");
    }

    /// The sabotaged run was detected by a violation with this text: others may be mere consequences.
    pub(crate) fn detected_as(&self, text: &str) {
        assert!(
            self.violations.iter().any(|one| one.contains(text)),
            "the sabotage of {} was not detected: {} {:#?}",
            self.experiment.id,
            self.row(),
            &self.violations[..self.violations.len().min(20)]
        );
    }

    fn row(&self) -> String {
        let seen: Vec<String> = self
            .seen
            .iter()
            .map(|(what, count)| format!("{what} {count}"))
            .collect();
        let worst = if self.worst.is_empty() {
            "-"
        } else {
            &self.worst
        };
        format!(
            "{} {} | {}; {} violations | {worst} | `make chaos T={}` |",
            self.experiment.first_cells(),
            self.injected,
            seen.join(", "),
            self.violations.len(),
            self.experiment.name(),
        )
    }
}

/// The folder of the rows of a long run; `None` in `make test`.
pub(crate) fn rows() -> Option<PathBuf> {
    std::env::var_os("GATEHOUSE_CHAOS_ROWS").map(PathBuf::from)
}

/// The number of repetitions: `long` in `make chaos`, `short` in `make test`.
pub(crate) fn length(short: usize, long: usize) -> usize {
    if rows().is_some() { long } else { short }
}
