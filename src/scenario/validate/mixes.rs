//! Checks of modulated arrivals, of mixes of clients and of prompts that go on from others.

use super::{MOST_PER_S, MOST_S};
use crate::scenario::problems::Problems;
use crate::scenario::workload::{ClientMix, MmppState, PrefixReuse};
use crate::workload::clients::Clients;
use crate::workload::law::Knots;

/// Most clients of a mix: each has streams of its own.
const MOST_CLIENTS: u64 = 100_000;
/// Most prompts that are remembered.
const MOST_DISTANCE: f64 = 65_536.0;
const KNOTS: &str = "write pairs such as [[0.0, 1], [0.5, 1.5], [1.0, 10]]";

pub(super) fn check_states(states: &[MmppState], problems: &mut Problems<'_>) {
    let path = "workload.arrivals.states";
    for (index, state) in states.iter().enumerate() {
        let at = |field: &str| format!("{path}.{index}.{field}");
        problems.non_negative(&at("rate_per_s"), state.rate_per_s, MOST_PER_S);
        problems.in_range(&at("mean_s"), state.mean_s, 1e-6, MOST_S);
    }
    if !states.iter().any(|state| state.rate_per_s > 0.0) {
        let remedy = "give at least one state a rate above 0";
        problems.push(path, states.len(), "must have arrivals", remedy);
    }
    if states.iter().all(|state| state.next.is_empty()) {
        return;
    }
    for (index, state) in states.iter().enumerate() {
        let next = &state.next;
        let sound = next.len() == states.len()
            && next.iter().all(|p| (0.0..=1.0).contains(p))
            && next[index] == 0.0
            && (next.iter().sum::<f64>() - 1.0).abs() < 1e-6;
        if !sound {
            let allowed = format!(
                "must be {} probabilities, its own 0, in all 1; stated by all states or by none",
                states.len()
            );
            let remedy = "correct it, or leave `next` out of all states";
            let at = format!("{path}.{index}.next");
            problems.push(&at, format!("{next:?}"), &allowed, remedy);
        }
    }
}

pub(super) fn check_clients(mix: &ClientMix, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("workload.arrivals.{field}");
    let before = problems.is_empty();
    problems.positive(&path("rate_per_s"), mix.rate_per_s, MOST_PER_S);
    let clients = u64::from(mix.clients);
    let few = problems.int_in_range(&path("clients"), clients, 1, MOST_CLIENTS);
    problems.in_range(&path("weibull_share"), mix.weibull_share, 0.0, 1.0);
    problems.in_range(&path("window_s"), mix.window_s, 1.0, MOST_S);
    problems.in_range(&path("window_rate_cv"), mix.window_rate_cv, 0.0, 10.0);
    for (field, share) in [
        ("prompt_client_share", mix.prompt_client_share),
        ("output_client_share", mix.output_client_share),
    ] {
        problems.in_range(&path(field), share, 0.0, 1.0);
    }
    if !mix.cv.is_empty() {
        check_knots(&mix.cv, &path("cv"), (0.05, 200.0), problems);
    }
    if before
        && few
        && problems.is_empty()
        && let Err(reason) = Clients::new(mix)
    {
        let remedy = "write pairs such as [[1, 0.2], [10, 0.6], [100, 1.0]]";
        problems.push(
            &path("shares"),
            format!("{:?}", mix.shares),
            &reason,
            remedy,
        );
    }
}

pub(super) fn check_reuse(reuse: &PrefixReuse, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("workload.prefix.{field}");
    let root = u64::from(reuse.root_tokens);
    problems.int_in_range(&path("root_tokens"), root, 0, 1 << 24);
    let steps = &reuse.probability;
    let rises = steps.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let sound = steps.first().is_some_and(|step| step.0 == 0)
        && rises
        && steps.iter().all(|step| (0.0..=1.0).contains(&step.1));
    if !sound {
        let allowed = "must be [tokens, probability] pairs, tokens rising from 0";
        let remedy = "write pairs such as [[0, 0.1], [2048, 0.5]]";
        problems.push(&path("probability"), format!("{steps:?}"), allowed, remedy);
    }
    check_knots(&reuse.depth, &path("depth"), (0.0, 1.0), problems);
    let most = (1.0, MOST_DISTANCE);
    check_knots(&reuse.distance, &path("distance"), most, problems);
}

fn check_knots(
    knots: &[(f64, f64)],
    path: &str,
    (low, high): (f64, f64),
    problems: &mut Problems<'_>,
) {
    if let Err(reason) = Knots::new(knots) {
        problems.push(path, format!("{knots:?}"), &reason, KNOTS);
    } else if knots.iter().any(|knot| !(low..=high).contains(&knot.1)) {
        let allowed = format!("must have values from {low} to {high}");
        problems.push(path, format!("{knots:?}"), &allowed, KNOTS);
    }
}
