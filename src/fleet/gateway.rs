//! The front door: a fixed cost and a token bucket.

use crate::engine::SimTime;

/// Tokens are counted in billionths, so that a bucket is exact integer arithmetic.
const UNIT: u128 = 1_000_000_000;

/// A token bucket that starts full; a request takes one token.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    /// Billionths of a token that flow in per nanosecond times a billion: requests per second
    /// scaled so that the product with nanoseconds needs no division but one.
    rate: u128,
    capacity: u128,
    level: u128,
    updated: SimTime,
}

impl TokenBucket {
    /// A full bucket; `requests_per_s` and `burst` must be positive and finite.
    pub fn new(requests_per_s: f64, burst: f64) -> TokenBucket {
        let capacity = (burst * UNIT as f64).round() as u128 * UNIT;
        TokenBucket {
            rate: (requests_per_s * UNIT as f64).round() as u128,
            capacity,
            level: capacity,
            updated: SimTime::ZERO,
        }
    }

    /// Takes a token if one is there.
    pub fn take(&mut self, now: SimTime) -> bool {
        let elapsed = u128::from(now.since(self.updated).0);
        self.updated = now;
        self.level = (self.level + self.rate.saturating_mul(elapsed)).min(self.capacity);
        let token = UNIT * UNIT;
        if self.level >= token {
            self.level -= token;
            return true;
        }
        false
    }
}

/// The gateway's state.
#[derive(Debug, Clone)]
pub struct Gateway {
    bucket: Option<TokenBucket>,
}

impl Gateway {
    /// A gateway with or without a rate limit.
    pub fn new(bucket: Option<TokenBucket>) -> Gateway {
        Gateway { bucket }
    }

    /// Whether a request that arrives now is let in.
    pub fn admit(&mut self, now: SimTime) -> bool {
        self.bucket.as_mut().is_none_or(|bucket| bucket.take(now))
    }
}
