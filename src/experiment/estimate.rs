//! Closed forms only: every formula that applies to a scenario, with the numbers put in.

mod erasure;
mod hardware;
mod sessions;
mod staffing;

use std::path::Path;

use serde::Serialize;

use crate::fleet::plan::{EnginePlan, ServicePlan};
use crate::perf;
use crate::report::number::significant;
use crate::scenario::resolve::{Plan, resolve};
use crate::scenario::{Document, ScenarioError};
use crate::theory::sheet::{Applied, queueing};

use self::erasure::erasure_sheets;
use self::hardware::hardware;
use self::sessions::session_sheet;
use self::staffing::staffing;
pub use self::staffing::{Demand, Wanted, demand, nodes_by_theory};
use super::cost::standing_cost;
use super::roles::transfer_sheet;
use super::theory::{mean_tokens, offered, queue_of};
use super::variants::named_variants;

/// The sheets of a scenario, or of one of its variants.
#[derive(Debug, Clone, Serialize)]
pub struct Sheets {
    /// The variant; none for the scenario itself.
    pub variant: Option<String>,
    /// Its sheets.
    pub sheets: Vec<Sheet>,
}

/// The name of a scenario, its sheets and those of each of its named variants.
///
/// # Errors
/// [`ScenarioError`] when the scenario or a variant is not valid.
pub fn all_sheets(
    document: &Document,
    folder: &Path,
) -> Result<(String, Vec<Sheets>), ScenarioError> {
    let plan = resolve(document, folder)?;
    let mut all = vec![Sheets {
        variant: None,
        sheets: sheets(&plan),
    }];
    for (name, variant) in named_variants(document, folder, &plan)? {
        all.push(Sheets {
            variant: Some(name),
            sheets: sheets(&variant),
        });
    }
    Ok((plan.scenario.name, all))
}

/// One group of formulas.
#[derive(Debug, Clone, Serialize)]
pub struct Sheet {
    /// What it is about.
    pub title: String,
    /// What to know about all of its rows.
    pub note: Option<String>,
    /// The formulas.
    pub rows: Vec<Row>,
}

/// One formula with its numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What is computed.
    pub name: String,
    /// The formula.
    pub formula: String,
    /// The formula with the numbers put in.
    pub substituted: String,
    /// The result.
    pub value: Option<f64>,
    /// Its unit; `1` for a bare number.
    pub unit: String,
    /// Where the formula or its numbers come from.
    pub source: String,
    /// What to know about it.
    pub note: Option<String>,
}

impl From<Applied> for Row {
    fn from(applied: Applied) -> Row {
        Row {
            name: applied.name,
            formula: applied.formula,
            substituted: applied.substituted,
            value: applied.value,
            unit: applied.unit.to_owned(),
            source: applied.source.to_owned(),
            note: applied.note,
        }
    }
}

impl From<perf::SheetRow> for Row {
    fn from(row: perf::SheetRow) -> Row {
        Row {
            name: row.name,
            formula: row.formula,
            substituted: row.substituted,
            value: row.value,
            unit: row.unit.to_owned(),
            source: row.source.to_owned(),
            note: None,
        }
    }
}

pub(super) fn row(
    name: &str,
    formula: &str,
    substituted: String,
    value: Option<f64>,
    unit: &str,
) -> Row {
    Row {
        name: name.to_owned(),
        formula: formula.to_owned(),
        substituted,
        value,
        unit: unit.to_owned(),
        source: String::new(),
        note: None,
    }
}

/// All sheets that apply to a scenario.
pub fn sheets(plan: &Plan) -> Vec<Sheet> {
    let mut sheets = vec![traffic(plan)];
    sheets.extend(session_sheet(plan));
    sheets.extend(queue(plan));
    sheets.extend(staffing(plan));
    for (index, pool) in plan.fleet.pools.iter().enumerate() {
        sheets.extend(batches(plan, index));
        if let Some(Some(facts)) = plan.llm.get(index) {
            sheets.push(hardware(plan, &pool.name, index, facts));
        }
    }
    sheets.extend(transfer_sheet(plan));
    sheets.extend(erasure_sheets(plan));
    sheets.extend(cost(plan));
    sheets
}

fn traffic(plan: &Plan) -> Sheet {
    let mut rows = Vec::new();
    // Abstract servers know nothing of tokens.
    let tokens = mean_tokens(plan).filter(|_| plan.llm.iter().any(Option::is_some));
    if let Some((rate, scv)) = offered(plan) {
        rows.push(row(
            "offered rate",
            "",
            String::new(),
            Some(rate),
            "requests/s",
        ));
        if let Some(scv) = scv {
            let cv = Some(scv.sqrt());
            rows.push(row(
                "coefficient of variation of gaps",
                "",
                String::new(),
                cv,
                "1",
            ));
        }
        if let Some((prompt, output)) = tokens {
            let mut token_rate = |name: &str, mean: f64| {
                let numbers = format!("{} x {}", significant(Some(rate)), significant(Some(mean)));
                let formula = "rate x mean tokens of a request";
                rows.push(row(name, formula, numbers, Some(rate * mean), "tokens/s"));
            };
            token_rate("prompt tokens offered", prompt);
            token_rate("output tokens offered", output);
        }
    }
    if let Some((prompt, output)) = tokens {
        rows.push(row(
            "mean prompt",
            "",
            String::new(),
            Some(prompt),
            "tokens",
        ));
        rows.push(row(
            "mean output",
            "",
            String::new(),
            Some(output),
            "tokens",
        ));
    }
    Sheet {
        title: "Traffic".to_owned(),
        note: left_out(plan),
        rows,
    }
}

/// The parts of a scenario that no formula here knows of.
fn left_out(plan: &Plan) -> Option<String> {
    let scenario = &plan.scenario;
    let parts = [
        (scenario.clients.is_some(), "clients"),
        (plan.fleet.gate.is_some(), "admission"),
        (scenario.health.is_some(), "health"),
        (scenario.regions.len() > 1, "regions"),
        (plan.fleet.faults.is_some(), "faults"),
        (scenario.kv_store.is_some(), "kv_store"),
    ];
    let stated = parts.iter().filter(|(stated, _)| *stated);
    let names: Vec<String> = stated.map(|(_, name)| format!("[{name}]")).collect();
    (!names.is_empty()).then(|| {
        format!(
            "the formulas below know nothing of {}: they are of a fleet where nobody gives up or \
             is turned away and nothing breaks",
            names.join(", ")
        )
    })
}

fn queue(plan: &Plan) -> Option<Sheet> {
    let queue = queue_of(plan)?;
    let note = queue
        .inexact
        .map(|why| format!("not exact for this scenario: {why}; read it as a first estimate"));
    let each = match queue.replicas {
        1 => String::new(),
        replicas => format!(", each of {replicas} replicas taking an equal share"),
    };
    Some(Sheet {
        title: format!("Queueing, {} servers{each}", queue.input.servers),
        note,
        rows: queueing(&queue.input).into_iter().map(Row::from).collect(),
    })
}

fn batches(plan: &Plan, index: usize) -> Option<Sheet> {
    let pool = &plan.fleet.pools[index];
    let EnginePlan::Abstract {
        servers,
        service: ServicePlan::Batch(time),
        ..
    } = &pool.engine
    else {
        return None;
    };
    let most = f64::from(plan.fleet.window.max_batch);
    let (fixed, per_item) = (time.fixed_ns / 1e6, time.per_item_ns / 1e6);
    let mut rows = Vec::new();
    for size in [1.0, most] {
        let t = time.mean_ns(size) / 1e6;
        let numbers = format!("{fixed} ms + {per_item} ms x {size}");
        let name = format!("time of a batch of {size}");
        rows.push(row(
            &name,
            "t(b) = fixed + per_item b",
            numbers,
            Some(t),
            "ms",
        ));
    }
    let all = f64::from(*servers) * f64::from(pool.at_start);
    let t = time.mean_ns(most) / 1e9;
    let saturation = all * most / t;
    let numbers = format!("{all} x {most} / {t} s");
    let formula = "servers x max_batch / t(max_batch)";
    rows.push(row(
        "saturation rate of the pool",
        formula,
        numbers,
        Some(saturation),
        "requests/s",
    ));
    if let Some((rate, _)) = offered(plan) {
        let numbers = format!(
            "{} / {}",
            significant(Some(rate)),
            significant(Some(saturation))
        );
        let load = Some(rate / saturation);
        rows.push(row(
            "load at full batches",
            "offered rate / saturation rate",
            numbers,
            load,
            "1",
        ));
    }
    Some(Sheet {
        title: format!("Batch service of pool {}", pool.name),
        note: None,
        rows,
    })
}

fn cost(plan: &Plan) -> Option<Sheet> {
    let prices = plan.scenario.cost.as_ref()?;
    let cost = standing_cost(plan)?;
    let number = |key: &str| cost.get(key).and_then(serde_json::Value::as_f64);
    let share = prices.spot_share;
    let on_demand = prices.on_demand_usd_per_gpu_hour?;
    let spot = prices.spot_usd_per_gpu_hour.unwrap_or(on_demand);
    let gpus = number("accelerators").unwrap_or(0.0);
    let blended = format!("{share} x ${spot} + {} x ${on_demand}", 1.0 - share);
    let year = format!(
        "{gpus} x ${:.4} x 8,760 h",
        number("usd_per_gpu_hour").unwrap_or(0.0)
    );
    let formula = "spot share x spot price + rest x on-demand price";
    let rows = vec![
        row(
            "price per GPU-hour",
            formula,
            blended,
            number("usd_per_gpu_hour"),
            "USD",
        ),
        row(
            "cost of a year",
            "GPUs x price x hours",
            year,
            number("usd_per_year"),
            "USD",
        ),
        row(
            "saved against all on-demand",
            "",
            String::new(),
            number("saved_pct"),
            "%",
        ),
        row(
            "saved in a year",
            "",
            String::new(),
            number("saved_usd_per_year"),
            "USD",
        ),
    ];
    Some(Sheet {
        title: "Cost".to_owned(),
        note: Some("spot capacity is taken to be always there".to_owned()),
        rows,
    })
}
