//! Quantiles of all requests of a stretch, and how far off they may be.

use serde::Serialize;

use super::{Stretch, TIMES_CALM, luck};
use crate::measure::quantile_of_sorted;
use crate::replay::night::Seen;

/// Quantiles, the requests that each needs, and the error of it that would matter, as a share.
const QUANTILES: [(f64, usize, f64); 3] = [(0.5, 10, 0.1), (0.9, 50, 0.1), (0.99, 200, 0.2)];

/// A quantile that luck may take farther than that tells nothing.
const MOST_FACTOR: f64 = 10.0;

/// A quantile of all requests of a stretch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuantileError {
    /// Of what: `ttft`, `tpot` or `e2e`.
    pub latency: &'static str,
    /// The stretch.
    pub stretch: &'static str,
    /// Which quantile, 0 to 1.
    pub quantile: f64,
    /// As observed, milliseconds.
    pub observed_ms: f64,
    /// As simulated, milliseconds: the nights put together.
    pub simulated_ms: f64,
    /// The second less the first, percent of the first.
    pub error_pct: f64,
    /// The factor that the two may be apart, either way; none where luck is not known well enough to say.
    pub may_be_factor: Option<f64>,
    /// Whether they are within.
    pub fits: bool,
}

impl QuantileError {
    /// Its name: `ttft p99`.
    pub fn name(&self) -> String {
        format!("{} p{:.0}", self.latency, self.quantile * 100.0)
    }
}

/// Of what quantiles are.
type Latency = (&'static str, fn(&Seen) -> Option<f64>);

const LATENCIES: [Latency; 3] = [
    ("ttft", |it| it.ttft_ns.map(|ns| ns as f64)),
    ("tpot", Seen::tpot_ns),
    ("e2e", |it| it.e2e_ns.map(|ns| ns as f64)),
];

/// Quantiles of all requests of each stretch, the simulated nights put together. The stretch that is the
/// yardstick comes first.
pub fn quantile_errors(
    observed: &[Seen],
    simulated: &[Vec<Seen>],
    stretches: &[Stretch],
) -> Vec<QuantileError> {
    let mut all = Vec::new();
    let mut calm = [[0.0; QUANTILES.len()]; LATENCIES.len()];
    for stretch in stretches {
        let ranges = stretch.requests(observed);
        for ((latency, of), calm) in LATENCIES.into_iter().zip(&mut calm) {
            let sorted = |night: &[Seen]| {
                let within = ranges.iter().flat_map(|range| &night[range.clone()]);
                let mut values: Vec<f64> = within.filter_map(of).collect();
                values.sort_unstable_by(f64::total_cmp);
                values
            };
            let seen = sorted(observed);
            let nights: Vec<Vec<f64>> = simulated.iter().map(|night| sorted(night)).collect();
            let mut made = nights.concat();
            made.sort_unstable_by(f64::total_cmp);
            for ((quantile, least, matters), calm) in QUANTILES.into_iter().zip(calm) {
                if seen.len() < least || made.len() < least {
                    continue;
                }
                let at = |sorted: &[f64]| quantile_of_sorted(sorted, quantile);
                let (seen, made) = (at(&seen).unwrap_or(0.0), at(&made).unwrap_or(0.0));
                if seen <= 0.0 || made <= 0.0 {
                    continue;
                }
                let log = |values: &Vec<f64>| at(values).filter(|it| *it > 0.0).map(f64::ln);
                let logs: Vec<f64> = nights.iter().filter_map(log).collect();
                let by_luck = luck::of_values(&logs);
                let allowed = (1.0 + matters).ln().max(by_luck).max(TIMES_CALM * *calm);
                let off = (made / seen).ln().abs();
                let fits = off <= allowed;
                if stretch.is_yardstick && fits {
                    *calm = (off - by_luck).max(0.0);
                }
                all.push(QuantileError {
                    latency,
                    stretch: stretch.name,
                    quantile,
                    observed_ms: seen / 1e6,
                    simulated_ms: made / 1e6,
                    error_pct: 100.0 * (made / seen - 1.0),
                    may_be_factor: Some(allowed.exp()).filter(|factor| *factor < MOST_FACTOR),
                    fits,
                });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::Ending;
    use crate::replay::window::Window;

    /// Requests of ten minutes whose times to first token have a long tail, the same each time.
    fn night(seed: u64, factor: f64) -> Vec<Seen> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let one = |at: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let uniform = ((state >> 11) as f64 + 1.0) / ((1_u64 << 53) as f64 + 1.0);
            Seen {
                t_ns: at * 1_000_000_000,
                prompt_tokens: 1,
                output_tokens: 1,
                ttft_ns: Some((-uniform.ln() * factor * 1e8) as u64),
                e2e_ns: None,
                failed_ns: None,
                ending: Ending::Completed,
                attempts: Some(1),
                tier: 0,
            }
        };
        (0..600).map(one).collect()
    }

    fn errors(observed: &[Seen], nights: u64, seed: u64) -> Vec<QuantileError> {
        let simulated: Vec<Vec<Seen>> = (1..=nights)
            .map(|it| night(1_000 * seed + it, 1.0))
            .collect();
        let stretch = Stretch {
            name: "incident",
            windows: vec![Window {
                from_s: 0.0,
                to_s: 600.0,
            }],
            is_yardstick: false,
        };
        quantile_errors(observed, &simulated, &[stretch])
    }

    #[test]
    fn quantiles_fit_but_for_more_than_luck_makes_of_them() {
        for nights in [4, 8, 20] {
            let mut false_alarms = 0;
            for seed in 1..=25 {
                let all = errors(&night(1_000 * seed, 1.0), nights, seed);
                assert_eq!(all.len(), 3);
                false_alarms += all.iter().filter(|it| !it.fits).count();
                // By more than any luck.
                let all = errors(&night(1_000 * seed, 3.0), nights, seed);
                let median = &all[0];
                assert!(!median.fits || nights < 8, "{median:?}");
                assert!(median.may_be_factor.is_some_and(|it| it < 3.0) || nights < 8);
            }
            assert!(false_alarms <= 1, "{nights}: {false_alarms}");
        }
        // Of two nights luck is not known, and nothing is said.
        let all = errors(&night(7, 3.0), 2, 1);
        let median = &all[0];
        assert!(median.fits && median.may_be_factor.is_none(), "{all:?}");
    }
}
