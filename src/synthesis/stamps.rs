//! Stamps that were rounded before they were written.

use rand::RngExt;
use serde::Serialize;

use super::sample::Sample;
use crate::engine::Streams;

/// Stamps in steps: what happened within a step is not known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantum {
    /// The step, seconds.
    pub step_s: f64,
    /// Share of requests with the stamp of the one before.
    pub shared: f64,
}

/// Requests with another's stamp from which on stamps may be in steps.
const LEAST_SHARED: f64 = 0.05;
/// Steps shorter than this, seconds, are how clocks are read.
const LEAST_STEP_S: f64 = 1e-3;
/// Steps shorter than this share of a mean gap hide nothing.
const LEAST_OF_GAP: f64 = 0.02;
/// How much stamps that come regularly may wander: from the 10th to the 90th percentile of the
/// distances between distinct ones, over their median.
const MOST_WANDER: f64 = 0.25;

/// The step of the stamps, where they are in steps.
pub fn quantum(sample: &Sample) -> Option<Quantum> {
    let mut distinct = sample.t_ns.clone();
    distinct.dedup();
    let mut apart: Vec<u64> = distinct.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let gaps = sample.len().checked_sub(1).filter(|gaps| *gaps >= 20)?;
    let shared = 1.0 - apart.len() as f64 / gaps as f64;
    if apart.is_empty() || shared < LEAST_SHARED {
        return None;
    }
    apart.sort_unstable();
    let at = |share: f64| apart[((apart.len() - 1) as f64 * share) as usize] as f64 / 1e9;
    let common = apart.iter().fold(0, |a, b| greatest_common(a, *b)) as f64 / 1e9;
    let middle = at(0.5);
    let regular = shared > 0.3 && at(0.9) - at(0.1) < MOST_WANDER * middle;
    let step_s = if regular { middle } else { common };
    let mean_gap = sample.span_s / gaps as f64;
    (step_s >= LEAST_STEP_S && step_s >= LEAST_OF_GAP * mean_gap)
        .then_some(Quantum { step_s, shared })
}

/// Moves the requests of each stamp to instants drawn at random between it and the next, as they
/// would be if nothing but the step were hidden. Evenly spread they would be too regular.
pub fn dejitter(sample: &mut Sample, quantum: Quantum) {
    let streams = Streams {
        seed: 0,
        replication: 0,
    };
    let mut rng = streams.stream("fit", 0, "stamps");
    let step_ns = (quantum.step_s * 1e9) as u64;
    let mut from = 0;
    while from < sample.len() {
        let stamp = sample.t_ns[from];
        let same = sample.t_ns[from..].partition_point(|t| *t == stamp);
        let next = sample.t_ns.get(from + same).copied();
        let room = next.map_or(step_ns, |next| (next - stamp).min(step_ns + step_ns / 2));
        let group = &mut sample.t_ns[from..from + same];
        for t_ns in group.iter_mut() {
            *t_ns = stamp + (room as f64 * rng.random::<f64>()) as u64;
        }
        group.sort_unstable();
        from += same;
    }
    sample.span_s += quantum.step_s;
}

fn greatest_common(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
