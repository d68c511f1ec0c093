//! Histograms and budgets: merging is recording all, quantiles are within 0.1 %, sums hold.

use proptest::prelude::*;
use seatrial::measure::{LatencyBudget, LatencyHistogram, Part};

fn latency() -> impl Strategy<Value = u64> {
    (0_u32..45, any::<u64>()).prop_map(|(bits, word)| word & ((1 << bits) - 1))
}

proptest! {
    #[test]
    fn merged_histograms_are_as_one(
        a in prop::collection::vec(latency(), 0..200),
        b in prop::collection::vec(latency(), 0..200),
    ) {
        let (mut left, mut right) = (LatencyHistogram::new(), LatencyHistogram::new());
        let mut all = LatencyHistogram::new();
        a.iter().for_each(|&ns| left.record(ns));
        b.iter().for_each(|&ns| right.record(ns));
        a.iter().chain(&b).for_each(|&ns| all.record(ns));
        left.merge(&right);
        prop_assert_eq!(left.summary_ms(), all.summary_ms());
        prop_assert_eq!(left.sum_ns(), all.sum_ns());
        prop_assert_eq!(left.variance_ns2(), all.variance_ns2());
        prop_assert_eq!((left.min_ns(), left.max_ns()), (all.min_ns(), all.max_ns()));
    }

    #[test]
    fn quantiles_are_within_a_thousandth(
        mut values in prop::collection::vec(latency(), 1..500),
        q in 0.001_f64..1.0,
    ) {
        let mut histogram = LatencyHistogram::new();
        values.iter().for_each(|&ns| histogram.record(ns));
        values.sort_unstable();
        let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
        let exact = values[rank - 1] as f64;
        let found = histogram.quantile(q).unwrap();
        prop_assert!((found - exact).abs() <= 0.001 * exact, "{} for {}", found, exact);
    }

    #[test]
    fn budgets_sum_to_the_latency_and_merge(
        requests in prop::collection::vec(prop::array::uniform7(0_u64..1_000_000_000), 1..400),
    ) {
        let (mut left, mut right) = (LatencyBudget::new(), LatencyBudget::new());
        let (mut all, mut e2e) = (LatencyBudget::new(), LatencyHistogram::new());
        for (index, parts) in requests.iter().enumerate() {
            let sum = parts.iter().sum();
            let half = if index % 2 == 0 { &mut left } else { &mut right };
            half.record(sum, parts);
            all.record(sum, parts);
            e2e.record(sum);
        }
        left.merge(&right);
        prop_assert_eq!(left.rows(), all.rows());
        prop_assert_eq!(left.count(), requests.len() as u64);
        prop_assert_eq!(all.totals_ns().iter().sum::<u128>(), e2e.sum_ns());
        let means: f64 = all.rows().iter().filter_map(|row| row.mean_ms).sum();
        let mean = e2e.mean_ns().unwrap() / 1e6;
        prop_assert!((means - mean).abs() < 7e-6, "{} for {}", means, mean);
        prop_assert_eq!(all.rows().len(), Part::COUNT);
    }
}
