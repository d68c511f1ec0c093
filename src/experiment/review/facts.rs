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

/// Misses for each one that an objective allows, of the tier that is worst off; what is not decided counts as
/// missed. Where all requests must meet it there is no budget: then it is how many did not.
fn error_budget_used(result: &Value) -> Option<f64> {
    let used = |row: &Value, got: &str, wanted: &str| {
        let number = |name: &str| row.get(name).and_then(Value::as_f64);
        let (counted, open) = (number("counted")?, number("undecided").unwrap_or(0.0));
        let missed = counted * (1.0 - number(got)?) + open;
        Some(match 1.0 - number(wanted)? {
            allowed if allowed > 0.0 => ratio(missed, counted + open)? / allowed,
            _ => missed,
        })
    };
    most(result, "slo", |row| {
        let pairs = [("attained", "target"), ("answered", "availability")];
        let used = pairs.into_iter().filter_map(|(a, b)| used(row, a, b));
        used.max_by(f64::total_cmp)
    })
}

/// Requests answered, of all that came; those under way at the end were not.
fn answered_share(result: &Value) -> Option<f64> {
    let requests = result.get("requests")?;
    let number = |name: &str| requests.get(name).and_then(Value::as_f64);
    ratio(number("completed")?, number("arrived")?)
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

/// What is asked of the fleet over the most that the hardware of all pools that take requests in can do.
/// None of nodes that come and go: there is no one number of them.
fn share_of_physical_limit(result: &Value) -> Option<f64> {
    let physics = result.get("physics")?;
    let pool = rows(physics, "pools").next()?;
    let name = pool.get("name")?.as_str()?;
    let each = pool.get("offered_requests_per_s_per_replica")?.as_f64()?;
    let mut pools = rows(result, "pools");
    let of_name = pools.find(|it| it.get("name").and_then(Value::as_str) == Some(name))?;
    let replicas = of_name.get("replicas")?.as_f64()?;
    if replicas == 0.0 || result.get("capacity").is_some_and(|it| !it.is_null()) {
        return None;
    }
    let of_all = |row: &&Value| {
        let metric = row.get("metric").and_then(Value::as_str);
        metric == Some("throughput.requests_per_s")
    };
    let most = rows(physics, "bounds")
        .find(of_all)?
        .get("at_most")?
        .as_f64()?;
    ratio(each * replicas, most)
}
