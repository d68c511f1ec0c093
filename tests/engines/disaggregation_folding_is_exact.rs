//! Prefill and decode pools give the same results to the nanosecond with an event for every
//! iteration and without, for random small fleets under pressure; and a fork goes on alike.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use seatrial::fleet::Simulation;
use seatrial::fleet::simulation::Hooks;
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

const CASES: u32 = 1_000;

#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    prefill: Engine,
    decode: Engine,
    /// A mixed pool beside the two.
    mixed: Option<Engine>,
    router: &'static str,
    shared_by: &'static str,
    gb_per_s: f64,
    latency_ms: f64,
    hop_ms: f64,
    window_ms: f64,
    users: Option<u32>,
    rate_per_s: f64,
    requests: u32,
    prompt: f64,
    output: f64,
    warmup_s: f64,
    prefix: &'static str,
}

#[derive(Debug, Clone)]
struct Engine {
    replicas: u32,
    block_size: u32,
    kv_tokens: u64,
    max_num_seqs: u32,
    budget: u32,
    chunked: bool,
    watermark: f64,
    scheduler: &'static str,
    policy: &'static str,
    prompt_blocks: &'static str,
    asynchronous: bool,
    prefix_caching: bool,
}

impl Engine {
    fn toml(&self, role: &str, step_by_step: bool) -> String {
        format!(
            r#"
[[pools]]
name = "{role}"
engine = "llm"
role = "{role}"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
replicas = {}
block_size = {}
kv_blocks = {}
max_num_seqs = {}
max_num_batched_tokens = {}
chunked_prefill = {}
watermark = {:.3}
scheduler = "{}"
scheduling_policy = "{}"
prompt_blocks = "{}"
async_scheduling = {}
prefix_caching = {}
step_by_step = {step_by_step}
"#,
            self.replicas,
            self.block_size,
            (self.kv_tokens / u64::from(self.block_size)).max(1),
            self.max_num_seqs,
            self.budget.max(self.max_num_seqs),
            self.chunked,
            self.watermark,
            self.scheduler,
            self.policy,
            self.prompt_blocks,
            self.asynchronous,
            self.prefix_caching,
        )
    }
}

fn engines() -> impl Strategy<Value = Engine> {
    (
        1u32..4,
        prop_oneof![Just(1u32), Just(4), Just(16), Just(32)],
        300u64..2_500,
        prop_oneof![1u32..6, 6u32..40],
        (prop_oneof![40u32..200, 1_024u32..4_096], any::<bool>()),
        prop_oneof![3 => Just(0.0), 1 => 0.01..0.1],
        prop_oneof![2 => Just("vllm_v1"), 1 => Just("vllm_v0"), 1 => Just("sarathi")],
        prop_oneof![2 => Just("fcfs"), 1 => Just("priority")],
        prop_oneof![Just("chunk"), Just("check_whole"), Just("reserve_whole")],
        any::<(bool, bool)>(),
    )
        .prop_map(
            |(
                replicas,
                block_size,
                kv_tokens,
                max_num_seqs,
                (budget, chunked),
                watermark,
                scheduler,
                policy,
                blocks,
                (asynchronous, prefix_caching),
            )| {
                let v1 = scheduler == "vllm_v1";
                Engine {
                    replicas,
                    block_size,
                    kv_tokens,
                    max_num_seqs,
                    budget,
                    chunked,
                    watermark,
                    scheduler,
                    policy,
                    prompt_blocks: if v1 { blocks } else { "reserve_whole" },
                    asynchronous: scheduler != "vllm_v0" && asynchronous,
                    prefix_caching,
                }
            },
        )
}

fn cases() -> impl Strategy<Value = Case> {
    let fleet = (
        engines(),
        engines(),
        proptest::option::weighted(0.3, engines()),
        prop_oneof![
            Just("round_robin"),
            Just("least_request"),
            Just("least_tokens")
        ],
        prop_oneof![Just("replica"), Just("pool"), Just("fleet")],
        prop_oneof![Just(50.0), 0.05..2.0],
        prop_oneof![Just(0.0), 0.01..60.0],
    );
    let traffic = (
        any::<u32>(),
        prop_oneof![Just(0.0), 0.01..2.0],
        prop_oneof![2 => Just(0.0), 1 => 0.5..30.0],
        prop_oneof![2 => Just(None), 1 => (1u32..24).prop_map(Some)],
        5.0..300.0,
        (20u32..70, 20.0..200.0, 1.0..150.0),
        prop_oneof![Just(0.0), 0.0..0.4],
        prop_oneof![
            Just(r#"sharing = "none""#),
            Just(r#"sharing = "groups", groups = 3, tokens = 90, zipf_exponent = 1.0"#),
            Just(r#"sharing = "repeated", distinct = 5"#)
        ],
    );
    (fleet, traffic).prop_map(|(fleet, traffic)| {
        let (prefill, decode, mixed, router, shared_by, gb_per_s, latency_ms) = fleet;
        let (seed, hop_ms, window_ms, users, rate_per_s, lengths, warmup_s, prefix) = traffic;
        Case {
            seed: u64::from(seed),
            prefill,
            decode,
            mixed,
            router,
            shared_by,
            gb_per_s,
            latency_ms,
            hop_ms,
            window_ms,
            users,
            rate_per_s,
            requests: lengths.0,
            prompt: lengths.1,
            output: lengths.2,
            warmup_s,
            prefix,
        }
    })
}

impl Case {
    fn simulation(&self, step_by_step: bool) -> Simulation {
        let arrivals = match self.users {
            Some(users) => format!(
                r#"{{ process = "closed_loop", users = {users}, think = {{ law = "exponential", mean_ms = 40 }} }}"#
            ),
            None => format!(
                r#"{{ process = "poisson", rate_per_s = {:.3} }}"#,
                self.rate_per_s
            ),
        };
        let mixed = self.mixed.as_ref();
        let caches = |engine: &Engine| engine.prefix_caching;
        let prefix =
            match caches(&self.prefill) || caches(&self.decode) || mixed.is_some_and(caches) {
                true => format!("prefix = {{ {} }}", self.prefix),
                false => String::new(),
            };
        let text = format!(
            r#"
name = "case"
[run]
seed = {}
horizon_s = 900
warmup_s = {:.3}
[workload]
arrivals = {arrivals}
prompt_tokens = {{ law = "exponential", mean_tokens = {:.1}, max_tokens = 700 }}
output_tokens = {{ law = "exponential", mean_tokens = {:.1}, max_tokens = 300 }}
max_requests = {}
{}
[network]
to_replica_ms = {:.3}
from_replica_ms = {:.3}
[batching]
window_ms = {:.3}
max_batch = 4
[router]
policy = "{}"
[kv_transfer]
bandwidth_gb_per_s = {:.3}
latency_ms = {:.3}
shared_by = "{}"
{}{}{}
[[tiers]]
name = "low"
priority = 2
[[tiers]]
name = "high"
priority = 1
"#,
            self.seed,
            self.warmup_s,
            self.prompt,
            self.output,
            self.requests,
            prefix,
            self.hop_ms,
            self.hop_ms,
            self.window_ms,
            self.router,
            self.gb_per_s,
            self.latency_ms,
            self.shared_by,
            self.prefill.toml("prefill", step_by_step),
            self.decode.toml("decode", step_by_step),
            mixed.map_or(String::new(), |pool| pool.toml("mixed", step_by_step)),
        );
        let document = Document::parse(SourceText::new("case.toml", text)).unwrap();
        let plan = resolve(&document, Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
        Simulation::new(Arc::new(plan.fleet)).unwrap()
    }
}

fn run(simulation: &mut Simulation, max_events: u64) {
    let mut hooks = Hooks {
        stop: None,
        progress: &mut |_| {},
        rows: &mut |_| {},
        audit: &mut |_| {},
    };
    simulation.run(max_events, &mut hooks);
}

/// What folding must not change.
fn results(simulation: &mut Simulation) -> impl PartialEq + std::fmt::Debug + use<> {
    let meters = &simulation.world.meters;
    let counts = (
        meters.outcomes.hex(),
        meters.arrived,
        meters.ended,
        meters.completed_measured,
        meters.tokens_measured,
        meters.budget.totals_ns(),
        meters.queue.histogram.sum_ns(),
    );
    let now = simulation.now();
    let pools = simulation.plan().pools.len();
    let work: Vec<_> = (0..pools)
        .map(|pool| {
            let meter = simulation.world.pool_meter(pool);
            (
                meter.preemptions,
                meter.prefill_tokens,
                meter.decode_tokens,
                meter.batches,
                meter.batched,
                meter.busy_ns,
                meter.kv_blocks_most,
                meter.completed,
                meter.links,
                meter.present_ns(now),
            )
        })
        .collect();
    (counts, work, now)
}

#[test]
fn folding_iterations_of_prefill_and_decode_pools_changes_no_result() {
    let mut runner = TestRunner::new_with_rng(
        Config {
            cases: CASES,
            failure_persistence: None,
            ..Config::default()
        },
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let (preempted, folded, waited) = (Cell::new(0u32), Cell::new(0u32), Cell::new(0u32));
    let outcome = runner.run(&cases(), |case| {
        let mut coarse = case.simulation(false);
        run(&mut coarse, 300);
        let mut fork = coarse.clone();
        run(&mut coarse, u64::MAX);
        run(&mut fork, u64::MAX);
        let mut fine = case.simulation(true);
        run(&mut fine, u64::MAX);
        for simulation in [&coarse, &fork, &fine] {
            prop_assert_eq!(simulation.check(), Ok(()));
            prop_assert_eq!(simulation.world.in_flight(), 0);
        }
        prop_assert_eq!(coarse.digest(), fork.digest());
        prop_assert_eq!(results(&mut coarse), results(&mut fine));
        prop_assert!(coarse.events() <= fine.events());
        let decode = coarse.world.pool_meter(1).preemptions;
        preempted.set(preempted.get() + u32::from(decode > 0));
        folded.set(folded.get() + u32::from(fine.events() > 3 * coarse.events()));
        let links = coarse.world.pool_meter(0).links;
        waited.set(waited.get() + u32::from(links.wait_ns > 0));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let (preempted, folded, waited) = (preempted.get(), folded.get(), waited.get());
    println!("{CASES} cases: {preempted} preempted, {folded} folded, {waited} waited for a link");
    assert!(preempted >= 20, "only {preempted} cases preempted");
    assert!(folded >= 10, "only {folded} cases folded");
    assert!(waited >= 20, "only {waited} cases waited for a link");
}
