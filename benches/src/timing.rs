//! Times of calls, measured alternately with those of a baseline.

use std::hint::black_box;
use std::time::Instant;

use crate::decision::Call;

/// How often a call is made.
#[derive(Clone, Copy)]
pub struct Rounds {
    /// Batches of the call and of the baseline, in turns.
    pub batches: usize,
    /// Calls of a batch.
    pub calls: usize,
}

impl Rounds {
    /// Nanoseconds of one call, and their ratio to the baseline: the medians of the batches.
    #[must_use]
    pub fn measure(self, call: &Call, floor: &Call) -> (f64, f64) {
        let (mut calls, mut floors) = (Vec::new(), Vec::new());
        for _ in 0..self.batches {
            calls.push(self.batch(call));
            floors.push(self.batch(floor));
        }
        let (call, floor) = (median(calls), median(floors));
        (call, call / floor)
    }

    fn batch(self, call: &Call) -> f64 {
        let began = Instant::now();
        for _ in 0..self.calls {
            black_box(call());
        }
        began.elapsed().as_nanos() as f64 / self.calls as f64
    }
}

/// The median.
///
/// # Panics
/// Without values.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
