//! What counters and histograms rose by from one scrape to the next.

use std::collections::BTreeSet;

use super::intake::Intake;
use super::series::Latencies;
use super::snapshot::Cumulative;

/// Upper edges of histograms that are told apart.
const MOST_EDGES: usize = 1024;

/// Adds what a histogram rose by from one scrape to the next.
pub(super) fn rises(
    latencies: &mut Latencies,
    then: &Cumulative,
    now: &Cumulative,
    known: &mut BTreeSet<u64>,
    intake: &mut Intake,
) {
    let began_anew = now
        .iter()
        .any(|(edge, count)| then.get(edge).is_some_and(|it| it > count));
    let mut below = (0, 0.0);
    for (edge, count) in now {
        let then = match (began_anew, then.get(edge)) {
            (true, _) => 0.0,
            (false, Some(then)) => *then,
            // What was below a new edge before is not known: the next edge counts it.
            (false, None) => continue,
        };
        if !known.contains(edge) {
            if known.len() >= MOST_EDGES {
                intake.leave_out("counts of histograms with more than 1,024 upper edges", "");
                continue;
            }
            known.insert(*edge);
        }
        let within = count - then;
        if within < below.1 {
            let what = format!("{within} up to {} s", *edge as f64 / 1e9);
            intake.leave_out("counts of histograms that fall with the edge", &what);
            continue;
        }
        latencies.add(below.0, *edge, (within - below.1).round() as u64);
        below = (*edge, within);
    }
}

/// By how much a counter rose; one that fell began anew.
pub(super) fn rise(before: f64, now: f64) -> f64 {
    if now >= before { now - before } else { now }
}
