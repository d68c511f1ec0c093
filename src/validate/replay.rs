//! Simulates the requests of a measured run on its fleet.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use toml::{Table, Value};

use crate::fleet::outcome::RequestRow;
use crate::fleet::simulation::{Hooks, Simulation};
use crate::scenario::Document;
use crate::scenario::resolve::{Plan, resolve};

use super::error::ValidateError;
use super::measured::MeasuredRun;
use super::scratch::Scratch;

/// Prompt tokens of one entry of `hash_ids` in Mooncake's format.
const HASHED_TOKENS: u32 = 512;
/// After the last arrival the simulation goes on for so long at most, seconds: a fleet that does
/// not keep up is to be compared to its end.
const DRAIN_LIMIT_S: f64 = 1e6;

/// What a simulated request is compared by.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Simulated {
    /// Arrival, nanoseconds.
    pub arrival_ns: u64,
    /// First scheduled, nanoseconds.
    pub scheduled_ns: Option<u64>,
    /// Last token, nanoseconds.
    pub last_token_ns: Option<u64>,
    /// Whether it was completed.
    pub completed: bool,
    /// Arrival to first token, milliseconds.
    pub ttft_ms: Option<f64>,
    /// Mean time per output token after the first, milliseconds.
    pub tpot_ms: Option<f64>,
    /// Arrival to last token, milliseconds.
    pub e2e_ms: Option<f64>,
    /// In the engine's queue, milliseconds.
    pub queue_ms: Option<f64>,
}

impl Simulated {
    fn of(row: &RequestRow) -> Simulated {
        let ms = |from: Option<u64>, to: Option<u64>| Some((to?.checked_sub(from?)?) as f64 / 1e6);
        let arrival = Some(row.arrival_ns);
        let steps = f64::from(row.output_tokens.saturating_sub(1));
        let ttft_ms = ms(arrival, row.first_token_ns);
        let e2e_ms = ms(arrival, row.last_token_ns);
        // As it is worked out of what was measured, so that equal stamps give equal numbers.
        let tpot_ms = match (ttft_ms, e2e_ms) {
            (Some(ttft), Some(e2e)) if steps > 0.0 => Some((e2e - ttft) / steps),
            _ => None,
        };
        Simulated {
            arrival_ns: row.arrival_ns,
            scheduled_ns: row.scheduled_ns,
            last_token_ns: row.last_token_ns,
            completed: row.status == "completed",
            ttft_ms,
            tpot_ms,
            e2e_ms,
            queue_ms: ms(row.queued_ns, row.scheduled_ns),
        }
    }
}

/// A measured run and what was simulated of it, request by request.
#[derive(Debug, Clone)]
pub struct Replay {
    /// One per request of the run, in the same order.
    pub simulated: Vec<Simulated>,
    /// Preemptions in all.
    pub preemptions: u64,
    /// The plan that was simulated.
    pub plan: Arc<Plan>,
}

/// Simulates a run; `changes` are `(path, value)` of fields to override.
///
/// # Errors
/// When the fleet is not valid or the simulation fails.
pub fn replay(run: &MeasuredRun, changes: &[(String, String)]) -> Result<Replay, ValidateError> {
    let scratch = Scratch::new()?;
    let (name, text) = trace(run);
    let trace = scratch.write(name, &text)?;
    let failed = |error| ValidateError::scenario(&run.name, error);
    let mut document = run.fleet.clone();
    let mut arrivals = Table::new();
    arrivals.insert("process".to_owned(), Value::String("trace".to_owned()));
    let path = trace.display().to_string();
    arrivals.insert("path".to_owned(), Value::String(path));
    set(&mut document, "workload.arrivals", Value::Table(arrivals)).map_err(failed)?;
    if document.to_json().get("name").is_none() {
        set(&mut document, "name", Value::String(run.name.clone())).map_err(failed)?;
    }
    if document.to_json().pointer("/run/drain_limit_s").is_none() {
        let limit = Value::Float(DRAIN_LIMIT_S);
        set(&mut document, "run.drain_limit_s", limit).map_err(failed)?;
    }
    for (path, value) in changes {
        document.set(path, value).map_err(failed)?;
    }
    simulate(&document, &run.base_dir, &run.name, run.requests.len())
}

fn set(
    document: &mut Document,
    path: &str,
    value: Value,
) -> Result<(), crate::scenario::ScenarioError> {
    document.set_value(path, value)
}

/// The requests as a trace: its file name and text. With known prompts, in the format that can
/// name them.
fn trace(run: &MeasuredRun) -> (&'static str, String) {
    let hashed = run
        .requests
        .iter()
        .any(|request| request.prompt_id.is_some());
    let mut text = String::new();
    if !hashed {
        text.push_str("arrival_ns,prompt_tokens,output_tokens\n");
    }
    let mut own = u64::from(u32::MAX) + 1;
    for request in &run.requests {
        let (at, prompt, output) = (
            request.arrival_ns,
            request.prompt_tokens,
            request.output_tokens,
        );
        if !hashed {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{at},{prompt},{output}");
            continue;
        }
        let id = request.prompt_id.map_or_else(
            || {
                own += 1;
                own
            },
            u64::from,
        );
        let blocks = u64::from(prompt.div_ceil(HASHED_TOKENS));
        let hashes: Vec<u64> = (0..blocks).map(|block| id * (1 << 20) + block).collect();
        let (ms, rest) = (at / 1_000_000, at % 1_000_000);
        let hash_ids = json!(hashes);
        let _ = writeln!(
            text,
            "{{\"timestamp\": {ms}.{rest:06}, \"input_length\": {prompt}, \"output_length\": \
             {output}, \"hash_ids\": {hash_ids}}}"
        );
    }
    match hashed {
        true => ("trace.jsonl", text),
        false => ("trace.csv", text),
    }
}

fn simulate(
    document: &Document,
    base_dir: &Path,
    name: &str,
    requests: usize,
) -> Result<Replay, ValidateError> {
    let plan = resolve(document, base_dir).map_err(|error| ValidateError::scenario(name, error))?;
    let mut fleet = plan.fleet.clone();
    fleet.record_requests = true;
    let mut simulation =
        Simulation::new(Arc::new(fleet)).map_err(|error| ValidateError::trace(name, &error))?;
    let mut simulated = vec![Simulated::default(); requests];
    let mut preemptions = 0;
    let mut seen = 0;
    let mut take = |rows: &[RequestRow]| {
        for row in rows {
            preemptions += u64::from(row.preemptions);
            let place = usize::try_from(row.id).unwrap_or(usize::MAX);
            if let Some(place) = simulated.get_mut(place) {
                *place = Simulated::of(row);
                seen += 1;
            }
        }
    };
    simulation.run(
        plan.scenario.run.max_events,
        &mut Hooks {
            stop: None,
            progress: &mut |_| {},
            rows: &mut take,
            audit: &mut |_| {},
        },
    );
    take(&simulation.world.in_flight_rows());
    let problem = |reason: String| ValidateError::Simulation {
        context: name.to_owned(),
        reason,
    };
    if let Some(failure) = simulation.world.failure() {
        return Err(problem(failure.to_owned()));
    }
    simulation.check().map_err(problem)?;
    if seen != requests {
        return Err(problem(format!(
            "{requests} requests were measured, but {seen} were simulated (a workload, horizon or \
             event limit in the run's scenario cuts it short)"
        )));
    }
    Ok(Replay {
        simulated,
        preemptions,
        plan: Arc::new(plan),
    })
}
