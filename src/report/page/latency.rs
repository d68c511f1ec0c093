//! Distributions of latencies, with intervals.

use serde_json::Value;

use super::folder::RunFolder;
use super::value::{number, rows, text, whole};
use super::{Block, Section};
use crate::experiment::charts::Curve;
use crate::report::chart::{Axis, Body, Bound, Chart, Line, Scale, colour};
use crate::report::number::{count, plural, significant};

/// Quantiles that have intervals.
const WITH_INTERVALS: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)];

/// What a latency is called, and its colour.
pub(super) fn named(latency: &str) -> (&'static str, usize) {
    match latency {
        "ttft_ms" => ("TTFT", colour::BLUE),
        "tpot_ms" => ("TPOT", colour::GREEN),
        "queue_ms" => ("Queue", colour::PURPLE),
        _ => ("E2E", colour::ORANGE),
    }
}

/// The latencies of a run.
pub(super) fn section(run: &RunFolder, part: &str) -> Option<Section> {
    let chart = Block::chart(distribution(run, part));
    Section::of("latency", "Latency", vec![chart, table(run)])
}

fn distribution(run: &RunFolder, part: &str) -> Chart {
    let mut lines = Vec::new();
    for curve in run.charts.latency.iter().filter(|it| it.count > 0) {
        let (name, colour) = named(&curve.name);
        let mut line = Line::new(name, colour, points(curve));
        line.whiskers = whiskers(&run.result, &curve.name);
        line.dashed = matches!(curve.name.as_str(), "tpot_ms" | "queue_ms");
        // What is nothing for most would only stretch the axis.
        line.hidden = curve.name == "queue_ms" || is_nothing(curve);
        lines.push(line);
    }
    for curve in run.charts.floors.iter().filter(|it| it.count > 0) {
        let (name, _) = named(&curve.name);
        let name = format!("{name} the hardware allows");
        let mut line = Line::new(&name, colour::GREY, points(curve));
        line.dashed = curve.name == "ttft_ms";
        line.hidden = true;
        lines.push(line);
    }
    let x = Axis::of("Latency, ms", Scale::Log);
    let axes = (x, Axis::share("Share of requests at most that"));
    let mut chart = Chart::new(
        &format!("{part}-latency"),
        "Distribution of latencies",
        axes,
        Body::Lines { series: lines },
    );
    chart.bounds = bounds(run);
    chart.saying(says(run))
}

fn is_nothing(curve: &Curve) -> bool {
    curve.points.iter().all(|point| point.0 <= 0.0)
}

/// Points on a logarithmic axis: what is 0 has no place there.
fn points(curve: &Curve) -> Vec<(f64, Option<f64>)> {
    let shown = curve.points.iter().filter(|point| point.0 > 0.0);
    let mut points: Vec<(f64, Option<f64>)> = shown.map(|point| (point.0, Some(point.1))).collect();
    // A single value is a step.
    if let [(x, _)] = points[..] {
        points.insert(0, (x, Some(0.0)));
    }
    points
}

fn whiskers(result: &Value, latency: &str) -> Vec<(f64, f64, f64)> {
    let each = WITH_INTERVALS.iter().filter_map(|(name, share)| {
        let end = |end: &str| number(result, &format!("intervals.{latency}.{name}.{end}"));
        let (low, high) = (end("low")?, end("high")?);
        // An interval may reach below 0, where the axis does not.
        let estimate = number(result, &format!("latency.{latency}.{name}"))?;
        let low = if low > 0.0 { low } else { estimate / 10.0 };
        (estimate > 0.0).then_some((low, high, *share))
    });
    each.collect()
}

fn bounds(run: &RunFolder) -> Vec<Bound> {
    let several = run.charts.objectives.iter().any(|it| {
        let first = run.charts.objectives.first();
        first.is_some_and(|first| first.tier != it.tier)
    });
    let bounds = run.charts.objectives.iter().map(|objective| {
        let (name, _) = named(&objective.latency);
        let of = match several {
            true => format!(", {}", objective.tier),
            false => String::new(),
        };
        Bound {
            what: format!(
                "{name} at most {} ms{of}",
                significant(Some(objective.at_most_ms))
            ),
            at: objective.at_most_ms,
            with: Some(name.to_owned()),
        }
    });
    bounds.collect()
}

fn says(run: &RunFolder) -> String {
    let each = run.charts.latency.iter().filter(|it| it.count > 0);
    let each = each.filter(|it| !is_nothing(it)).map(|curve| {
        let (name, _) = named(&curve.name);
        let at = |q: &str| significant(number(&run.result, &format!("latency.{}.{q}", curve.name)));
        format!(
            "{name}: half within {} ms, 99 % within {} ms",
            at("p50"),
            at("p99")
        )
    });
    let each: Vec<String> = each.collect();
    let intervals = WITH_INTERVALS
        .iter()
        .any(|(name, _)| number(&run.result, &format!("intervals.e2e_ms.{name}.low")).is_some());
    let more = match intervals {
        true => {
            let percent = significant(Some(run.charts.confidence * 100.0));
            format!(" Bars: {percent} % intervals at p50, p90, p95 and p99.")
        }
        false => String::new(),
    };
    format!("{}.{more}", each.join("; "))
}

/// What an interval rests on, in words.
fn basis(result: &Value, path: &str) -> String {
    let many = whole(result, &format!("{path}.n")).unwrap_or(0);
    match text(result, &format!("{path}.method")) {
        "replications" => plural(many, "replication"),
        _ => format!(
            "the means of {}",
            plural(many, "batch").replace("batchs", "batches")
        ),
    }
}

fn table(run: &RunFolder) -> Option<Block> {
    let result = &run.result;
    let rows = run.charts.latency.iter().map(|curve| {
        let at = |name: &str| {
            let value = number(result, &format!("latency.{}.{name}", curve.name));
            let of = format!("intervals.{}.{name}", curve.name);
            let (low, high) = (
                number(result, &format!("{of}.low")),
                number(result, &format!("{of}.high")),
            );
            let thin = rows(result, &format!("latency.{}.thin", curve.name));
            let thin = match thin.iter().any(|it| it == name) {
                true => " (few samples)",
                false => "",
            };
            match (low, high) {
                (Some(low), Some(high)) => format!(
                    "{} [{}, {}]{thin}",
                    significant(value),
                    significant(Some(low)),
                    significant(Some(high))
                ),
                _ => format!("{}{thin}", significant(value)),
            }
        };
        let mut row = vec![named(&curve.name).0.to_owned()];
        row.extend(["mean", "p50", "p90", "p95", "p99", "p999", "max"].map(at));
        row.push(count(curve.count));
        row
    });
    let how = ["p50", "p99", "mean"]
        .iter()
        .map(|name| format!("intervals.e2e_ms.{name}"))
        .find(|path| !text(result, &format!("{path}.method")).is_empty());
    let caption = match how {
        Some(path) => format!(
            "Latencies in ms, with {} % intervals from {}",
            significant(Some(run.charts.confidence * 100.0)),
            basis(result, &path)
        ),
        None => "Latencies in ms".to_owned(),
    };
    let head = [
        "Latency", "Mean", "p50", "p90", "p95", "p99", "p99.9", "Max", "Samples",
    ];
    Block::table(&caption, &head, rows.collect(), false)
}
