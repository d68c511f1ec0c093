//! A clone of a simulation under way goes on as the original does: the same events in the same
//! order, whatever the traffic comes from.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::Path;
use std::sync::Arc;

use seatrial::engine::Ended;
use seatrial::fleet::Simulation;
use seatrial::fleet::simulation::Hooks;
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

fn simulation(text: &str) -> Simulation {
    let document = Document::parse(SourceText::new("fork.toml", text)).unwrap();
    let plan = resolve(&document, Path::new(".")).unwrap_or_else(|error| panic!("{error:?}"));
    Simulation::new(Arc::new(plan.fleet)).unwrap()
}

fn run(simulation: &mut Simulation, max_events: u64) -> Ended {
    let mut hooks = Hooks {
        stop: None,
        progress: &mut |_| {},
        rows: &mut |_| {},
        audit: &mut |_| {},
    };
    simulation.run(max_events, &mut hooks)
}

/// Digests of events and outcomes, events, the present, requests by how they ended.
fn trail(simulation: &Simulation) -> (String, String, u64, u64, Vec<u64>) {
    assert_eq!(simulation.check(), Ok(()));
    (
        simulation.digest().hex(),
        simulation.world.meters.outcomes.hex(),
        simulation.events(),
        simulation.now().0,
        simulation.world.meters.ended.to_vec(),
    )
}

/// Forks after each number of events in `cuts`; every fork, and the run that was never cut, must
/// agree. The forks run interleaved with their original.
fn forks_agree(text: &str, cuts: &[u64]) {
    let mut whole = simulation(text);
    run(&mut whole, u64::MAX);
    let expected = trail(&whole);
    for &cut in cuts {
        assert!(cut < expected.2, "the run has only {} events", expected.2);
        let mut original = simulation(text);
        assert_eq!(run(&mut original, cut), Ended::EventBudget);
        assert!(
            original.world.in_flight() > 0,
            "a cut with nothing in flight"
        );
        let mut fork = original.clone();
        let untouched = original.clone();
        assert_eq!(trail(&fork), trail(&original));
        let further = cut + (expected.2 - cut) / 2;
        run(&mut fork, further);
        run(&mut original, u64::MAX);
        run(&mut fork, u64::MAX);
        assert_eq!(trail(&original), expected, "the original, cut at {cut}");
        assert_eq!(trail(&fork), expected, "the fork, cut at {cut}");
        assert_eq!(untouched.events(), cut, "forks share no state");
    }
}

const LLM: &str = r#"
[network]
to_replica_ms = 0.2
from_replica_ms = 0.2
[gateway]
cost_ms = 1
[batching]
window_ms = 3
max_batch = 4
[[pools]]
name = "llm"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
replicas = 3
kv_blocks = 700
max_num_seqs = 48
"#;

#[test]
fn a_fork_of_open_traffic_goes_on_alike() {
    let text = format!(
        r#"
name = "open"
[run]
horizon_s = 30
[workload]
arrivals = {{ process = "gamma", rate_per_s = 30, cv = 3 }}
prompt_tokens = {{ law = "lognormal", mean_tokens = 300, cv = 1, max_tokens = 2000 }}
output_tokens = {{ law = "exponential", mean_tokens = 80, max_tokens = 600 }}
{LLM}"#
    );
    forks_agree(&text, &[100, 1_234, 5_000]);
}

#[test]
fn a_fork_of_a_closed_loop_goes_on_alike() {
    let text = format!(
        r#"
name = "closed"
[run]
horizon_s = 20
[workload]
arrivals = {{ process = "closed_loop", users = 40, think = {{ law = "exponential", mean_ms = 300 }} }}
{LLM}"#
    );
    forks_agree(&text, &[500, 3_000]);
}

#[test]
fn a_fork_in_the_middle_of_a_trace_goes_on_alike() {
    let text = format!(
        r#"
name = "trace"
[workload]
arrivals = {{ process = "trace", path = "traces/azure-2023-code.csv.gz", to_s = 600, dejitter = "uniform" }}
{}"#,
        LLM.replace("kv_blocks = 700", "kv_blocks = 1500")
    );
    forks_agree(&text, &[200, 3_333]);
}

#[test]
fn a_fork_of_abstract_servers_goes_on_alike() {
    for pool in [
        "service = { law = \"exponential\", mean_ms = 10 }",
        "discipline = \"processor_sharing\"\nservice = { law = \"lognormal\", mean_ms = 10, scv = 4 }",
        "batch_service = { fixed_ms = 5, per_item_ms = 1 }",
    ] {
        let text = format!(
            r#"
name = "abstract"
[run]
horizon_s = 20
[workload]
arrivals = {{ process = "poisson", rate_per_s = 300 }}
[batching]
window_ms = {window}
max_batch = 16
[router]
policy = "least_request"
choices = 0
[[pools]]
name = "servers"
engine = "abstract"
servers = 2
replicas = 2
{pool}
"#,
            window = if pool.starts_with("batch") { 4 } else { 0 }
        );
        forks_agree(&text, &[777, 4_000]);
    }
}
