//! Turning requests away by the success rate seen lately, with the semantics of Envoy's
//! `admission_control` filter (`admission_control.cc`, `thread_local_controller.cc`).

use std::collections::VecDeque;

use rand::RngExt;

use crate::engine::time::NS_PER_S;
use crate::engine::{SimDuration, SimRng, SimTime};
use crate::scenario::health::AdmissionControl as Config;

/// A part of the window: a second or more, from its first request on.
const PART: SimDuration = SimDuration(NS_PER_S);
/// Chance has four digits.
const ACCURACY: u32 = 10_000;

/// Requests and how many of them succeeded.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    requests: u64,
    succeeded: u64,
}

/// The controller of one gateway.
///
/// [`AdmissionControl::admits`] is asked for each request; of those admitted, the outcome is
/// reported to [`AdmissionControl::on_outcome`]. Rejected ones are not counted.
#[derive(Debug, Clone)]
pub struct AdmissionControl {
    window: SimDuration,
    threshold: f64,
    aggression: f64,
    rps_threshold: u64,
    most: f64,
    parts: VecDeque<(SimTime, Counts)>,
    totals: Counts,
    rejected: u64,
}

impl AdmissionControl {
    /// A controller that has seen nothing.
    pub fn new(config: &Config) -> AdmissionControl {
        AdmissionControl {
            window: SimDuration(u64::from(config.window_s) * NS_PER_S),
            threshold: config.sr_threshold_pct / 100.0,
            aggression: config.aggression,
            rps_threshold: u64::from(config.rps_threshold),
            most: config.max_rejection_probability_pct / 100.0,
            parts: VecDeque::with_capacity(config.window_s as usize + 1),
            totals: Counts::default(),
            rejected: 0,
        }
    }

    /// Whether a request that comes now is let in. One random number is drawn, or none where
    /// nothing is rejected for want of requests.
    pub fn admits(&mut self, now: SimTime, rng: &mut SimRng) -> bool {
        if self.average_rps(now) < self.rps_threshold {
            return true;
        }
        self.roll(now);
        let drawn = f64::from(rng.random_range(0..ACCURACY));
        let rejects = f64::from(ACCURACY) * self.rejection_probability() > drawn;
        self.rejected += u64::from(rejects);
        !rejects
    }

    /// A request that was let in ended.
    pub fn on_outcome(&mut self, now: SimTime, succeeded: bool) {
        self.roll(now);
        if let Some((_, part)) = self.parts.back_mut() {
            for counts in [part, &mut self.totals] {
                counts.requests += 1;
                counts.succeeded += u64::from(succeeded);
            }
        }
    }

    /// Requests rejected so far.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Probability that the next request is rejected, by what the window held when it was last
    /// moved.
    pub fn rejection_probability(&self) -> f64 {
        let (requests, succeeded) = (self.totals.requests as f64, self.totals.succeeded as f64);
        let excess = (requests - succeeded / self.threshold) / (requests + 1.0);
        let steep = excess.max(0.0);
        // The square root and its like only where asked for: a power of 1 is the number itself.
        let steep = if self.aggression == 1.0 {
            steep
        } else {
            steep.powf(1.0 / self.aggression)
        };
        steep.min(self.most)
    }

    /// Whole requests per second over the window, or over the age of what it holds if that is more.
    fn average_rps(&self, now: SimTime) -> u64 {
        let Some((oldest, _)) = self.parts.front() else {
            return 0;
        };
        self.totals.requests / (now.since(*oldest).max(self.window).0 / NS_PER_S).max(1)
    }

    /// Drops parts that began a window ago, and begins a new one when the newest is a second old.
    fn roll(&mut self, now: SimTime) {
        while let Some(&(began, part)) = self.parts.front()
            && now.since(began) >= self.window
        {
            self.totals.requests -= part.requests;
            self.totals.succeeded -= part.succeeded;
            self.parts.pop_front();
        }
        let stale = |(began, _): &(SimTime, Counts)| now.since(*began) >= PART;
        if self.parts.back().is_none_or(stale) {
            self.parts.push_back((now, Counts::default()));
        }
    }
}
