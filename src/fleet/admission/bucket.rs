//! Token buckets in exact integer arithmetic.

use crate::engine::SimTime;
use crate::scenario::admission::{Bucket, RateLimits};

/// Rates and bursts are counted in billionths of a unit.
const BILLION: u64 = 1_000_000_000;

/// One unit in the bucket's own measure: billionths of a unit times nanoseconds of a second, so that
/// what flows in during a nanosecond is a whole number.
const UNIT: i128 = BILLION as i128 * BILLION as i128;

/// A token bucket that starts full. A unit is a request, or a token of a language model.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    /// What flows in per nanosecond.
    rate: i128,
    capacity: i128,
    /// Below zero after [`TokenBucket::charge`].
    level: i128,
    updated: SimTime,
}

impl TokenBucket {
    /// A full bucket. Both numbers must be positive and finite and at most 1e12; they are rounded to
    /// billionths.
    pub fn new(units_per_s: f64, burst: f64) -> TokenBucket {
        let billionths = |value: f64| (value * BILLION as f64).round() as i128;
        let capacity = billionths(burst).saturating_mul(BILLION.into());
        TokenBucket {
            rate: billionths(units_per_s),
            capacity,
            level: capacity,
            updated: SimTime::ZERO,
        }
    }

    /// The level at `now`; for a time before the last change, that of the last change.
    fn level_at(&self, now: SimTime) -> i128 {
        let elapsed = i128::from(now.since(self.updated).0);
        let inflow = self.rate.saturating_mul(elapsed);
        self.level.saturating_add(inflow).min(self.capacity)
    }

    fn settle(&mut self, now: SimTime) {
        self.level = self.level_at(now);
        self.updated = self.updated.max(now);
    }

    /// Whole units that are there; 0 while the bucket is in debt.
    pub fn available(&self, now: SimTime) -> u64 {
        u64::try_from(self.level_at(now) / UNIT).unwrap_or(0)
    }

    /// Whether [`TokenBucket::take`] would take so many.
    pub fn would_take(&self, now: SimTime, units: u64) -> bool {
        self.level_at(now) >= measure(units)
    }

    /// Takes so many units if they are there, and none otherwise.
    pub fn take(&mut self, now: SimTime, units: u64) -> bool {
        self.settle(now);
        let enough = self.level >= measure(units);
        if enough {
            self.level -= measure(units);
        }
        enough
    }

    /// Takes so many units whether they are there or not: the true number turned out to be larger.
    /// The bucket then lets nothing through until what it owes has flowed in.
    pub fn charge(&mut self, now: SimTime, units: u64) {
        self.settle(now);
        self.level = self.level.saturating_sub(measure(units));
    }

    /// Puts units back, as many as there is room for: the true number turned out to be smaller.
    pub fn give_back(&mut self, units: u64) {
        // What flows in until the next change meets the same brim before or after.
        let level = self.level.saturating_add(measure(units));
        self.level = level.min(self.capacity);
    }

    /// The first instant, `now` or later, at which so many units are there if nobody takes any
    /// before. None when the bucket cannot hold them or that instant is past the end of time.
    pub fn ready_at(&self, now: SimTime, units: u64) -> Option<SimTime> {
        let wanted = measure(units);
        if wanted > self.capacity {
            return None;
        }
        let missing = wanted - self.level_at(now);
        if missing <= 0 {
            return Some(now);
        }
        if self.rate == 0 {
            return None;
        }
        let wait = (missing - 1) / self.rate + 1;
        let since = now.max(self.updated);
        let at = since.0.checked_add(u64::try_from(wait).ok()?)?;
        Some(SimTime(at))
    }
}

/// Units in the bucket's own measure; 2^64 of them fit.
fn measure(units: u64) -> i128 {
    i128::from(units) * UNIT
}

impl From<Bucket> for TokenBucket {
    fn from(bucket: Bucket) -> TokenBucket {
        TokenBucket::new(bucket.per_s, bucket.burst)
    }
}

/// A bucket of requests and one of tokens: a request takes from both or from none.
#[derive(Debug, Clone)]
pub struct Buckets {
    requests: Option<TokenBucket>,
    tokens: Option<TokenBucket>,
}

impl Buckets {
    /// Full buckets.
    pub fn new(config: &RateLimits) -> Buckets {
        Buckets {
            requests: config.requests.map(TokenBucket::from),
            tokens: config.tokens.map(TokenBucket::from),
        }
    }

    /// Takes one request with so many tokens if both are there, and nothing otherwise.
    pub fn take(&mut self, now: SimTime, tokens: u64) -> bool {
        let has = |bucket: &Option<TokenBucket>, units| {
            bucket
                .as_ref()
                .is_none_or(|bucket| bucket.would_take(now, units))
        };
        let both = has(&self.requests, 1) && has(&self.tokens, tokens);
        if both {
            for (bucket, units) in [(&mut self.requests, 1), (&mut self.tokens, tokens)] {
                if let Some(bucket) = bucket {
                    bucket.take(now, units);
                }
            }
        }
        both
    }

    /// Puts back a request that a later check refused.
    pub fn give_back(&mut self, tokens: u64) {
        for (bucket, units) in [(&mut self.requests, 1), (&mut self.tokens, tokens)] {
            if let Some(bucket) = bucket {
                bucket.give_back(units);
            }
        }
    }

    /// Corrects the tokens of a request that was let in on an estimate.
    pub fn correct_tokens(&mut self, now: SimTime, estimated: u64, actual: u64) {
        let Some(bucket) = &mut self.tokens else {
            return;
        };
        if actual > estimated {
            bucket.charge(now, actual - estimated);
        } else {
            bucket.give_back(estimated - actual);
        }
    }

    /// The first instant at which such a request would be let in, if nobody takes anything before;
    /// none when it never would be.
    pub fn ready_at(&self, now: SimTime, tokens: u64) -> Option<SimTime> {
        let at = |bucket: &Option<TokenBucket>, units| {
            let bucket = bucket.as_ref();
            bucket.map_or(Some(now), |bucket| bucket.ready_at(now, units))
        };
        Some(at(&self.requests, 1)?.max(at(&self.tokens, tokens)?))
    }
}
