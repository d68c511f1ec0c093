//! Costs as plain arithmetic on the accelerators of all pools.

use serde_json::{Value, json};

use crate::scenario::resolve::Plan;

use super::capacity::bill_rows;
use super::result::{RunResult, Throughput, ratio};
use super::tally::Tally;

/// Hours of a year of 365 days.
const HOURS_PER_YEAR: f64 = 8_760.0;

/// The cost of the fleet, and what mixing in spot capacity saves; empty without prices.
///
/// Spot capacity is taken to be always there: interruptions are not in these figures.
pub fn cost_of(plan: &Plan, throughput: &Throughput) -> Value {
    let Some(prices) = &plan.scenario.cost else {
        return json!({});
    };
    let pools = &plan.fleet.pools;
    let accelerators: f64 = pools
        .iter()
        .map(|pool| f64::from(pool.at_start) * f64::from(pool.accelerators_per_replica))
        .sum();
    let on_demand = prices.on_demand_usd_per_gpu_hour;
    // Without a spot price the share is 0 (validated), so that the price does not matter.
    let spot = prices.spot_usd_per_gpu_hour.unwrap_or(on_demand);
    let blended = prices.spot_share * spot + (1.0 - prices.spot_share) * on_demand;
    let per_hour = accelerators * blended;
    let per_s = per_hour / 3_600.0;
    let per_million = |rate: Option<f64>| rate.and_then(|rate| ratio(per_s * 1e6, rate));
    json!({
        "accelerators": accelerators,
        "usd_per_gpu_hour": blended,
        "usd_per_hour": per_hour,
        "usd_per_year": per_hour * HOURS_PER_YEAR,
        "all_on_demand_usd_per_year": accelerators * on_demand * HOURS_PER_YEAR,
        "saved_usd_per_year": accelerators * (on_demand - blended) * HOURS_PER_YEAR,
        "saved_pct": ratio(100.0 * (on_demand - blended), on_demand),
        "usd_per_million_requests": per_million(throughput.requests_per_s),
        "usd_per_million_output_tokens": per_million(throughput.output_tokens_per_s),
        "basis": "prices of [cost], assumed; spot capacity taken to be always there",
    })
}

/// The cost of a fleet whose nodes come and go: what was billed from 0 to the horizon, and what pools
/// that are there all the time cost by `[cost]`.
pub fn cost_of_bill(plan: &Plan, tally: &Tally, result: &RunResult) -> Value {
    let Some(mut rows) = bill_rows(plan, tally) else {
        return json!({});
    };
    let hours = plan.fleet.horizon.as_secs_f64() / 3_600.0 * f64::from(tally.replications);
    let number = |key: &str| rows.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let billed = number("usd") / hours;
    let always = always_usd_per_hour(plan);
    let per_hour = billed + always;
    let per_s = per_hour / 3_600.0;
    let per_million = |rate: Option<f64>| rate.and_then(|rate| ratio(per_s * 1e6, rate));
    let good: f64 = result.slo.iter().filter_map(|row| row.goodput_rps).sum();
    let rates = &result.throughput;
    for (key, value) in [
        ("usd_per_hour", Some(per_hour)),
        ("usd_per_hour_always", Some(always)),
        ("usd_per_year", Some(per_hour * HOURS_PER_YEAR)),
        ("mean_nodes", Some(number("node_hours") / hours)),
        (
            "usd_per_million_requests",
            per_million(rates.requests_per_s),
        ),
        (
            "usd_per_million_prompt_tokens",
            per_million(rates.prompt_tokens_per_s),
        ),
        (
            "usd_per_million_output_tokens",
            per_million(rates.output_tokens_per_s),
        ),
        ("usd_per_million_within_objective", per_million(Some(good))),
    ] {
        rows.insert(key.to_owned(), json!(value));
    }
    let basis = "nodes as billed from 0 to run.horizon_s; by tier and tenant by tokens answered";
    rows.insert("basis".to_owned(), json!(basis));
    Value::Object(rows)
}

/// What pools cost that no group of nodes is of.
fn always_usd_per_hour(plan: &Plan) -> f64 {
    let Some(prices) = &plan.scenario.cost else {
        return 0.0;
    };
    let bought = |pool: &str| {
        let mut groups = plan.scenario.capacity.groups.iter();
        groups.any(|group| group.pool == pool)
    };
    let always = plan.fleet.pools.iter().filter(|pool| !bought(&pool.name));
    let accelerators: f64 = always
        .map(|pool| f64::from(pool.at_start) * f64::from(pool.accelerators_per_replica))
        .fold(0.0, |sum, more| sum + more);
    let spot = prices.spot_usd_per_gpu_hour;
    let spot = spot.unwrap_or(prices.on_demand_usd_per_gpu_hour);
    let share = prices.spot_share;
    accelerators * (share * spot + (1.0 - share) * prices.on_demand_usd_per_gpu_hour)
}
