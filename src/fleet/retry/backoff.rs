//! How long to wait before a retry.

use rand::RngExt;

use crate::engine::{SimDuration, SimRng};
use crate::scenario::clients::{Backoff as Config, Jitter};

/// Exponential backoff with its constants worked out.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    base_ns: f64,
    multiplier: f64,
    max_ns: f64,
    jitter: Jitter,
}

impl Backoff {
    /// The backoff of a configuration.
    pub fn new(config: &Config) -> Backoff {
        Backoff {
            base_ns: config.base_ms * 1e6,
            multiplier: config.multiplier,
            max_ns: config.max_ms() * 1e6,
            jitter: config.jitter,
        }
    }

    /// The delay before retry `retry_number` (1 for the first; 0 counts as 1) of a request.
    ///
    /// `previous` is the delay before the retry before it, zero for the first; only `decorrelated`
    /// looks at it. At most one random number is drawn, always the same for a kind of jitter.
    pub fn delay(&self, retry_number: u32, previous: SimDuration, rng: &mut SimRng) -> SimDuration {
        let mut unit = || rng.random::<f64>();
        let ns = match self.jitter {
            Jitter::None => self.ceiling_ns(retry_number),
            Jitter::Full => self.ceiling_ns(retry_number) * unit(),
            Jitter::Equal => self.ceiling_ns(retry_number) * (0.5 + 0.5 * unit()),
            Jitter::Decorrelated => {
                let before = (previous.0 as f64).max(self.base_ns);
                let drawn = self.base_ns + (3.0 * before - self.base_ns) * unit();
                drawn.min(self.max_ns)
            }
            Jitter::Grpc => self.ceiling_ns(retry_number) * (0.8 + 0.4 * unit()),
            // 1 less the number is never zero.
            Jitter::Exponential => -self.ceiling_ns(retry_number) * (1.0 - unit()).ln(),
        };
        SimDuration(ns.round() as u64)
    }

    /// `min(base * multiplier^(n - 1), max)`, nanoseconds.
    fn ceiling_ns(&self, retry_number: u32) -> f64 {
        let power = i32::try_from(retry_number.saturating_sub(1)).unwrap_or(i32::MAX);
        // A power that overflows is infinite, and the limit holds.
        (self.base_ns * self.multiplier.powi(power)).min(self.max_ns)
    }
}
