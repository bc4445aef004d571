//! Counts the uses of revoked credentials by their caller, so that each act says what that caller did.

use std::collections::HashMap;

/// The maximum number of lines per second and process: other refusals do not use it up.
const PER_SECOND: u64 = 100;
/// The maximum of one caller, so that a client in a loop does not use it up either.
const PER_CALLER: u64 = 10;
/// The maximum number of callers whose counts are kept. Further callers get a line for each use, within the limit.
const MAX_CALLERS: usize = 1_000;

/// The uses that no line includes yet.
#[derive(Default)]
pub(crate) struct Uses {
    second: u64,
    lines: u64,
    callers: HashMap<(&'static str, String), Caller>,
}

#[derive(Default)]
struct Caller {
    lines: u64,
    uncounted: u64,
}

impl Uses {
    /// The number of uses by `caller`, a hash, that a line written now includes; `None` if no line is due.
    pub(crate) fn count(&mut self, reason: &'static str, caller: &str, now: u64) -> Option<u64> {
        if self.second != now {
            self.second = now;
            self.lines = 0;
            self.callers.retain(|_, caller| {
                caller.lines = 0;
                caller.uncounted > 0
            });
        }
        let is_due = self.lines < PER_SECOND;
        let key = (reason, caller.to_owned());
        if self.callers.len() >= MAX_CALLERS && !self.callers.contains_key(&key) {
            self.lines += u64::from(is_due);
            return is_due.then_some(1);
        }
        let caller = self.callers.entry(key).or_default();
        caller.uncounted += 1;
        if !is_due || caller.lines >= PER_CALLER {
            return None;
        }
        self.lines += 1;
        caller.lines += 1;
        Some(std::mem::take(&mut caller.uncounted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_in_a_loop_leaves_lines_for_others() {
        let mut uses = Uses::default();
        let mut flood = |caller: &str, now: u64| -> Vec<u64> {
            (0..500)
                .filter_map(|_| uses.count("session_revoked", caller, now))
                .collect()
        };
        assert_eq!(flood("ada", 1), [1; 10]);
        assert_eq!(flood("bob", 1), [1; 10]);
        let next = flood("ada", 2);
        assert_eq!((next[0], next.len()), (491, 10), "what she did before");
        assert_eq!(uses.count("user_revoked", "ada", 2), Some(1), "by reason");
    }

    #[test]
    fn many_callers_cost_a_bounded_number_of_lines_and_of_bytes() {
        let mut uses = Uses::default();
        let callers = u64::try_from(MAX_CALLERS).unwrap() * 2;
        let lines = (0..callers).filter_map(|n| uses.count("user_disabled", &n.to_string(), 1));
        assert_eq!(lines.sum::<u64>(), PER_SECOND);
        assert_eq!(uses.callers.len(), MAX_CALLERS);
        // Those without a line are still counted.
        let caller = (PER_SECOND + 1).to_string();
        assert_eq!(uses.count("user_disabled", &caller, 2), Some(2));
        assert_eq!(uses.count("user_disabled", "new", 2), Some(1));
    }
}
