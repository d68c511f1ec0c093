//! Figures of a whole fleet that no field of a result has: its `card` section.

use serde_json::{Value, json};

use crate::experiment::result::ratio;

/// The `card` section of a result. A figure that cannot be computed is null.
pub fn facts(result: &Value) -> Value {
    let [waiting_p99, _] = shares(result, "at_p99_ms");
    let [_, overhead] = shares(result, "mean_ms");
    json!({
        "error_budget_used": error_budget_used(result),
        "answered_share": answered_share(result),
        "waiting_share_at_p99": waiting_p99,
        "overhead_share": overhead,
        "kv_peak_share": most(result, "pools", |pool| pool.get("kv_peak_share")?.as_f64()),
        "share_of_physical_limit": share_of_physical_limit(result),
    })
}

fn rows<'a>(result: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    let rows = result.get(name).and_then(Value::as_array);
    rows.into_iter().flatten()
}

fn most(result: &Value, list: &str, of: impl Fn(&Value) -> Option<f64>) -> Option<f64> {
    rows(result, list).filter_map(of).max_by(f64::total_cmp)
}

/// Misses for each one that an objective allows, of the tier that is worst off. Where all requests must
/// meet it there is no budget: none used, or all of it many times.
fn error_budget_used(result: &Value) -> Option<f64> {
    let used = |row: &Value, got: &str, wanted: &str| {
        let got = row.get(got)?.as_f64()?;
        let wanted = row.get(wanted)?.as_f64()?;
        let missed = 1.0 - got;
        Some(match 1.0 - wanted {
            allowed if allowed > 0.0 => missed / allowed,
            _ if missed > 0.0 => 1e9,
            _ => 0.0,
        })
    };
    most(result, "slo", |row| {
        let pairs = [("attained", "target"), ("answered", "availability")];
        let used = pairs.into_iter().filter_map(|(a, b)| used(row, a, b));
        used.max_by(f64::total_cmp)
    })
}

/// Requests answered, of those that were not under way at the end.
fn answered_share(result: &Value) -> Option<f64> {
    let requests = result.get("requests")?;
    let number = |name: &str| requests.get(name).and_then(Value::as_f64);
    let over = number("arrived")? - number("in_flight")?;
    ratio(number("completed")?, over)
}

/// The shares of waiting (queue, retries) and of overhead (wires, gateway, window) in the latency.
fn shares(result: &Value, column: &str) -> [Option<f64>; 2] {
    let of = |parts: &[&str]| -> f64 {
        let within = rows(result, "budget").filter(|row| {
            let part = row.get("part").and_then(Value::as_str);
            part.is_some_and(|part| parts.is_empty() || parts.contains(&part))
        });
        within
            .filter_map(|row| row.get(column).and_then(Value::as_f64))
            .sum()
    };
    let whole = of(&[]);
    [
        ratio(of(&["queue", "retry"]), whole),
        ratio(of(&["network", "gateway", "window"]), whole),
    ]
}

/// What is asked of a replica over the most that its hardware can do, of the pool that is worst off.
fn share_of_physical_limit(result: &Value) -> Option<f64> {
    let pools = result.get("physics")?;
    most(pools, "pools", |pool| {
        let asked = pool.get("offered_requests_per_s_per_replica")?.as_f64()?;
        ratio(asked, pool.get("max_requests_per_s_per_replica")?.as_f64()?)
    })
}
