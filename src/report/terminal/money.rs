//! Price and performance by part and tier, energy, and moved bytes.

use serde_json::Value;

use super::all_abstract;
use super::page::{Page, WIDTH, add, table};
use crate::experiment::result::RunResult;
use crate::report::number::{count, percent, significant, wrap};

/// What costs come to by part and tier, where there are several, and what else is paid for.
pub(super) fn details(page: &mut Page, result: &RunResult) {
    parts(page, result);
    tiers(page, result);
    energy(page, result);
    egress(page, result);
    storage(page, result);
}

fn storage(page: &mut Page, result: &RunResult) {
    let Some(storage) = result.cost.get("storage") else {
        return;
    };
    let number = |key: &str| significant(storage[key].as_f64());
    page.title("Stored bytes");
    page.line(&format!(
        "  {} GB at ${} a GB and month: ${} a year",
        number("gb"),
        number("usd_per_gb_month"),
        number("usd_per_year")
    ));
}

fn short(text: &str) -> String {
    text.chars().take(18).collect()
}

/// The table of parts: what an accelerator costs, and what comes of it.
fn parts(page: &mut Page, result: &RunResult) {
    let Some(parts) = result.cost.get("by_part").and_then(Value::as_array) else {
        return;
    };
    if parts.len() < 2 {
        return;
    }
    page.title("Price and performance by part");
    let tokens = !all_abstract(result);
    let what = if tokens { "output tokens" } else { "requests" };
    let mut rows = table(&[
        "part",
        "number",
        "$/h each",
        "per s",
        "each",
        "busy",
        "in time",
        "$ per million",
        "kWh",
    ]);
    for part in parts {
        let value = |key: &str| part[key].as_f64();
        let (rate, unit) = match tokens {
            true => ("output_tokens_per_s", "usd_per_million_output_tokens"),
            false => ("requests_per_s", "usd_per_million_requests"),
        };
        let accelerators = value("mean_accelerators");
        let each = value(rate).zip(accelerators).map(|(rate, of)| rate / of);
        let each = each.filter(|each| each.is_finite());
        add(
            &mut rows,
            &[
                short(part["name"].as_str().unwrap_or("")),
                significant(accelerators),
                significant(value("usd_per_gpu_hour")),
                significant(value(rate)),
                significant(each),
                percent(value("utilization")),
                percent(value("within_objective")),
                significant(value(unit)),
                significant(value("kwh_per_million_output_tokens")),
            ],
        );
    }
    page.table(&rows);
    let note = format!(
        "number: accelerators, on average; {what} per s of all and of each, $ and kWh per million of \
         them; in time: of the requests answered"
    );
    page.line(&format!("  {}", wrap(&note, WIDTH, 2)));
}

/// What each tier costs and how its work waited.
fn tiers(page: &mut Page, result: &RunResult) {
    let deadlines = result
        .tiers
        .iter()
        .any(|tier| !tier["deadline_s"].is_null());
    if result.tiers.len() < 2 && !deadlines {
        return;
    }
    page.title("Tiers");
    let mut rows = table(&[
        "tier",
        "answered/s",
        "backlog",
        "at most",
        "at the end",
        "deadline s",
        "kept",
        "$/year",
        "$ per million",
    ]);
    for tier in &result.tiers {
        let name = tier["name"].as_str().unwrap_or("");
        let value = |key: &str| tier[key].as_f64();
        let whole = |key: &str| count(tier[key].as_u64().unwrap_or(0));
        let cost = |key: &str| significant(result.cost["by_tier"][name][key].as_f64());
        add(
            &mut rows,
            &[
                short(name),
                significant(value("requests_per_s")),
                significant(value("backlog_mean")),
                whole("backlog_most"),
                whole("backlog_at_end"),
                significant(value("deadline_s")),
                percent(value("by_deadline_share")),
                cost("usd_per_year"),
                cost("usd_per_million_requests"),
            ],
        );
    }
    page.table(&rows);
    let note = "backlog: requests that have come and are not over; costs by the tokens that each pool \
                answered; $ per million requests";
    page.line(&format!("  {}", wrap(note, WIDTH, 2)));
}

fn energy(page: &mut Page, result: &RunResult) {
    let Some(energy) = result.cost.get("energy") else {
        return;
    };
    let number = |key: &str| significant(energy[key].as_f64());
    page.title("Energy");
    let mut text = format!(
        "{} kW, {} kWh and {} kg of CO2 a year",
        number("kw"),
        number("kwh_per_year"),
        number("kg_co2_per_year")
    );
    if !all_abstract(result) {
        text.push_str(&format!(
            "; {} kWh and {} g of CO2 per million output tokens",
            number("kwh_per_million_output_tokens"),
            number("g_co2_per_million_output_tokens")
        ));
    }
    if let Some(usd) = energy["usd_per_year"].as_f64() {
        text.push_str(&format!("; ${} a year", significant(Some(usd))));
    }
    page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
    let basis = energy["basis"].as_str().unwrap_or("");
    page.line(&format!("  {}", wrap(basis, WIDTH, 2)));
}

fn egress(page: &mut Page, result: &RunResult) {
    let Some(egress) = result.cost.get("egress") else {
        return;
    };
    page.title("Bytes that leave regions");
    for way in egress["ways"].as_array().into_iter().flatten() {
        let text = |key: &str| way[key].as_str().unwrap_or("").to_owned();
        let number = |key: &str| significant(way[key].as_f64());
        page.item(&format!(
            "{} to {}: {} GB an hour at ${} a GB, ${} an hour",
            text("from"),
            text("to"),
            number("gb_per_hour"),
            number("usd_per_gb"),
            number("usd_per_hour")
        ));
    }
    let year = significant(egress["usd_per_year"].as_f64());
    page.line(&format!("  ${year} a year"));
}

/// The scenario and its variants in one table, and which of them is the cheapest that will do.
pub(super) fn side_by_side(page: &mut Page, result: &RunResult) {
    if result.variants.is_empty() {
        return;
    }
    page.title("Side by side");
    let mut rows = table(&[
        "variant",
        "answered/s",
        "p50 ms",
        "p99 ms",
        "in time",
        "SLO",
        "nodes",
        "lost",
        "starts",
        "$/year",
    ]);
    let variants = result.variants.iter().map(|(name, it)| (name.as_str(), it));
    let all: Vec<(&str, &RunResult)> = std::iter::once(("(as written)", result))
        .chain(variants)
        .collect();
    for (name, variant) in &all {
        let groups = variant.capacity["groups"].as_array();
        let sum = |key: &str| {
            groups.map(|groups| groups.iter().filter_map(|it| it[key].as_f64()).sum::<f64>())
        };
        add(
            &mut rows,
            &[
                short(name),
                significant(variant.throughput.requests_per_s),
                significant(variant.latency.e2e_ms.p50),
                significant(variant.latency.e2e_ms.p99),
                percent(least_attained(variant)),
                verdict(variant).to_owned(),
                significant(sum("mean_ready")),
                significant(sum("lost")),
                significant(sum("cold_starts")),
                significant(usd_per_year(variant)),
            ],
        );
    }
    page.table(&rows);
    let note = "p50 and p99: end to end; in time: of the tier that is worst off; nodes: ready on average; starts: \
         cold ones"
        .to_owned();
    page.line(&format!("  {}", wrap(&note, WIDTH, 2)));
    let words: Vec<String> = series_of(&all)
        .into_iter()
        .filter_map(|(series, members)| {
            let (name, usd) = cheapest(&members)?;
            let usd = significant(Some(usd));
            Some(match series {
                Some(series) => format!("of {series}-...: {name}, ${usd} a year"),
                None => format!("{name}, ${usd} a year"),
            })
        })
        .collect();
    if !words.is_empty() {
        let text = format!("cheapest that meets its objectives: {}", words.join("; "));
        page.line(&format!("  {}", wrap(&text, WIDTH, 2)));
    }
}

type Members<'a> = Vec<(&'a str, &'a RunResult)>;

/// Variants that differ by a number at the end of their names are a series; all others are compared
/// together.
fn series_of<'a>(all: &[(&'a str, &'a RunResult)]) -> Vec<(Option<&'a str>, Members<'a>)> {
    let stem = |name: &'a str| {
        let (stem, number) = name.rsplit_once('-')?;
        (!number.is_empty() && number.bytes().all(|it| it.is_ascii_digit())).then_some(stem)
    };
    let mut series: Vec<(Option<&str>, Members<'a>)> = Vec::new();
    for (name, result) in all {
        let own = stem(name);
        match series.iter_mut().find(|(known, _)| *known == own) {
            Some((_, members)) => members.push((name, result)),
            None => series.push((own, vec![(name, result)])),
        }
    }
    series.retain(|(_, members)| members.len() > 1);
    series
}

fn least_attained(result: &RunResult) -> Option<f64> {
    let shares = result.slo.iter().filter_map(|row| row.attained);
    shares.min_by(f64::total_cmp)
}

fn verdict(result: &RunResult) -> &'static str {
    let met = || result.slo.iter().filter_map(|row| row.met);
    match met().next() {
        None => "-",
        Some(_) if met().all(|met| met) => "met",
        Some(_) => "missed",
    }
}

fn usd_per_year(result: &RunResult) -> Option<f64> {
    result
        .cost
        .get("total_usd_per_year")
        .and_then(Value::as_f64)
}

/// The cheapest of those that meet all their objectives, where costs differ.
fn cheapest<'a>(all: &[(&'a str, &RunResult)]) -> Option<(&'a str, f64)> {
    let prices = || all.iter().filter_map(|(_, it)| usd_per_year(it));
    let first = prices().next()?;
    if prices().all(|usd| usd == first) {
        return None;
    }
    let good = all.iter().filter(|(_, it)| verdict(it) == "met");
    let priced = good.filter_map(|(name, it)| Some((*name, usd_per_year(it)?)));
    priced.min_by(|a, b| a.1.total_cmp(&b.1))
}
