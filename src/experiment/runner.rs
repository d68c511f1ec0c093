//! Runs a scenario: replications in parallel, then every counterfactual its claims ask for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{Ended, SimDuration, SimTime};
use crate::fleet::erasure::audit::AuditRow;
use crate::fleet::observer::Observer;
use crate::fleet::outcome::RequestRow;
use crate::fleet::simulation::{Hooks, Simulation};
use crate::measure::{CpuClock, Mser5};
use crate::scenario::resolve::{Plan, resolve};
use crate::scenario::{Document, ScenarioError};
use crate::trace::TraceError;

use super::charts::Charts;
use super::claims::{self, Judgement};
use super::erasure::{ErasureTally, growth_of, place_name};
use super::metric::MetricError;
use super::result::RunResult;
use super::tally::{LatencyIntervals, Tally, intervals_between, intervals_within, statistics};
use super::variants;
use super::warnings::{all_alike, few_dominate, growing, is_unstable};

/// Replications run before they are put together: bounds the memory of many replications.
const AT_ONCE: u32 = 16;

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario, or a counterfactual of a claim, is not valid.
    #[error("{context}{source}")]
    Scenario {
        /// Empty, or which claim's overrides are at fault.
        context: String,
        /// What is wrong.
        source: Box<ScenarioError>,
    },
    /// The trace could not be read to its end.
    #[error("{0}")]
    Trace(String),
    /// A metric names what no result of the scenario has.
    #[error(transparent)]
    Metric(MetricError),
    /// An identity that must hold in every result does not: a defect of this program.
    #[error("internal check failed, please report it: {0}")]
    Identity(String),
}

impl From<ScenarioError> for RunError {
    fn from(source: ScenarioError) -> RunError {
        RunError::Scenario {
            context: String::new(),
            source: Box::new(source),
        }
    }
}

impl From<TraceError> for RunError {
    fn from(error: TraceError) -> RunError {
        RunError::Trace(error.to_string())
    }
}

/// Takes the rows of requests that have ended.
pub type RowSink<'a> = Mutex<&'a mut (dyn FnMut(&[RequestRow]) + Send)>;

/// Takes lines of the audit log of erasures, with the names of the places that they point to.
pub type AuditSink<'a> = Mutex<&'a mut (dyn FnMut(&[AuditRow], &[String]) + Send)>;

/// Looks on while a scenario is simulated.
pub type ObserverSeat<'a> = Mutex<&'a mut dyn Observer>;

/// What a run may use of the outside.
#[derive(Clone, Copy, Default)]
pub struct Control<'a> {
    /// Raised to end early (Ctrl-C).
    pub stop: Option<&'a AtomicBool>,
    /// Told how many simulations there will be, once known.
    pub simulations: Option<&'a (dyn Fn(u64) + Sync)>,
    /// Told which share of one simulation was done since the last call.
    pub progress: Option<&'a (dyn Fn(f64) + Sync)>,
    /// Takes the requests of the scenario itself (its first replication).
    pub rows: Option<&'a RowSink<'a>>,
    /// Takes the audit log of the scenario itself (its first replication).
    pub audit: Option<&'a AuditSink<'a>>,
    /// Looks on at the scenario itself (its first replication).
    pub observer: Option<&'a ObserverSeat<'a>>,
    /// Whether to keep what reports draw of the scenario itself.
    pub charts: bool,
}

/// A scenario that was run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The plan it was run from.
    pub plan: Arc<Plan>,
    /// Its result.
    pub result: RunResult,
    /// The result and the scenario as one document, for metrics.
    pub document: Value,
    /// The same for each replication.
    pub replications: Vec<Value>,
    /// CPU time of the simulations, seconds.
    pub cpu_s: f64,
    /// Requests simulated, those of variants and counterfactuals too.
    pub simulated: u64,
    /// Why the run shows nothing of how the fleet fares in the long run, if it does not.
    pub unsettled: Option<Unsettled>,
    /// What reports draw of it, where that was wanted.
    pub charts: Option<Box<Charts>>,
}

/// Why a run shows nothing of the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsettled {
    /// More work is offered than can be done.
    Overloaded,
    /// Requests in flight grew until the last arrival.
    Growing,
}

/// Runs a scenario and judges its claims.
///
/// # Errors
/// When the scenario or a counterfactual is not valid, a trace fails, or a check of the program
/// itself does.
pub fn run_scenario(
    document: &Document,
    base_dir: &Path,
    control: Control<'_>,
) -> Result<Outcome, RunError> {
    let plan = resolve(document, base_dir)?;
    let variants = variants::variants(document, base_dir, &plan)?;
    let replications = u64::from(plan.scenario.run.replications);
    if let Some(tell) = control.simulations {
        let others: u64 = variants
            .values()
            .map(|plan| u64::from(plan.scenario.run.replications))
            .sum();
        tell(replications + others);
    }
    let mut outcome = run_plan(plan, control)?;
    let quiet = Control {
        rows: None,
        audit: None,
        observer: None,
        charts: false,
        ..control
    };
    let runs: Result<Vec<(String, Outcome)>, RunError> = variants
        .into_iter()
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|(key, plan)| Ok((key, run_plan(plan, quiet)?)))
        .collect();
    let runs: BTreeMap<String, Outcome> = runs?.into_iter().collect();
    outcome.simulated += runs.values().map(|run| run.simulated).sum::<u64>();
    outcome.cpu_s += runs.values().map(|run| run.cpu_s).sum::<f64>();
    add_variants(&mut outcome, &runs);
    let judged: Vec<Judgement> = outcome
        .plan
        .scenario
        .claims
        .iter()
        .map(|claim| claims::judge(claim, &outcome, &runs))
        .collect();
    outcome.result.claims = judged;
    Ok(outcome)
}

/// Puts the results of the named variants into the outcome, where metrics find them.
fn add_variants(outcome: &mut Outcome, runs: &BTreeMap<String, Outcome>) {
    let variants = outcome.plan.scenario.variants.iter();
    let found: Vec<(String, &Outcome)> = variants
        .filter_map(|(name, changed)| match variants::key(changed) {
            Some(key) => runs.get(&key).map(|run| (name.clone(), run)),
            None => None,
        })
        .collect();
    let together = |document: &dyn Fn(&Outcome) -> Option<Value>| -> Value {
        let fields = found
            .iter()
            .filter_map(|(name, run)| Some((name.clone(), document(run)?)));
        Value::Object(fields.collect())
    };
    let whole = together(&|run| Some(run.document.clone()));
    for (index, replication) in outcome.replications.iter_mut().enumerate() {
        replication["variants"] = together(&|run| run.replications.get(index).cloned());
    }
    outcome.document["variants"] = whole;
    let results = found
        .iter()
        .map(|(name, run)| (name.clone(), run.result.clone()));
    outcome.result.variants = results.collect();
    add_growth(outcome);
}

/// How the work of erasures grows with what logs hold, where variants differ in that.
fn add_growth(outcome: &mut Outcome) {
    let own = [("(as written)", &outcome.result.erasure)];
    let others = outcome.result.variants.iter();
    let others = others.map(|(name, result)| (name.as_str(), &result.erasure));
    let sections: Vec<(&str, &Value)> = own.into_iter().chain(others).collect();
    let growth = growth_of(&sections);
    if !growth.is_null() {
        outcome.result.erasure["growth"] = growth.clone();
        outcome.document["erasure"]["growth"] = growth.clone();
        // It is of all replications together.
        for replication in &mut outcome.replications {
            replication["erasure"]["growth"] = growth.clone();
        }
    }
}

/// One replication that has ended.
struct Replication {
    tally: Tally,
    intervals: [LatencyIntervals; 4],
    cpu_s: f64,
}

/// Runs a plan, all its replications.
///
/// # Errors
/// When a trace fails, or a check of the program itself.
pub fn run_plan(mut plan: Plan, control: Control<'_>) -> Result<Outcome, RunError> {
    if plan.auto_warmup {
        find_warmup(&mut plan, control)?;
    }
    let plan = Arc::new(plan);
    let run = &plan.scenario.run;
    let mut whole: Option<Tally> = None;
    let mut within = None;
    let mut between = Vec::new();
    let mut documents = Vec::new();
    let mut cpu_s = 0.0;
    for first in (0..run.replications).step_by(AT_ONCE as usize) {
        let last = run.replications.min(first + AT_ONCE);
        let some: Result<Vec<Replication>, RunError> = (first..last)
            .into_par_iter()
            .map(|replication| replicate(&plan, replication, control))
            .collect();
        for replication in some? {
            let none = [[None; 5]; 4];
            let tally = replication.tally;
            between.push(statistics(&tally));
            documents.push(with_scenario(&RunResult::new(&plan, &tally, &none), &plan));
            cpu_s += replication.cpu_s;
            within.get_or_insert(replication.intervals);
            match &mut whole {
                Some(whole) => whole.merge(&tally),
                None => whole = Some(tally),
            }
        }
    }
    let (Some(tally), Some(within)) = (whole, within) else {
        return Err(RunError::Identity("no replication was run".to_owned()));
    };
    let unsettled = match growing(&tally) {
        _ if is_unstable(&plan, &tally) => Some(Unsettled::Overloaded),
        Some(_) => Some(Unsettled::Growing),
        None => None,
    };
    let intervals = match run.replications {
        _ if unsettled.is_some() || all_alike(&tally) => [[None; 5]; 4],
        1 => within,
        _ => intervals_between(&statistics(&tally), &between, run.confidence),
    };
    let mut result = RunResult::new(&plan, &tally, &intervals);
    result
        .warnings
        .extend(few_dominate(&statistics(&tally), &between, run.confidence));
    let document = with_scenario(&result, &plan);
    let charts = control
        .charts
        .then(|| Box::new(Charts::of(&plan, &tally, &result.digest)));
    Ok(Outcome {
        plan,
        charts,
        result,
        document,
        replications: documents,
        cpu_s,
        simulated: tally.arrived,
        unsettled,
    })
}

/// A result and its scenario as one document, for metrics.
pub(super) fn with_scenario(result: &RunResult, plan: &Plan) -> Value {
    let mut document = result.to_json();
    if let Value::Object(fields) = &mut document {
        let scenario = serde_json::to_value(&plan.scenario).unwrap_or(Value::Null);
        fields.insert("scenario".to_owned(), scenario);
    }
    document
}

fn replicate(plan: &Plan, replication: u32, control: Control<'_>) -> Result<Replication, RunError> {
    let clock = CpuClock::start();
    let mut fleet = plan.fleet.clone();
    fleet.streams.replication = u64::from(replication);
    let sink = control.rows.filter(|_| replication == 0);
    let observer = control.observer.filter(|_| replication == 0);
    fleet.record_requests = sink.is_some() || observer.is_some();
    let audit = control.audit.filter(|_| replication == 0);
    fleet.record_erasures = audit.is_some();
    fleet.record_series = control.charts && replication == 0;
    let horizon = fleet.horizon;
    let mut simulation = Simulation::new(Arc::new(fleet))?;
    let mut told = 0.0;
    let mut progress = |now: SimTime| {
        if let Some(tell) = control.progress {
            let share = (now.as_secs_f64() / horizon.as_secs_f64()).min(1.0);
            tell(share - told);
            told = share;
        }
    };
    let mut rows = |rows: &[RequestRow]| {
        if let Some(Ok(mut sink)) = sink.map(Mutex::lock) {
            (*sink)(rows);
        }
    };
    let places = simulation.world.erasure().into_iter();
    let places = places.flat_map(|erasure| &erasure.meters.places);
    let places: Vec<String> = places.map(|place| place_name(plan, place)).collect();
    let mut lines = |lines: &[AuditRow]| {
        if let Some(Ok(mut audit)) = audit.map(Mutex::lock) {
            (*audit)(lines, &places);
        }
    };
    let max_events = plan.scenario.run.max_events;
    let mut hooks = Hooks {
        stop: control.stop,
        progress: &mut progress,
        rows: &mut rows,
        audit: &mut lines,
    };
    let ended = match observer.map(Mutex::lock) {
        Some(Ok(mut observer)) => simulation.run_observed(max_events, &mut hooks, &mut **observer),
        _ => simulation.run(max_events, &mut hooks),
    };
    progress(horizon);
    ErasureTally::wind_up(&mut simulation, ended);
    if let Some(erasure) = simulation.world.erasure() {
        lines(&erasure.rows);
        lines(&erasure.pending_rows());
    }
    if sink.is_some() {
        rows(&simulation.world.in_flight_rows());
    }
    if let Some(failure) = simulation.world.failure() {
        return Err(RunError::Trace(failure.to_owned()));
    }
    simulation.check().map_err(RunError::Identity)?;
    let intervals = intervals_within(&simulation, plan.scenario.run.confidence);
    let tally = Tally::of(&mut simulation, ended);
    Ok(Replication {
        tally,
        intervals,
        cpu_s: clock.elapsed_s(),
    })
}

/// Sets the warm-up by MSER-5 on the E2E latencies of a pilot run of the first replication, and
/// notes what was found. The number of observations to delete is turned into a time by the mean
/// rate at which requests ended.
fn find_warmup(plan: &mut Plan, control: Control<'_>) -> Result<(), RunError> {
    let mut simulation = Simulation::new(Arc::new(plan.fleet.clone()))?;
    simulation.world.meters.pilot = Some(Mser5::new());
    let ended = simulation.run(
        plan.scenario.run.max_events,
        &mut Hooks {
            stop: control.stop,
            progress: &mut |_| {},
            rows: &mut |_| {},
            audit: &mut |_| {},
        },
    );
    let Some(pilot) = &simulation.world.meters.pilot else {
        return Ok(());
    };
    let found = pilot.truncation();
    let share = found.observations_to_delete as f64 / (pilot.count().max(1)) as f64;
    let seen_s = simulation.now().as_secs_f64();
    let whole = matches!(ended, Ended::Drained | Ended::End);
    let horizon_s = plan.fleet.horizon.as_secs_f64();
    let warmup_s = share * horizon_s.min(seen_s);
    plan.fleet.warmup = SimTime::ZERO + SimDuration::from_secs_f64(warmup_s);
    let doubt = match (whole, found.converged) {
        (false, _) => format!(", which was CUT OFF at {seen_s:.3} s: it says nothing of the rest"),
        (true, false) => ", which had NOT settled: run for longer".to_owned(),
        (true, true) => String::new(),
    };
    plan.scenario.assumptions.push(format!(
        "warm-up {warmup_s:.3} s found by MSER-5 on a pilot run{doubt}"
    ));
    Ok(())
}
