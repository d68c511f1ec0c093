//! How many requests may be past the gateway at once.

mod gradient;
mod netflix;

use self::gradient::Gradient;
use self::netflix::{Aimd, Vegas};
use crate::engine::{SimDuration, SimRng, SimTime};
use crate::scenario::admission::ConcurrencyLimit as Config;

/// What a request keeps while it counts as in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// When it was let in; its latency counts from here.
    pub started: SimTime,
    /// Requests in flight at that instant, itself included.
    pub in_flight: u32,
}

/// How a request ended, for the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered; its latency is a sample.
    Answered,
    /// It was shed, timed out or rejected further on, which tells that the limit is too high.
    Dropped,
    /// It tells nothing: the client gave up, or the request was at fault.
    Ignored,
}

/// A limit on requests in flight.
#[derive(Debug, Clone)]
pub struct ConcurrencyLimit {
    in_flight: u32,
    law: Law,
}

#[derive(Debug, Clone)]
enum Law {
    Fixed(u32),
    Aimd(Aimd),
    Gradient(Box<Gradient>),
    Vegas(Vegas),
}

impl ConcurrencyLimit {
    /// A limit with nothing in flight at the start of the simulation. `rng` is a stream of its own.
    pub fn new(config: &Config, rng: &mut SimRng) -> ConcurrencyLimit {
        let law = match *config {
            Config::Fixed { limit } => Law::Fixed(limit),
            Config::Aimd {
                initial,
                min,
                max,
                backoff_ratio,
                timeout_ms,
            } => Law::Aimd(Aimd {
                limit: initial,
                min,
                max,
                backoff_ratio,
                timeout: SimDuration::from_ms_f64(timeout_ms),
            }),
            Config::Gradient {
                update_interval_ms,
                min_rtt_interval_s,
                min_rtt_requests,
                min_rtt_jitter_pct,
                min_rtt_buffer_pct,
                min_concurrency,
                max_limit,
                percentile,
            } => Law::Gradient(Box::new(Gradient::new(gradient::Rule {
                update_interval: SimDuration::from_ms_f64(update_interval_ms),
                min_rtt_interval: SimDuration::from_secs_f64(min_rtt_interval_s),
                min_rtt_requests: min_rtt_requests.into(),
                jitter: min_rtt_jitter_pct / 100.0,
                buffer: min_rtt_buffer_pct / 100.0,
                min_concurrency,
                max_limit,
                quantile: percentile / 100.0,
            }))),
            Config::Vegas {
                initial,
                max,
                smoothing,
                probe_multiplier,
            } => Law::Vegas(Vegas::new(initial, max, smoothing, probe_multiplier, rng)),
        };
        ConcurrencyLimit { in_flight: 0, law }
    }

    /// Whether fewer are in flight than the limit.
    pub fn has_room(&mut self, now: SimTime) -> bool {
        self.in_flight < self.limit(now)
    }

    /// Lets a request in if fewer are in flight than the limit. Whoever gets a permit must release
    /// it once.
    pub fn try_acquire(&mut self, now: SimTime) -> Option<Permit> {
        if !self.has_room(now) {
            return None;
        }
        self.in_flight += 1;
        Some(Permit {
            started: now,
            in_flight: self.in_flight,
        })
    }

    /// A request is no longer in flight.
    pub fn release(&mut self, now: SimTime, permit: Permit, outcome: Outcome, rng: &mut SimRng) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if outcome == Outcome::Ignored {
            return;
        }
        let sample = Sample {
            latency: now.since(permit.started),
            in_flight: permit.in_flight,
            dropped: outcome == Outcome::Dropped,
        };
        match &mut self.law {
            Law::Fixed(_) => {}
            Law::Aimd(aimd) => aimd.sample(sample),
            Law::Gradient(gradient) => gradient.sample(now, permit.started, sample, rng),
            Law::Vegas(vegas) => vegas.sample(sample, rng),
        }
    }

    /// Most requests in flight at present; more may be when it has fallen.
    pub fn limit(&mut self, now: SimTime) -> u32 {
        match &mut self.law {
            Law::Fixed(limit) => *limit,
            Law::Aimd(aimd) => aimd.limit,
            Law::Gradient(gradient) => gradient.limit(now),
            Law::Vegas(vegas) => vegas.limit(),
        }
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// When the limit changes next with nobody coming or going: only then, and when a request is
    /// released, may one that was held back be let in.
    pub fn next_change(&self) -> Option<SimTime> {
        match &self.law {
            Law::Gradient(gradient) => gradient.next_change(),
            Law::Fixed(_) | Law::Aimd(_) | Law::Vegas(_) => None,
        }
    }
}

/// What a request that ended tells of the load.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// From admission to the end.
    latency: SimDuration,
    /// Requests in flight when it was let in, itself included.
    in_flight: u32,
    /// Whether it was dropped.
    dropped: bool,
}
