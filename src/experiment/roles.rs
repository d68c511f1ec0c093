//! What is particular to fleets with prefill and decode pools: their link, and which side limits.

use serde_json::{Map, Value, json};

use crate::fleet::plan::PoolPlan;
use crate::scenario::resolve::Plan;
use crate::scenario::roles::Role;

use super::result::ratio;
use super::tally::{PoolTally, Tally};

/// Fields of a pool's row that only pools with a role have.
pub fn role_row(plan: &Plan, pool: &PoolPlan, counted: &PoolTally, measured_s: f64) -> Value {
    let Some(transfer) = plan
        .fleet
        .transfer
        .as_ref()
        .filter(|_| pool.role != Role::Mixed)
    else {
        return json!({});
    };
    let mut row = Map::new();
    row.insert("role".to_owned(), json!(pool.role.name()));
    if pool.role == Role::Prefill {
        let links = &counted.links;
        let sent = links.transfers as f64;
        let number = transfer.links_of(pool.replicas);
        let bytes = links.tokens as f64 * transfer.bytes_per_token;
        let wire_s = bytes / transfer.bytes_per_ns / 1e9;
        let wait_s = links.wait_ns as f64 / 1e9;
        let latency_s = sent * transfer.latency.as_secs_f64();
        row.insert(
            "kv_transfer".to_owned(),
            json!({
                "links": number,
                "transfers": links.transfers,
                "mean_mb": ratio(bytes / 1e6, sent),
                "mean_ms": ratio((wire_s + wait_s + latency_s) * 1e3, sent),
                "mean_wait_ms": ratio(wait_s * 1e3, sent),
                "link_utilization": ratio(
                    links.busy_ns as f64 / 1e9,
                    measured_s * f64::from(number),
                ),
            }),
        );
    }
    Value::Object(row)
}

/// How busy the two sides are, and which of them limits; null where no pool has a role.
///
/// A replica is busy while an iteration runs. One that decodes is so as long as it has any sequence
/// at all: half as busy does not mean that it could do twice the work, rather more.
pub fn rate_matching(plan: &Plan, tally: &Tally) -> Value {
    if plan.fleet.transfer.is_none() {
        return Value::Null;
    }
    let utilization = |role: Role| {
        let pools = plan.fleet.pools.iter().zip(&tally.pools);
        let (mut busy_s, mut available_s) = (0.0, 0.0);
        for (_, counted) in pools.filter(|(pool, _)| pool.role == role) {
            busy_s += counted.busy_s;
            available_s += counted.available_s;
        }
        ratio(busy_s, available_s)
    };
    let (prefill, decode) = (utilization(Role::Prefill), utilization(Role::Decode));
    let limits = match prefill > decode {
        true => Role::Prefill,
        false => Role::Decode,
    };
    json!({
        "prefill_utilization": prefill,
        "decode_utilization": decode,
        "limits": limits.name(),
    })
}

/// The requests a second that go through a fleet whose pools do that many each: what its mixed
/// pools do, and the lesser of what its two sides do.
pub fn through(plan: &Plan, of_pool: impl Fn(usize) -> Option<f64>) -> Option<f64> {
    let mut sides = [0.0; 3];
    for (index, pool) in plan.fleet.pools.iter().enumerate() {
        sides[pool.role as usize] += of_pool(index)?;
    }
    let [mixed, prefill, decode] = sides;
    Some(mixed + prefill.min(decode))
}
