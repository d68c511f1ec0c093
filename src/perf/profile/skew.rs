//! What attention takes more where the sequences of a batch are not alike.
//!
//! The profiler times batches of a few long and many short sequences, and states for each how far
//! between a batch of the mean length and one of the greatest length its time lies: `alpha` in
//! `t = t_mean + alpha (t_max - t_mean)`. The median of `alpha` is taken by the number of
//! sequences and by the ratio of the greatest to the mean length (in quarters of an octave), for
//! batches without and with a prompt. Between two numbers that were timed that of the larger holds,
//! as in the profiler's own bins; between two ratios `alpha` is linear in the logarithm. The longest
//! of `n` sequences whose contexts have mean `m` and standard deviation `s` is taken to be that of
//! `n` draws of a normal law (Blom 1958: the quantile of `(n - 3/8) / (n + 1/4)`).
//!
//! A profile whose `meta.yaml` (beside it, or a folder above) says that its skew was not enabled
//! has no such effect, whatever files lie there.

use std::collections::BTreeMap;
use std::path::Path;

use statrs::distribution::{ContinuousCDF, Normal};

use super::super::error::PerfError;
use super::attention::AttentionGrid;
use super::curve::{number, records};
use super::read_text;
use crate::inputs::note;

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

/// Steps of the ratio of lengths in an octave.
const STEPS_PER_OCTAVE: f64 = 4.0;

/// `alpha` of batches without and with a prompt.
#[derive(Debug, Clone, Default)]
pub(super) struct Skew {
    pure: Alphas,
    mixed: Alphas,
}

/// `alpha` by the number of sequences timed, and by the ratio of the greatest to the mean length in
/// steps; both rising.
#[derive(Debug, Clone, Default)]
struct Alphas(Vec<(f64, Vec<(f64, f64)>)>);

impl Alphas {
    /// The medians of what was timed.
    fn new(found: BTreeMap<u64, BTreeMap<i64, Vec<f64>>>) -> Alphas {
        let medians = |by_ratio: BTreeMap<i64, Vec<f64>>| {
            let median =
                |(step, mut alphas): (i64, Vec<f64>)| (step as f64, median(&mut alphas).max(0.0));
            by_ratio.into_iter().map(median).collect()
        };
        let each = found.into_iter();
        Alphas(
            each.map(|(n, by_ratio)| (n as f64, medians(by_ratio)))
                .collect(),
        )
    }

    /// That of the next number timed, or of the last, at a ratio above 1.
    fn at(&self, n: f64, ratio: f64) -> f64 {
        let next = self.0.partition_point(|of_number| of_number.0 < n);
        let Some((_, by_ratio)) = self.0.get(next).or(self.0.last()) else {
            return 0.0;
        };
        let step = ratio.log2() * STEPS_PER_OCTAVE;
        let right = by_ratio.partition_point(|point| point.0 <= step);
        match (right, by_ratio.get(right)) {
            (_, None) => by_ratio.last().map_or(0.0, |point| point.1),
            (0, Some(first)) => first.1,
            (right, Some(&(x1, y1))) => {
                let (x0, y0) = by_ratio[right - 1];
                y0 + (y1 - y0) * (step - x0) / (x1 - x0)
            }
        }
    }
}

impl Skew {
    /// Reads `skew.csv`; a profile without it has no such effect.
    pub fn read(folder: &Path) -> Result<Skew, PerfError> {
        let there = ["skew.csv", "skew.csv.gz"].map(|name| folder.join(name).exists());
        if there == [false, false] || is_disabled(folder)? {
            return Ok(Skew::default());
        }
        let (file, text) = read_text(folder, "skew")?;
        let mut found: [BTreeMap<u64, BTreeMap<i64, Vec<f64>>>; 2] = Default::default();
        for (line, fields) in records(&file, &text, &COLUMNS)? {
            let value = |column: usize| number(&file, line, COLUMNS[column], &fields[column]);
            let (n, longest, mean) = (value(1)?, value(8)?, value(9)?);
            // A row that could not be timed has no alpha, and one of like sequences no skew.
            let Some(alpha) = fields[13]
                .parse::<f64>()
                .ok()
                .filter(|alpha| alpha.is_finite())
            else {
                continue;
            };
            if mean > 0.0 && longest > mean {
                let step = ((longest / mean).log2() * STEPS_PER_OCTAVE).round() as i64;
                let by_ratio = found[usize::from(fields[0] != "pure")].entry(n as u64);
                by_ratio.or_default().entry(step).or_default().push(alpha);
            }
        }
        let [pure, mixed] = found.map(Alphas::new);
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
        if n < 2.0 || spread <= 0.0 || mean <= 0.0 {
            return 0.0;
        }
        let longest = mean + spread * expected_longest(n);
        let alphas = match chunk > 0.0 {
            true => &self.mixed,
            false => &self.pure,
        };
        let alpha = alphas.at(n, longest / mean);
        if alpha <= 0.0 {
            return 0.0;
        }
        let more = attention.us(chunk, earlier, n, longest) - attention.us(chunk, earlier, n, mean);
        alpha * more.max(0.0)
    }
}

/// Whether the profile's `meta.yaml` says `enabled: false` in its section `skew_fit`.
fn is_disabled(folder: &Path) -> Result<bool, PerfError> {
    let beside = [Some(folder), folder.parent()];
    let paths = beside.into_iter().flatten().map(|at| at.join("meta.yaml"));
    let Some(path) = paths.into_iter().find(|path| path.exists()) else {
        return Ok(false);
    };
    note(&path);
    let text = std::fs::read_to_string(&path).map_err(|error| PerfError::Field {
        file: path.display().to_string(),
        field: "skew_fit",
        value: error.to_string(),
        allowed: "a text file".into(),
        remedy: "correct it, or take it away".into(),
    })?;
    let section = text
        .lines()
        .skip_while(|line| line.trim_end() != "skew_fit:");
    let mut inside = section.skip(1).take_while(|line| line.starts_with(' '));
    Ok(inside.any(|line| {
        let said = line.split('#').next().unwrap_or_default();
        said.trim() == "enabled: false"
    }))
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
