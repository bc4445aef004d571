//! Times of calls, measured alternately with those of a baseline.

use std::hint::black_box;
use std::time::Instant;

use crate::decision::Call;
use crate::output::Spread;

/// How often a call is made.
#[derive(Clone, Copy)]
pub struct Rounds {
    /// Batches of the call and of the baseline, in turns.
    pub batches: usize,
    /// Calls of a batch.
    pub calls: usize,
}

impl Rounds {
    /// Nanoseconds of one call, and the ratio to the baseline of each pair of batches.
    #[must_use]
    pub fn measure(self, call: &Call, floor: &Call) -> (Spread, Spread) {
        let (mut calls, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..self.batches {
            let (one, base) = (self.batch(call), self.batch(floor));
            calls.push(one);
            ratios.push(one / base);
        }
        (Spread::of(calls), Spread::of(ratios))
    }

    /// Nanoseconds of one call.
    #[must_use]
    pub fn alone(self, call: &Call) -> Spread {
        Spread::of((0..self.batches).map(|_| self.batch(call)).collect())
    }

    fn batch(self, call: &Call) -> f64 {
        let began = Instant::now();
        for _ in 0..self.calls {
            black_box(call());
        }
        began.elapsed().as_nanos() as f64 / self.calls as f64
    }
}
