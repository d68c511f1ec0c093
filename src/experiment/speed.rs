//! How fast the simulator is on this machine, in processor time of one thread.

use std::sync::Arc;

use serde::Serialize;

use crate::engine::{EventQueue, SimTime};
use crate::fleet::plan::FleetPlan;
use crate::fleet::simulation::{Hooks, Simulation};
use crate::measure::{CpuClock, peak_rss_mb, reset_peak_rss};
use crate::trace::TraceError;

/// Pops and pushes of one run of the hold model.
const HOLDS: u64 = 2_000_000;

/// The workloads that are timed by default: name and scenario.
pub const SHIPPED: [(&str, &str); 5] = [
    ("mm8", MM8),
    ("peer-1", include_str!("../../experiments/peer-1.toml")),
    ("peer-64", include_str!("../../experiments/peer-64.toml")),
    ("peer-256", include_str!("../../experiments/peer-256.toml")),
    (
        "peer-1024",
        include_str!("../../experiments/peer-1024.toml"),
    ),
];

/// M/M/8 at 80 % load: what an abstract pool costs.
const MM8: &str = r#"
name = "mm8"
run.horizon_s = 1_500
workload.arrivals = { process = "poisson", rate_per_s = 640 }
[[pools]]
name = "servers"
engine = "abstract"
servers = 8
service = { law = "exponential", mean_ms = 10 }
"#;

/// What a run cost.
#[derive(Debug, Clone, Serialize)]
pub struct Speed {
    /// Name of the scenario.
    pub scenario: String,
    /// Events handled.
    pub events: u64,
    /// Requests that arrived.
    pub requests: u64,
    /// Processor time of the fastest run, s.
    pub cpu_s: f64,
    /// Requests per second of processor time.
    pub requests_per_cpu_s: f64,
    /// Events per second of processor time.
    pub events_per_cpu_s: f64,
    /// Processor time of an event, ns.
    pub ns_per_event: f64,
    /// Greatest resident memory while it ran, MB (1e6 bytes); none where it is not known.
    pub peak_rss_mb: Option<f64>,
}

/// Times a fleet: the best of `runs` (at least one), since whatever else runs on the machine only
/// slows it down. The building of the fleet is part of the time.
///
/// # Errors
/// When a trace cannot be opened.
pub fn time(scenario: &str, fleet: &Arc<FleetPlan>, runs: u32) -> Result<Speed, TraceError> {
    reset_peak_rss();
    let (mut best, mut events, mut requests) = (f64::INFINITY, 0, 0);
    for _ in 0..runs.max(1) {
        let clock = CpuClock::start();
        let mut simulation = Simulation::new(Arc::clone(fleet))?;
        simulation.run(
            u64::MAX,
            &mut Hooks {
                stop: None,
                progress: &mut |_| {},
                rows: &mut |_| {},
                audit: &mut |_| {},
            },
        );
        best = best.min(clock.elapsed_s());
        events = simulation.events();
        requests = simulation.world.meters.arrived;
    }
    // A clock too coarse for a tiny run.
    let cpu_s = best.max(1e-9);
    Ok(Speed {
        scenario: scenario.to_owned(),
        events,
        requests,
        cpu_s,
        requests_per_cpu_s: requests as f64 / cpu_s,
        events_per_cpu_s: events as f64 / cpu_s,
        ns_per_event: cpu_s * 1e9 / events.max(1) as f64,
        peak_rss_mb: peak_rss_mb(),
    })
}

/// Nanoseconds of the hold model: pop the first event and schedule another, with `pending` (1 or
/// more) events pending; the best of `runs`. It is the floor below everything else.
pub fn hold_ns(pending: u32, runs: u32) -> f64 {
    let each = (0..runs.max(1)).map(|_| {
        let mut queue: EventQueue<u32> = EventQueue::new();
        let mut state = 1_u64;
        let mut gap = || {
            // Any cheap generator will do here (xorshift64, Marsaglia 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % 1_000_000
        };
        for event in 0..pending.max(1) {
            queue.schedule(SimTime(gap()), event);
        }
        let clock = CpuClock::start();
        for _ in 0..HOLDS {
            if let Some((time, event)) = queue.pop() {
                queue.schedule(SimTime(time.0 + gap()), event);
            }
        }
        clock.elapsed_s()
    });
    each.fold(f64::INFINITY, f64::min) / HOLDS as f64 * 1e9
}
