//! The sliding windows of a circuit breaker.

use crate::engine::SimTime;
use crate::engine::time::NS_PER_S;

/// Calls, and how many of them failed and were slow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Calls {
    pub calls: u64,
    pub failed: u64,
    pub slow: u64,
}

impl Calls {
    fn one(failed: bool, slow: bool) -> Calls {
        Calls {
            calls: 1,
            failed: u64::from(failed),
            slow: u64::from(slow),
        }
    }

    fn add(&mut self, other: Calls) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.slow += other.slow;
    }

    fn take_away(&mut self, other: Calls) {
        self.calls -= other.calls;
        self.failed -= other.failed;
        self.slow -= other.slow;
    }
}

/// A window over the last calls or the last seconds, with its totals kept up to date.
#[derive(Debug, Clone)]
pub(super) enum Window {
    Count(CountWindow),
    Time(TimeWindow),
}

impl Window {
    /// Takes the result of a call in and returns the totals with it.
    pub fn record(&mut self, now: SimTime, failed: bool, slow: bool) -> Calls {
        match self {
            Window::Count(window) => window.record(failed, slow),
            Window::Time(window) => window.record(now, failed, slow),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        match self {
            Window::Count(window) => window.clear(),
            Window::Time(window) => window.clear(),
        }
    }
}

const FAILED: u8 = 1;
const SLOW: u8 = 2;

/// The last `size` calls in a ring.
#[derive(Debug, Clone)]
pub(super) struct CountWindow {
    ring: Vec<u8>,
    next: usize,
    totals: Calls,
}

impl CountWindow {
    /// An empty window over `size` (1 or more) calls.
    pub fn new(size: u32) -> CountWindow {
        CountWindow {
            ring: vec![0; size.max(1) as usize],
            next: 0,
            totals: Calls::default(),
        }
    }

    fn record(&mut self, failed: bool, slow: bool) -> Calls {
        let full = self.totals.calls == self.ring.len() as u64;
        let place = &mut self.ring[self.next];
        if full {
            let oldest = Calls::one(*place & FAILED != 0, *place & SLOW != 0);
            self.totals.take_away(oldest);
        }
        *place = if failed { FAILED } else { 0 } | if slow { SLOW } else { 0 };
        self.totals.add(Calls::one(failed, slow));
        self.next = (self.next + 1) % self.ring.len();
        self.totals
    }

    fn clear(&mut self) {
        self.next = 0;
        self.totals = Calls::default();
    }
}

/// The calls that ended in the last `size` whole seconds, the present one among them.
#[derive(Debug, Clone)]
pub(super) struct TimeWindow {
    buckets: Vec<Calls>,
    /// The second of the newest bucket.
    second: u64,
    totals: Calls,
}

impl TimeWindow {
    /// An empty window over `size` (1 or more) seconds.
    pub fn new(size: u32) -> TimeWindow {
        TimeWindow {
            buckets: vec![Calls::default(); size.max(1) as usize],
            second: 0,
            totals: Calls::default(),
        }
    }

    fn record(&mut self, now: SimTime, failed: bool, slow: bool) -> Calls {
        self.move_to(now.0 / NS_PER_S);
        let call = Calls::one(failed, slow);
        let newest = self.index(self.second);
        self.buckets[newest].add(call);
        self.totals.add(call);
        self.totals
    }

    /// Drops what is too old: a bucket for each second that passed, all of them at most.
    fn move_to(&mut self, second: u64) {
        let passed = second.saturating_sub(self.second);
        for step in 1..=passed.min(self.buckets.len() as u64) {
            let index = self.index(self.second + step);
            self.totals.take_away(self.buckets[index]);
            self.buckets[index] = Calls::default();
        }
        self.second = self.second.max(second);
    }

    fn index(&self, second: u64) -> usize {
        (second % self.buckets.len() as u64) as usize
    }

    fn clear(&mut self) {
        self.buckets.fill(Calls::default());
        self.totals = Calls::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Both windows against a list of all calls.
        #[test]
        fn totals_are_those_of_a_scan(
            size in 1_u32..20,
            calls in prop::collection::vec((0_u64..4_000, any::<bool>(), any::<bool>()), 1..200),
        ) {
            let mut by_count = CountWindow::new(size);
            let mut by_time = TimeWindow::new(size);
            let mut seen: Vec<(u64, bool, bool)> = Vec::new();
            let mut now_ms = 0;
            for (gap_ms, failed, slow) in calls {
                now_ms += gap_ms;
                seen.push((now_ms / 1_000, failed, slow));
                let tally = |part: &mut dyn Iterator<Item = &(u64, bool, bool)>| {
                    part.fold(Calls::default(), |mut totals, (_, failed, slow)| {
                        totals.add(Calls::one(*failed, *slow));
                        totals
                    })
                };
                let last = tally(&mut seen.iter().rev().take(size as usize));
                prop_assert_eq!(by_count.record(failed, slow), last);
                let now = SimTime(now_ms * 1_000_000);
                let oldest = (now_ms / 1_000 + 1).saturating_sub(u64::from(size));
                let recent = tally(&mut seen.iter().filter(|call| call.0 >= oldest));
                prop_assert_eq!(by_time.record(now, failed, slow), recent);
            }
        }
    }
}
