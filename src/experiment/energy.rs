//! What is used beside nodes: energy and its CO2, bytes that left regions, bytes that are stored.

use serde_json::{Map, Value, json};

use crate::engine::SimDuration;
use crate::fleet::served::Served;
use crate::money::bill::{HOURS_PER_MONTH, egress_cost, storage_cost};
use crate::scenario::resolve::Plan;

use super::cost::HOURS_PER_YEAR;
use super::result::ratio;
use super::tally::Tally;

/// What the nodes of a pool and what cools them used within the measured window, kWh; none where
/// energy is not worked out.
pub(super) fn pool_energy_kwh(plan: &Plan, tally: &Tally, pool: usize) -> Option<f64> {
    let rule = plan.money.energy.as_ref()?;
    let node = rule.nodes.get(pool)?;
    let counted = &tally.pools[pool];
    let share = ratio(counted.busy_s, counted.available_s).unwrap_or(0.0);
    // Micro-batches and ranks at work at once are one node at work.
    let busy_s = share.min(1.0) * counted.replica_s;
    let time = SimDuration::from_secs_f64;
    let energy = node.energy(time(busy_s), time(counted.replica_s - busy_s), rule.pue);
    energy.ok().map(|energy| energy.site_kwh)
}

/// The energy of the fleet; none where it is not worked out.
pub(super) fn energy_of(plan: &Plan, tally: &Tally) -> Option<Value> {
    let rule = plan.money.energy.as_ref()?;
    let hours = tally.measured_s / 3_600.0;
    let pools = &plan.fleet.pools;
    let (mut kwh, mut grams) = (0.0, 0.0);
    let mut by_pool = Map::new();
    let mut by_region: Vec<(f64, f64)> = vec![(0.0, 0.0); rule.g_co2_per_kwh.len()];
    let mut output_tokens = 0;
    for (index, pool) in pools.iter().enumerate() {
        let used = pool_energy_kwh(plan, tally, index)?;
        let region = usize::from(pool.region);
        let emitted = used * rule.g_co2_per_kwh.get(region)?;
        let served = tally.served.of_pool(index);
        output_tokens += served.output_tokens;
        kwh += used;
        grams += emitted;
        let sum = by_region.get_mut(region)?;
        *sum = (sum.0 + used, sum.1 + emitted);
        let row = row_of(used, emitted, hours, served.output_tokens);
        by_pool.insert(pool.name.clone(), row);
    }
    let regions = plan.fleet.topology.regions.iter().zip(by_region);
    let by_region = regions.map(|(region, (kwh, grams))| {
        let row = json!({"kw": ratio(kwh, hours), "kg_co2_per_hour": ratio(grams / 1e3, hours)});
        (region.name.clone(), row)
    });
    let mut all = row_of(kwh, grams, hours, output_tokens);
    let per_year = |per_h: Option<f64>| per_h.map(|per_h| per_h * HOURS_PER_YEAR);
    let price = rule.usd_per_kwh;
    if let Value::Object(all) = &mut all {
        for (key, value) in [
            ("kwh_per_year", json!(per_year(ratio(kwh, hours)))),
            (
                "kg_co2_per_year",
                json!(per_year(ratio(grams / 1e3, hours))),
            ),
            (
                "usd_per_year",
                json!(price.and_then(|usd| per_year(ratio(kwh * usd, hours)))),
            ),
            ("by_pool", Value::Object(by_pool)),
            ("by_region", Value::Object(by_region.collect())),
            (
                "basis",
                json!(
                    "nodes while they are ready, times PUE: busy ones at their full power, an upper \
                     bound; location-based CO2"
                ),
            ),
        ] {
            all.insert(key.to_owned(), value);
        }
    }
    Some(all)
}

fn row_of(kwh: f64, grams: f64, hours: f64, output_tokens: u64) -> Value {
    json!({
        "kw": ratio(kwh, hours),
        "kg_co2_per_hour": ratio(grams / 1e3, hours),
        "kwh_per_million_output_tokens": ratio(kwh * 1e6, output_tokens as f64),
        "g_co2_per_million_output_tokens": ratio(grams * 1e6, output_tokens as f64),
    })
}

/// The bytes that left regions, and their cost; none where they are not paid for.
pub(super) fn egress_of(plan: &Plan, tally: &Tally) -> Option<Value> {
    let rule = plan.money.egress.as_ref()?;
    let hours = tally.measured_s / 3_600.0;
    let regions = &plan.fleet.topology.regions;
    let (by_prompt, by_output) = rule.bytes_per_token;
    let bytes = |tokens: u64, each: f64| (tokens as f64 * each).round() as u64;
    let mut rows = Vec::new();
    let mut usd_per_hour = 0.0;
    let mut add = |from: &str, to: &str, bytes: u64, usd_per_gb: f64| {
        // Prices were checked when they were read.
        let cost = egress_cost(bytes, usd_per_gb).unwrap_or_default();
        let cost = ratio(cost.as_usd(), hours).unwrap_or(0.0);
        if bytes == 0 {
            return;
        }
        usd_per_hour += cost;
        rows.push(json!({
            "from": from,
            "to": to,
            "gb_per_hour": ratio(bytes as f64 / 1e9, hours),
            "usd_per_gb": usd_per_gb,
            "usd_per_hour": cost,
        }));
    };
    for (here, region) in regions.iter().enumerate() {
        let mut answered = Served::default();
        let mut elsewhere = vec![Served::default(); regions.len()];
        for (pool, served) in plan.fleet.pools.iter().zip(tally.served.pools_for(here)) {
            answered = answered.plus(*served);
            let there = &mut elsewhere[usize::from(pool.region)];
            *there = there.plus(*served);
        }
        for (there, served) in elsewhere.iter().enumerate() {
            if there == here {
                continue;
            }
            let name = &regions[there].name;
            let (out, back) = (rule.between[here][there], rule.between[there][here]);
            add(
                &region.name,
                name,
                bytes(served.prompt_tokens, by_prompt),
                out,
            );
            add(
                name,
                &region.name,
                bytes(served.output_tokens, by_output),
                back,
            );
        }
        if let Some(prices) = &rule.to_clients {
            let sent = bytes(answered.output_tokens, by_output);
            add(&region.name, "clients", sent, prices[here]);
        }
    }
    Some(json!({
        "usd_per_hour": usd_per_hour,
        "usd_per_year": usd_per_hour * HOURS_PER_YEAR,
        "ways": rows,
        "basis": "tokens of the requests answered within the measured window; KV between nodes of a \
                  region is not paid for",
    }))
}

/// What stored bytes cost; none where none are stated.
pub(super) fn storage_of(plan: &Plan) -> Option<Value> {
    let rule = plan.money.storage.as_ref()?;
    let bytes = (rule.gb * 1e9).round() as u64;
    let month = SimDuration::from_secs_f64(HOURS_PER_MONTH as f64 * 3_600.0);
    let cost = storage_cost(bytes, month, rule.usd_per_gb_month).ok()?;
    let per_hour = cost.as_usd() / HOURS_PER_MONTH as f64;
    Some(json!({
        "gb": rule.gb,
        "usd_per_gb_month": rule.usd_per_gb_month,
        "usd_per_hour": per_hour,
        "usd_per_year": per_hour * HOURS_PER_YEAR,
        "basis": "as much as [cost.storage] states, all the time; months of 730 hours",
    }))
}
