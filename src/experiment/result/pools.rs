//! What each pool did.

use serde_json::{Value, json};

use super::ratio;
use crate::experiment::roles::role_row;
use crate::experiment::tally::{PoolTally, Tally};
use crate::fleet::plan::EnginePlan;
use crate::scenario::fleet::Pool;
use crate::scenario::resolve::{LlmFacts, Plan};

/// What each pool did, as the result has it.
pub(super) fn pool_rows(plan: &Plan, tally: &Tally) -> Vec<Value> {
    let pools = plan.fleet.pools.iter().zip(&plan.scenario.pools);
    pools
        .zip(&tally.pools)
        .enumerate()
        .map(|(index, ((pool, written), counted))| {
            let mut row = json!({
                "name": pool.name,
                "engine": match written { Pool::Abstract(_) => "abstract", Pool::Llm(_) => "llm" },
                "replicas": pool.at_start,
                "accelerators": u64::from(pool.at_start) * u64::from(pool.accelerators_per_replica),
                "completed": counted.completed,
                "utilization": ratio(counted.busy_s, counted.available_s),
                "requests_per_s": ratio(counted.completed as f64, tally.measured_s),
                "requests_per_s_per_replica": ratio(counted.completed as f64, counted.replica_s),
                "mean_in_system": ratio(counted.present_s, tally.measured_s),
                "busy_ms_per_request": ratio(counted.busy_s * 1e3, counted.completed as f64),
            });
            let extra = match &pool.engine {
                EnginePlan::Abstract { servers, .. } => abstract_row(*servers, counted),
                EnginePlan::Llm { .. } => llm_row(plan, index, counted),
            };
            if let (Value::Object(row), Value::Object(extra)) = (&mut row, extra) {
                row.extend(extra);
            }
            let role = role_row(plan, pool, counted, tally.measured_s);
            if let (Value::Object(row), Value::Object(role)) = (&mut row, role) {
                row.extend(role);
            }
            row
        })
        .collect()
}

fn abstract_row(servers: u32, counted: &PoolTally) -> Value {
    json!({
        "servers": servers,
        "batches": counted.batches,
        "mean_batch": ratio(counted.batched as f64, counted.batches as f64),
        "batches_closed_by_size": counted.closed_by_size,
        "batches_closed_by_window": counted.closed_by_window,
    })
}

/// The most tokens of a request that a pool serves, and what bounds them.
fn longest_request(plan: &Plan, index: usize, facts: &LlmFacts) -> Option<(u64, &'static str)> {
    match (&plan.fleet.pools[index].engine, &plan.scenario.pools[index]) {
        (EnginePlan::Llm { rules, .. }, Pool::Llm(pool)) => {
            let stated = pool.max_model_len.unwrap_or(facts.model.max_context);
            Some(rules.longest_request(u64::from(stated)))
        }
        _ => None,
    }
}

fn llm_row(plan: &Plan, index: usize, counted: &PoolTally) -> Value {
    let facts = plan.llm.get(index).and_then(Option::as_ref);
    let blocks = facts.map(|facts| facts.kv_blocks);
    let longest = facts.and_then(|facts| longest_request(plan, index, facts));
    let (stages, ranks) = match &plan.fleet.pools[index].engine {
        EnginePlan::Llm { rules, .. } => (
            rules
                .pipeline
                .as_ref()
                .map_or(1, |rule| rule.layer_shares.len()),
            rules.data_parallel,
        ),
        EnginePlan::Abstract { .. } => (1, 1),
    };
    let mut row = json!({
        "model": facts.map(|facts| facts.model.name.as_str()),
        "accelerator": facts.map(|facts| facts.accelerator.name.as_str()),
        "longest_request_tokens": longest.map(|(tokens, _)| tokens),
        "longest_request_bound": longest.map(|(_, bound)| bound),
        "stages": stages,
        "ranks": ranks,
        "iterations": counted.batches,
        "mean_sequences": ratio(counted.batched as f64, counted.batches as f64),
        "mean_iteration_ms": ratio(counted.iterations_s * 1e3, counted.batches as f64),
        "prefill_tokens": counted.prefill_tokens,
        "cached_tokens": counted.cached_tokens,
        "tier_tokens": counted.tier_tokens,
        "cached_share": ratio(
            counted.cached_tokens as f64,
            (counted.cached_tokens + counted.prefill_tokens) as f64,
        ),
        "decode_tokens": counted.decode_tokens,
        "preemptions": counted.preemptions,
        "kv_blocks": blocks,
        "kv_blocks_most": counted.kv_blocks_most,
        "kv_peak_share": blocks.and_then(|all| ratio(counted.kv_blocks_most as f64, all as f64)),
        "windows_closed_by_size": counted.closed_by_size,
        "windows_closed_by_time": counted.closed_by_window,
    });
    // Only where there is speculation.
    if let (Some(Pool::Llm(pool)), Value::Object(row)) = (plan.scenario.pools.get(index), &mut row)
        && let Some(drafts) = &pool.speculative
    {
        let accepted = ratio(counted.accepted_drafts as f64, counted.verified as f64);
        row.insert("draft_tokens".into(), json!(drafts.draft_tokens));
        row.insert(
            "mean_acceptance_length".into(),
            json!(accepted.map(|mean| mean + 1.0)),
        );
    }
    row
}
