//! The fleet of a scenario, given the arrivals of a night.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::{Table, Value};

use super::error::ReplayError;
use super::lengths::Unknown;
use super::night::{Night, Seen};
use super::window::Window;
use crate::engine::{Ended, SimDuration, SimTime};
use crate::fleet::outcome::RequestRow;
use crate::fleet::plan::EnginePlan;
use crate::fleet::simulation::{Hooks, Simulation};
use crate::observed::levels::Level;
use crate::scenario::Document;
use crate::scenario::faults::FaultKind;
use crate::scenario::resolve::{Plan, resolve};
use crate::workload::source::{Arrival, SourcePlan};

/// After the last arrival a simulation goes on until all has ended, or for this long at least,
/// seconds.
const LEAST_DRAIN_S: f64 = 600.0;

/// A field and what it is set to, as on the command line.
pub type Change = (String, String);

/// A scenario that is to serve the arrivals of a night.
#[derive(Debug, Clone)]
pub struct Stage {
    document: Document,
    folder: PathBuf,
    arrivals: Arc<[Arrival]>,
    /// What the log does not tell of their lengths.
    unknown: Unknown,
    /// How often what there is in the fleet is looked at; never where only requests are asked for.
    look_every: Option<SimDuration>,
}

/// What was simulated.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// The requests, in order of arrival.
    pub requests: Vec<Seen>,
    /// What was so over time, where the run kept it.
    pub levels: Option<Levels>,
}

/// What was so over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    /// From one look to the next, seconds; the first is so long after the start.
    pub every_s: f64,
    /// What was found at each, in the order of [`Level::ALL`].
    pub looks: Vec<[f64; Level::ALL.len()]>,
}

/// Of the arrivals which are simulated.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// All of them.
    Whole,
    /// Those from one number to before another.
    Slice(usize, usize),
}

impl Stage {
    /// Puts the arrivals of a night in the place of the scenario's workload. Paths of the scenario
    /// are relative to `folder`.
    ///
    /// # Errors
    /// When the scenario is not valid, or says that more arrives than was observed.
    pub fn new(document: &Document, folder: &Path, night: &Night) -> Result<Stage, ReplayError> {
        let mut document = document.clone();
        let span_s = night.span_ns() as f64 / 1e9 + 1e-9;
        let mut arrivals = Table::new();
        arrivals.insert("process".to_owned(), Value::String("constant".to_owned()));
        let rate = (night.requests.len() as f64 / span_s).clamp(1e-6, 1e9);
        arrivals.insert("rate_per_s".to_owned(), Value::Float(rate));
        document.set_value("workload.arrivals", Value::Table(arrivals))?;
        let written = document.to_json();
        for field in [
            "profile",
            "sessions",
            "max_requests",
            "prompt_tokens",
            "output_tokens",
            "length_rank_correlation",
        ] {
            if written.pointer(&format!("/workload/{field}")).is_some() {
                document.set(&format!("workload.{field}"), "unset")?;
            }
        }
        for (path, value) in [
            ("run.horizon_s", Value::Float(span_s)),
            ("run.warmup_s", Value::Float(0.0)),
            ("run.replications", Value::Integer(1)),
        ] {
            document.set_value(path, value)?;
        }
        let stage = Stage {
            document,
            folder: folder.to_owned(),
            arrivals: night.arrivals(),
            unknown: Unknown::default(),
            look_every: None,
        };
        stage.plan(&[])?;
        Ok(stage)
    }

    /// The same, with lengths that the log does not tell drawn anew for each simulated night, so that what
    /// arrives asks for as much as in a window in which all was well.
    #[must_use]
    pub fn drawing_lengths(&self, night: &Night, calm: &Window) -> Stage {
        Stage {
            unknown: Unknown::of(night, calm),
            ..self.clone()
        }
    }

    /// The same, looking every so many seconds at the replicas and at what waits. Looking changes nothing
    /// of what is simulated.
    #[must_use]
    pub fn looking_every(&self, seconds: f64) -> Stage {
        Stage {
            look_every: Some(SimDuration::from_secs_f64(seconds)).filter(|every| every.0 > 0),
            ..self.clone()
        }
    }

    /// The scenario, the arrivals of the night in it but for their instants.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The plan with some fields changed.
    ///
    /// # Errors
    /// When a change is not valid, or makes more arrive than was observed.
    pub fn plan(&self, changes: &[Change]) -> Result<Plan, ReplayError> {
        let mut document = self.document.clone();
        for (path, value) in changes {
            document.set(path, value)?;
        }
        let mut plan = resolve(&document, &self.folder)?;
        let faults = plan.fleet.faults.iter().flat_map(|it| &it.faults.timeline);
        if faults.into_iter().any(|fault| makes_arrivals(&fault.fault)) {
            let allowed = "must not be among the faults of a replay: the log has all that came";
            let remedy = "take it out of the timeline of faults";
            return Err(ReplayError::option("traffic_spike", "", allowed, remedy));
        }
        plan.fleet.source = SourcePlan::Observed(Arc::clone(&self.arrivals));
        plan.fleet.record_requests = true;
        Ok(plan)
    }

    /// Simulates a plan of this stage. Replication 0 is the scenario's own luck.
    ///
    /// # Errors
    /// When it is not run to its end, or a check of the program itself fails.
    pub fn simulate(
        &self,
        plan: &Plan,
        part: Part,
        replication: u64,
    ) -> Result<Simulated, ReplayError> {
        let mut fleet = plan.fleet.clone();
        fleet.streams.replication = replication;
        let part = match part {
            Part::Whole => 0..self.arrivals.len(),
            Part::Slice(from, to) => from..to,
        };
        let arrivals = self.unknown.fill(&self.arrivals, part, &fleet.streams);
        if let Some(last) = arrivals.last() {
            // The last request is to arrive, too.
            fleet.horizon = SimTime(last.t_ns.saturating_add(1));
        }
        let drain_s = fleet.horizon.as_secs_f64().max(LEAST_DRAIN_S);
        let drain = SimDuration::from_secs_f64(drain_s);
        fleet.end = fleet.horizon.saturating_add(drain);
        fleet.source = SourcePlan::Observed(Arc::clone(&arrivals));
        run(
            fleet,
            plan.scenario.run.max_events,
            arrivals.len(),
            self.look_every,
        )
    }
}

fn run(
    fleet: crate::fleet::plan::FleetPlan,
    max_events: u64,
    expected: usize,
    look_every: Option<SimDuration>,
) -> Result<Simulated, ReplayError> {
    let failed = |reason: String| ReplayError::Simulation {
        what: "the night".to_owned(),
        reason,
    };
    let mut simulation =
        Simulation::new(Arc::new(fleet)).map_err(|error| failed(error.to_string()))?;
    let mut seen: Vec<Option<Seen>> = vec![None; expected];
    let mut take = |rows: &[RequestRow]| {
        for row in rows {
            let place = usize::try_from(row.id).ok();
            if let Some(place) = place.and_then(|at| seen.get_mut(at)) {
                *place = Some(Seen::of(row));
            }
        }
    };
    let mut hooks = Hooks {
        stop: None,
        progress: &mut |_| {},
        rows: &mut take,
        audit: &mut |_| {},
    };
    let levels = look_every.map(|every| look_on(&mut simulation, every, max_events, &mut hooks));
    simulation.run(max_events, &mut hooks);
    take(&simulation.world.in_flight_rows());
    simulation.check().map_err(failed)?;
    let requests: Option<Vec<Seen>> = seen.into_iter().collect();
    let requests = requests.ok_or_else(|| {
        failed("it ended before all had arrived (run.max_events or run.max_in_flight)".to_owned())
    })?;
    Ok(Simulated { requests, levels })
}

/// Simulates until arrivals are over, looking at the fleet on the way.
fn look_on(
    simulation: &mut Simulation,
    every: SimDuration,
    max_events: u64,
    hooks: &mut Hooks<'_>,
) -> Levels {
    let many = simulation.plan().horizon.0 / every.0;
    let mut looks = Vec::new();
    for look in 1..=many {
        let at = SimTime(look * every.0);
        if simulation.run_until(at, max_events, hooks) != Ended::End {
            break;
        }
        looks.push(look_at(simulation, at));
    }
    Levels {
        every_s: every.as_secs_f64(),
        looks,
    }
}

/// What there is of each level at an instant.
fn look_at(simulation: &Simulation, at: SimTime) -> [f64; Level::ALL.len()] {
    let mut found = [0.0; Level::ALL.len()];
    let (mut with_kv, mut kv_usage) = (0.0, 0.0);
    for (pool, plan) in simulation.plan().pools.iter().enumerate() {
        let view = simulation.world.pool_view(pool as u16, at);
        found[Level::Replicas.index()] += f64::from(view.up);
        found[Level::Queue.index()] += view.waiting as f64;
        found[Level::Running.index()] += view.running as f64;
        if matches!(plan.engine, EnginePlan::Llm { .. }) {
            with_kv += f64::from(view.up);
            kv_usage += f64::from(view.up) * view.kv_usage;
        }
    }
    found[Level::Waiting.index()] = simulation.world.waiting() as f64;
    if with_kv > 0.0 {
        found[Level::KvUsage.index()] = kv_usage / with_kv;
    }
    found
}

fn makes_arrivals(fault: &FaultKind) -> bool {
    match fault {
        FaultKind::TrafficSpike { .. } => true,
        FaultKind::Oscillating { fault, .. } => makes_arrivals(fault),
        _ => false,
    }
}
