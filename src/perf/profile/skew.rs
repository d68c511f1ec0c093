//! What attention takes more where the sequences of a batch are not alike.
//!
//! The profiler times batches of a few long and many short sequences, and states for each how far
//! between a batch of the mean length and one of the greatest length its time lies: `alpha` in
//! `t = t_mean + alpha (t_max - t_mean)`. The median of `alpha` is taken by the number of
//! sequences, for batches without and with a prompt, of the rows whose long sequences are few (2
//! to 30 %). The longest of `n` sequences whose contexts have mean `m` and standard deviation `s`
//! is taken to be that of `n` draws of a normal law (Blom 1958: the quantile of `(n - 3/8) / (n +
//! 1/4)`).

use std::collections::BTreeMap;
use std::path::Path;

use statrs::distribution::{ContinuousCDF, Normal};

use super::super::error::PerfError;
use super::attention::AttentionGrid;
use super::curve::{Curve, number, records};
use super::read_text;

const COLUMNS: [&str; 14] = [
    "regime",
    "n",
    "nb",
    "ratio",
    "skew",
    "pc",
    "kp",
    "kvs",
    "kv_big",
    "kv_mean",
    "t_mean_us",
    "t_max_us",
    "t_skew_us",
    "alpha",
];

/// `alpha` by the number of sequences.
#[derive(Debug, Clone)]
pub(super) struct Skew {
    pure: Curve,
    mixed: Curve,
}

impl Skew {
    /// Reads `skew.csv`; a profile without it has no such effect.
    pub fn read(folder: &Path) -> Result<Skew, PerfError> {
        let there = ["skew.csv", "skew.csv.gz"].map(|name| folder.join(name).exists());
        if there == [false, false] {
            return Ok(Skew {
                pure: Curve::zero(),
                mixed: Curve::zero(),
            });
        }
        let (file, text) = read_text(folder, "skew")?;
        let mut found: [BTreeMap<u64, Vec<f64>>; 2] = Default::default();
        for (line, fields) in records(&file, &text, &COLUMNS)? {
            let n = number(&file, line, "n", &fields[1])?;
            let share = number(&file, line, "nb", &fields[2])? / n;
            // A row that could not be timed has no alpha.
            let Ok(alpha) = fields[13].parse::<f64>() else {
                continue;
            };
            if (0.02..=0.3).contains(&share) {
                let regime = usize::from(fields[0] != "pure");
                found[regime].entry(n as u64).or_default().push(alpha);
            }
        }
        let [pure, mixed] = found.map(|by_count| {
            let medians = by_count
                .into_iter()
                .map(|(n, mut alphas)| (n as f64, median(&mut alphas).max(0.0)));
            Curve::flat_beyond(medians.collect())
        });
        Ok(Skew { pure, mixed })
    }

    /// Microseconds more of one layer's attention.
    pub fn us(
        &self,
        attention: &AttentionGrid,
        (chunk, earlier): (f64, f64),
        n: f64,
        mean: f64,
        spread: f64,
    ) -> f64 {
        if n < 2.0 || spread <= 0.0 {
            return 0.0;
        }
        let alpha = match chunk > 0.0 {
            true => self.mixed.at(n),
            false => self.pure.at(n),
        };
        if alpha <= 0.0 {
            return 0.0;
        }
        let longest = mean + spread * expected_longest(n);
        let more = attention.us(chunk, earlier, n, longest) - attention.us(chunk, earlier, n, mean);
        alpha * more.max(0.0)
    }
}

/// The expected greatest of `n` draws of the standard normal law.
fn expected_longest(n: f64) -> f64 {
    Normal::new(0.0, 1.0).map_or(0.0, |law| law.inverse_cdf((n - 0.375) / (n + 0.25)))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}
