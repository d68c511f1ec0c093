//! Memory follows what is in flight, not how long a run is: ten times the requests at the same
//! rate cost hardly an allocation more. What measures a run may take some when its batches double
//! in size, which is as often for the first tenfold as for the next.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests
#![allow(unsafe_code)] // a global allocator that counts

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use seatrial::fleet::Simulation;
use seatrial::fleet::simulation::Hooks;
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting what each thread asks for.
struct Counting;

fn count() {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Nothing arrives this late, so nothing is measured.
const NEVER_MEASURED: &str = "999_999";

/// Allocations of a run of `requests` requests, all of which must complete.
fn allocations(scenario: &str, warmup_s: &str, requests: u64) -> u64 {
    let text = scenario
        .replace("REQUESTS", &requests.to_string())
        .replace("WARMUP", warmup_s);
    let document = Document::parse(SourceText::new("allocations.toml", text)).unwrap();
    let plan = resolve(&document, Path::new(".")).unwrap_or_else(|error| panic!("{error:?}"));
    let mut simulation = Simulation::new(Arc::new(plan.fleet)).unwrap();
    let mut hooks = Hooks {
        stop: None,
        progress: &mut |_| {},
        rows: &mut |_| {},
        audit: &mut |_| {},
    };
    let before = ALLOCATIONS.get();
    simulation.run(u64::MAX, &mut hooks);
    let made = ALLOCATIONS.get() - before;
    assert_eq!(simulation.world.meters.ended[0], requests);
    made
}

const QUEUE: &str = r#"
name = "mm8"
[run]
horizon_s = 1_000_000
warmup_s = WARMUP
[workload]
arrivals = { process = "poisson", rate_per_s = 640 }
max_requests = REQUESTS
[[pools]]
name = "servers"
engine = "abstract"
servers = 8
service = { law = "exponential", mean_ms = 10 }
"#;

const LLM: &str = r#"
name = "llm"
[run]
horizon_s = 1_000_000
warmup_s = WARMUP
[workload]
arrivals = { process = "poisson", rate_per_s = 20 }
prompt_tokens = { law = "lognormal", mean_tokens = 512, cv = 1, max_tokens = 4096 }
output_tokens = { law = "exponential", mean_tokens = 128, max_tokens = 1024 }
max_requests = REQUESTS
[slo]
ttft_ms = 500
[network]
to_replica_ms = 0.2
from_replica_ms = 0.2
[[pools]]
name = "llm"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
replicas = 2
"#;

#[test]
fn a_queue_at_work_ten_times_as_long_allocates_no_more() {
    let few = allocations(QUEUE, NEVER_MEASURED, 30_000);
    let many = allocations(QUEUE, NEVER_MEASURED, 300_000);
    println!("M/M/8: {few} allocations for 30,000 requests, {many} for 300,000");
    assert!(many.abs_diff(few) < 200, "{few} and then {many}");
}

#[test]
fn a_language_model_pool_in_steady_state_allocates_next_to_nothing() {
    let few = allocations(LLM, NEVER_MEASURED, 3_000);
    let many = allocations(LLM, NEVER_MEASURED, 30_000);
    println!("LLM: {few} allocations for 3,000 requests, {many} for 30,000");
    assert!(many.abs_diff(few) < 270, "{few} and then {many}");
}

#[test]
fn ranks_that_share_experts_allocate_next_to_nothing_in_steady_state() {
    let ranks = LLM.replace(
        "model = \"llama-3.1-8b\"",
        "model = \"qwen3-30b-a3b\"\ndp = 4",
    );
    assert_ne!(ranks, LLM);
    let few = allocations(&ranks, NEVER_MEASURED, 3_000);
    let many = allocations(&ranks, NEVER_MEASURED, 30_000);
    println!("ranks: {few} allocations for 3,000 requests, {many} for 30,000");
    assert!(many.abs_diff(few) < 400, "{few} and then {many}");
}

#[test]
fn measuring_allocates_with_the_logarithm_of_the_requests() {
    for (scenario, first) in [(QUEUE, 3_000), (LLM, 600)] {
        let made = [1, 10, 100].map(|times| allocations(scenario, "0", first * times));
        println!("measured, {first} requests and 10 and 100 times as many: {made:?} allocations");
        let (tenfold, again) = (made[1] - made[0], made[2] - made[1]);
        assert!(again < 2 * tenfold, "{made:?} is no logarithm");
    }
}
