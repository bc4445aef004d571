//! The machine-readable results: lines of JSON on standard output, which `benches/report` reads.

use serde::Serialize;
use serde_json::Value;

/// Several measurements of one quantity.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The 10th percentile.
    pub low: f64,
    /// The 90th percentile.
    pub high: f64,
    /// How many there are.
    pub runs: usize,
}

impl Spread {
    /// The spread of these measurements.
    ///
    /// # Panics
    /// Without a measurement.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            median: values[values.len() / 2],
            low: percentile(&values, 10),
            high: percentile(&values, 90),
            runs: values.len(),
        }
    }

    /// The same in another unit.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            median: self.median * factor,
            low: self.low * factor,
            high: self.high * factor,
            ..self
        }
    }
}

/// A percentile of sorted values.
///
/// # Panics
/// Without a value.
#[must_use]
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// Prints one result of a benchmark: a line of JSON that begins with `{"bench":`.
#[expect(clippy::print_stdout, reason = "the output is the result")]
pub fn result(bench: &str, result: &Value) {
    println!(r#"{{"bench":"{bench}","result":{result}}}"#);
}

/// Whether `GATEHOUSE_QUICK` asks for few repetitions: figures to check the benchmarks, not to publish.
#[must_use]
pub fn quick() -> bool {
    std::env::var_os("GATEHOUSE_QUICK").is_some()
}

/// The number of repetitions: `full`, or `few` for a quick run.
#[must_use]
pub fn repeat(full: usize, few: usize) -> usize {
    if quick() { few } else { full }
}
