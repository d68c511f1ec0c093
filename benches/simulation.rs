//! How fast the parts of the simulator are, and whole fleets: `cargo bench --bench simulation`.
//!
//! Times are of one thread, by the clock: `seatrial bench` has requests per second of processor
//! time. Items are events, choices, samples or requests.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use seatrial::engine::{EventQueue, SimTime, Streams};
use seatrial::experiment::speed::{SHIPPED, time};
use seatrial::fleet::ids::ReplicaId;
use seatrial::fleet::plan::FleetPlan;
use seatrial::fleet::router::{Loads, Router, RouterRule};
use seatrial::measure::LatencyHistogram;
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

fn main() {
    divan::main();
}

/// Numbers that jump about, from any cheap generator (xorshift64, Marsaglia 2003).
fn jumps() -> impl FnMut() -> u64 {
    let mut state = 1_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// A pop and a push, with so many events pending.
#[divan::bench(args = [100, 10_000, 1_000_000])]
fn queue(bencher: Bencher<'_, '_>, pending: u32) {
    let mut queue: EventQueue<u32> = EventQueue::new();
    let mut next = jumps();
    for event in 0..pending {
        queue.schedule(SimTime(next() % 1_000_000), event);
    }
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let (at, event) = queue.pop().expect("it is never empty");
        queue.schedule(SimTime(at.0 + next() % 1_000_000), event);
    });
}

const POLICIES: [&str; 4] = [
    r#"{ "policy": "round_robin" }"#,
    r#"{ "policy": "least_request", "choices": 0 }"#,
    r#"{ "policy": "least_request" }"#,
    r#"{ "policy": "weighted" }"#,
];

const STREAMS: Streams = Streams {
    seed: 42,
    replication: 0,
};

/// A choice, and the return of an older request, with four outstanding for each of `N` replicas.
#[divan::bench(args = POLICIES, consts = [10, 100, 1_000, 10_000])]
fn router<const N: u32>(bencher: Bencher<'_, '_>, policy: &str) {
    let rule = RouterRule {
        policy: serde_json::from_str(policy).expect("a policy"),
        loads: Loads::Own,
        affinity: None,
    };
    let members = (0..N).map(ReplicaId).collect();
    let mut router = Router::new(&rule, members, vec![1; N as usize], STREAMS, 0);
    let mut send = move |out: &mut VecDeque<ReplicaId>| {
        out.push_back(router.send_plainly(512).expect("all may be chosen"));
        if out.len() as u32 > 4 * N {
            let back = out.pop_front().expect("it was not empty");
            router.returned(back, 512, false);
        }
    };
    let mut out = VecDeque::new();
    for _ in 0..=4 * N {
        send(&mut out);
    }
    let counted = bencher.counter(ItemsCount::new(1_u32));
    counted.bench_local(|| send(&mut out));
}

/// A sample into the histogram that a run keeps of a latency.
#[divan::bench]
fn histogram(bencher: Bencher<'_, '_>) {
    let mut histogram = LatencyHistogram::new();
    // Its buckets are there once the longest has been seen.
    histogram.record(1_000_000_000);
    let mut next = jumps();
    let counted = bencher.counter(ItemsCount::new(1_u32));
    counted.bench_local(|| histogram.record(black_box(next() % 1_000_000_000)));
}

fn fleet(name: &str, text: &str) -> Arc<FleetPlan> {
    let document = Document::parse(SourceText::new(name, text)).expect("valid TOML");
    let plan = resolve(&document, Path::new("")).expect("a valid scenario");
    Arc::new(plan.fleet)
}

fn runs(bencher: Bencher<'_, '_>, name: &str, text: &str) {
    let fleet = fleet(name, text);
    let speed = time(name, &fleet, 1).expect("no trace to open");
    let counted = bencher.counter(ItemsCount::new(speed.requests));
    counted.bench_local(|| time(name, &fleet, 1).map(|speed| speed.events));
}

/// One replica of each kind and nothing around it, at some 80 % load.
#[divan::bench(args = ["servers", "processor_sharing", "batches", "llm"], sample_count = 5)]
fn replica(bencher: Bencher<'_, '_>, kind: &str) {
    let (rate, pool) = match kind {
        "servers" => (
            640,
            "engine = \"abstract\"\nservers = 8\n\
             service = { law = \"exponential\", mean_ms = 10 }",
        ),
        "processor_sharing" => (
            80,
            "engine = \"abstract\"\ndiscipline = \"processor_sharing\"\n\
             service = { law = \"exponential\", mean_ms = 10 }",
        ),
        "batches" => (
            200,
            "engine = \"abstract\"\nbatch_service = { fixed_ms = 20, per_item_ms = 1 }",
        ),
        _ => (
            20,
            "engine = \"llm\"\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"",
        ),
    };
    let lengths = match kind {
        "llm" => {
            "prompt_tokens = { law = \"constant\", tokens = 512 }\n\
             output_tokens = { law = \"constant\", tokens = 128 }\n"
        }
        _ => "",
    };
    let text = format!(
        "name = \"replica\"\nrun.horizon_s = 1_000_000\n[workload]\nmax_requests = 20_000\n\
         arrivals = {{ process = \"poisson\", rate_per_s = {rate} }}\n{lengths}\
         [[pools]]\nname = \"one\"\n{pool}\n"
    );
    runs(bencher, kind, &text);
}

/// Whole fleets, those of `seatrial bench`.
#[divan::bench(args = SHIPPED.map(|(name, _)| name), sample_count = 5)]
fn scenarios(bencher: Bencher<'_, '_>, name: &str) {
    let (_, text) = SHIPPED
        .iter()
        .find(|(other, _)| *other == name)
        .expect("a shipped one");
    runs(bencher, name, text);
}
