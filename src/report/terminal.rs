//! The terminal page of a run.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use serde_json::Value;

use crate::experiment::claims::{Judgement, Verdict, short};
use crate::experiment::result::RunResult;
use crate::experiment::runner::Outcome;
use crate::measure::Summary;

use super::number::{bar, count, percent, significant, wrap};

/// Columns a page takes.
const WIDTH: usize = 100;
/// Columns of a bar.
const BAR: usize = 30;

/// The page.
pub fn render(outcome: &Outcome) -> String {
    let result = &outcome.result;
    let mut page = Page(String::new());
    head(&mut page, outcome);
    warnings(&mut page, result);
    assumptions(&mut page, result);
    requests(&mut page, result);
    latency(&mut page, result);
    budget(&mut page, result);
    objectives(&mut page, result);
    pools(&mut page, result);
    theory(&mut page, result);
    cost(&mut page, result);
    for (name, variant) in &result.variants {
        page.title(&format!("==== Variant {name}"));
        let changed = outcome.plan.scenario.variants.get(name);
        for (path, value) in changed.into_iter().flatten() {
            page.item(&format!("{path} = {value}"));
        }
        warnings(&mut page, variant);
        requests(&mut page, variant);
        latency(&mut page, variant);
        pools(&mut page, variant);
        theory(&mut page, variant);
    }
    if !result.variants.is_empty() && !result.claims.is_empty() {
        page.title("====");
    }
    claims(&mut page, result);
    provenance(&mut page, result);
    page.0
}

struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text.trim_end());
        self.0.push('\n');
    }

    fn title(&mut self, text: &str) {
        self.0.push('\n');
        self.line(text);
    }

    fn item(&mut self, text: &str) {
        self.line(&format!("  - {}", wrap(text, WIDTH, 4)));
    }

    fn table(&mut self, table: &Table) {
        for line in table.lines() {
            self.line(&format!(" {line}"));
        }
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        // A number broken over two lines would be read as another number.
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(
        header
            .iter()
            .enumerate()
            .map(|(index, name)| aligned(index, name)),
    );
    table
}

/// The first column is a name, the others are numbers.
fn aligned(index: usize, text: &str) -> Cell {
    let alignment = match index {
        0 => CellAlignment::Left,
        _ => CellAlignment::Right,
    };
    Cell::new(text).set_alignment(alignment)
}

fn add(table: &mut Table, cells: &[String]) {
    table.add_row(
        cells
            .iter()
            .enumerate()
            .map(|(index, text)| aligned(index, text)),
    );
}

fn head(page: &mut Page, outcome: &Outcome) {
    let result = &outcome.result;
    if let Some(partial) = &result.partial {
        page.line(&format!("PARTIAL RESULT: {partial}"));
        page.line("");
    }
    let replications = match result.replications {
        1 => String::new(),
        n => format!(", {n} replications"),
    };
    page.line(&format!(
        "{}: seed {}{replications}",
        result.scenario, result.seed
    ));
    let description = &outcome.plan.scenario.description;
    if !description.is_empty() {
        page.line(&wrap(description, WIDTH, 0));
    }
    let sim = &result.sim;
    // A run that was cut short measured no further than it came.
    let to_s = match result.partial {
        Some(_) => sim.horizon_s.min(sim.end_s),
        None => sim.horizon_s,
    };
    let measured = match to_s > sim.warmup_s {
        true => format!(
            "measured from {} s to {} s",
            significant(Some(sim.warmup_s)),
            significant(Some(to_s))
        ),
        false => "nothing of it measured".to_owned(),
    };
    page.line(&format!(
        "simulated {} s ({measured}), {} events, digest {}",
        significant(Some(sim.end_s)),
        count(sim.events),
        result.digest
    ));
}

fn warnings(page: &mut Page, result: &RunResult) {
    if result.warnings.is_empty() {
        return;
    }
    page.title("WARNINGS");
    for warning in &result.warnings {
        page.item(warning);
    }
}

fn assumptions(page: &mut Page, result: &RunResult) {
    if result.assumptions.is_empty() {
        return;
    }
    page.title("Assumptions");
    for assumption in &result.assumptions {
        page.item(assumption);
    }
}

fn requests(page: &mut Page, result: &RunResult) {
    let requests = &result.requests;
    page.title("Requests");
    let mut parts = vec![format!("{} completed", count(requests.completed))];
    for (name, value) in [
        ("rejected", requests.rejected),
        ("shed", requests.shed),
        ("timed out", requests.timed_out),
        ("failed", requests.failed),
        ("cancelled", requests.cancelled),
        ("in flight", requests.in_flight),
    ] {
        if value > 0 || name == "rejected" || name == "in flight" {
            parts.push(format!("{} {name}", count(value)));
        }
    }
    let text = format!(
        "{} arrived = {}",
        count(requests.arrived),
        parts.join(" + ")
    );
    page.line(&format!("  {text}"));
    let why = &requests.rejected_by;
    if requests.rejected > 0 {
        page.line(&format!(
            "  rejected: {} by the rate limit, {} by a full queue, {} too long for the engine",
            count(why.rate_limit),
            count(why.queue_full),
            count(why.too_long)
        ));
    }
    let rates = &result.throughput;
    if all_abstract(result) {
        page.line(&format!(
            "  {} requests/s completed",
            significant(rates.requests_per_s)
        ));
        return;
    }
    page.line(&format!(
        "  {} requests/s, {} prompt tokens/s, {} output tokens/s completed",
        significant(rates.requests_per_s),
        significant(rates.prompt_tokens_per_s),
        significant(rates.output_tokens_per_s)
    ));
}

/// Tokens, and the difference between first and last of them, mean nothing to abstract servers.
fn all_abstract(result: &RunResult) -> bool {
    result
        .pools
        .iter()
        .all(|pool| pool.get("engine") == Some(&Value::from("abstract")))
}

fn latency(page: &mut Page, result: &RunResult) {
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
    let confidence = confidence(result);
    let note = format!(
        "quantiles are kept to 0.1 %; from-to is the {confidence} interval for p99, from {method}"
    );
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
fn confidence(result: &RunResult) -> String {
    let found = ["e2e_ms", "ttft_ms"]
        .iter()
        .find_map(|key| result.intervals.pointer(&format!("/{key}/mean/confidence")));
    match found.and_then(Value::as_f64) {
        Some(confidence) => format!("{} %", short(confidence * 100.0)),
        None => "(unavailable)".to_owned(),
    }
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

fn budget(page: &mut Page, result: &RunResult) {
    let total = |value: fn(&crate::measure::BudgetRow) -> Option<f64>| -> f64 {
        result.budget.iter().filter_map(value).sum()
    };
    let mean_total = total(|row| row.mean_ms);
    if mean_total <= 0.0 {
        return;
    }
    let p99_total = total(|row| row.at_p99_ms);
    page.title("Where the time goes");
    let mut parts = table(&["part of E2E", "mean ms", "share", "around p99 ms", "share"]);
    let mut bars = Vec::new();
    for row in &result.budget {
        let mean = row.mean_ms.unwrap_or(0.0);
        if mean == 0.0 && row.at_p99_ms.unwrap_or(0.0) == 0.0 {
            continue;
        }
        let share = mean / mean_total;
        let share_p99 = row
            .at_p99_ms
            .filter(|_| p99_total > 0.0)
            .map(|ms| ms / p99_total);
        add(
            &mut parts,
            &[
                part_name(row.part, result).to_owned(),
                significant(row.mean_ms),
                percent(Some(share)),
                significant(row.at_p99_ms),
                percent(share_p99),
            ],
        );
        bars.push(format!("  {}", bar(share, BAR)));
    }
    let mut lines = parts.lines();
    if let Some(header) = lines.next() {
        page.line(&format!(" {header}"));
    }
    for (line, bar) in lines.zip(bars) {
        page.line(&format!(" {line}{bar}"));
    }
}

/// An abstract server's work counts as prefill; people call it service.
fn part_name<'a>(part: &'a str, result: &RunResult) -> &'a str {
    match part {
        "prefill" if all_abstract(result) => "service",
        part => part,
    }
}

fn objectives(page: &mut Page, result: &RunResult) {
    let stated: Vec<_> = result
        .slo
        .iter()
        .filter(|row| row.target.is_some())
        .collect();
    if stated.is_empty() {
        return;
    }
    page.title("Objectives");
    let mut rows = table(&[
        "tier",
        "attained",
        "target",
        "met",
        "goodput requests/s",
        "counted",
        "undecided",
    ]);
    for row in stated {
        let met = match row.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        };
        add(
            &mut rows,
            &[
                row.tier.clone(),
                percent(row.attained),
                percent(row.target),
                met.to_owned(),
                significant(row.goodput_rps),
                count(row.counted),
                count(row.undecided),
            ],
        );
    }
    page.table(&rows);
}

/// Stages and ranks of a replica, where there are several.
fn spread(pool: &Value) -> String {
    let several = |key: &str| pool.get(key).and_then(Value::as_u64).filter(|n| *n > 1);
    let part = |key: &str| several(key).map_or(String::new(), |n| format!(", {n} {key}"));
    part("stages") + &part("ranks")
}

fn pools(page: &mut Page, result: &RunResult) {
    page.title("Pools");
    for pool in &result.pools {
        let text = |key: &str| pool.get(key).and_then(Value::as_str).unwrap_or("");
        let number = |key: &str| pool.get(key).and_then(Value::as_f64);
        let whole = |key: &str| count(pool.get(key).and_then(Value::as_u64).unwrap_or(0));
        let share = number("utilization");
        let what = match text("engine") {
            "llm" => format!(
                "{} on {}{}",
                text("model"),
                text("accelerator"),
                spread(pool)
            ),
            _ => format!("{} server(s) each", whole("servers")),
        };
        page.line(&format!(
            "  {}: {} replica(s), {} accelerator(s), {what}",
            text("name"),
            whole("replicas"),
            whole("accelerators")
        ));
        page.line(&format!(
            "    utilization {:>8}  {}",
            percent(share),
            bar(share.unwrap_or(0.0), BAR)
        ));
        page.line(&format!(
            "    {} requests/s a replica, {} requests in the pool on average, {} ms of work a request",
            significant(number("requests_per_s_per_replica")),
            significant(number("mean_in_system")),
            significant(number("busy_ms_per_request"))
        ));
        if text("engine") == "llm" {
            page.line(&format!(
                "    {} iterations of {} sequences and {} ms on average, {} preemptions",
                whole("iterations"),
                significant(number("mean_sequences")),
                significant(number("mean_iteration_ms")),
                whole("preemptions")
            ));
            if let Some(length) = number("mean_acceptance_length") {
                page.line(&format!(
                    "    speculation: {} tokens a sequence and iteration on average, of {} drafts and one",
                    significant(Some(length)),
                    whole("draft_tokens")
                ));
            }
            let peak = number("kv_peak_share");
            if number("cached_tokens").unwrap_or(0.0) > 0.0 {
                page.line(&format!(
                    "    prefix cache      {:>7}  {}  of prompt tokens found",
                    percent(number("cached_share")),
                    bar(number("cached_share").unwrap_or(0.0), BAR)
                ));
            }
            page.line(&format!(
                "    KV cache at most {:>7}  {}  of {} blocks",
                percent(peak),
                bar(peak.unwrap_or(0.0), BAR),
                whole("kv_blocks")
            ));
        } else if number("batches").unwrap_or(0.0) > 0.0 {
            page.line(&format!(
                "    {} batches of {} requests on average; {} sent full or of a preferred size, {} \
                 when due",
                whole("batches"),
                significant(number("mean_batch")),
                whole("batches_closed_by_size"),
                whole("batches_closed_by_window")
            ));
        }
        kv_transfer(page, pool);
    }
    rate_matching(page, result);
    hardware(page, result);
}

fn kv_transfer(page: &mut Page, pool: &Value) {
    let Some(transfer) = pool.get("kv_transfer") else {
        return;
    };
    let number = |key: &str| transfer.get(key).and_then(Value::as_f64);
    let text = format!(
        "{} KV transfers of {} MB and {} ms on average, {} ms of it waiting for the link; {} link(s) \
         busy {}",
        count(
            transfer
                .get("transfers")
                .and_then(Value::as_u64)
                .unwrap_or(0)
        ),
        significant(number("mean_mb")),
        significant(number("mean_ms")),
        significant(number("mean_wait_ms")),
        significant(number("links")),
        percent(number("link_utilization"))
    );
    page.line(&format!("    {}", wrap(&text, WIDTH, 4)));
}

fn rate_matching(page: &mut Page, result: &RunResult) {
    let sides = &result.disaggregation;
    let number = |key: &str| sides.get(key).and_then(Value::as_f64);
    if let Some(limits) = sides.get("limits").and_then(Value::as_str) {
        let text = format!(
            "prefill is busy {} of the time and waited for {} ms on average, its links {} and {} \
             ms, decode {} and {} ms: {limits} limits",
            percent(number("prefill_utilization")),
            significant(number("prefill_mean_wait_ms")),
            percent(number("link_utilization")),
            significant(number("link_mean_wait_ms")),
            percent(number("decode_utilization")),
            significant(number("decode_mean_wait_ms"))
        );
        page.line(&format!("  {}", wrap(&text, WIDTH, 2)));
    }
}

fn hardware(page: &mut Page, result: &RunResult) {
    let pools = result.physics.get("pools").and_then(Value::as_array);
    for pool in pools.into_iter().flatten() {
        let number = |key: &str| pool.get(key).and_then(Value::as_f64);
        let name = pool.get("name").and_then(Value::as_str).unwrap_or("");
        let first = match number("ttft_floor_ms") {
            Some(ms) => format!("{} ms to its first token and ", significant(Some(ms))),
            None => String::new(),
        };
        let note = wrap(
            &format!(
                "physics, {name}: of requests like those completed one replica can do at most {} \
                 requests/s; one of mean lengths alone needs at least {first}{} ms in all",
                significant(number("max_requests_per_s_per_replica")),
                significant(number("e2e_floor_ms"))
            ),
            WIDTH,
            4,
        );
        page.line(&format!("    {note}"));
    }
}

fn theory(page: &mut Page, result: &RunResult) {
    let Some(fields) = result
        .theory
        .as_object()
        .filter(|fields| !fields.is_empty())
    else {
        return;
    };
    page.title("Theory, exact for the queue alone (gateway and hops left out)");
    let text: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name} {}", significant(value.as_f64())))
        .collect();
    page.line(&format!("  {}", wrap(&text.join(", "), WIDTH, 2)));
}

fn cost(page: &mut Page, result: &RunResult) {
    let number = |key: &str| result.cost.get(key).and_then(Value::as_f64);
    let Some(year) = number("usd_per_year") else {
        return;
    };
    page.title("Cost");
    page.line(&format!(
        "  {} accelerators at ${} an hour: ${} a year; ${} ({} %) saved against all on-demand",
        significant(number("accelerators")),
        significant(number("usd_per_gpu_hour")),
        significant(Some(year)),
        significant(number("saved_usd_per_year")),
        significant(number("saved_pct"))
    ));
    if let Some(requests) = number("usd_per_million_requests") {
        let mut line = format!("  ${} per million requests", significant(Some(requests)));
        let tokens = number("usd_per_million_output_tokens").filter(|_| !all_abstract(result));
        if let Some(tokens) = tokens {
            line.push_str(&format!(
                ", ${} per million output tokens",
                significant(Some(tokens))
            ));
        }
        page.line(&line);
    }
    page.line("  prices are assumed as stated; spot capacity is taken to be always there");
}

fn claims(page: &mut Page, result: &RunResult) {
    if result.claims.is_empty() {
        return;
    }
    page.title("Claims");
    for claim in &result.claims {
        let about = match &claim.variant {
            Some(variant) => format!(" (variant {variant})"),
            None => String::new(),
        };
        let verdict = claim.verdict.name().to_uppercase();
        page.line(&format!("  {verdict:<10} {}{about}", claim.id));
        page.line(&format!("      {}", wrap(&claim.text, WIDTH, 6)));
        page.line(&format!("      {}", wrap(&observation(claim), WIDTH, 6)));
        if !claim.why.is_empty() {
            page.line(&format!("      {}", wrap(&claim.why, WIDTH, 6)));
        }
    }
    let of = |verdict: Verdict| {
        let count = result
            .claims
            .iter()
            .filter(|claim| claim.verdict == verdict)
            .count();
        format!("{count} {}", verdict.name())
    };
    let verdicts = [
        Verdict::Holds,
        Verdict::Fails,
        Verdict::Impossible,
        Verdict::Untested,
    ];
    page.line(&format!("  in all: {}", verdicts.map(of).join(", ")));
}

fn observation(claim: &Judgement) -> String {
    let unit = if claim.metric.starts_with("percent change of") {
        " %"
    } else {
        ""
    };
    let number = |value: Option<f64>| match value {
        Some(value) => format!("{}{unit}", short(value)),
        None => "nothing".to_owned(),
    };
    let relation = claim.relation.replace('_', " ");
    let mut text = format!(
        "{}: observed {}, claimed {relation} {}",
        claim.metric,
        number(claim.observed),
        number(claim.expected)
    );
    if let Some(counterfactual) = claim.counterfactual {
        text.push_str(&format!(" (counterfactual {})", short(counterfactual)));
    }
    text
}

fn provenance(page: &mut Page, result: &RunResult) {
    page.title("Where the figures come from");
    for figure in &result.provenance {
        page.item(&format!(
            "{}: {} ({})",
            figure.figure, figure.value, figure.origin
        ));
    }
}
