//! What makes the figures of a run doubtful.

use crate::scenario::resolve::Plan;

use super::tally::Tally;
use super::theory::{offered, queue_of};

/// Warnings about a run, each with what to do.
pub fn warnings_of(plan: &Plan, tally: &Tally) -> Vec<String> {
    let mut warnings = Vec::new();
    if is_unstable(plan) {
        warnings.push(
            "unstable: more work is offered than the servers can do, so the queue grows for as \
             long as the run lasts and latencies say more about its length than about the fleet; \
             add servers or lower the rate"
                .to_owned(),
        );
    }
    if all_alike(tally) {
        warnings.push(
            "all replications are alike, since nothing in this scenario is random: they are one \
             run, and give no interval"
                .to_owned(),
        );
    }
    if plan.scenario.workload.max_requests.is_some_and(|most| {
        tally.arrived == most * u64::from(tally.replications) && tally.cut_short.is_none()
    }) {
        warnings.push(format!(
            "workload.max_requests ended the arrivals early: rates and utilisation are still over \
             the whole measured window, {} s to {} s; set run.horizon_s to what you mean to measure",
            plan.fleet.warmup.as_secs_f64(),
            plan.fleet.horizon.as_secs_f64()
        ));
    }
    warnings
}

/// Whether an abstract pool without bound is offered more work than it can do.
pub fn is_unstable(plan: &Plan) -> bool {
    if let Some(queue) = queue_of(plan) {
        let input = queue.input;
        let work = input.lambda_per_s * input.mean_service_ms / 1e3;
        return input.queue_capacity.is_none() && work >= input.servers as f64;
    }
    // A language-model fleet that is offered more than its hardware could do at peak.
    let Some((rate, _)) = offered(plan) else {
        return false;
    };
    let Some((prompt, output)) = super::theory::mean_tokens(plan) else {
        return false;
    };
    let ceiling: Option<f64> = plan
        .fleet
        .pools
        .iter()
        .zip(&plan.llm)
        .map(|(pool, facts)| {
            let (prompt, output) = (prompt.round() as u32, output.round() as u32);
            let most = facts.as_ref()?.step.max_requests_per_s(prompt, output);
            Some(most.by_compute_rps * f64::from(pool.replicas))
        })
        .sum();
    ceiling.is_some_and(|ceiling| rate >= ceiling)
}

/// Whether several replications did exactly the same.
pub fn all_alike(tally: &Tally) -> bool {
    let first = tally.digests.first();
    tally.digests.len() > 1 && tally.digests.iter().all(|digest| Some(digest) == first)
}
