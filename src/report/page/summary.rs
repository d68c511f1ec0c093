//! What a run comes to: verdicts and the figures to be seen first.

use serde_json::Value;

use super::folder::RunFolder;
use super::value::{fields, find, number, rows, text, texts, whole};
use super::{Block, Claim, Section, Tile};
use crate::report::number::{count, percent, plural, significant};

/// The summary of a run.
pub(super) fn section(run: &RunFolder) -> Option<Section> {
    let result = &run.result;
    let mut blocks = Vec::new();
    if !run.charts.description.is_empty() {
        let words: Vec<&str> = run.charts.description.split_whitespace().collect();
        blocks.push(Some(Block::Text(words.join(" "))));
    }
    blocks.push(Some(Block::Text(about(result))));
    let mut warnings = texts(result, "warnings");
    if !text(result, "partial").is_empty() {
        warnings.insert(0, format!("Partial: {}.", text(result, "partial")));
    }
    if !warnings.is_empty() {
        blocks.push(Some(Block::Warnings(warnings)));
    }
    blocks.push(Some(Block::Tiles(tiles(result))));
    blocks.push(objectives(result));
    blocks.push(requests(result));
    Section::of("summary", "Summary", blocks)
}

/// The claims of a run.
pub(super) fn claims(run: &RunFolder) -> Option<Section> {
    let claims: Vec<Claim> = rows(&run.result, "claims").iter().map(claim).collect();
    let blocks = vec![(!claims.is_empty()).then_some(Block::Claims(claims))];
    Section::of("claims", "Claims, and why", blocks)
}

fn about(result: &Value) -> String {
    let s = |path| significant(number(result, path));
    format!(
        "{} of simulated time, the first {} s not measured; {}; {} requests came, of which {} were \
         measured.",
        seconds(number(result, "sim.horizon_s")),
        s("sim.warmup_s"),
        plural(whole(result, "replications").unwrap_or(1), "replication"),
        count(whole(result, "requests.arrived").unwrap_or(0)),
        count(whole(result, "requests.measured").unwrap_or(0)),
    )
}

/// A time in the unit that people would say it in.
pub(super) fn seconds(value: Option<f64>) -> String {
    match value {
        Some(s) if s >= 172_800.0 => format!("{} days", significant(Some(s / 86_400.0))),
        Some(s) if s >= 7_200.0 => format!("{} h", significant(Some(s / 3_600.0))),
        value => format!("{} s", significant(value)),
    }
}

/// A figure to be seen first.
pub(super) fn tile(name: &str, value: String, more: String, good: Option<bool>) -> Tile {
    Tile {
        name: name.to_owned(),
        value,
        more,
        good,
    }
}

fn tiles(result: &Value) -> Vec<Tile> {
    let mut tiles = Vec::new();
    tiles.extend(verdict(result));
    tiles.extend(attained(result));
    let rate = number(result, "throughput.requests_per_s");
    if rate.is_some() {
        let tokens = number(result, "throughput.output_tokens_per_s").filter(|it| *it > 0.0);
        let more = tokens.map_or_else(String::new, |tokens| {
            format!("{} output tokens/s", significant(Some(tokens)))
        });
        let value = format!("{}/s", significant(rate));
        tiles.push(tile("Requests answered", value, more, None));
    }
    for (name, latency) in [("TTFT, p99", "ttft_ms"), ("E2E, p99", "e2e_ms")] {
        let p99 = number(result, &format!("latency.{latency}.p99"));
        if p99.is_some() {
            let median = number(result, &format!("latency.{latency}.p50"));
            let between = interval(result, &format!("intervals.{latency}.p99"));
            let more = format!("median {} ms{between}", significant(median));
            tiles.push(tile(name, format!("{} ms", significant(p99)), more, None));
        }
    }
    tiles.extend(busiest(result));
    let year =
        number(result, "cost.total_usd_per_year").or_else(|| number(result, "cost.usd_per_year"));
    if year.is_some() {
        let tokens = number(result, "cost.usd_per_million_output_tokens");
        let more = tokens.map_or_else(String::new, |usd| {
            format!("${} per million output tokens", significant(Some(usd)))
        });
        let value = format!("${}", significant(year));
        tiles.push(tile("Cost a year", value, more, None));
    }
    tiles
}

/// The interval at a path, in words.
fn interval(result: &Value, path: &str) -> String {
    let end = |name: &str| number(result, &format!("{path}.{name}"));
    match (end("low"), end("high"), end("confidence")) {
        (Some(low), Some(high), Some(confidence)) => format!(
            "; {} interval {} to {} ms",
            percent(Some(confidence)).replace(".0 %", " %"),
            significant(Some(low)),
            significant(Some(high))
        ),
        _ => String::new(),
    }
}

fn verdict(result: &Value) -> Option<Tile> {
    let claims = rows(result, "claims");
    let of = |verdict: &str| {
        let found = claims.iter().filter(|it| text(it, "verdict") == verdict);
        found.count()
    };
    if claims.is_empty() {
        return None;
    }
    let rest = ["fails", "impossible", "untested"];
    let rest = rest.map(|verdict| (of(verdict), verdict));
    let rest: Vec<String> = rest
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, verdict)| format!("{count} {verdict}"))
        .collect();
    let holds = of("holds");
    let value = format!("{holds} of {}", claims.len());
    let good = Some(holds == claims.len());
    Some(tile("Claims that hold", value, rest.join(", "), good))
}

fn attained(result: &Value) -> Option<Tile> {
    let stated = rows(result, "slo").iter();
    let worst = stated
        .filter(|row| number(row, "target").is_some() && number(row, "attained").is_some())
        .min_by(|a, b| {
            let room = |row: &Value| {
                let missed = |path| 1.0 - number(row, path).unwrap_or(0.0);
                -missed("attained") / missed("target").max(1e-12)
            };
            room(a).total_cmp(&room(b))
        })?;
    let met = find(worst, "met").and_then(Value::as_bool);
    let word = match met {
        Some(true) => "met",
        Some(false) => "not met",
        None => "not decided",
    };
    let more = format!(
        "{word}: {} asked for, tier {}",
        percent(number(worst, "target")),
        text(worst, "tier")
    );
    let value = percent(number(worst, "attained"));
    Some(tile("Within the objective", value, more, met))
}

fn busiest(result: &Value) -> Option<Tile> {
    let pools = rows(result, "pools").iter();
    let busy = pools.filter_map(|pool| Some((number(pool, "utilization")?, text(pool, "name"))));
    let (share, name) = busy.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let more = format!("pool {name}");
    Some(tile("Busiest pool", percent(Some(share)), more, None))
}

fn objectives(result: &Value) -> Option<Block> {
    let stated = rows(result, "slo").iter();
    let rows = stated.filter(|row| number(row, "target").is_some());
    let rows = rows.map(|row| {
        let met = find(row, "met").and_then(Value::as_bool);
        vec![
            text(row, "tier").to_owned(),
            percent(number(row, "attained")),
            percent(number(row, "target")),
            match met {
                Some(true) => "✓ met".to_owned(),
                Some(false) => "✗ not met".to_owned(),
                None => "? not decided".to_owned(),
            },
            format!("{}/s", significant(number(row, "goodput_rps"))),
            count(whole(row, "counted").unwrap_or(0)),
        ]
    });
    let head = [
        "Tier",
        "Attained",
        "Asked for",
        "Verdict",
        "Goodput",
        "Requests",
    ];
    Block::table("Objectives", &head, rows.collect(), false)
}

/// What became of the requests, and why.
fn requests(result: &Value) -> Option<Block> {
    let arrived = number(result, "requests.arrived").filter(|it| *it > 0.0)?;
    let share = |count: u64| percent(Some(count as f64 / arrived));
    let ways = [
        "completed",
        "rejected",
        "shed",
        "timed_out",
        "failed",
        "cancelled",
        "in_flight",
    ];
    let rows = ways.iter().filter_map(|way| {
        let found = whole(result, &format!("requests.{way}"))?;
        (found > 0 || *way == "completed").then(|| {
            let by = fields(result, &format!("requests.{way}_by"));
            let reasons = by.iter().filter_map(|(reason, number)| {
                let found = number.as_u64().filter(|it| *it > 0)?;
                Some(format!("{} {}", reason.replace('_', " "), count(found)))
            });
            let reasons: Vec<String> = reasons.collect();
            vec![
                way.replace('_', " "),
                count(found),
                share(found),
                reasons.join(", "),
            ]
        })
    });
    let head = ["Requests", "How many", "Share", "By reason"];
    Block::table("What became of the requests", &head, rows.collect(), false)
}

fn claim(row: &Value) -> Claim {
    let unit = match text(row, "metric").starts_with("percent change of") {
        true => " %",
        false => "",
    };
    let value = |path: &str| match number(row, path) {
        Some(value) => format!("{}{unit}", significant(Some(value))),
        None => "nothing".to_owned(),
    };
    let mut observed = format!("{}: observed {}", text(row, "metric"), value("observed"));
    if let (Some(low), Some(high)) = (number(row, "interval.low"), number(row, "interval.high")) {
        let ends = (significant(Some(low)), significant(Some(high)));
        observed.push_str(&format!(" (interval {} to {})", ends.0, ends.1));
    }
    observed.push_str(&format!(
        ", claimed {} {}",
        text(row, "relation").replace('_', " "),
        value("expected")
    ));
    if let Some(percent) = number(row, "tolerance_pct").filter(|it| *it > 0.0) {
        observed.push_str(&format!(" within {} %", significant(Some(percent))));
    }
    if let Some(other) = number(row, "counterfactual") {
        observed.push_str(&format!(" (counterfactual {})", significant(Some(other))));
    }
    let variant = text(row, "variant");
    Claim {
        id: match variant.is_empty() {
            true => text(row, "id").to_owned(),
            false => format!("{} (variant {variant})", text(row, "id")),
        },
        text: text(row, "text").to_owned(),
        verdict: text(row, "verdict").to_owned(),
        observed,
        why: text(row, "why").to_owned(),
    }
}
