//! Processor time of calls, measured alternately with that of a baseline. It is the thread's own, so that programs which
//! run beside it do not count.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

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
        Spread::of(self.each(call))
    }

    /// Nanoseconds of one call, of each batch.
    #[must_use]
    pub fn each(self, call: &Call) -> Vec<f64> {
        (0..self.batches).map(|_| self.batch(call)).collect()
    }

    fn batch(self, call: &Call) -> f64 {
        let began = used_ns();
        for _ in 0..self.calls {
            black_box(call());
        }
        (used_ns() - began) / self.calls as f64
    }
}

/// Nanoseconds of processor time that this thread has used.
#[must_use]
pub fn used_ns() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.tv_sec as f64 * 1e9 + used.tv_nsec as f64
}
