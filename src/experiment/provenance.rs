//! Where the figures of a run come from.

use serde::Serialize;

use crate::fleet::capacity::plan::GroupPlan;
use crate::fleet::llm::EngineRules;
use crate::fleet::plan::EnginePlan;
use crate::report::number::significant;
use crate::scenario::capacity::NodeStart;
use crate::scenario::erasure::{DEADLINE_DAYS, REJECTION, REQUESTS_PER_MILLION_PER_YEAR};
use crate::scenario::fleet::{LlmPool, Pool};
use crate::scenario::resolve::Plan;
use crate::scenario::workload::Arrivals;
use crate::trace::Skipped;
use crate::workload::Sampler;

/// One figure and where it comes from.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What it is.
    pub figure: String,
    /// Its value, with its unit.
    pub value: String,
    /// `measured`, `imported`, `fitted` or `assumed`, with the source where there is one.
    pub origin: String,
}

fn figure(name: impl Into<String>, value: impl Into<String>, origin: impl Into<String>) -> Figure {
    Figure {
        figure: name.into(),
        value: value.into(),
        origin: origin.into(),
    }
}

/// What was fitted to an engine, or given: factors of kernels, and the profile they may be from.
fn factors(name: &str, pool: &LlmPool) -> Vec<Figure> {
    let origin = match &pool.engine_profile {
        Some(file) => format!("fitted: {file}, unless the scenario states it"),
        None => "given: scenario".to_owned(),
    };
    let each = [
        ("prefill_time_factor", pool.prefill_time_factor),
        ("decode_time_factor", pool.decode_time_factor),
    ];
    let stated = each.into_iter().filter(|(_, factor)| *factor != 1.0);
    let of = |(what, factor): (&str, f64)| {
        let value = format!(
            "{} x the kernels of the step model",
            significant(Some(factor))
        );
        figure(format!("{name}: {what}"), value, origin.clone())
    };
    stated.map(of).collect()
}

/// Timings, rates and prices of a run, each with its origin.
pub fn provenance(plan: &Plan) -> Vec<Figure> {
    let mut figures = Vec::new();
    match &plan.scenario.workload.arrivals {
        Arrivals::Trace { path, .. } => {
            let count = plan.trace.map_or(0, |scan| scan.requests);
            let value = format!("{count} requests of {path}");
            figures.push(figure("arrivals", value, "measured: the trace named"));
            if let Some(scan) = &plan.trace
                && scan.skipped != Skipped::default()
            {
                let value = format!(
                    "{} without an answer, {} with an empty prompt, {} outside the slice",
                    scan.skipped.no_answer, scan.skipped.empty_prompt, scan.skipped.outside_slice
                );
                figures.push(figure("requests of the trace left out", value, "counted"));
            }
        }
        _ => figures.push(figure("arrivals", "as [workload] states", "assumed")),
    }
    for (index, pool) in plan.scenario.pools.iter().enumerate() {
        let name = pool.name();
        let Some(facts) = plan.llm.get(index).and_then(Option::as_ref) else {
            figures.push(figure(
                format!("{name}: service"),
                "as [[pools]] states",
                "assumed",
            ));
            continue;
        };
        for (what, value, origin) in facts.step.provenance() {
            let origin = match (pool, what.as_str()) {
                (Pool::Llm(pool), "fixed_us" | "per_seq_us") if pool.engine_profile.is_some() => {
                    "fitted: the pool's engine_profile, unless the scenario states it"
                }
                (Pool::Llm(pool), "fixed_us") if pool.overhead_fixed_us.is_none() => "assumed",
                (Pool::Llm(pool), "per_seq_us") if pool.overhead_per_seq_us.is_none() => "assumed",
                _ => origin,
            };
            figures.push(figure(format!("{name}: {what}"), value, origin));
        }
        if let Pool::Llm(pool) = pool {
            figures.extend(factors(name, pool));
        }
        if let Pool::Llm(llm) = pool
            && let Some(drafts) = &llm.speculative
        {
            let value = format!(
                "{} of each of {} drafts",
                drafts.acceptance, drafts.draft_tokens
            );
            figures.push(figure(format!("{name}: acceptance"), value, "assumed"));
            let (value, origin) = match (&facts.draft, drafts.draft_us_per_token) {
                (Some(draft), _) if draft.step.uses_tables() => (
                    format!("steps of {}", draft.model.name),
                    "measured kernels, without time between them",
                ),
                (Some(draft), _) => (
                    format!("steps of {}", draft.model.name),
                    "assumed: the roofline of its card",
                ),
                (None, us) => (format!("{} us a token", us.unwrap_or(0.0)), "assumed"),
            };
            figures.push(figure(format!("{name}: drafting"), value, origin));
        }
        if let Pool::Llm(pool) = pool
            && pool.overhead_per_prompt_token_us > 0.0
        {
            let what = format!("{name}: per_prompt_token_us");
            let value = format!("{} us per prompt token", pool.overhead_per_prompt_token_us);
            let origin = match &pool.engine_profile {
                Some(file) => format!("fitted: {file}, unless the scenario states it"),
                None => "given".to_owned(),
            };
            figures.push(figure(what, value, origin));
        }
        if let (Pool::Llm(written), EnginePlan::Llm { rules, .. }) =
            (pool, &plan.fleet.pools[index].engine)
        {
            figures.extend(spread(name, written, rules));
        }
        let pinned = if facts.kv_blocks_pinned {
            "as the scenario pins it"
        } else {
            "computed from memory; activations and reserve are assumed"
        };
        let blocks = match pool {
            Pool::Llm(pool) => format!("{} of {} tokens", facts.kv_blocks, pool.block_size),
            Pool::Abstract(_) => facts.kv_blocks.to_string(),
        };
        figures.push(figure(format!("{name}: KV blocks"), blocks, pinned));
    }
    if plan.fleet.transfer.is_some() {
        let written = &plan.scenario.kv_transfer;
        let value = format!(
            "{} GB/s a link, {} ms on top",
            written.bandwidth_gb_per_s, written.latency_ms
        );
        figures.push(figure(
            "KV transfer",
            value,
            "assumed: as [kv_transfer] states, or its defaults",
        ));
    }
    let cost = plan.scenario.cost.as_ref();
    if cost.is_some_and(|cost| cost.on_demand_usd_per_gpu_hour.is_some()) {
        figures.push(figure("prices", "as [cost] states", "assumed"));
    }
    for (name, value, origin) in &plan.money.figures {
        figures.push(figure(name, value, origin));
    }
    figures.extend(erasure(plan));
    let groups = plan.fleet.capacity.iter().flat_map(|nodes| &nodes.groups);
    for group in groups {
        let price = format!(
            "${} a node and hour",
            significant(Some(group.price.usd_per_hour_at_start()))
        );
        let name = format!("{}: price", group.name);
        figures.push(figure(name, price, &group.price_source));
        figures.push(figure(
            format!("{}: losses", group.name),
            "as [[capacity.groups]] states",
            "assumed",
        ));
        figures.extend(start_of(plan, group));
    }
    figures
}

/// Erasures and the logs that they go to.
fn erasure(plan: &Plan) -> Vec<Figure> {
    let Some(written) = &plan.scenario.erasure else {
        return Vec::new();
    };
    let given = |stated: bool, source: &'static str| match stated {
        true => "given: scenario",
        false => source,
    };
    let rate = written.requests_per_million_per_year;
    let mut figures = vec![
        figure(
            "erasure requests",
            format!("{rate} per million people and year"),
            given(
                rate != REQUESTS_PER_MILLION_PER_YEAR,
                "imported: DataGrail, Data Privacy Trends, all data subject requests of 2023",
            ),
        ),
        figure(
            "erasure requests turned down",
            format!("{} %", significant(Some(written.rejection * 100.0))),
            given(
                written.rejection != REJECTION,
                "imported: Temu in the United States, 2023",
            ),
        ),
        figure(
            "erasure deadline",
            format!("{} days", significant(Some(written.deadline_days))),
            given(
                written.deadline_days != DEADLINE_DAYS,
                "imported: GDPR, art. 12 (3), one month taken as 30 days",
            ),
        ),
    ];
    let logs = plan.fleet.erasure.iter().flat_map(|rules| &rules.logs);
    for (log, facts) in logs.zip(&plan.logs) {
        let disk = format!("{} MB/s", significant(Some(log.rule.bandwidth_mb_per_s)));
        let origin = match &facts.calibration {
            Some((name, it)) => format!(
                "measured: {name}, {} on {} with {} processors",
                it.engine, it.machine.processor, it.machine.processors
            ),
            None => "assumed: as [[erasure.stores]] states, or its defaults".to_owned(),
        };
        figures.push(figure(format!("{}: disk", log.name), disk, origin));
        if let Some(factor) = log.slow_factor {
            let value = format!("iterations x{factor} while it works");
            figures.push(figure(
                format!("{}: co-located", log.name),
                value,
                "assumed",
            ));
        }
    }
    figures
}

/// What a node of a group does before it takes requests: how long each phase takes, and who says so.
fn start_of(plan: &Plan, group: &GroupPlan) -> Vec<Figure> {
    let mut written = plan.scenario.capacity.groups.iter();
    let Some(written) = written.find(|it| it.name == group.name) else {
        return Vec::new();
    };
    let (own, unstated) = (&written.start, NodeStart::default());
    let mean = |law: &Sampler| format!("{} s on average", significant(Some(law.mean_ns() / 1e9)));
    let origin = |is_default: bool, source: &'static str| match is_default {
        true => source,
        false => "given: scenario",
    };
    let phases = [
        (
            "boot",
            mean(&group.start.boot),
            origin(
                own.boot == unstated.boot,
                "assumed: 30 to 90 s, no source was found",
            ),
        ),
        (
            "image pull",
            mean(&group.start.phases[0]),
            origin(
                own.image_pull == unstated.image_pull,
                "assumed: 30 to 180 s, published estimates being 30 to 60 and 60 to 180 s",
            ),
        ),
        (
            "weights",
            format!("{} s", significant(Some(group.start.weights.as_secs_f64()))),
            origin(
                own.weights == unstated.weights,
                "assumed: size over 1 GB/s, as published estimates for 140 GB take",
            ),
        ),
        (
            "warm-up",
            mean(&group.start.phases[1]),
            origin(own.warm_up == unstated.warm_up, "assumed: 10 to 60 s"),
        ),
    ];
    let phases = phases.into_iter();
    phases
        .map(|(phase, value, origin)| figure(format!("{}: {phase}", group.name), value, origin))
        .collect()
}

/// How a replica is spread over stages and ranks, what links them, and options of its kernels.
fn spread(name: &str, pool: &LlmPool, rules: &EngineRules) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut row = |what: &str, value: String, origin: &str| {
        figures.push(figure(format!("{name}: {what}"), value, origin));
    };
    if let Some(pipeline) = &rules.pipeline {
        let origin = "given: scenario; layers dealt out as vLLM does";
        row("pp", pool.pp.to_string(), origin);
        let value = format!("{} us", pipeline.hop_ns / 1e3);
        let origin = match pool.pp_link_latency_us {
            Some(_) => "given: scenario",
            None => "assumed",
        };
        row("pp_link_latency_us", value, origin);
        let value = format!("{:.4} us a token", pipeline.hop_row_ns / 1e3);
        let origin = match pool.pp_link_gb_per_s {
            Some(_) => "given: scenario",
            None => "derived: scale-up links of the accelerator card at link_efficiency",
        };
        row("transfer between stages", value, origin);
    }
    for (what, value_ms) in [
        ("request_overhead_ms", pool.request_overhead_ms),
        ("response_overhead_ms", pool.response_overhead_ms),
    ] {
        let origin = match (what, &pool.engine_profile) {
            ("request_overhead_ms", Some(_)) => {
                "fitted: the pool's engine_profile, unless the scenario states it"
            }
            _ => "given: scenario",
        };
        if value_ms > 0.0 {
            row(what, format!("{value_ms} ms"), origin);
        }
    }
    for tier in &pool.kv_tiers {
        let value = format!(
            "{} GB at {} GB/s, {} ms before the first block",
            tier.capacity_gb, tier.bandwidth_gb_per_s, tier.latency_ms
        );
        row(&format!("kv tier {}", tier.name), value, "given: scenario");
    }
    if pool.all_reduce_skew_us > 0.0 {
        let value = format!("{} us per further device", pool.all_reduce_skew_us);
        row("all_reduce_skew_us", value, "given: scenario");
    }
    if pool.max_graph_tokens > 0 {
        let value = format!("up to {} tokens", pool.max_graph_tokens);
        row("max_graph_tokens", value, "given: scenario");
    }
    if pool.dp > 1 {
        row("dp", pool.dp.to_string(), "given: scenario");
        if let Some(rate) = pool.dp_link_gb_per_s {
            let value = format!("{rate} GB/s between ranks");
            row("dp_link_gb_per_s", value, "given: scenario");
        }
    }
    if pool.expert_parallel {
        row("expert_parallel", "true".into(), "given: scenario");
    }
    figures
}
