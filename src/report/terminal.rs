//! The terminal page of a run.

mod capacity;
mod claims;
pub mod compare;
mod erasure;
pub mod explain;
mod latency;
mod money;
mod page;
mod pools;
pub mod replay;
pub mod review;
pub mod size;
pub mod sweep;
mod timeline;

use serde_json::Value;

use crate::experiment::result::RunResult;
use crate::experiment::runner::Outcome;

use self::claims::claims;
use self::erasure::erasure;
use self::latency::latency;
use self::page::{BAR, Page, WIDTH, add, table};
use self::pools::{longest_requests, pools};
use self::timeline::timeline;
use super::number::{bar, count, percent, significant, wrap};

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
    sizing(&mut page, result);
    timeline(&mut page, result);
    pools(&mut page, result);
    erasure(&mut page, result);
    theory(&mut page, result);
    cost(&mut page, result);
    money::details(&mut page, result);
    for (name, variant) in &result.variants {
        page.title(&format!("==== Variant {name}"));
        let changed = outcome.plan.scenario.variants.get(name);
        for (path, value) in changed.into_iter().flatten() {
            // Broken where a list or a table goes on.
            let value = value.to_string().replace(',', ", ");
            page.item(&format!("{path} = {value}"));
        }
        warnings(&mut page, variant);
        requests(&mut page, variant);
        latency(&mut page, variant);
        timeline(&mut page, variant);
        pools(&mut page, variant);
        erasure(&mut page, variant);
        theory(&mut page, variant);
    }
    money::side_by_side(&mut page, result);
    claims(&mut page, result);
    provenance(&mut page, result);
    page.0
}

fn head(page: &mut Page, outcome: &Outcome) {
    let result = &outcome.result;
    if let Some(partial) = &result.partial {
        page.line(&wrap(&format!("PARTIAL RESULT: {partial}"), WIDTH, 2));
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
    page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
    let why = &requests.rejected_by;
    if requests.rejected > 0 {
        let quota = why.quota.filter(|quota| *quota > 0);
        let quota = quota.map_or(String::new(), |quota| {
            format!(", {} beyond a quota", count(quota))
        });
        page.line(&format!(
            "  rejected: {} by the rate limit, {} by a full queue, {} too long for the engine{quota}",
            count(why.rate_limit),
            count(why.queue_full),
            count(why.too_long)
        ));
    }
    if why.too_long > 0 {
        longest_requests(page, result);
    }
    tries(page, result);
    signals(page, result);
    for tenant in &result.tenants {
        part(page, "tenant", tenant, result);
    }
    if let Some(sessions) = &requests.sessions {
        let mut parts = vec![format!("{} finished", count(sessions.finished))];
        for (name, value) in [
            ("ended as their context grew too long", sessions.too_long),
            ("broken by a turn not answered", sessions.broken),
            ("cut by the end of arrivals", sessions.cut),
            ("open", sessions.open),
        ] {
            if value > 0 {
                parts.push(format!("{} {name}", count(value)));
            }
        }
        let started = count(sessions.started);
        let text = format!("sessions: {started} began = {}", parts.join(" + "));
        page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
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

/// What became of the tries, where requests make several.
fn tries(page: &mut Page, result: &RunResult) {
    let requests = &result.requests;
    if let Some(why) = requests.failed_by.as_ref().filter(|_| requests.failed > 0) {
        let reasons = [
            (why.replica, "with their replica"),
            (why.gateway, "with their gateway"),
            (why.no_replica, "as no replica could be chosen"),
            (why.network, "out of reach"),
            (why.dns, "without the name of a region"),
            (why.deploy, "by a bad deployment"),
            (why.timeout, "as the gateway would wait no longer"),
        ];
        by_reason(page, "failed", &reasons);
    }
    if let Some(why) = requests.shed_by.as_ref().filter(|_| requests.shed > 0) {
        let reasons = [
            (why.limit, "by a limit on what is under way"),
            (why.load, "under load"),
            (why.delay, "after too long a wait at the gateway"),
            (why.full, "by a full waiting room"),
        ];
        by_reason(page, "shed", &reasons);
    }
    let Some(tries) = &requests.tries else { return };
    let mut text = format!(
        "tries: {} made ({} a request) = {} ended + {} in flight, {} of them retries and {} hedges",
        count(tries.made),
        significant(tries.per_request),
        count(tries.made - tries.in_flight),
        count(tries.in_flight),
        count(tries.retries),
        count(tries.hedges)
    );
    if tries.refused_by_budget > 0 {
        text.push_str(&format!(
            "; the retry budget refused {}",
            count(tries.refused_by_budget)
        ));
    }
    if tries.given_up > 0 {
        text.push_str(&format!(
            "; {} given up while under way, {} of them answered for nobody",
            count(tries.given_up),
            count(tries.answered_for_nobody),
        ));
    }
    if tries.wasted_output_tokens > 0 {
        text.push_str(&format!(
            "; {} output tokens made for nobody",
            count(tries.wasted_output_tokens)
        ));
    }
    page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
}

fn by_reason(page: &mut Page, what: &str, reasons: &[(u64, &str)]) {
    let some = reasons.iter().filter(|(number, _)| *number > 0);
    let parts = some.map(|(number, reason)| format!("{} {reason}", count(*number)));
    let text = format!("{what}: {}", parts.collect::<Vec<_>>().join(", "));
    page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
}

/// What became of the requests of a population or tenant.
fn part(page: &mut Page, what: &str, row: &Value, result: &RunResult) {
    let name = row["name"].as_str().unwrap_or("");
    let number = |key: &str| row["requests"][key].as_u64().unwrap_or(0);
    let mut text = format!(
        "{what} {name}: {} requests, {} answered",
        count(number("made")),
        count(number("completed"))
    );
    let stated = result.slo.iter().any(|row| row.target.is_some());
    if let Some(attained) = row["attained"].as_f64().filter(|_| stated) {
        let attained = percent(Some(attained));
        text.push_str(&format!(
            "; {attained} of those measured within the objective"
        ));
    }
    page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
}

/// How old the loads were that routers went by.
fn signals(page: &mut Page, result: &RunResult) {
    let number = |key: &str| result.signals.get(key).and_then(Value::as_f64);
    let Some(stale) = number("stale_share") else {
        return;
    };
    let age = match number("mean_age_ms") {
        Some(age) => format!(
            ", and had not been for {} ms on average",
            significant(Some(age))
        ),
        None => String::new(),
    };
    let text = format!(
        "signals: at {} of the choices the load of the replica chosen was not what its gateway had \
         heard last{age}; {} of {} reports were lost",
        percent(Some(stale)),
        significant(number("reports_lost")),
        significant(number("reports")),
    );
    page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
}

/// Tokens, and the difference between first and last of them, mean nothing to abstract servers.
pub(super) fn all_abstract(result: &RunResult) -> bool {
    are_abstract(&result.pools)
}

/// The same of the pools of a result.
pub(super) fn are_abstract(pools: &[Value]) -> bool {
    let is_abstract = |pool: &Value| pool.get("engine") == Some(&Value::from("abstract"));
    pools.iter().all(is_abstract)
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
                part_name(row.part, all_abstract(result)).to_owned(),
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
pub(super) fn part_name(part: &str, all_abstract: bool) -> &str {
    match part {
        "prefill" if all_abstract => "service",
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

/// How many nodes theory asks for, and simulation.
fn sizing(page: &mut Page, result: &RunResult) {
    let Some(sizing) = &result.sizing else {
        return;
    };
    let mut text = format!(
        "nodes: closed forms ask for {} (Erlang C at the peak rate, all nodes as one queue), the \
         scenario has {}",
        count(sizing.theory_nodes),
        count(u64::from(sizing.stated_nodes))
    );
    if let (Some(nodes), Some(moved)) = (sizing.simulated_nodes, sizing.moved_pct) {
        let by = match moved {
            0.0 => "as many".to_owned(),
            more if more > 0.0 => format!("{} % more", significant(Some(more))),
            less => format!("{} % fewer", significant(Some(-less))),
        };
        text.push_str(&format!(
            "; simulation needs {} ({by})",
            count(u64::from(nodes))
        ));
    } else if !sizing.tried.is_empty() {
        text.push_str("; simulation meets the objectives with none of those tried");
    }
    page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
    if !sizing.tried.is_empty() {
        let tried = sizing.tried.iter();
        let tried: Vec<String> = tried
            .map(|it| format!("{}: {}", it.nodes, percent(it.attained)))
            .collect();
        let text = format!("in time by nodes simulated: {}", tried.join(", "));
        page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
    }
}

fn cost(page: &mut Page, result: &RunResult) {
    let number = |key: &str| result.cost.get(key).and_then(Value::as_f64);
    let Some(year) = number("usd_per_year") else {
        return;
    };
    if !result.capacity.is_null() {
        return capacity::nodes(page, result);
    }
    page.title("Cost");
    let bill = format!(
        "{} accelerators at ${} an hour: ${} a year; ${} ({} %) saved against all on-demand",
        significant(number("accelerators")),
        significant(number("usd_per_gpu_hour")),
        significant(Some(year)),
        significant(number("saved_usd_per_year")),
        significant(number("saved_pct"))
    );
    page.line(&format!("  {}", wrap(&bill, WIDTH, 2)));
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

fn provenance(page: &mut Page, result: &RunResult) {
    page.title("Where the figures come from");
    for figure in &result.provenance {
        page.item(&format!(
            "{}: {} ({})",
            figure.figure, figure.value, figure.origin
        ));
    }
}
