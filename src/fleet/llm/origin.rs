//! A run of decode iterations as one segment: when its boundaries come.

use crate::engine::SimTime;
use crate::perf::DecodePiece;

/// The start of a run of decode iterations with the same sequences.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub start: SimTime,
    pub iteration: u64,
    pub context: u64,
    pub decodes: u32,
    pub piece: DecodePiece,
}

impl Origin {
    /// The instant after the iterations up to and excluding `iteration`:
    /// `S(k) = k base + per_context (k K + d k (k - 1) / 2)`.
    pub fn boundary(&self, iteration: u64) -> SimTime {
        let k = (iteration - self.iteration) as f64;
        let contexts = k * self.context as f64 + f64::from(self.decodes) * (k * (k - 1.0) / 2.0);
        let ns = k * self.piece.base_ns + self.piece.per_context_ns * contexts;
        SimTime(self.start.0 + ns.round() as u64)
    }

    /// The first boundary at or after `now`, as an iteration.
    pub fn iteration_at(&self, now: SimTime, at_most: u64) -> u64 {
        // Solve the quadratic for a guess, then settle it by the exact integers.
        let elapsed = now.since(self.start).0 as f64;
        let quadratic = self.piece.per_context_ns * f64::from(self.decodes) / 2.0;
        let linear =
            self.piece.base_ns + self.piece.per_context_ns * self.context as f64 - quadratic;
        let guess = 2.0 * elapsed / (linear + (linear * linear + 4.0 * quadratic * elapsed).sqrt());
        let mut iteration = (self.iteration + guess.max(1.0) as u64).min(at_most);
        while iteration > self.iteration + 1 && self.boundary(iteration - 1) >= now {
            iteration -= 1;
        }
        while iteration < at_most && self.boundary(iteration) < now {
            iteration += 1;
        }
        iteration
    }

    /// How many of the boundaries of the iterations `from + 1 ..= until` come before `at`.
    pub fn boundaries_before(&self, at: SimTime, from: u64, until: u64) -> u64 {
        if self.boundary(until) < at {
            return until - from;
        }
        if self.boundary(from + 1) >= at {
            return 0;
        }
        // The first boundary at or after `at` lies between the two.
        self.iteration_at(at, until) - 1 - from
    }
}
