//! The nodes that were bought, and what they cost.

use serde_json::Value;

use super::all_abstract;
use super::page::{Page, WIDTH, add, table};
use crate::experiment::result::RunResult;
use crate::report::number::{count, plural, significant, wrap};

/// The section, where nodes are bought.
pub(super) fn nodes(page: &mut Page, result: &RunResult) {
    page.title("Nodes and what they cost");
    let mut rows = table(&[
        "group",
        "market",
        "ready",
        "launched",
        "refused",
        "lost",
        "at once",
        "starts in s",
        "node-hours",
        "US dollars",
    ]);
    let groups = result.capacity["groups"].as_array();
    for group in groups.into_iter().flatten() {
        let text = |key: &str| group[key].as_str().unwrap_or("").to_owned();
        let whole = |key: &str| count(group[key].as_u64().unwrap_or(0));
        let number = |key: &str| significant(group[key].as_f64());
        let name: String = text("name").chars().take(16).collect();
        add(
            &mut rows,
            &[
                name,
                text("market"),
                number("mean_ready"),
                whole("launched"),
                whole("refused"),
                whole("lost"),
                whole("most_lost_at_once"),
                number("mean_cold_start_s"),
                number("billed_node_hours"),
                number("usd"),
            ],
        );
    }
    page.table(&rows);
    let number = |key: &str| result.cost.get(key).and_then(Value::as_f64);
    let mut text = format!(
        "${} an hour, ${} a year; ${} per million requests",
        significant(number("usd_per_hour")),
        significant(number("usd_per_year")),
        significant(number("usd_per_million_requests"))
    );
    if let Some(tokens) = number("usd_per_million_output_tokens").filter(|_| !all_abstract(result))
    {
        text.push_str(&format!(
            ", ${} per million output tokens",
            significant(Some(tokens))
        ));
    }
    if let Some(good) = number("usd_per_million_within_objective") {
        text.push_str(&format!(
            ", ${} per million within the objective",
            significant(Some(good))
        ));
    }
    page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
    let scalers = result.capacity["scalers"].as_array();
    for scaler in scalers.into_iter().flatten() {
        page.line(&format!("  {}", wrap(&scaler_in_words(scaler), WIDTH, 4)));
    }
    let mut note = "ready: nodes that were up, those that drain among them, on average until the \
                    horizon; lost: taken back by the provider; as billed until the horizon"
        .to_owned();
    if result.replications > 1 {
        note.push_str(&format!(
            "; counts, node-hours and dollars of the {} replications together",
            result.replications
        ));
    }
    if result.cost.get("energy").is_some() || result.cost.get("egress").is_some() {
        note.push_str("; without energy and moved bytes, which are below");
    }
    page.line(&format!("  {}", wrap(&note, WIDTH, 2)));
}

fn scaler_in_words(scaler: &Value) -> String {
    let mut text = format!(
        "scaler of {}: {} of what it asks for",
        scaler["group"].as_str().unwrap_or(""),
        plural(scaler["changes"].as_u64().unwrap_or(0), "change")
    );
    if let Some(held) = scaler["limited"].as_u64().filter(|held| *held > 0) {
        text.push_str(&format!(", held back by limits {}", plural(held, "time")));
    }
    if let Some(forecast) = scaler["forecast"].as_object() {
        let number = |key: &str| significant(forecast.get(key).and_then(Value::as_f64));
        text.push_str(&format!(
            "; {} forecasts, off by {} requests/s on average ({} % of what came), bias {}, {} times the \
             error of the season before",
            number("count"),
            number("mae_per_s"),
            number("mape_pct"),
            number("bias_per_s"),
            number("mase")
        ));
    }
    text
}
