//! Runs scenarios request by request.

#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;

use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::plan::EnginePlan;
use seatrial::fleet::simulation::{Hooks, Simulation};
use seatrial::perf::StepTimes;
use seatrial::scenario::resolve::{Plan, resolve};
use seatrial::scenario::{Document, SourceText};

/// The plan of a scenario given as text.
pub fn plan_of(text: &str) -> Plan {
    let document = Document::parse(SourceText::new("test.toml", text))
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    resolve(&document, Path::new("")).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What is said of a scenario that is refused.
pub fn refusal(text: &str) -> String {
    let document = Document::parse(SourceText::new("test.toml", text)).unwrap();
    match resolve(&document, Path::new("")) {
        Ok(_) => panic!("not refused:\n{text}"),
        Err(error) => error.to_string(),
    }
}

/// Runs one replication of a plan, giving each row to `row` in order of ending.
pub fn run_rows(plan: &Plan, replication: u64, mut row: impl FnMut(&RequestRow)) -> Simulation {
    let mut fleet = plan.fleet.clone();
    fleet.streams.replication = replication;
    fleet.record_requests = true;
    let mut simulation = Simulation::new(Arc::new(fleet)).unwrap();
    simulation.run(
        u64::MAX,
        &mut Hooks {
            stop: None,
            progress: &mut |_| {},
            rows: &mut |rows| rows.iter().for_each(&mut row),
            audit: &mut |_| {},
        },
    );
    simulation.check().unwrap();
    simulation
}

/// All rows of the first replication of a scenario, in order of arrival.
pub fn rows_of(text: &str) -> Vec<RequestRow> {
    simulate(text).0
}

/// The same, with the simulation that made them.
pub fn simulate(text: &str) -> (Vec<RequestRow>, Simulation) {
    let mut rows = Vec::new();
    let simulation = run_rows(&plan_of(text), 0, |row| rows.push(row.clone()));
    rows.extend(simulation.world.in_flight_rows());
    rows.sort_by_key(|row| row.id);
    (rows, simulation)
}

/// End-to-end latency of a completed request, nanoseconds.
pub fn e2e_ns(row: &RequestRow) -> u64 {
    row.last_token_ns.unwrap() - row.arrival_ns
}

/// `plan` with `times` for the iterations of every LLM engine.
pub fn with_times(mut plan: Plan, times: impl StepTimes + 'static) -> Plan {
    let times: Arc<dyn StepTimes> = Arc::new(times);
    for pool in &mut plan.fleet.pools {
        if let EnginePlan::Llm { step, .. } = &mut pool.engine {
            *step = times.clone();
        }
    }
    plan
}

/// All requests of a run, by number.
pub fn rows(plan: &Plan) -> Vec<RequestRow> {
    let mut rows = Vec::new();
    run_rows(plan, 0, |row| rows.push(row.clone()));
    rows.sort_by_key(|row| row.id);
    rows
}
