//! Costs as plain arithmetic on the accelerators of all pools.

use serde_json::{Value, json};

use crate::scenario::resolve::Plan;

use super::result::{Throughput, ratio};

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
        .map(|pool| f64::from(pool.replicas) * f64::from(pool.accelerators_per_replica))
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
