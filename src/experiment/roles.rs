//! What is particular to fleets with prefill and decode pools: their link, and which side limits.

use serde_json::{Map, Value, json};

use crate::fleet::meters::LinkMeter;
use crate::fleet::plan::PoolPlan;
use crate::report::number::significant;
use crate::scenario::resolve::Plan;
use crate::scenario::roles::{Role, SharedBy};

use super::estimate::{Sheet, row};
use super::result::ratio;
use super::tally::{PoolTally, Tally};
use super::theory::{mean_tokens, offered};

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

/// How busy prefill, links and decode are, how long requests wait for each, and which limits. Null
/// where no pool has a role.
///
/// The side that is waited for longer limits: busy time alone cannot say it. A replica is busy while
/// an iteration runs, and one that decodes has some sequence nearly always, so that it is as good
/// as 100 % busy long before it can do no more. A link that is busier than the replicas which it
/// leaves without blocks is what they wait for.
pub fn rate_matching(plan: &Plan, tally: &Tally) -> Value {
    let Some(transfer) = &plan.fleet.transfer else {
        return Value::Null;
    };
    let (prefill, decode) = (
        side(plan, tally, Role::Prefill),
        side(plan, tally, Role::Decode),
    );
    let links: u32 = plan
        .fleet
        .pools_of(Role::Prefill)
        .map(|pool| transfer.links_of(pool.replicas))
        .sum();
    let links = match transfer.shared_by {
        SharedBy::Fleet => 1,
        SharedBy::Replica | SharedBy::Pool => links,
    };
    let link_busy = ratio(
        prefill.links.busy_ns as f64 / 1e9,
        tally.measured_s * f64::from(links),
    );
    let link_wait = ratio(
        prefill.links.wait_ns as f64 / 1e6,
        prefill.links.transfers as f64,
    );
    let limits = if link_busy > prefill.busy && link_wait > decode.wait_ms {
        "link"
    } else if (prefill.wait_ms, prefill.busy) > (decode.wait_ms, decode.busy) {
        "prefill"
    } else {
        "decode"
    };
    json!({
        "prefill_utilization": prefill.busy,
        "prefill_mean_wait_ms": prefill.wait_ms,
        "link_utilization": link_busy,
        "link_mean_wait_ms": link_wait,
        "decode_utilization": decode.busy,
        "decode_mean_wait_ms": decode.wait_ms,
        "limits": limits,
    })
}

/// What the pools of a role did together.
struct Side {
    busy: Option<f64>,
    wait_ms: Option<f64>,
    links: LinkMeter,
}

fn side(plan: &Plan, tally: &Tally, role: Role) -> Side {
    let pools = plan.fleet.pools.iter().zip(&tally.pools);
    let (mut busy_s, mut available_s) = (0.0, 0.0);
    let (mut wait_s, mut completed) = (0.0, 0);
    let mut links = LinkMeter::default();
    for (_, counted) in pools.filter(|(pool, _)| pool.role == role) {
        busy_s += counted.busy_s;
        available_s += counted.available_s;
        wait_s += counted.wait_s;
        completed += counted.completed;
        links.merge(&counted.links);
    }
    Side {
        busy: ratio(busy_s, available_s),
        wait_ms: ratio(wait_s * 1e3, completed as f64),
        links,
    }
}

/// The way of KV by closed forms, where pools have roles.
pub fn transfer_sheet(plan: &Plan) -> Option<Sheet> {
    let transfer = plan.fleet.transfer.as_ref()?;
    let (prompt, output) = mean_tokens(plan)?;
    let bytes = prompt * transfer.bytes_per_token;
    let (ms, latency) = (
        bytes / transfer.bytes_per_ns / 1e6,
        transfer.latency.as_ms_f64(),
    );
    let number = |value: f64| significant(Some(value));
    let mut rows = vec![
        row(
            "KV of a mean prompt",
            "prompt tokens x KV bytes per token",
            format!("{} x {}", number(prompt), transfer.bytes_per_token),
            Some(bytes / 1e6),
            "MB",
        ),
        row(
            "its transfer on a free link",
            "KV / bandwidth + latency",
            format!(
                "{} MB / {} GB/s + {} ms",
                number(bytes / 1e6),
                number(transfer.bytes_per_ns),
                number(latency)
            ),
            Some(ms + latency),
            "ms",
        ),
    ];
    let replicas: u32 = plan
        .fleet
        .pools_of(Role::Prefill)
        .map(|pool| pool.replicas)
        .sum();
    let mixed = plan.fleet.pools_of(Role::Mixed).next().is_some();
    if let (Some((rate, _)), SharedBy::Replica, false) = (offered(plan), transfer.shared_by, mixed)
        && output > 1.0
    {
        rows.push(row(
            "load of a link",
            "rate x KV / bandwidth / links",
            format!("{} x {} ms / {replicas}", number(rate), number(ms)),
            Some(rate * ms / 1e3 / f64::from(replicas)),
            "1",
        ));
    }
    Some(Sheet {
        title: "KV transfer".to_owned(),
        note: None,
        rows,
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
