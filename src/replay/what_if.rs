//! The same night with one thing changed: which requests are saved, and which lost.

use rayon::prelude::*;
use serde::Serialize;

use super::error::ReplayError;
use super::fit::Fit;
use super::night::Seen;
use super::series::{Objectives, is_good};
use super::stage::{Part, Stage};
use crate::measure::Interval;
use crate::measure::quantile_of_sorted;

/// What a change would have done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WhatIf {
    /// The change, as it was asked for.
    pub change: String,
    /// Requests that are answered within their objective with it and are not without.
    pub saved: u64,
    /// Those that are not with it and are without.
    pub lost: u64,
    /// The mean over nights of saved less lost, a 95 % interval; none with a single night.
    pub net: Option<(f64, f64)>,
    /// Without the change.
    pub before: Figures,
    /// With it.
    pub after: Figures,
}

/// A night in figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Requests answered within their objective.
    pub good: u64,
    /// Requests answered.
    pub answered: u64,
    /// Tries for each request; none where the log does not tell them.
    pub tries_per_request: Option<f64>,
    /// 99th percentile of time to first token, milliseconds.
    pub ttft_p99_ms: Option<f64>,
    /// 99th percentile of end-to-end latency, milliseconds.
    pub e2e_p99_ms: Option<f64>,
}

impl Figures {
    /// Of the requests of a night.
    pub fn of(requests: &[Seen], objectives: &Objectives) -> Figures {
        let good = requests
            .iter()
            .filter(|it| is_good(it, it.tier, objectives));
        let tries = requests.iter().map(|it| it.attempts.map(f64::from));
        let tries: Option<f64> = tries.sum();
        Figures {
            good: good.count() as u64,
            answered: requests.iter().filter(|it| it.is_answered()).count() as u64,
            tries_per_request: tries.map(|tries| tries / requests.len().max(1) as f64),
            ttft_p99_ms: p99_ms(requests.iter().filter_map(|it| it.ttft_ns)),
            e2e_p99_ms: p99_ms(requests.iter().filter_map(|it| it.e2e_ns)),
        }
    }
}

fn p99_ms(ns: impl Iterator<Item = u64>) -> Option<f64> {
    let mut values: Vec<f64> = ns.map(|ns| ns as f64 / 1e6).collect();
    values.sort_unstable_by(f64::total_cmp);
    quantile_of_sorted(&values, 0.99)
}

/// What a replay takes from the log, or judges both nights by: a change of it would do nothing.
const OF_THE_LOG: [&str; 8] = [
    "workload.arrivals",
    "workload.prompt_tokens",
    "workload.output_tokens",
    "run.horizon_s",
    "run.warmup_s",
    "run.seed",
    "run.replications",
    "slo.",
];

/// Simulates the nights again with a change, each on its own luck and fitted values.
///
/// # Errors
/// When the change is not valid, or a simulation fails.
pub fn what_if(
    stage: &Stage,
    fit: &Fit,
    nights: &[Vec<Seen>],
    objectives: &Objectives,
    change: &str,
) -> Result<WhatIf, ReplayError> {
    let words = "must be PATH=VALUE";
    let remedy = "write it like clients.max_retries=0";
    let (path, value) = change
        .split_once('=')
        .ok_or_else(|| ReplayError::option("--what-if", change, words, remedy))?;
    let (path, value) = (path.trim().to_owned(), value.trim().to_owned());
    if let Some(what) = OF_THE_LOG.iter().find(|it| path.starts_with(**it)) {
        let allowed = format!(
            "must be of the fleet: `{what}` is the log's, or what both nights are simulated and judged by"
        );
        let remedy = "change the fleet, its clients or its faults";
        return Err(ReplayError::option("--what-if", change, allowed, remedy));
    }
    let changed: Result<Vec<Vec<Seen>>, ReplayError> = (0..nights.len())
        .into_par_iter()
        .map(|night| {
            let mut changes = fit.draw(night);
            changes.push((path.clone(), value.clone()));
            let plan = stage.plan(&changes).map_err(|error| match error {
                ReplayError::Scenario { source, .. } => ReplayError::Scenario {
                    context: format!("--what-if {change}: "),
                    source,
                },
                other => other,
            })?;
            Ok(stage.simulate(&plan, Part::Whole, night as u64)?.requests)
        })
        .collect();
    let changed = changed?;
    let pairs = nights.iter().zip(&changed);
    let moved: Vec<(u64, u64)> = pairs
        .map(|(before, after)| saved_and_lost(before, after, objectives))
        .collect();
    let net: Vec<f64> = moved
        .iter()
        .map(|(saved, lost)| *saved as f64 - *lost as f64)
        .collect();
    let interval = Interval::from_replications(&net, 0.95);
    let (saved, lost) = moved.first().copied().unwrap_or_default();
    let figures = |nights: &[Vec<Seen>]| {
        let first = nights.first().map_or(&[][..], Vec::as_slice);
        Figures::of(first, objectives)
    };
    Ok(WhatIf {
        change: change.to_owned(),
        saved,
        lost,
        net: interval.map(|it| (it.low, it.high)),
        before: figures(nights),
        after: figures(&changed),
    })
}

/// Request by request.
fn saved_and_lost(before: &[Seen], after: &[Seen], objectives: &Objectives) -> (u64, u64) {
    let mut moved = (0, 0);
    for (before, after) in before.iter().zip(after) {
        let good = |request: &Seen| is_good(request, request.tier, objectives);
        match (good(before), good(after)) {
            (false, true) => moved.0 += 1,
            (true, false) => moved.1 += 1,
            _ => {}
        }
    }
    moved
}
