//! What the pods report, and how many replicas that asks for.
//!
//! Follows `calcPlainMetricReplicas` and `GetExternalPerPodMetricReplicas` of
//! `pkg/controller/podautoscaler/replica_calculator.go`, in thousandths and with whole division as
//! there, so that the same numbers round the same way.

use crate::fleet::scaling::metric;

/// What the pods of one autoscaler report at one moment. It keeps sums only, so that its size
/// does not depend on the number of pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PodMetrics {
    sum_milli: u128,
    reported: u32,
    missing: u32,
    unready: u32,
}

impl PodMetrics {
    /// No pods.
    pub fn new() -> PodMetrics {
        PodMetrics::default()
    }

    /// Ready pods that report these values, in the unit of the metric.
    pub fn from_values(values: &[f64]) -> PodMetrics {
        let mut pods = PodMetrics::new();
        for &value in values {
            pods.add(value);
        }
        pods
    }

    /// Adds a ready pod that reports `value`, in the unit of the metric, 0 to 9.2e15, kept to the
    /// nearest thousandth. A value outside (or NaN) counts as missing.
    pub fn add(&mut self, value: f64) {
        match metric::usable(value) {
            Some(value) => {
                self.sum_milli += u128::from(milli(value));
                self.reported = self.reported.saturating_add(1);
            }
            None => self.add_missing(1),
        }
    }

    /// Adds `count` pods that run but report nothing.
    pub fn add_missing(&mut self, count: u32) {
        self.missing = self.missing.saturating_add(count);
    }

    /// Adds `count` pods that are not ready yet. For CPU Kubernetes counts any pod that was never
    /// ready here; for other metrics only one that is pending: a pod that runs but is not ready
    /// counts with its metric, or as missing.
    pub fn add_unready(&mut self, count: u32) {
        self.unready = self.unready.saturating_add(count);
    }

    /// The replicas that the pods ask for, out of `current`; `None` where none reports anything.
    pub(super) fn proposal(&self, current: u32, target_milli: u64, band: Band) -> Option<u32> {
        if self.reported == 0 {
            return None;
        }
        let ratio = usage_ratio(self.sum_milli, self.reported, target_milli);
        if self.missing == 0 && (self.unready == 0 || ratio <= 1.0) {
            let wanted = ceil(ratio * f64::from(self.reported));
            return Some(if band.holds(ratio) { current } else { wanted });
        }
        let (sum_milli, count) = self.with_assumed(ratio, target_milli);
        let assumed = usage_ratio(sum_milli, count, target_milli);
        let flips = (ratio < 1.0 && assumed > 1.0) || (ratio > 1.0 && assumed < 1.0);
        let wanted = ceil(assumed * f64::from(count));
        let contradicts =
            (assumed < 1.0 && wanted > current) || (assumed > 1.0 && wanted < current);
        let keep = band.holds(assumed) || flips || contradicts;
        Some(if keep { current } else { wanted })
    }

    /// Sum and count once pods without a value have one, chosen so that it dampens the change:
    /// nothing on the way up, the target on the way down (missing pods only).
    fn with_assumed(&self, ratio: f64, target_milli: u64) -> (u128, u32) {
        let (mut sum_milli, mut count) = (self.sum_milli, self.reported);
        if ratio < 1.0 {
            sum_milli += u128::from(self.missing) * u128::from(target_milli);
            count = count.saturating_add(self.missing);
        } else if ratio > 1.0 {
            count = count.saturating_add(self.missing);
            count = count.saturating_add(self.unready);
        }
        (sum_milli, count)
    }
}

/// How far from 1 a ratio may be before anything changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Band {
    pub(super) down: f64,
    pub(super) up: f64,
}

impl Band {
    fn holds(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

/// The replicas that a `total` over all pods asks for; `None` where it is not usable.
pub(super) fn proposal_for_total(
    total: f64,
    current: u32,
    target_milli: u64,
    band: Band,
) -> Option<u32> {
    let total_milli = milli(metric::usable(total)?) as f64;
    let target_milli = target_milli as f64;
    let ratio = total_milli / (target_milli * f64::from(current));
    let wanted = ceil(total_milli / target_milli);
    Some(if band.holds(ratio) { current } else { wanted })
}

/// Thousandths of `value`, to the nearest: rounding up, as Kubernetes reads a decimal, would make
/// 71 of 0.07, which is 70.00000000000001 thousandths in floating point.
pub(super) fn milli(value: f64) -> u64 {
    (value * 1_000.0).round() as u64
}

/// `GetMetricUsageRatio`: the average is cut to whole thousandths before it is divided.
fn usage_ratio(sum_milli: u128, count: u32, target_milli: u64) -> f64 {
    let average = sum_milli.checked_div(u128::from(count)).unwrap_or(0);
    average as f64 / target_milli as f64
}

/// Rounds up; `as` saturates at both ends.
fn ceil(replicas: f64) -> u32 {
    replicas.ceil() as u32
}
