//! The client of a closed-loop measurement, simulated.

use std::path::Path;
use std::sync::Arc;

use toml::{Table, Value};

use crate::calibrate::Overheads;
use crate::fleet::outcome::RequestRow;
use crate::fleet::plan::FleetPlan;
use crate::fleet::simulation::{Hooks, Simulation};
use crate::scenario::Document;
use crate::scenario::resolve::{Plan, resolve};
use crate::validate::error::ValidateError;
use crate::validate::server::document;

use super::case::Case;

/// Requests per user that are measured. The warm-up before them ends before they begin, so that
/// they meet an empty server, as the simulated ones do.
const REQUESTS_PER_USER: i64 = 10;
/// Long enough for any client to end, seconds.
const HORIZON_S: f64 = 1e7;
/// Events after which a simulation is given up.
const MOST_EVENTS: u64 = 200_000_000;

/// What the client sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Means {
    /// Mean time to first token.
    pub ttft_ms: f64,
    /// Mean over requests of their mean time per output token.
    pub tpot_ms: f64,
}

/// Simulates a case; `changes` are `(path, value)` of fields to override.
///
/// # Errors
/// The reason why it cannot be simulated.
pub fn simulate(
    case: &Case,
    overheads: Overheads,
    changes: &[(String, String)],
) -> Result<Means, String> {
    run(plan(case, overheads, changes)?.fleet)
}

/// Runs the client of a plan that [`plan`] made.
///
/// # Errors
/// The reason why it cannot be simulated.
pub fn run(mut fleet: FleetPlan) -> Result<Means, String> {
    fleet.record_requests = true;
    let mut simulation = Simulation::new(Arc::new(fleet)).map_err(|error| error.to_string())?;
    let (mut ttft, mut tpot) = (Mean::default(), Mean::default());
    let mut refused = 0_u64;
    let mut take = |rows: &[RequestRow]| {
        for row in rows {
            let (Some(first), Some(last), "completed") =
                (row.first_token_ns, row.last_token_ns, row.status)
            else {
                refused += 1;
                continue;
            };
            ttft.add((first - row.arrival_ns) as f64 / 1e6);
            if row.output_tokens > 1 {
                let steps = f64::from(row.output_tokens - 1);
                tpot.add((last - first) as f64 / 1e6 / steps);
            }
        }
    };
    simulation.run(
        MOST_EVENTS,
        &mut Hooks {
            stop: None,
            progress: &mut |_| {},
            rows: &mut take,
            audit: &mut |_| {},
        },
    );
    simulation.check()?;
    if refused > 0 {
        return Err("requests longer than the simulated KV cache or context".to_owned());
    }
    match (ttft.value(), tpot.value()) {
        (Some(ttft_ms), Some(tpot_ms)) if simulation.world.in_flight() == 0 => {
            Ok(Means { ttft_ms, tpot_ms })
        }
        _ => Err("the simulation did not end".to_owned()),
    }
}

/// The plan with the engine's own kernels, or, where its matrix products were not measured, with
/// those that a pool takes by default.
///
/// # Errors
/// The reason why there is none.
pub fn plan(
    case: &Case,
    overheads: Overheads,
    changes: &[(String, String)],
) -> Result<Plan, String> {
    let with = |kernel_backend: Option<String>| {
        let mut case = case.clone();
        case.server.kernel_backend = kernel_backend;
        let mut document = scenario(&case, overheads).map_err(|error| error.to_string())?;
        for (path, value) in changes {
            document
                .set(path, value)
                .map_err(|error| error.to_string())?;
        }
        resolve(&document, Path::new("")).map_err(|error| reason(&error.to_string()))
    };
    if case.server.kernel_backend.is_some()
        && let Ok(plan) = with(case.server.kernel_backend.clone())
        && let [Some(facts)] = plan.llm.as_slice()
        && facts.step.measures_products()
    {
        return Ok(plan);
    }
    with(None)
}

/// Refusals that many rows share, in few words.
fn reason(text: &str) -> String {
    if text.contains("does not fit on") {
        "does not fit the memory, by the memory plan".to_owned()
    } else if text.contains("must be a divisor of the model") {
        "tp_size does not divide the model's heads".to_owned()
    } else {
        text.to_owned()
    }
}

#[derive(Debug, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

fn scenario(case: &Case, overheads: Overheads) -> Result<Document, ValidateError> {
    let mut server = case.server.clone();
    server.overhead_fixed_us = Some(overheads.fixed_us);
    server.overhead_per_seq_us = Some(overheads.per_seq_us);
    let pool = server.pool("row")?;
    let table = |values: Vec<(&str, Value)>| {
        let values = values
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        Value::Table(values.collect::<Table>())
    };
    let text = |text: &str| Value::String(text.to_owned());
    let uniform = |(low, high): (u32, u32)| {
        let knot = |at: f64, tokens: u32| {
            Value::Array(vec![Value::Float(at), Value::Float(f64::from(tokens))])
        };
        match low < high {
            true => table(vec![
                ("law", text("quantiles")),
                ("knots", Value::Array(vec![knot(0.0, low), knot(1.0, high)])),
            ]),
            false => table(vec![
                ("law", text("constant")),
                ("tokens", Value::Integer(i64::from(high))),
            ]),
        }
    };
    let users = i64::from(case.users);
    let requests = case.requests.map(i64::from);
    let requests = requests.unwrap_or(users * REQUESTS_PER_USER);
    let cost_ms = overheads.per_request_ms + overheads.per_1k_tokens_ms * case.prompt_thousands();
    document(
        "row",
        [
            ("name", text("row")),
            (
                "run",
                table(vec![
                    ("horizon_s", Value::Float(HORIZON_S)),
                    ("warmup_s", Value::Float(0.0)),
                ]),
            ),
            (
                "workload",
                table(vec![
                    (
                        "arrivals",
                        table(vec![
                            ("process", text("closed_loop")),
                            ("users", Value::Integer(users)),
                        ]),
                    ),
                    ("prompt_tokens", uniform(case.prompt)),
                    ("output_tokens", uniform(case.output)),
                    ("max_requests", Value::Integer(requests)),
                ]),
            ),
            ("gateway", table(vec![("cost_ms", Value::Float(cost_ms))])),
            ("pools", Value::Array(vec![pool])),
        ],
    )
}
