//! The scheduler by hand: stamps of single requests and small groups against sums of step times,
//! and the order in which requests are admitted and preempted.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::sync::Arc;

use seatrial::fleet::Simulation;
use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::simulation::Hooks;
use seatrial::perf::{PrefillChunk, StepModel};
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

const HOP_NS: u64 = 250_000;
const GATEWAY_NS: u64 = 1_000_000;

/// Requests as `(arrival_ns, prompt, output)`, replayed from a file through a fleet of one replica.
fn run(requests: &[(u64, u32, u32)], pool: &str) -> (Vec<RequestRow>, StepModel, Simulation) {
    let dir = tempfile::tempdir().unwrap();
    let mut trace = "arrival_ns,prompt_tokens,output_tokens\n".to_owned();
    for (arrival, prompt, output) in requests {
        trace.push_str(&format!("{arrival},{prompt},{output}\n"));
    }
    std::fs::write(dir.path().join("trace.csv"), trace).unwrap();
    let text = format!(
        r#"
name = "by-hand"
[run]
horizon_s = 60
[workload]
arrivals = {{ process = "trace", path = "trace.csv" }}
[network]
to_replica_ms = 0.25
from_replica_ms = 0.25
[gateway]
cost_ms = 1
[[pools]]
name = "llm"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
{pool}
"#
    );
    let document = Document::parse(SourceText::new("by-hand.toml", text)).unwrap();
    let plan = resolve(&document, dir.path()).unwrap_or_else(|error| panic!("{error:?}"));
    let step = plan.llm[0].as_ref().unwrap().step.clone();
    let mut fleet = plan.fleet;
    fleet.record_requests = true;
    let mut simulation = Simulation::new(Arc::new(fleet)).unwrap();
    let mut rows = Vec::new();
    let mut hooks = Hooks {
        stop: None,
        progress: &mut |_| {},
        rows: &mut |new| rows.extend_from_slice(new),
        audit: &mut |_| {},
    };
    simulation.run(u64::MAX, &mut hooks);
    assert_eq!(simulation.check(), Ok(()));
    rows.sort_by_key(|row| row.id);
    (rows, step, simulation)
}

fn chunk(tokens: u32, context: u32) -> PrefillChunk {
    PrefillChunk { tokens, context }
}

fn ns(step: f64) -> u64 {
    step.round() as u64
}

/// Decode steps of one sequence from `context` on: summed, then rounded once, as boundaries of one
/// run of like iterations are.
fn decodes_ns(step: &StepModel, context: u64, count: u64) -> u64 {
    let sum: f64 = (0..count).map(|i| step.step_ns(&[], 1, context + i)).sum();
    ns(sum)
}

/// A sum rounded at the end and one in closed form may fall on two sides of a half.
fn assert_within_1_ns(left: u64, right: u64) {
    assert_within_ns(left, right, 1);
}

fn assert_within_ns(left: u64, right: u64, runs: u64) {
    assert!(left.abs_diff(right) <= runs, "{left} ns is not {right} ns");
}

#[test]
fn a_request_alone_takes_the_gateway_the_hops_its_prefill_and_its_decodes() {
    let (rows, step, mut simulation) = run(&[(0, 700, 41)], "");
    let row = &rows[0];
    let start = GATEWAY_NS + HOP_NS;
    assert_eq!(row.arrival_ns, 0);
    assert_eq!(row.gateway_ns, Some(GATEWAY_NS));
    assert_eq!(row.delivered_ns, Some(start));
    assert_eq!(row.queued_ns, Some(start));
    assert_eq!(row.scheduled_ns, Some(start));
    let first = start + ns(step.step_ns(&[chunk(700, 0)], 0, 0));
    assert_eq!(row.first_token_ns, Some(first + HOP_NS));
    let last = first + decodes_ns(&step, 700, 40);
    assert_within_1_ns(row.last_token_ns.unwrap(), last + HOP_NS);
    let meter = simulation.world.pool_meter(0);
    assert_eq!((meter.prefill_tokens, meter.decode_tokens), (700, 40));
    assert_eq!(meter.batches, 41);
}

#[test]
fn a_request_of_one_token_ends_with_its_prefill() {
    let (rows, step, _) = run(&[(0, 300, 1)], "");
    let done = GATEWAY_NS + 2 * HOP_NS + ns(step.step_ns(&[chunk(300, 0)], 0, 0));
    assert_eq!(rows[0].first_token_ns, Some(done));
    assert_eq!(rows[0].last_token_ns, Some(done));
}

#[test]
fn a_prompt_beyond_the_budget_is_computed_in_chunks_of_the_budget() {
    let pool = "max_num_batched_tokens = 256\nmax_num_seqs = 8";
    let (rows, step, mut simulation) = run(&[(0, 700, 1)], pool);
    let parts = [chunk(256, 0), chunk(256, 256), chunk(188, 512)];
    let prefill: u64 = parts
        .iter()
        .map(|&part| ns(step.step_ns(&[part], 0, 0)))
        .sum();
    let done = GATEWAY_NS + 2 * HOP_NS + prefill;
    assert_eq!(rows[0].first_token_ns, Some(done));
    let meter = simulation.world.pool_meter(0);
    assert_eq!((meter.batches, meter.prefill_tokens), (3, 700));
}

#[test]
fn requests_that_come_together_are_prefilled_together() {
    let (rows, step, mut simulation) = run(&[(0, 100, 1), (0, 200, 1)], "");
    let together = ns(step.step_ns(&[chunk(100, 0), chunk(200, 0)], 0, 0));
    let done = GATEWAY_NS + 2 * HOP_NS + together;
    assert_eq!(rows[0].last_token_ns, Some(done));
    assert_eq!(rows[1].last_token_ns, Some(done));
    let meter = simulation.world.pool_meter(0);
    assert_eq!((meter.batches, meter.batched), (1, 2));
}

#[test]
fn prompts_share_one_budget_in_order_and_no_iteration_exceeds_it() {
    // 150 + 100 of 200, then the other 100.
    let pool = "max_num_batched_tokens = 250\nmax_num_seqs = 8";
    let (rows, step, _) = run(&[(0, 150, 1), (0, 200, 1)], pool);
    let start = GATEWAY_NS + HOP_NS;
    let first = start + ns(step.step_ns(&[chunk(150, 0), chunk(100, 0)], 0, 0));
    let second = first + ns(step.step_ns(&[chunk(100, 100)], 0, 0));
    assert_eq!(rows[0].last_token_ns, Some(first + HOP_NS));
    assert_eq!(rows[1].last_token_ns, Some(second + HOP_NS));
    assert_eq!(rows[1].scheduled_ns, Some(start));
    // Without chunks the second waits for an iteration with room for all of it.
    let pool = format!("{pool}\nchunked_prefill = false");
    let (rows, step, _) = run(&[(0, 150, 1), (0, 200, 1)], &pool);
    let first = start + ns(step.step_ns(&[chunk(150, 0)], 0, 0));
    let second = first + ns(step.step_ns(&[chunk(200, 0)], 0, 0));
    assert_eq!(rows[1].scheduled_ns, Some(first));
    assert_eq!(rows[1].last_token_ns, Some(second + HOP_NS));
}

#[test]
fn decodes_and_prefills_share_an_iteration_that_begins_at_the_next_boundary() {
    // The second comes 1 us after the first began to decode.
    let (alone, step, _) = run(&[(0, 100, 3)], "");
    let first_token = alone[0].first_token_ns.unwrap() - HOP_NS;
    let arrival = first_token + 1_000 - GATEWAY_NS - HOP_NS;
    let (rows, _, _) = run(&[(0, 100, 3), (arrival, 50, 1)], "");
    let boundary = first_token + decodes_ns(&step, 100, 1);
    assert_eq!(rows[1].delivered_ns, Some(first_token + 1_000));
    assert_eq!(rows[1].scheduled_ns, Some(boundary));
    let mixed = boundary + ns(step.step_ns(&[chunk(50, 0)], 1, 101));
    assert_eq!(rows[0].last_token_ns, Some(mixed + HOP_NS));
    assert_eq!(rows[1].last_token_ns, Some(mixed + HOP_NS));
}

#[test]
fn what_arrives_at_the_very_instant_of_a_boundary_is_in_the_next_iteration() {
    let (alone, _, _) = run(&[(0, 100, 3)], "");
    let boundary = alone[0].first_token_ns.unwrap() - HOP_NS;
    let arrival = boundary - GATEWAY_NS - HOP_NS;
    let (rows, _, _) = run(&[(0, 100, 3), (arrival, 50, 1)], "");
    assert_eq!(rows[1].scheduled_ns, Some(boundary));
}

#[test]
fn requests_are_admitted_in_order_of_arrival_even_past_a_short_one() {
    // The second needs more blocks than are left beside the first; the third would fit.
    let requests = [(0, 160, 60), (0, 160, 4), (0, 16, 4)];
    let (rows, _, _) = run(&requests, "kv_blocks = 16");
    let scheduled: Vec<u64> = rows.iter().map(|row| row.scheduled_ns.unwrap()).collect();
    assert!(scheduled[0] < scheduled[1] && scheduled[1] <= scheduled[2]);
    let first_done = rows[0].last_token_ns.unwrap() - HOP_NS;
    assert_eq!(scheduled[1], first_done);
}

#[test]
fn seats_bound_the_sequences_of_an_iteration() {
    let requests = [(0, 16, 8); 5];
    let (rows, _, _) = run(&requests, "max_num_seqs = 2");
    let scheduled: Vec<u64> = rows.iter().map(|row| row.scheduled_ns.unwrap()).collect();
    assert_eq!(scheduled[0], scheduled[1]);
    assert!(scheduled[1] < scheduled[2] && scheduled[2] == scheduled[3]);
    assert!(scheduled[3] < scheduled[4]);
}

#[test]
fn the_sequence_admitted_last_is_preempted_first_and_computed_again() {
    // Two sequences fill the six blocks; when both want a seventh, the second must go.
    let requests = [(0, 40, 40), (0, 40, 40)];
    let pool = "kv_blocks = 6";
    let (rows, step, mut simulation) = run(&requests, pool);
    assert_eq!(rows[0].preemptions, 0);
    assert_eq!(rows[1].preemptions, 1);
    assert!(rows.iter().all(|row| row.status == "completed"));
    // Tokens held are 40 after the prefill; the ninth decode step would hold the 49th token.
    let start = GATEWAY_NS + HOP_NS;
    let both = start + ns(step.step_ns(&[chunk(40, 0), chunk(40, 0)], 0, 0));
    let together: f64 = (0..8).map(|i| step.step_ns(&[], 2, 80 + 2 * i)).sum();
    let preempted = both + ns(together);
    let alone: u64 = decodes_ns(&step, 48, 31);
    let first_done = preempted + alone;
    assert_within_1_ns(rows[0].last_token_ns.unwrap(), first_done + HOP_NS);
    // It made nine tokens, so 49 are computed again, the last 30 decoded.
    let again = first_done + ns(step.step_ns(&[chunk(49, 0)], 0, 0));
    let last = again + decodes_ns(&step, 49, 30);
    // Two runs of decode iterations, each rounded once.
    assert_within_ns(rows[1].last_token_ns.unwrap(), last + HOP_NS, 2);
    let meter = simulation.world.pool_meter(0);
    assert_eq!(meter.preemptions, 1);
    assert_eq!(meter.prefill_tokens, 40 + 40 + 49);
    assert_eq!(meter.decode_tokens, 2 * 8 + 31 + 30);
    assert_eq!(meter.kv_blocks_most, 6);
}

#[test]
fn what_can_never_be_served_is_turned_away_at_once() {
    let requests = [(0, 97, 1), (0, 90, 6), (0, 40, 40)];
    let (rows, _, simulation) = run(&requests, "kv_blocks = 6");
    let status: Vec<&str> = rows.iter().map(|row| row.status).collect();
    assert_eq!(status, ["rejected_too_long", "completed", "completed"]);
    assert_eq!(simulation.world.in_flight(), 0);
}
