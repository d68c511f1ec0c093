//! Which law lengths obey.
//!
//! Candidates are fitted to every other request and held against the rest, which they have not
//! seen, by the greatest distance of distribution functions. A law of one or two parameters is taken
//! when the rest cannot tell it from the truth; else the nearest is.

use serde::Serialize;

use crate::measure::ks_limit;
use crate::scenario::workload::Lengths;
use crate::workload::lengths::LengthLaw;

/// Probabilities of knots.
const KNOTS: [f64; 21] = [
    0.0, 0.001, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95,
    0.975, 0.99, 0.999, 1.0,
];
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

fn knots(sorted: &[u32]) -> Lengths {
    let last = sorted.len() - 1;
    let at = |probability: f64| {
        let place = probability * last as f64;
        let index = (place as usize).min(last);
        let (low, high) = (sorted[index], sorted[(index + 1).min(last)]);
        f64::from(low) + (f64::from(high) - f64::from(low)) * (place - index as f64)
    };
    let most = f64::from(1u32 << 24);
    let knot = |p: &f64| (*p, (at(*p) * 10.0).round().min(most * 10.0) / 10.0);
    let mut pairs: Vec<(f64, f64)> = KNOTS.iter().map(knot).collect();
    pairs.extend(atoms(sorted));
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    pairs.dedup_by(|b, a| b.0 - a.0 < 1e-9);
    Lengths::Quantiles { knots: pairs }
}

/// Where a value that many requests share begins and ends: a cap, an empty template. Straight lines
/// between other knots would smear it.
fn atoms(sorted: &[u32]) -> Vec<(f64, f64)> {
    const LEAST_SHARE: f64 = 0.02;
    let count = sorted.len() as f64;
    let mut found = Vec::new();
    let mut from = 0;
    for same in sorted.chunk_by(|a, b| a == b) {
        let upto = from + same.len();
        if same.len() as f64 >= LEAST_SHARE * count {
            let value = f64::from(same[0]);
            let (low, high) = (from as f64 / count, upto as f64 / count);
            let round = |p: f64| (p * 1e6).round() / 1e6;
            found.extend([(round(low), value), (round(high), value)]);
        }
        from = upto;
    }
    found.retain(|pair| pair.0 > 0.0 && pair.0 < 1.0);
    found
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
