//! What of a stretch of requests is compared: quantiles of latencies, and shares.

use crate::measure::quantile_of_sorted;
use crate::observed::Ending;

use super::night::Seen;

/// What is compared, and how far apart two may be before anything is known of noise: logarithms
/// of latencies, and shares.
pub const FEATURES: [(&str, f64); 12] = [
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
    ("tries of those that failed", 0.1),
    ("time of those that failed", 0.1),
];

/// Those that count rare events: what they are in one block is mostly luck, so that they are compared
/// over all blocks together.
pub const SHARES: [usize; 2] = [7, 8];

/// What tells how often clients try at most: they failed for good once they had tried so often. It is told
/// by all blocks together, as few fail.
pub const TO_FAIL: usize = 10;

/// Requests that failed of which their tries are known, at least.
const LEAST_FAILED: usize = 3;

/// What tries of requests that failed differ by, squared, where all of a log are alike: some were told
/// otherwise by luck.
const LEAST_VARIANCE: f64 = 0.05;

/// The least spread that noise is taken to have: what is equal to the last bit says no more.
pub const LEAST_SPREAD: f64 = 1e-3;

/// Of how many requests a quantile is taken at least.
const LEAST: usize = 8;

/// What is known of a stretch; none where too few requests tell of it.
pub type Features = [Option<f64>; FEATURES.len()];

/// Tries of those that gave up in the end, of all blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ToFail {
    /// Their mean; of a night in which fewer than some failed, none.
    pub mean: Option<f64>,
    /// What the means of blocks would differ by.
    pub spread: f64,
    /// As many as a request had at most, of all: fewer would have failed some.
    most: f64,
}

impl ToFail {
    /// Of requests in so many blocks. Who went away did not give up.
    pub fn of<'a>(requests: impl Iterator<Item = &'a Seen>, blocks: usize) -> ToFail {
        let (mut count, mut sum, mut squares, mut most) = (0.0, 0.0, 0.0, 0.0_f64);
        for request in requests {
            let Some(tries) = request.attempts.map(f64::from) else {
                continue;
            };
            most = most.max(tries);
            if !matches!(request.ending, Ending::Completed | Ending::Cancelled) {
                count += 1.0;
                sum += tries;
                squares += tries * tries;
            }
        }
        let mean = sum / f64::max(count, 1.0);
        let variance = (squares / f64::max(count, 1.0) - mean * mean).max(LEAST_VARIANCE);
        ToFail {
            mean: (count >= LEAST_FAILED as f64).then_some(mean),
            // Both sides have noise.
            spread: (2.0 * variance * blocks as f64 / f64::max(count, 1.0))
                .sqrt()
                .max(FEATURES[TO_FAIL].1),
            most,
        }
    }

    /// Of a simulated night: where none failed it would have taken more tries than any request had.
    pub fn or_most(self) -> f64 {
        self.mean.unwrap_or(self.most)
    }
}

/// Of a stretch of requests; what all blocks tell together is not known of one.
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
    // Few fail, and each tells how long clients waited between tries.
    let failed: Vec<f64> = requests
        .iter()
        .filter(|it| !matches!(it.ending, Ending::Completed | Ending::Cancelled))
        .filter(|it| it.attempts.is_some_and(|tries| tries > 1))
        .filter_map(|request| ns(request.failed_ns))
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
        tries.and_then(share),
        log_mean(&again, 3),
        None,
        log_mean(&failed, 1),
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

fn log_mean(values: &[f64], least: usize) -> Option<f64> {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    (values.len() >= least).then(|| mean.max(1.0).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ending: Ending, attempts: Option<u32>) -> Seen {
        Seen {
            t_ns: 0,
            prompt_tokens: 1,
            output_tokens: 1,
            ttft_ns: None,
            e2e_ns: None,
            failed_ns: None,
            ending,
            attempts,
            tier: 0,
        }
    }

    #[test]
    fn those_that_failed_tell_how_often_clients_try() {
        let one = |ending, attempts| seen(ending, Some(attempts));
        let mut all = vec![one(Ending::Completed, 4), one(Ending::Cancelled, 1)];
        // Too few failed: of a simulated night, the most that any had.
        all.extend([one(Ending::Failed, 5), one(Ending::TimedOut, 5)]);
        let few = ToFail::of(all.iter(), 10);
        assert_eq!((few.mean, few.or_most()), (None, 5.0));
        all.extend([one(Ending::Rejected, 5), one(Ending::Shed, 5)]);
        let enough = ToFail::of(all.iter(), 10);
        assert_eq!((enough.mean, enough.or_most()), (Some(5.0), 5.0));
        // More of them tell it better.
        let many: Vec<Seen> = all.iter().copied().cycle().take(600).collect();
        assert!(ToFail::of(many.iter(), 10).spread < enough.spread);
        // A log that does not tell tries tells nothing.
        let untold = [seen(Ending::Failed, None); 9];
        assert_eq!(ToFail::of(untold.iter(), 3).mean, None);
        assert_eq!(of(&untold)[SHARES[1]], None);
    }

    #[test]
    fn those_that_failed_tell_how_long_clients_wait() {
        let after = |ms: u64| Seen {
            failed_ns: Some(ms * 1_000_000),
            ..seen(Ending::TimedOut, Some(3))
        };
        let took = |all: &[Seen]| of(all)[11].map(f64::exp);
        let (one, other) = (after(100), after(300));
        assert!((took(&[one, other]).unwrap() / 2e8 - 1.0).abs() < 1e-9);
        // What one took that was answered, and one who went away, is not what failing takes.
        let answered = Seen {
            e2e_ns: Some(1),
            ..seen(Ending::Completed, Some(1))
        };
        let gone = Seen {
            ending: Ending::Cancelled,
            ..one
        };
        assert_eq!(took(&[one, answered, gone]), took(&[one]));
        assert_eq!(took(&[answered, gone]), None);
    }
}
