//! The table of latencies.

use serde_json::Value;

use super::all_abstract;
use super::page::{Page, WIDTH, add, table};
use crate::experiment::claims::short;
use crate::experiment::result::RunResult;
use crate::measure::Summary;
use crate::report::number::{count, percent, significant, wrap};

/// Quantiles of the latencies, with their intervals.
pub(super) fn latency(page: &mut Page, result: &RunResult) {
    page.title("Latency, ms");
    let mut latencies = table(&[
        "",
        "mean",
        "p50",
        "p90",
        "p95",
        "p99",
        "p99.9",
        "max",
        "p99 from-to",
        "samples",
    ]);
    let mut thin = Vec::new();
    for (label, key, summary) in [
        ("TTFT", "ttft_ms", &result.latency.ttft_ms),
        ("TPOT", "tpot_ms", &result.latency.tpot_ms),
        ("E2E", "e2e_ms", &result.latency.e2e_ms),
        ("queue", "queue_ms", &result.latency.queue_ms),
    ] {
        let repeats_e2e = label == "TTFT" && all_abstract(result);
        if summary.count == 0 || repeats_e2e {
            continue;
        }
        let end = |end: &str| {
            let found = result.intervals.pointer(&format!("/{key}/p99/{end}"));
            found.and_then(Value::as_f64)
        };
        let interval = end("low").zip(end("high"));
        add(&mut latencies, &latency_row(label, summary, interval));
        if !summary.thin.is_empty() {
            let names = summary.thin.join(", ").replace("p999", "p99.9");
            thin.push(format!("{label} {names}"));
        }
    }
    if latencies.row_count() == 0 {
        page.line("  no request that was measured completed");
        return;
    }
    page.table(&latencies);
    let counted = &result.requests;
    if counted.measured_completed < counted.measured {
        let share = counted.measured_completed as f64 / counted.measured as f64;
        page.line(&format!(
            "  NOTE: these are of the {} of measured requests that completed, not of the others",
            percent(Some(share))
        ));
    }
    let method = match result.replications {
        1 => "batch means of this run",
        _ => "the replications",
    };
    let interval = match confidence(result) {
        Some(confidence) => {
            format!("; from-to is the {confidence} interval for p99, from {method}")
        }
        None => String::new(),
    };
    let note = format!("quantiles are kept to 0.1 %{interval}");
    page.line(&format!("  {}", wrap(&note, WIDTH, 2)));
    if !thin.is_empty() {
        let note = format!(
            "* fewer than ten requests lie beyond it ({}): run for longer to trust it",
            thin.join("; ")
        );
        page.line(&format!("  {}", wrap(&note, WIDTH, 4)));
    }
}

/// The confidence that the intervals have, which is the same for all.
fn confidence(result: &RunResult) -> Option<String> {
    let found = ["e2e_ms", "ttft_ms"]
        .iter()
        .find_map(|key| result.intervals.pointer(&format!("/{key}/mean/confidence")));
    let confidence = found.and_then(Value::as_f64)?;
    Some(format!("{} %", short(confidence * 100.0)))
}

fn latency_row(label: &str, summary: &Summary, interval: Option<(f64, f64)>) -> Vec<String> {
    // Seven digits and their commas would make the row too wide.
    let figure = |value: Option<f64>| match value {
        Some(value) if value >= 999_999.5 => format!("{value:.3e}"),
        value => significant(value),
    };
    let quantile = |name: &str, value: Option<f64>| {
        let mark = if summary.thin.contains(&name) {
            "*"
        } else {
            ""
        };
        format!("{}{mark}", figure(value))
    };
    vec![
        label.to_owned(),
        figure(summary.mean),
        quantile("p50", summary.p50),
        quantile("p90", summary.p90),
        quantile("p95", summary.p95),
        quantile("p99", summary.p99),
        quantile("p999", summary.p999),
        figure(summary.max),
        interval.map_or("-".to_owned(), |(low, high)| {
            format!("{}-{}", figure(Some(low)), figure(Some(high)))
        }),
        count(summary.count),
    ]
}
