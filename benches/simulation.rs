//! How fast the simulator is, in CPU time of one thread: `cargo bench --bench simulation`.
//!
//! Each line is the best of five runs, since whatever else runs on the machine only slows it down.
#![allow(clippy::print_stdout, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;

use seatrial::engine::{EventQueue, SimTime};
use seatrial::fleet::simulation::{Hooks, Simulation};
use seatrial::measure::CpuClock;
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

const RUNS: usize = 5;

fn main() {
    for pending in [100, 10_000, 1_000_000] {
        hold(pending);
    }
    simulate(
        "M/M/8 at 80 % load",
        r#"
        name = "mm8"
        run.horizon_s = 3_000
        workload.arrivals = { process = "poisson", rate_per_s = 640 }
        [[pools]]
        name = "servers"
        engine = "abstract"
        servers = 8
        service = { law = "exponential", mean_ms = 10 }
        "#,
    );
    simulate(
        "llama-3.1-70b on 10 replicas of 8 x H100, 512 + 128 tokens",
        r#"
        name = "llm"
        run.horizon_s = 3_000
        workload.arrivals = { process = "poisson", rate_per_s = 100 }
        [[pools]]
        name = "nodes"
        engine = "llm"
        replicas = 10
        model = "llama-3.1-70b"
        accelerator = "h100-sxm"
        tp = 8
        "#,
    );
}

/// The hold model: pop the first event and schedule another, at a constant number pending.
fn hold(pending: u64) {
    const HOLDS: u64 = 2_000_000;
    let best = (0..RUNS).map(|_| {
        let mut queue: EventQueue<u32> = EventQueue::new();
        let mut state = 1u64;
        let mut gap = || {
            // Any cheap generator will do here (xorshift64, Marsaglia 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % 1_000_000
        };
        for event in 0..pending {
            queue.schedule(SimTime(gap()), event as u32);
        }
        let clock = CpuClock::start();
        for _ in 0..HOLDS {
            if let Some((time, event)) = queue.pop() {
                queue.schedule(SimTime(time.0 + gap()), event);
            }
        }
        clock.elapsed_s()
    });
    let ns = best.fold(f64::INFINITY, f64::min) / HOLDS as f64 * 1e9;
    println!("event queue, {pending} pending: {ns:.0} ns a pop and a push");
}

fn simulate(what: &str, text: &str) {
    let document = Document::parse(SourceText::new("bench.toml", text)).expect("valid TOML");
    let plan = resolve(&document, Path::new("")).expect("a valid scenario");
    let fleet = Arc::new(plan.fleet);
    let mut best = f64::INFINITY;
    let mut counts = (0, 0);
    for _ in 0..RUNS {
        let clock = CpuClock::start();
        let mut simulation = Simulation::new(Arc::clone(&fleet)).expect("no trace to open");
        simulation.run(
            u64::MAX,
            &mut Hooks {
                stop: None,
                progress: &mut |_| {},
                rows: &mut |_| {},
            },
        );
        best = best.min(clock.elapsed_s());
        counts = (simulation.world.meters.arrived, simulation.events());
    }
    let (requests, events) = counts;
    println!(
        "{what}: {:.2} million requests/CPU-second, {:.0} ns an event, {:.1} events a request",
        requests as f64 / best / 1e6,
        best * 1e9 / events as f64,
        events as f64 / requests as f64
    );
}
