//! What of a stretch of requests is compared: quantiles of latencies, and shares.

use crate::measure::quantile_of_sorted;

use super::night::Seen;

/// What is compared, and how far apart two may be before anything is known of noise: logarithms
/// of latencies, and shares.
pub const FEATURES: [(&str, f64); 10] = [
    ("ttft p25", 0.05),
    ("ttft p50", 0.05),
    ("ttft p90", 0.1),
    ("tpot p25", 0.05),
    ("tpot p50", 0.05),
    ("tpot p90", 0.1),
    ("e2e p50", 0.05),
    ("share answered", 0.02),
    ("tries a request", 0.02),
    ("ttft of those tried again", 0.1),
];

/// Those that count rare events: what they are in one block is mostly luck, so that they are compared
/// over all blocks together.
pub const SHARES: [usize; 2] = [7, 8];

/// The least spread that noise is taken to have: what is equal to the last bit says no more.
pub const LEAST_SPREAD: f64 = 1e-3;

/// Of how many requests a quantile is taken at least.
const LEAST: usize = 8;

/// What is known of a stretch; none where too few requests tell of it.
pub type Features = [Option<f64>; FEATURES.len()];

/// Of a stretch of requests.
pub fn of(requests: &[Seen]) -> Features {
    let answered = || requests.iter().filter(|request| request.is_answered());
    let ns = |value: Option<u64>| value.map(|ns| ns as f64);
    let ttft = sorted(answered().filter_map(|request| ns(request.ttft_ns)));
    let tpot = sorted(
        answered()
            .filter_map(|request| request.tpot_ns())
            .filter(|ns| *ns > 0.0),
    );
    // End to end says more only where first tokens are not known.
    let e2e = match ttft.is_empty() {
        true => sorted(answered().filter_map(|request| ns(request.e2e_ns))),
        false => Vec::new(),
    };
    let again = answered().filter(|request| request.attempts.is_some_and(|tries| tries > 1));
    let again: Vec<f64> = again
        .filter_map(|request| ns(request.ttft_ns.or(request.e2e_ns)))
        .collect();
    let count = requests.len() as f64;
    let share = |sum: f64| (!requests.is_empty()).then_some(sum / count);
    let tries = requests
        .iter()
        .map(|request| request.attempts.map(f64::from));
    let tries: Option<f64> = tries.sum();
    [
        log_quantile(&ttft, 0.25),
        log_quantile(&ttft, 0.5),
        log_quantile(&ttft, 0.9),
        log_quantile(&tpot, 0.25),
        log_quantile(&tpot, 0.5),
        log_quantile(&tpot, 0.9),
        log_quantile(&e2e, 0.5),
        share(answered().count() as f64),
        share(tries),
        log_mean(&again),
    ]
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

fn log_quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let enough = sorted.len() >= LEAST;
    let value = quantile_of_sorted(sorted, q).filter(|_| enough)?;
    Some(value.max(1.0).ln())
}

fn log_mean(values: &[f64]) -> Option<f64> {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    (values.len() >= 3).then(|| mean.max(1.0).ln())
}
