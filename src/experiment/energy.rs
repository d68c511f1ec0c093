//! Energy and CO2 of the nodes that were ready, and the bytes that left regions.

use serde_json::{Map, Value, json};

use crate::engine::SimDuration;
use crate::fleet::served::Served;
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
    let gb = |tokens: u64, bytes: f64| tokens as f64 * bytes / 1e9;
    let mut rows = Vec::new();
    let mut usd_per_hour = 0.0;
    let mut add = |from: &str, to: &str, gb: f64, usd_per_gb: f64| {
        let per_hour = ratio(gb, hours).unwrap_or(0.0);
        if gb == 0.0 {
            return;
        }
        usd_per_hour += per_hour * usd_per_gb;
        rows.push(json!({
            "from": from,
            "to": to,
            "gb_per_hour": per_hour,
            "usd_per_gb": usd_per_gb,
            "usd_per_hour": per_hour * usd_per_gb,
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
            add(&region.name, name, gb(served.prompt_tokens, by_prompt), out);
            add(
                name,
                &region.name,
                gb(served.output_tokens, by_output),
                back,
            );
        }
        if let Some(prices) = &rule.to_clients {
            let sent = gb(answered.output_tokens, by_output);
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
