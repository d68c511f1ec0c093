//! A small histogram of latencies, for the many stretches of a series.

use super::buckets::{bounds_of, bucket_of};

/// Counts of latencies by bucket, none of them wider than 0.8 %, in order; no more than the buckets
/// that hold something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LatencySketch {
    counts: Vec<(u16, u64)>,
}

impl LatencySketch {
    /// Records one latency, in nanoseconds.
    pub fn record(&mut self, ns: u64) {
        self.add(bucket_of(ns), 1);
    }

    fn add(&mut self, bucket: u16, count: u64) {
        match self.counts.binary_search_by_key(&bucket, |it| it.0) {
            Ok(at) => self.counts[at].1 += count,
            Err(at) => self.counts.insert(at, (bucket, count)),
        }
    }

    /// Adds all that another holds.
    pub fn merge(&mut self, other: &LatencySketch) {
        for (bucket, count) in &other.counts {
            self.add(*bucket, *count);
        }
    }

    /// Latencies recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|it| it.1).sum()
    }

    /// The `q` quantile in nanoseconds, `q` from 0 to 1, within 0.4 %; none without latencies.
    pub fn quantile_ns(&self, q: f64) -> Option<f64> {
        let rank = (q * self.count() as f64 * (1.0 - 1e-13)).ceil().max(1.0) as u64;
        let mut reached = 0;
        let found = self.counts.iter().find(|(_, count)| {
            reached += count;
            reached >= rank
        });
        found.map(|(bucket, _)| {
            let (low, width) = bounds_of(*bucket);
            low as f64 + (width - 1) as f64 / 2.0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_samples() {
        let mut sketch = LatencySketch::default();
        assert_eq!(sketch.quantile_ns(0.5), None);
        let mut other = sketch.clone();
        for ns in 1..=1_000_u64 {
            if ns % 2 == 0 {
                sketch.record(ns * 1_000_000);
            } else {
                other.record(ns * 1_000_000);
            }
        }
        sketch.merge(&other);
        assert_eq!(sketch.count(), 1_000);
        for (q, expected) in [(0.5, 500e6), (0.99, 990e6), (1.0, 1_000e6), (0.0, 1e6)] {
            let found = sketch.quantile_ns(q).unwrap();
            assert!((found / expected - 1.0).abs() < 0.004, "{q}: {found}");
        }
    }
}
