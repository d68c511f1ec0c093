//! What the hardware allows at most: bounds that no schedule, batch or router can beat.

use serde_json::{Value, json};

use crate::fleet::plan::EnginePlan;
use crate::measure::LatencyHistogram;
use crate::perf::NodeCeiling;
use crate::scenario::resolve::{LlmFacts, Plan};
use crate::scenario::roles::Role;

use super::claims::short;
use super::tally::{PoolTally, Tally};
use super::theory::{least_tokens, offered};

/// Quantiles of latency that are bounded, by their name in a summary.
const STATISTICS: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
];

/// Histograms keep three digits: a bound is lowered by twice that, so that it stays a bound.
const ROUNDING: f64 = 1.0 - 2e-3;

/// Bounds on metrics of this run, and the figures behind them. Empty for abstract pools, which
/// say nothing of hardware.
pub fn physics_of(plan: &Plan, tally: &Tally) -> Value {
    let facts: Vec<&LlmFacts> = plan.llm.iter().flatten().collect();
    if facts.is_empty() || facts.len() != plan.fleet.pools.len() {
        return json!({ "bounds": [], "pools": [] });
    }
    let mut bounds = latency_bounds(tally);
    let mut pools = Vec::new();
    let of_pools = plan.fleet.pools.iter().zip(&facts).zip(&tally.pools);
    for (index, ((pool, facts), done)) in of_pools.enumerate() {
        let Some((prompt, output)) = least_tokens(plan, index) else {
            continue;
        };
        let (prompt, output) = (prompt.round() as u32, output.round() as u32);
        // That of the engine, which may make several tokens a step.
        let floor_ns = match &pool.engine {
            EnginePlan::Llm { step, .. } => step.request_floor_ns(prompt, output),
            EnginePlan::Abstract { .. } => None,
        };
        let (ttft_ns, e2e_ns) =
            floor_ns.unwrap_or_else(|| facts.step.request_floor_ns(prompt, output));
        // Of its own part, where a pool has one.
        let (ttft_ns, e2e_ns) = match pool.role {
            Role::Mixed => (Some(ttft_ns), e2e_ns),
            Role::Prefill => (Some(ttft_ns), ttft_ns),
            Role::Decode => (None, e2e_ns - ttft_ns),
        };
        let ceiling = ceiling_of(done);
        if let Some(ceiling) = ceiling {
            let most = ceiling.most();
            let [prompt, output] = mean_completed(tally);
            let because = format!(
                "the completed requests ({} prompt and {} output tokens on average) leave one \
                 replica of {} on {} x {} at most {most:.1} requests/s at peak FLOP/s and bandwidth",
                short(prompt),
                short(output),
                facts.model.name,
                pool.accelerators_per_replica,
                facts.accelerator.name
            );
            bounds.push(json!({
                "metric": format!("pools.{}.requests_per_s_per_replica", pool.name),
                "at_most": most,
                "because": because,
            }));
        }
        let demand = offered(plan).map(|(rate, _)| rate / f64::from(pool.at_start.max(1)));
        let tokens_at = |rps: f64| {
            crate::perf::tokens_per_request_at(
                &facts.model,
                &facts.accelerator,
                pool.accelerators_per_replica,
                facts.dtypes,
                rps,
            )
        };
        let mut row = json!({
            "name": pool.name,
            "max_requests_per_s_per_replica": ceiling.map(|ceiling| ceiling.most()),
            "by_compute_requests_per_s": ceiling.map(|ceiling| ceiling.by_compute_rps),
            "by_bandwidth_requests_per_s": ceiling.and_then(|ceiling| ceiling.by_bandwidth_rps),
            "ttft_floor_ms": ttft_ns.map(|ns| ns / 1e6),
            "e2e_floor_ms": e2e_ns / 1e6,
            "offered_requests_per_s_per_replica": demand,
            "tokens_of_compute_per_offered_request": demand.and_then(tokens_at),
        });
        // Only where there is a prefix cache.
        if let (EnginePlan::Llm { rules, .. }, Value::Object(row)) = (&pool.engine, &mut row)
            && rules.prefix_caching
        {
            row.insert("floors_with_prompt_cached".into(), json!(true));
        }
        pools.push(row);
    }
    let fleet_ceiling = fleet_ceiling(plan, tally);
    if fleet_ceiling > 0.0 {
        bounds.push(json!({
            "metric": "throughput.requests_per_s",
            "at_most": fleet_ceiling,
            "because": format!("all replicas together do {fleet_ceiling:.1} requests/s at peak"),
        }));
    }
    json!({ "bounds": bounds, "pools": pools })
}

/// The most requests a second that all replicas together can do: every one of them goes through a
/// pool that takes requests from the gateway.
fn fleet_ceiling(plan: &Plan, tally: &Tally) -> f64 {
    let pools = plan.fleet.pools.iter().zip(&tally.pools);
    let entries = pools.filter(|(pool, _)| pool.role.is_entry());
    entries
        .filter_map(|(pool, done)| Some(ceiling_of(done)?.most() * f64::from(pool.at_start)))
        .sum()
}

/// The most requests like those that a pool completed that one of its replicas can do.
fn ceiling_of(done: &PoolTally) -> Option<NodeCeiling> {
    let count = done.completed as f64;
    let (compute_s, bandwidth_s) = done.least_s;
    (compute_s > 0.0).then(|| NodeCeiling {
        by_compute_rps: count / compute_s,
        by_bandwidth_rps: (bandwidth_s > 0.0).then(|| count / bandwidth_s),
    })
}

/// Mean prompt and output tokens of the requests completed.
fn mean_completed(tally: &Tally) -> [f64; 2] {
    let count = tally.completed_measured.max(1) as f64;
    let (prompt, output) = tally.tokens_measured;
    [prompt, output].map(|tokens| tokens as f64 / count)
}

fn latency_bounds(tally: &Tally) -> Vec<Value> {
    let mut bounds = Vec::new();
    for (name, floor, observed) in [
        ("ttft_ms", &tally.floors[0], &tally.latencies[0]),
        ("e2e_ms", &tally.floors[1], &tally.latencies[2]),
    ] {
        if floor.count() == 0 {
            continue;
        }
        // Floors are of all requests measured. When some of them did not complete, the quantiles
        // are not of the same requests, and only the least floor bounds them.
        let same = floor.count() == observed.count();
        let mut bound = |statistic: &str, ns: Option<f64>| {
            let least = floor.min_ns().map(|ns| ns as f64);
            if let Some(ns) = if same { ns } else { least } {
                let ms = ns / 1e6 * ROUNDING;
                bounds.push(json!({
                    "metric": format!("latency.{name}.{statistic}"),
                    "at_least": ms,
                    "because": format!(
                        "each request alone on the hardware at peak FLOP/s and bandwidth needs \
                         {ms:.3} ms at this statistic"
                    ),
                }));
            }
        };
        bound("mean", floor.mean_ns());
        for (statistic, q) in STATISTICS {
            bound(statistic, LatencyHistogram::quantile(floor, q));
        }
        bound("max", floor.max_ns().map(|ns| ns as f64));
    }
    bounds
}
