//! How well a generator keeps what a trace is like.

use serde::Serialize;

use super::portrait::{Figure, Scale, portrait};
use super::sample::Sample;
use crate::engine::Streams;
use crate::measure::{ks_distance_two, quantile_of_sorted};
use crate::scenario::resolve::Traffic;
use crate::trace::TraceError;

/// A ratio this near to 1 is kept.
const KEPT: f64 = 0.1;
/// Synthetic traces that are drawn, at least and at most; and requests that all of them have about.
const REPLICATES: (u64, u64) = (5, 30);
const REQUESTS: u64 = 600_000;
/// Distances between distributions up to this are kept.
const KEPT_DISTANCE: f64 = 0.05;

/// A figure of the original beside that of synthetic traces as long as it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Its unit; empty for a plain number.
    pub unit: &'static str,
    /// Of the original.
    pub original: Option<f64>,
    /// Median over the synthetic traces.
    pub synthetic: Option<f64>,
    /// 5th percentile over them.
    pub low: Option<f64>,
    /// 95th percentile over them.
    pub high: Option<f64>,
    /// (synthetic - original) / original, percent; none for figures compared by their difference.
    pub difference_pct: Option<f64>,
    /// `kept`, `within its spread`, or how far off it is.
    pub verdict: String,
}

/// Draws synthetic traces as long as the original and holds each figure against it.
///
/// # Errors
/// When a file that the workload names cannot be read.
pub fn judge(original: &Sample, traffic: &Traffic) -> Result<Vec<Kept>, TraceError> {
    let each = original.len().max(1) as u64;
    let replicates = (REQUESTS / each).clamp(REPLICATES.0, REPLICATES.1);
    let mut drawn: Vec<Vec<Figure>> = Vec::new();
    let mut distances: [Vec<f64>; 3] = Default::default();
    let mut own = Distributions::of(original);
    for replication in 0..replicates {
        let streams = Streams {
            seed: 1,
            replication,
        };
        let mut sample = Sample::draw(traffic, streams, original.span_s)?;
        // Names and clients are compared where the original has them.
        if original.hashes.is_empty() {
            sample.hashes.clear();
        }
        if original.clients.is_empty() {
            sample.clients.clear();
        }
        drawn.push(portrait(&sample));
        let mut other = Distributions::of(&sample);
        for (distances, distance) in distances.iter_mut().zip(own.distances(&mut other)) {
            distances.push(distance);
        }
    }
    let mut kept: Vec<Kept> = portrait(original)
        .iter()
        .map(|figure| {
            let named = |row: &Vec<Figure>| {
                let same = row.iter().find(|other| other.name == figure.name);
                same.and_then(|other| other.value)
            };
            beside(figure, drawn.iter().filter_map(named).collect())
        })
        .collect();
    let names = ["gaps", "prompts", "outputs"];
    for (name, distances) in names.iter().zip(distances) {
        kept.push(of_distance(name, distances));
    }
    Ok(kept)
}

struct Distributions([Vec<f64>; 3]);

impl Distributions {
    fn of(sample: &Sample) -> Distributions {
        let lengths = |tokens: &[u32]| tokens.iter().map(|t| f64::from(*t)).collect();
        Distributions([
            sample.gaps_s(),
            lengths(&sample.prompt),
            lengths(&sample.output),
        ])
    }

    fn distances(&mut self, other: &mut Distributions) -> [f64; 3] {
        let [a, b, c] = &mut self.0;
        let [x, y, z] = &mut other.0;
        [
            ks_distance_two(a, x),
            ks_distance_two(b, y),
            ks_distance_two(c, z),
        ]
    }
}

fn beside(figure: &Figure, mut values: Vec<f64>) -> Kept {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| quantile_of_sorted(&values, share);
    let (low, middle, high) = (at(0.05), at(0.5), at(0.95));
    let mut kept = Kept {
        name: figure.name.to_owned(),
        unit: figure.unit,
        original: figure.value,
        synthetic: middle,
        low,
        high,
        difference_pct: None,
        verdict: "not told: too short".to_owned(),
    };
    let (Some(original), Some(synthetic)) = (figure.value, middle) else {
        return kept;
    };
    let within =
        low.is_some_and(|low| low <= original) && high.is_some_and(|high| original <= high);
    let apart = synthetic - original;
    let (near, off) = match figure.scale {
        Scale::Absolute(enough) => (apart.abs() <= enough, format!("off by {apart:+.3}")),
        Scale::Relative if original != 0.0 => {
            let pct = 100.0 * apart / original;
            kept.difference_pct = Some(pct);
            (pct.abs() <= 100.0 * KEPT, format!("off by {pct:+.0} %"))
        }
        Scale::Relative => (apart == 0.0, format!("off by {apart:+.3}")),
    };
    kept.verdict = match (near, within) {
        (true, _) => "kept".to_owned(),
        (false, true) => "within its spread".to_owned(),
        (false, false) => off,
    };
    kept
}

fn of_distance(name: &str, mut distances: Vec<f64>) -> Kept {
    distances.sort_by(f64::total_cmp);
    let at = |share: f64| quantile_of_sorted(&distances, share);
    let middle = at(0.5);
    let near = middle.is_some_and(|distance| distance <= KEPT_DISTANCE);
    Kept {
        name: format!("{name}, KS distance"),
        unit: "",
        original: None,
        synthetic: middle,
        low: at(0.05),
        high: at(0.95),
        difference_pct: None,
        verdict: match (near, middle) {
            (true, _) => "kept".to_owned(),
            (false, Some(distance)) => format!("off by {distance:.3}"),
            (false, None) => "not told: too short".to_owned(),
        },
    }
}
