//! Which law lengths obey.
//!
//! Candidates are fitted to every other request and held against the rest, which they have not
//! seen, by the greatest distance of distribution functions. A law of one or two parameters is taken
//! when the rest cannot tell it from the truth; else the nearest is.

use serde::Serialize;

use crate::measure::ks_limit;
use crate::scenario::workload::Lengths;
use crate::workload::lengths::LengthLaw;

/// Probabilities that always have a knot: a tail counts for little in a distance.
const KNOTS: [f64; 9] = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999];
/// Further knots go where the distribution functions differ most, until they differ by this ...
const NEAR: f64 = 0.004;
/// ... or there are so many.
const MOST_KNOTS: usize = 60;
/// Below so many requests there is no law but the values themselves.
const LEAST: usize = 8;

/// A law that was held against lengths it had not seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LengthCandidate {
    /// Its name.
    pub name: &'static str,
    /// Greatest distance of distribution functions on the half that was held out, 0 to 1.
    pub held_out_distance: f64,
    /// The law, fitted to all.
    #[serde(skip)]
    pub law: Lengths,
}

/// All candidates, the chosen one first.
pub fn candidates(lengths: &[u32]) -> Vec<LengthCandidate> {
    let all = sorted(lengths.iter().copied());
    if all.first() == all.last() || all.len() < LEAST {
        let tokens = all.first().copied().unwrap_or(1);
        let law = match all.first() == all.last() {
            true => Lengths::Constant { tokens },
            false => knots(&all),
        };
        return vec![LengthCandidate {
            name: name_of(&law),
            held_out_distance: 0.0,
            law,
        }];
    }
    let fitted_on = sorted(lengths.iter().copied().step_by(2));
    let held_out = sorted(lengths.iter().copied().skip(1).step_by(2));
    let fits: [fn(&[u32]) -> Lengths; 3] = [lognormal, exponential, knots];
    let candidate = |fit: &fn(&[u32]) -> Lengths| LengthCandidate {
        name: name_of(&fit(&all)),
        held_out_distance: distance(&fit(&fitted_on), &held_out),
        law: fit(&all),
    };
    let mut found: Vec<LengthCandidate> = fits.iter().map(candidate).collect();
    // Half the trace against the other half: what chance alone may make of a true law.
    let chance = ks_limit(held_out.len() as f64, 0.05);
    let simple = |it: &LengthCandidate| it.name != "quantiles" && it.held_out_distance <= chance;
    found.sort_by(|a, b| {
        let simple = simple(b).cmp(&simple(a));
        simple.then(a.held_out_distance.total_cmp(&b.held_out_distance))
    });
    found
}

fn name_of(law: &Lengths) -> &'static str {
    match law {
        Lengths::Constant { .. } => "constant",
        Lengths::Lognormal { .. } => "lognormal",
        Lengths::Exponential { .. } => "exponential",
        Lengths::Quantiles { .. } => "quantiles",
        Lengths::Trace {} => "trace",
    }
}

fn sorted(lengths: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut sorted: Vec<u32> = lengths.collect();
    sorted.sort_unstable();
    sorted
}

/// Nothing is drawn that is longer than the longest seen: models have a longest context.
fn most(sorted: &[u32]) -> Option<u32> {
    sorted.last().map(|longest| (*longest).clamp(1, 1 << 28))
}

fn lognormal(sorted: &[u32]) -> Lengths {
    let count = sorted.len() as f64;
    let logs = || sorted.iter().map(|tokens| f64::from((*tokens).max(1)).ln());
    let mu = logs().sum::<f64>() / count;
    let variance = logs().map(|x| (x - mu) * (x - mu)).sum::<f64>() / count;
    let mean_tokens = (mu + variance / 2.0).exp().clamp(1.0, f64::from(1 << 24));
    Lengths::Lognormal {
        mean_tokens,
        cv: variance.exp_m1().sqrt().clamp(1e-3, 100.0),
        max_tokens: most(sorted),
    }
}

/// Exponential, truncated at the longest: its mean before truncation is the one whose truncated
/// mean is the sample's.
fn exponential(sorted: &[u32]) -> Lengths {
    let count = sorted.len() as f64;
    let mean = sorted.iter().map(|tokens| f64::from(*tokens)).sum::<f64>() / count;
    let top = sorted.last().map_or(1.0, |longest| f64::from(*longest));
    let truncated = |whole: f64| whole - top / (top / whole).exp_m1().max(1e-300);
    let (mut low, mut high) = (mean / 4.0, mean * 100.0);
    for _ in 0..100 {
        let middle = (low * high).sqrt();
        match truncated(middle) < mean {
            true => low = middle,
            false => high = middle,
        }
    }
    Lengths::Exponential {
        mean_tokens: (low * high).sqrt().clamp(1.0, f64::from(1 << 24)),
        max_tokens: most(sorted),
    }
}

/// Knots of the distribution function: a draw is rounded, so that up to half a token above a value
/// lies what the values up to it have.
fn knots(sorted: &[u32]) -> Lengths {
    let most = f64::from(sorted.last().copied().unwrap_or(1).min(1 << 24));
    let steps = steps_of(sorted, most);
    let least = sorted.first().map_or(1.0, |first| f64::from(*first) - 0.5);
    let mut pairs = vec![(0.0, least.min(most).max(0.5)), (1.0, most)];
    for probability in KNOTS {
        let step = steps.partition_point(|step| step.0 < probability);
        insert(&mut pairs, steps.get(step).copied());
    }
    while pairs.len() < MOST_KNOTS {
        let off = |step: &(f64, f64)| (share_below(&pairs, step.1) - step.0).abs();
        let worst = steps.iter().max_by(|a, b| off(a).total_cmp(&off(b)));
        let Some(step) = worst.filter(|step| off(step) > NEAR).copied() else {
            break;
        };
        if !insert(&mut pairs, Some(step)) {
            break;
        }
    }
    Lengths::Quantiles { knots: pairs }
}

/// Where the distribution function steps up: the share up to a value, and the value and a half.
fn steps_of(sorted: &[u32], most: f64) -> Vec<(f64, f64)> {
    let count = sorted.len() as f64;
    let mut upto = 0;
    let step = |same: &[u32]| {
        upto += same.len();
        let share = (upto as f64 / count * 1e6).round() / 1e6;
        (share, (f64::from(same[0]) + 0.5).min(most))
    };
    sorted.chunk_by(|a, b| a == b).map(step).collect()
}

/// Puts a knot in its place; false where there is one already.
fn insert(pairs: &mut Vec<(f64, f64)>, step: Option<(f64, f64)>) -> bool {
    let Some(step) = step else {
        return false;
    };
    let place = pairs.partition_point(|pair| pair.0 < step.0);
    let fits = place > 0
        && place < pairs.len()
        && pairs[place].0 > step.0
        && pairs[place - 1].1 <= step.1
        && step.1 <= pairs[place].1;
    if fits {
        pairs.insert(place, step);
    }
    fits
}

/// The share of a law of knots below a value.
fn share_below(pairs: &[(f64, f64)], value: f64) -> f64 {
    let right = pairs.partition_point(|pair| pair.1 <= value);
    let (Some(left), Some(right)) = (right.checked_sub(1).map(|i| pairs[i]), pairs.get(right))
    else {
        return f64::from(u8::from(right > 0));
    };
    left.0 + (right.0 - left.0) * (value - left.1) / (right.1 - left.1)
}

/// Greatest distance between a law's distribution function and a sample's.
fn distance(law: &Lengths, sorted: &[u32]) -> f64 {
    let Ok(Some(law)) = LengthLaw::new(law) else {
        return 1.0;
    };
    // The law's own values on a fine grid stand for it: it is a quantile function.
    const POINTS: usize = 20_000;
    let grid = (0..POINTS).map(|i| law.quantile((i as f64 + 0.5) / POINTS as f64));
    let mut drawn: Vec<f64> = grid.map(f64::from).collect();
    let mut seen: Vec<f64> = sorted.iter().map(|tokens| f64::from(*tokens)).collect();
    crate::measure::ks_distance_two(&mut drawn, &mut seen)
}
