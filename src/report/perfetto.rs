//! A window of a run as a trace for Perfetto's viewer (and Chrome's): the Trace Event Format in JSON.
//!
//! Requests are nestable asynchronous events, one tree each, with their phases nested in them. What
//! engines compute are complete events on a track for each replica (micro-batch, rank), iteration by
//! iteration, though the simulator folds runs of like ones. Requests waiting and running and KV in
//! use are counters by replica, and what broke, was ejected or came back is an instant.
//!
//! Steps, counters and instants are those of the window; requests are there from their arrival to
//! their end if any part of that is in the window.

mod file;
mod requests;
mod steps;

use std::path::Path;

use serde_json::{Value, json};

use crate::engine::SimTime;
use crate::experiment::timeline::note_in_words;
use crate::fleet::ids::ReplicaId;
use crate::fleet::observer::{Observer, Touched};
use crate::fleet::outcome::RequestRow;
use crate::fleet::plan::FleetPlan;
use crate::fleet::world::World;
use crate::scenario::resolve::Plan;

pub use self::file::PerfettoError;
use self::file::TraceFile;
use self::requests::Requests;
use self::steps::Steps;
use super::requests::Names;

/// Most events of a trace: viewers get slow, and files large.
const MOST_EVENTS: u64 = 5_000_000;

/// The process that requests are drawn under, that of the fleet as a whole, and the first of pools.
const REQUESTS: u64 = 1;
const FLEET: u64 = 2;
const POOLS: u64 = 3;

/// When a trace begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first instant.
    pub from: SimTime,
    /// The first that is not in it any more, above `from`.
    pub to: SimTime,
}

/// Writes a trace while a fleet is simulated.
pub struct Perfetto {
    file: TraceFile,
    window: Window,
    names: Names,
    plan: FleetPlan,
    steps: Steps,
    requests: Requests,
    /// Whether the window has begun.
    begun: bool,
    /// Whether it is over, and what is under way was closed.
    closed: bool,
    /// Rows of the world, and notes of its timeline, that were seen.
    rows_seen: usize,
    notes_seen: usize,
    in_flight: u64,
}

impl Perfetto {
    /// Opens a file (`.json` or `.json.gz`).
    ///
    /// # Errors
    /// [`PerfettoError`]: when the window is empty or begins after the run, the extension is neither,
    /// or the file cannot be written.
    pub fn create(path: &Path, plan: &Plan, window: Window) -> Result<Perfetto, PerfettoError> {
        let end_s = plan.fleet.end.as_secs_f64();
        if window.from >= window.to || window.from >= plan.fleet.end {
            return Err(PerfettoError::Window {
                from_s: window.from.as_secs_f64(),
                to_s: window.to.as_secs_f64(),
                end_s,
            });
        }
        let about = json!({
            "scenario": plan.scenario.name,
            "seed": plan.scenario.run.seed,
            "window_s": [window.from.as_secs_f64(), window.to.as_secs_f64()],
            "made_by": "seatrial",
        });
        let mut perfetto = Perfetto {
            file: TraceFile::create(path, MOST_EVENTS, &about)?,
            window,
            names: Names::of(plan),
            plan: plan.fleet.clone(),
            steps: Steps::default(),
            requests: Requests,
            begun: false,
            closed: false,
            rows_seen: 0,
            notes_seen: 0,
            in_flight: u64::MAX,
        };
        perfetto.name_processes();
        Ok(perfetto)
    }

    fn name_processes(&mut self) {
        let mut named = vec![
            (REQUESTS, "requests".to_owned()),
            (FLEET, "fleet".to_owned()),
        ];
        let pools = (POOLS..).zip(&self.names.pools);
        named.extend(pools.map(|(pid, name)| (pid, format!("pool {name}"))));
        for (pid, name) in named {
            self.file.name_process(pid, &name);
        }
    }

    /// Closes the file; a sentence where it was full before the window was over, or where the run was over
    /// before the window began.
    ///
    /// # Errors
    /// [`PerfettoError::Write`].
    pub fn finish(self) -> Result<Option<String>, PerfettoError> {
        let nothing = format!(
            "{}: nothing is in it: the run was over before --window began, at {} s; give an earlier one",
            self.file.path(),
            self.window.from.as_secs_f64()
        );
        let full = self.file.finish()?;
        Ok(full.or((!self.begun).then_some(nothing)))
    }

    /// Looks at a replica, and writes what has changed.
    fn look_at(&mut self, replica: ReplicaId, world: &World, now: SimTime) {
        if let Some(view) = world.replica_view(replica, now) {
            let pid = POOLS + u64::from(view.pool);
            self.steps.seen(&mut self.file, (pid, replica), &view, now);
        }
    }

    fn look_at_all(&mut self, world: &World, now: SimTime) {
        for replica in 0..world.replica_count() {
            self.look_at(ReplicaId(replica), world, now);
        }
    }

    fn new_notes(&mut self, world: &World, now: SimTime) {
        let (notes, _) = world.meters.timeline.notes();
        for (at, note) in notes.get(self.notes_seen..).unwrap_or_default() {
            if *at >= self.window.from && *at < self.window.to {
                let words = note_in_words(note, &self.plan);
                self.file.instant(FLEET, *at, &words);
            }
        }
        self.notes_seen = notes.len();
        let in_flight = world.in_flight();
        if in_flight != self.in_flight {
            self.in_flight = in_flight;
            let value = json!({ "requests": in_flight });
            self.file.counter(FLEET, now, "in flight", &value);
        }
    }

    fn ended(&mut self, rows: &[RequestRow], at: SimTime, is_over: bool) {
        for row in rows {
            let came = SimTime(row.arrival_ns);
            if came < self.window.to && at >= self.window.from {
                self.requests
                    .write(&mut self.file, REQUESTS, (row, &self.names), (at, is_over));
            }
        }
    }

    /// The window is over: what is under way is cut off there.
    fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            let at = self.window.to;
            self.steps.close(&mut self.file, at);
        }
    }
}

impl Observer for Perfetto {
    fn next_look(&self) -> Option<SimTime> {
        match (self.begun, self.closed) {
            (false, _) => Some(self.window.from.max(SimTime(1))),
            (true, false) => Some(self.window.to.max(SimTime(2))),
            (true, true) => None,
        }
    }

    fn look(&mut self, world: &mut World, at: SimTime) {
        if self.begun {
            self.close();
            return;
        }
        self.begun = true;
        self.notes_seen = world.meters.timeline.notes().0.len();
        self.new_notes(world, at);
        self.look_at_all(world, at);
    }

    /// From the beginning of the window to the end of the run: requests of the window end after it.
    fn watches(&self) -> bool {
        self.begun
    }

    fn after(&mut self, touched: &Touched, world: &World, now: SimTime) {
        let fresh = world.rows.get(self.rows_seen..).unwrap_or_default();
        if !fresh.is_empty() {
            self.ended(fresh, now, true);
        }
        self.rows_seen = world.rows.len();
        if self.closed {
            return;
        }
        match *touched {
            Touched::Nothing => {}
            Touched::Replicas(a, b) => {
                self.look_at(a, world, now);
                if a != b {
                    self.look_at(b, world, now);
                }
            }
            Touched::Any => self.look_at_all(world, now),
        }
        self.new_notes(world, now);
    }

    fn rows(&mut self, _: &[RequestRow]) {
        // They were seen one by one as they came; the world begins a new list.
        self.rows_seen = 0;
    }

    fn over(&mut self, world: &mut World, at: SimTime) {
        if self.begun && !self.closed {
            // The run ended before the window did.
            self.window.to = self.window.to.min(SimTime(at.0.saturating_add(1)));
            self.close();
        }
        let rows = world.in_flight_rows();
        self.ended(&rows, at, false);
    }
}

/// The arguments of an event, without those that have no value.
fn arguments(fields: &[(&str, Value)]) -> Value {
    let stated = fields.iter().filter(|(_, value)| !value.is_null());
    let fields = stated.map(|(name, value)| ((*name).to_owned(), value.clone()));
    Value::Object(fields.collect())
}
