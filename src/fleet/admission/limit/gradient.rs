//! The gradient controller (Envoy, `gradient_controller.cc`).

use hdrhistogram::Histogram;
use rand::RngExt;

use super::Sample;
use crate::engine::{SimDuration, SimRng, SimTime};

/// Significant decimal digits of a latency; Envoy's histogram keeps two.
const DIGITS: u8 = 3;
/// Latencies above this many nanoseconds (an hour) count as this.
const CEILING_NS: u64 = 3_600_000_000_000;
/// The limit changes by no more than these factors in one window, before the headroom.
const LEAST_GRADIENT: f64 = 0.5;
const GREATEST_GRADIENT: f64 = 2.0;
/// So many windows in a row at the least limit tell that the idle latency is out of date.
const MOST_WINDOWS_AT_LEAST: u32 = 5;

/// The numbers of a gradient controller that never change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub update_interval: SimDuration,
    pub min_rtt_interval: SimDuration,
    pub min_rtt_requests: u64,
    /// Share of `min_rtt_interval`.
    pub jitter: f64,
    /// Share of the idle latency.
    pub buffer: f64,
    pub min_concurrency: u32,
    pub max_limit: u32,
    /// 0 to 1.
    pub quantile: f64,
}

/// A limit from the latency of an idle fleet and that of the last window.
///
/// Timers are looked at when somebody asks: nothing else can tell whether they went off in time.
#[derive(Debug, Clone)]
pub(super) struct Gradient {
    rule: Rule,
    limit: u32,
    /// The limit to go on with, while the idle latency is measured.
    deferred: Option<u32>,
    /// Requests let in before this belong to an earlier measurement.
    epoch: SimTime,
    idle_ns: u64,
    latencies: Option<Histogram<u32>>,
    window_ends: SimTime,
    measure_at: SimTime,
    windows_at_least: u32,
}

impl Gradient {
    /// Begins by measuring the idle latency.
    pub fn new(rule: Rule) -> Gradient {
        Gradient {
            rule,
            limit: rule.min_concurrency,
            deferred: Some(rule.min_concurrency),
            epoch: SimTime::ZERO,
            idle_ns: 0,
            // It refuses only a number of digits that is none.
            latencies: Histogram::new(DIGITS).ok(),
            window_ends: SimTime::NEVER,
            measure_at: SimTime::NEVER,
            windows_at_least: 0,
        }
    }

    pub fn limit(&mut self, now: SimTime) -> u32 {
        self.advance(now);
        self.limit
    }

    /// When a timer goes off that may change the limit.
    pub fn next_change(&self) -> Option<SimTime> {
        let next = self.window_ends.min(self.measure_at);
        (next != SimTime::NEVER).then_some(next)
    }

    pub fn sample(&mut self, now: SimTime, started: SimTime, sample: Sample, rng: &mut SimRng) {
        self.advance(now);
        // Every response is a sample to Envoy, errors and timeouts too.
        if started < self.epoch {
            return;
        }
        let Some(latencies) = &mut self.latencies else {
            return;
        };
        // It grows up to the ceiling, so that it takes every value.
        let recorded = latencies.record(sample.latency.0.clamp(1, CEILING_NS));
        debug_assert!(recorded.is_ok());
        if let Some(limit) = self.deferred
            && latencies.len() >= self.rule.min_rtt_requests
        {
            self.idle_ns = self.take_latency();
            self.set_limit(now, limit);
            self.deferred = None;
            self.measure_at = now + self.jittered(rng);
            self.window_ends = now + self.rule.update_interval;
        }
    }

    /// Does what the timers up to `now` do, in their order; of two at once the window's is first.
    fn advance(&mut self, now: SimTime) {
        loop {
            if self.window_ends <= self.measure_at && self.window_ends <= now {
                self.end_windows(now.min(self.measure_at));
            } else if self.measure_at <= now {
                self.measure();
            } else {
                return;
            }
        }
    }

    /// Ends the window that is due, and the empty ones after it that end by `until`.
    fn end_windows(&mut self, until: SimTime) {
        let ended = self.window_ends;
        let interval = self.rule.update_interval.0.max(1);
        let empty = self.latencies.as_ref().is_none_or(Histogram::is_empty);
        if empty {
            // Nothing comes of a window without a sample: skip to the first that ends later.
            let windows = until.since(ended).0 / interval + 1;
            self.window_ends = ended + SimDuration(windows.saturating_mul(interval));
            return;
        }
        self.window_ends = ended + SimDuration(interval);
        let latency = self.take_latency();
        self.set_limit(ended, self.next_limit(latency));
    }

    /// `gradient = idle latency * (1 + buffer) / latency`; `limit * gradient`, plus its square root
    /// as room for bursts.
    fn next_limit(&self, latency_ns: u64) -> u32 {
        let idle = self.idle_ns as f64 * (1.0 + self.rule.buffer);
        let gradient = (idle / latency_ns as f64).clamp(LEAST_GRADIENT, GREATEST_GRADIENT);
        let limit = f64::from(self.limit) * gradient;
        let with_headroom = (limit + limit.sqrt()) as u32;
        let most = self.rule.max_limit;
        with_headroom.min(most).max(self.rule.min_concurrency)
    }

    /// Begins to measure the idle latency.
    fn measure(&mut self) {
        let began = self.measure_at;
        self.deferred = Some(self.limit);
        self.set_limit(began, self.rule.min_concurrency);
        if let Some(latencies) = &mut self.latencies {
            latencies.reset();
        }
        self.epoch = began;
        // No window ends while the idle latency is measured.
        self.measure_at = SimTime::NEVER;
        self.window_ends = SimTime::NEVER;
    }

    fn set_limit(&mut self, at: SimTime, limit: u32) {
        let least = self.rule.min_concurrency;
        let stays_least = self.deferred.is_none() && self.limit == least && limit == least;
        self.limit = limit;
        self.windows_at_least = if stays_least {
            self.windows_at_least + 1
        } else {
            0
        };
        if self.windows_at_least >= MOST_WINDOWS_AT_LEAST {
            self.measure_at = at;
        }
    }

    /// The latency at the quantile of what was gathered, which is thrown away.
    fn take_latency(&mut self) -> u64 {
        let Some(latencies) = &mut self.latencies else {
            return 1;
        };
        let latency = latencies.value_at_quantile(self.rule.quantile);
        latencies.reset();
        latency.max(1)
    }

    /// The interval and up to `jitter` of it, in whole milliseconds.
    fn jittered(&self, rng: &mut SimRng) -> SimDuration {
        let interval = self.rule.min_rtt_interval;
        let range_ms = (interval.as_ms_f64() * self.rule.jitter).ceil() as u64;
        if range_ms == 0 {
            return interval;
        }
        let extra_ms = rng.random_range(0..range_ms);
        interval + SimDuration(extra_ms.saturating_mul(1_000_000))
    }
}
