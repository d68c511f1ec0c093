//! A histogram of latencies with exact moments.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Significant decimal digits of a recorded value.
const DIGITS: u8 = 3;
/// Values above this many ns (about 146 years) count as this for quantiles.
const CEILING_NS: u64 = 1 << 62;
/// Samples beyond a quantile below which [`Summary::thin`] names it.
const THIN_BELOW: u64 = 10;

/// A share shrunk by less than any sample count can tell apart, so that `q * n` does not round
/// past an integer rank.
const RANK_SLACK: f64 = 1e-13;

/// Nanoseconds in milliseconds, to the nearest nanosecond (six decimals).
pub(super) fn round_ms(ns: f64) -> f64 {
    ns.round() / 1e6
}

/// A histogram of latencies in ns.
///
/// Quantiles hold 3 significant digits: each is within 0.1 % of a recorded value of its rank.
/// Count, sum, sum of squares, least and greatest value are exact. The memory grows with the
/// greatest value: nothing while empty, about 0.2 MB for seconds, 0.5 MB at most.
#[derive(Debug, Clone)]
pub struct LatencyHistogram {
    buckets: Option<Histogram<u64>>,
    count: u64,
    sum: u128,
    sum_of_squares: u128,
    min: u64,
    max: u64,
}

impl Default for LatencyHistogram {
    fn default() -> LatencyHistogram {
        LatencyHistogram {
            buckets: None,
            count: 0,
            sum: 0,
            sum_of_squares: 0,
            min: u64::MAX,
            max: 0,
        }
    }
}

impl LatencyHistogram {
    /// An empty histogram.
    pub fn new() -> LatencyHistogram {
        LatencyHistogram::default()
    }

    /// Records one latency in ns. Quantiles take a value above 2^62 ns for 2^62 ns.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        if self.buckets.is_none() {
            self.buckets = Histogram::new(DIGITS).ok();
        }
        if let Some(buckets) = &mut self.buckets {
            // It resizes itself, so there is no value under the ceiling that it refuses.
            let recorded = buckets.record(ns.min(CEILING_NS));
            debug_assert!(recorded.is_ok());
        }
        self.count += 1;
        self.sum += u128::from(ns);
        let square = u128::from(ns) * u128::from(ns);
        self.sum_of_squares = self.sum_of_squares.saturating_add(square);
        self.min = self.min.min(ns);
        self.max = self.max.max(ns);
    }

    /// Adds all that `other` holds: the same as recording its samples here.
    pub fn merge(&mut self, other: &LatencyHistogram) {
        match (&mut self.buckets, &other.buckets) {
            (_, None) => {}
            (None, Some(theirs)) => self.buckets = Some(theirs.clone()),
            (Some(ours), Some(theirs)) => {
                let added = ours.add(theirs);
                debug_assert!(added.is_ok());
            }
        }
        self.count += other.count;
        self.sum += other.sum;
        self.sum_of_squares = self.sum_of_squares.saturating_add(other.sum_of_squares);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Forgets every sample, keeping the memory.
    pub fn clear(&mut self) {
        let mut buckets = self.buckets.take();
        if let Some(buckets) = &mut buckets {
            buckets.reset();
        }
        *self = LatencyHistogram {
            buckets,
            ..LatencyHistogram::default()
        };
    }

    /// Samples recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of the samples in ns, exact.
    pub fn sum_ns(&self) -> u128 {
        self.sum
    }

    /// The least sample in ns, exact.
    pub fn min_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min)
    }

    /// The greatest sample in ns, exact.
    pub fn max_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// The mean in ns.
    pub fn mean_ns(&self) -> Option<f64> {
        (self.count > 0).then(|| {
            // In two parts, for a sum may have more digits than a float.
            let count = u128::from(self.count);
            (self.sum / count) as f64 + (self.sum % count) as f64 / self.count as f64
        })
    }

    /// The unbiased sample variance in ns²; none below two samples.
    pub fn variance_ns2(&self) -> Option<f64> {
        if self.count < 2 {
            return None;
        }
        // About the mean rounded down, in integers, so that nothing cancels.
        let count = u128::from(self.count);
        let (whole, rest) = (self.sum / count, self.sum % count);
        let about_whole = self
            .sum_of_squares
            .saturating_sub(whole.saturating_mul(self.sum + rest));
        let rest = rest as f64;
        let about_mean = about_whole as f64 - rest * rest / self.count as f64;
        Some(about_mean.max(0.0) / (self.count - 1) as f64)
    }

    /// The `q` quantile in ns, `q` from 0 to 1: the sample of rank `⌈q·n⌉`, within 0.1 %.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 || q.is_nan() {
            return None;
        }
        let buckets = self.buckets.as_ref()?;
        let q = (q * (1.0 - RANK_SLACK)).clamp(0.0, 1.0);
        let value = buckets.median_equivalent(buckets.value_at_quantile(q));
        Some(value.clamp(self.min, self.max) as f64)
    }

    /// Samples that lie beyond the `q` quantile, `n·(1 - q)` rounded down.
    pub fn samples_beyond(&self, q: f64) -> u64 {
        let beyond = self.count as f64 * (1.0 - q.clamp(0.0, 1.0));
        (beyond * (1.0 + 1e-12)).floor() as u64
    }

    /// Mean, quantiles and greatest value in ms.
    pub fn summary_ms(&self) -> Summary {
        let at = |q| self.quantile(q).map(round_ms);
        let thin = if self.count == 0 {
            Vec::new()
        } else {
            Summary::QUANTILES
                .iter()
                .filter(|&&(_, q)| self.samples_beyond(q) < THIN_BELOW)
                .map(|&(name, _)| name)
                .collect()
        };
        Summary {
            count: self.count,
            mean: self.mean_ns().map(round_ms),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: self.max_ns().map(|ns| round_ms(ns as f64)),
            thin,
        }
    }
}

/// A latency in a report, in ms to the nearest ns. The values are none without samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Samples.
    pub count: u64,
    /// Mean in ms.
    pub mean: Option<f64>,
    /// Median in ms.
    pub p50: Option<f64>,
    /// 90th percentile in ms.
    pub p90: Option<f64>,
    /// 95th percentile in ms.
    pub p95: Option<f64>,
    /// 99th percentile in ms.
    pub p99: Option<f64>,
    /// 99.9th percentile in ms.
    pub p999: Option<f64>,
    /// Greatest sample in ms.
    pub max: Option<f64>,
    /// The quantiles with fewer than 10 samples beyond them; empty without samples.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thin: Vec<&'static str>,
}

impl Summary {
    /// The quantiles of a summary with their names.
    pub const QUANTILES: [(&'static str, f64); 5] = [
        ("p50", 0.5),
        ("p90", 0.9),
        ("p95", 0.95),
        ("p99", 0.99),
        ("p999", 0.999),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_recorded_says_nothing() {
        let empty = LatencyHistogram::new();
        assert_eq!(empty.count(), 0);
        assert_eq!((empty.min_ns(), empty.max_ns()), (None, None));
        assert_eq!((empty.mean_ns(), empty.variance_ns2()), (None, None));
        assert_eq!(empty.quantile(0.5), None);
        assert_eq!(empty.summary_ms().p99, None);
    }

    #[test]
    fn moments_are_exact_far_from_zero() {
        let mut histogram = LatencyHistogram::new();
        let base = 1_000_000_000_000_u64;
        for offset in [0, 1, 2, 3, 4] {
            histogram.record(base + offset);
        }
        assert_eq!(histogram.mean_ns(), Some((base + 2) as f64));
        assert_eq!(histogram.variance_ns2(), Some(2.5));
        assert_eq!(histogram.sum_ns(), 5 * u128::from(base) + 10);
        histogram.record(base);
        let variance = histogram.variance_ns2().unwrap();
        assert!((variance - 8.0 / 3.0).abs() < 1e-9, "{variance}");
    }

    #[test]
    fn a_constant_is_reported_as_it_is() {
        let mut histogram = LatencyHistogram::new();
        for _ in 0..1000 {
            histogram.record(123_456_789);
        }
        let summary = histogram.summary_ms();
        assert_eq!(summary.p50, Some(123.456789));
        assert_eq!(summary.p999, Some(123.456789));
        assert_eq!(summary.mean, Some(123.456789));
        assert_eq!(summary.thin, ["p999"]);
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["max"], 123.456789);
    }

    #[test]
    fn samples_beyond_do_not_round_under() {
        let mut histogram = LatencyHistogram::new();
        for ns in 0..100 {
            histogram.record(ns);
        }
        assert_eq!(histogram.samples_beyond(0.9), 10);
        assert_eq!(histogram.samples_beyond(0.99), 1);
        assert_eq!(histogram.quantile(0.9), Some(89.0));
        assert_eq!(histogram.quantile(0.07), Some(6.0));
        assert_eq!(histogram.quantile(0.0), Some(0.0));
        assert_eq!(histogram.quantile(1.0), Some(99.0));
        assert_eq!(histogram.summary_ms().thin, ["p95", "p99", "p999"]);
    }

    #[test]
    fn the_greatest_values_are_taken() {
        let mut histogram = LatencyHistogram::new();
        histogram.record(u64::MAX);
        histogram.record(u64::MAX);
        histogram.record(0);
        assert_eq!(histogram.max_ns(), Some(u64::MAX));
        assert!(histogram.quantile(1.0).unwrap() >= 0.999 * CEILING_NS as f64);
    }

    #[test]
    fn clearing_forgets() {
        let mut histogram = LatencyHistogram::new();
        histogram.record(5_000_000);
        histogram.clear();
        assert_eq!(histogram.summary_ms().max, None);
        histogram.record(7);
        assert_eq!(histogram.quantile(0.5), Some(7.0));
        assert_eq!(histogram.min_ns(), Some(7));
    }
}
