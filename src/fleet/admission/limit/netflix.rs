//! Limits after TCP's congestion control (Netflix concurrency-limits).

use rand::RngExt;

use super::Sample;
use crate::engine::{SimDuration, SimRng};

/// Additive increase, multiplicative decrease (`AIMDLimit`).
#[derive(Debug, Clone)]
pub(super) struct Aimd {
    pub limit: u32,
    pub min: u32,
    pub max: u32,
    pub backoff_ratio: f64,
    pub timeout: SimDuration,
}

impl Aimd {
    pub fn sample(&mut self, sample: Sample) {
        let limit = if sample.dropped || sample.latency > self.timeout {
            (f64::from(self.limit) * self.backoff_ratio) as u32
        } else if u64::from(sample.in_flight) * 2 >= u64::from(self.limit) {
            self.limit.saturating_add(1)
        } else {
            self.limit
        };
        self.limit = limit.max(self.min).min(self.max);
    }
}

/// A limit that estimates how many requests queue, as TCP Vegas does (`VegasLimit`).
#[derive(Debug, Clone)]
pub(super) struct Vegas {
    limit: f64,
    max: f64,
    smoothing: f64,
    probe_multiplier: f64,
    /// 0.5 to 1, drawn for each probe.
    probe_jitter: f64,
    samples_since_probe: u64,
    /// Latency of an idle fleet, nanoseconds; 0 before the first sample.
    idle_ns: u64,
}

impl Vegas {
    pub fn new(
        initial: u32,
        max: u32,
        smoothing: f64,
        probe_multiplier: u32,
        rng: &mut SimRng,
    ) -> Vegas {
        Vegas {
            limit: f64::from(initial),
            max: f64::from(max),
            smoothing,
            probe_multiplier: f64::from(probe_multiplier),
            probe_jitter: probe_jitter(rng),
            samples_since_probe: 0,
            idle_ns: 0,
        }
    }

    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    pub fn sample(&mut self, sample: Sample, rng: &mut SimRng) {
        // The original refuses a latency of nothing.
        let latency = sample.latency.0.max(1);
        self.samples_since_probe += 1;
        let due = self.probe_jitter * self.probe_multiplier * self.limit;
        if due <= self.samples_since_probe as f64 {
            self.probe_jitter = probe_jitter(rng);
            self.samples_since_probe = 0;
            self.idle_ns = latency;
        } else if self.idle_ns == 0 || latency < self.idle_ns {
            self.idle_ns = latency;
        } else {
            self.update(latency, sample);
        }
    }

    fn update(&mut self, latency: u64, sample: Sample) {
        let step = log10(self.limit);
        let queued = (self.limit * (1.0 - self.idle_ns as f64 / latency as f64)).ceil();
        // In units of log10(limit): up to 1 in the queue are none, 3 to 6 are about right.
        let wanted = if sample.dropped {
            self.limit - step
        } else if f64::from(sample.in_flight) * 2.0 < self.limit {
            return;
        } else if queued <= step {
            self.limit + 6.0 * step
        } else if queued < 3.0 * step {
            self.limit + step
        } else if queued > 6.0 * step {
            self.limit - step
        } else {
            return;
        };
        let wanted = wanted.min(self.max).max(1.0);
        self.limit = (1.0 - self.smoothing) * self.limit + self.smoothing * wanted;
    }
}

fn probe_jitter(rng: &mut SimRng) -> f64 {
    0.5 + 0.5 * rng.random::<f64>()
}

/// The whole part of the decimal logarithm of the whole part of `limit`, at least 1
/// (`Log10RootFunction`).
fn log10(limit: f64) -> f64 {
    let digits = (limit as u32).checked_ilog10().unwrap_or(0);
    f64::from(digits.max(1))
}
