//! Folding runs of like iterations into one event changes the cost of a run and nothing else: for
//! random small fleets under pressure, every request ends at the same nanosecond as with an event
//! for every iteration.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use seatrial::fleet::Simulation;
use seatrial::fleet::simulation::Hooks;
use seatrial::measure::LatencyHistogram;
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

const CASES: u32 = 1_000;
const STEP: usize = 7;

/// `(model, accelerator, tp)`: dense, with a sliding window, and with experts.
const MODELS: [(&str, &str, u32); 3] = [
    ("llama-3.1-8b", "h100-sxm", 1),
    ("gpt-oss-120b", "h100-sxm", 2),
    ("qwen3-30b-a3b", "h200-sxm", 1),
];

#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    model: usize,
    replicas: u32,
    block_size: u32,
    kv_blocks: u64,
    max_num_seqs: u32,
    budget: u32,
    chunked: bool,
    mode: Mode,
    watermark: f64,
    window_ms: f64,
    hop_ms: f64,
    users: Option<u32>,
    rate_per_s: f64,
    requests: u32,
    prompt: f64,
    output: f64,
    warmup_s: f64,
    horizon_s: f64,
}

/// How the scheduler is set up.
#[derive(Debug, Clone)]
struct Mode {
    scheduler: &'static str,
    policy: &'static str,
    prompt_blocks: &'static str,
    long_prefill: u32,
    padded: bool,
    asynchronous: bool,
    prefix_caching: bool,
    preempts: bool,
}

fn modes() -> impl Strategy<Value = Mode> {
    (
        prop_oneof![2 => Just("vllm_v1"), 1 => Just("vllm_v0"), 1 => Just("sarathi")],
        prop_oneof![2 => Just("fcfs"), 1 => Just("priority")],
        prop_oneof![Just("chunk"), Just("check_whole"), Just("reserve_whole")],
        prop_oneof![3 => Just(0u32), 1 => 10u32..60],
        any::<bool>(),
        prop_oneof![2 => Just(false), 1 => Just(true)],
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(
                scheduler,
                policy,
                prompt_blocks,
                long_prefill,
                padded,
                asynchronous,
                prefix_caching,
                preempts,
            )| {
                // Only the options that a scheduler has.
                let (v0, v1) = (scheduler == "vllm_v0", scheduler == "vllm_v1");
                Mode {
                    scheduler,
                    policy,
                    prompt_blocks: if v1 { prompt_blocks } else { "reserve_whole" },
                    long_prefill: if v0 { 0 } else { long_prefill },
                    padded: v0 && padded,
                    asynchronous: !v0 && asynchronous,
                    prefix_caching,
                    preempts: preempts && policy == "priority",
                }
            },
        )
}

impl Case {
    fn toml(&self, step_by_step: bool) -> String {
        let (model, accelerator, tp) = MODELS[self.model];
        let arrivals = match self.users {
            Some(users) => format!(
                r#"{{ process = "closed_loop", users = {users}, think = {{ law = "exponential", mean_ms = 40 }} }}"#
            ),
            None => format!(
                r#"{{ process = "poisson", rate_per_s = {:.3} }}"#,
                self.rate_per_s
            ),
        };
        format!(
            r#"
name = "case"
[run]
seed = {seed}
horizon_s = {horizon:.3}
warmup_s = {warmup:.3}
[workload]
arrivals = {arrivals}
prompt_tokens = {{ law = "exponential", mean_tokens = {prompt:.1}, max_tokens = 700 }}
output_tokens = {{ law = "exponential", mean_tokens = {output:.1}, max_tokens = 300 }}
max_requests = {requests}
[network]
to_replica_ms = {hop:.3}
from_replica_ms = {hop:.3}
[batching]
window_ms = {window:.3}
max_batch = 4
[[pools]]
name = "llm"
engine = "llm"
model = "{model}"
accelerator = "{accelerator}"
tp = {tp}
replicas = {replicas}
block_size = {block_size}
kv_blocks = {kv_blocks}
max_num_seqs = {max_num_seqs}
max_num_batched_tokens = {budget}
chunked_prefill = {chunked}
watermark = {watermark:.3}
step_by_step = {step_by_step}
scheduler = "{scheduler}"
scheduling_policy = "{policy}"
prompt_blocks = "{prompt_blocks}"
long_prefill_token_threshold = {long_prefill}
padded_budget = {padded}
async_scheduling = {asynchronous}
preempt_running = {preempts}
overhead_per_prompt_token_us = {token_us:.1}
prefill_time_factor = {prefill_factor}
decode_time_factor = {decode_factor}
prompt_wait_iterations = {wait}
prompt_wait_tokens = {enough}
prefix_caching = {prefix_caching}
[[tiers]]
name = "low"
priority = 2
[[tiers]]
name = "high"
priority = 1
"#,
            scheduler = self.mode.scheduler,
            policy = self.mode.policy,
            prompt_blocks = self.mode.prompt_blocks,
            long_prefill = self.mode.long_prefill,
            padded = self.mode.padded,
            asynchronous = self.mode.asynchronous,
            token_us = [0.0, 7.5][(self.seed / 8 % 2) as usize],
            prefill_factor = [1.0, 1.5][(self.seed / 16 % 2) as usize],
            // Below 1 the floor of the hardware may bind.
            decode_factor = [1.0, 0.4, 1.3][(self.seed / 32 % 3) as usize],
            prefix_caching = self.mode.prefix_caching,
            preempts = self.mode.preempts,
            wait = [0, 0, 3, 10][(self.seed % 4) as usize],
            enough = [0, 100][(self.seed / 4 % 2) as usize] * u32::from(self.seed % 4 > 1),
            seed = self.seed,
            horizon = self.horizon_s,
            warmup = self.warmup_s,
            prompt = self.prompt,
            output = self.output,
            requests = self.requests,
            hop = self.hop_ms,
            window = self.window_ms,
            replicas = self.replicas,
            block_size = self.block_size,
            kv_blocks = self.kv_blocks,
            max_num_seqs = self.max_num_seqs,
            budget = self.budget,
            chunked = self.chunked,
            watermark = self.watermark,
        )
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let engine = (
        0..MODELS.len(),
        1u32..4,
        prop_oneof![Just(1u32), Just(4), Just(16), Just(32)],
        300u64..2_500,
        prop_oneof![1u32..6, 6u32..40],
        (prop_oneof![40u32..200, 1_024u32..4_096], any::<bool>()),
        prop_oneof![3 => Just(0.0), 1 => 0.01..0.1],
        modes(),
    );
    let traffic = (
        any::<u32>(),
        prop_oneof![Just(0.0), 0.5..30.0],
        prop_oneof![Just(0.0), 0.01..2.0],
        prop_oneof![2 => Just(None), 1 => (1u32..24).prop_map(Some)],
        5.0..300.0,
        (20u32..70, 20.0..200.0, 10.0..150.0),
        prop_oneof![Just((0.0, 900.0)), (0.0..0.4, 0.5..2.0)],
    );
    (engine, traffic).prop_map(|(engine, traffic)| {
        let (
            model,
            replicas,
            block_size,
            kv_tokens,
            max_num_seqs,
            (budget, chunked),
            watermark,
            mode,
        ) = engine;
        let (seed, window_ms, hop_ms, users, rate_per_s, lengths, (warmup_s, horizon_s)) = traffic;
        Case {
            seed: u64::from(seed),
            model,
            replicas,
            block_size,
            kv_blocks: kv_tokens / u64::from(block_size),
            max_num_seqs,
            budget: budget.max(max_num_seqs),
            chunked,
            mode,
            watermark,
            window_ms,
            hop_ms,
            users,
            rate_per_s,
            requests: lengths.0,
            prompt: lengths.1,
            output: lengths.2,
            warmup_s,
            horizon_s,
        }
    })
}

fn run(case: &Case, step_by_step: bool) -> Simulation {
    let document = Document::parse(SourceText::new("case.toml", case.toml(step_by_step)))
        .unwrap_or_else(|error| panic!("{error:?}"));
    let plan = resolve(&document, Path::new(".")).unwrap_or_else(|error| panic!("{error:?}"));
    let mut simulation = Simulation::new(Arc::new(plan.fleet)).unwrap();
    let mut hooks = Hooks {
        stop: None,
        progress: &mut |_| {},
        rows: &mut |_| {},
        audit: &mut |_| {},
    };
    simulation.run(u64::MAX, &mut hooks);
    simulation
}

/// `(count, sum, least, most)` in nanoseconds, and some quantiles.
type Reading = (u64, u128, Option<u64>, Option<u64>, Vec<Option<f64>>);

fn reading(histogram: &LatencyHistogram) -> Reading {
    (
        histogram.count(),
        histogram.sum_ns(),
        histogram.min_ns(),
        histogram.max_ns(),
        [0.1, 0.5, 0.9, 0.99]
            .map(|q| histogram.quantile(q))
            .to_vec(),
    )
}

/// What folding must not change.
fn results(simulation: &mut Simulation) -> impl PartialEq + std::fmt::Debug + use<> {
    let meters = &simulation.world.meters;
    let latencies = [&meters.ttft, &meters.tpot, &meters.e2e, &meters.queue];
    let latencies = latencies.map(|meter| reading(&meter.histogram));
    let counts = (
        meters.outcomes.hex(),
        meters.arrived,
        meters.ended,
        meters.completed_measured,
        meters.tokens_measured,
    );
    let now = simulation.now();
    let meter = simulation.world.pool_meter(0);
    let work = (
        meter.preemptions,
        meter.prefill_tokens,
        meter.decode_tokens,
        meter.batches,
        meter.batched,
        meter.busy_ns,
        meter.kv_blocks_most,
    );
    (counts, latencies, work, meter.present_ns(now), now)
}

#[test]
fn folding_iterations_changes_no_result() {
    let mut runner = TestRunner::new_with_rng(
        Config {
            cases: CASES,
            failure_persistence: None,
            ..Config::default()
        },
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let preempted = std::cell::Cell::new(0u32);
    let folded = std::cell::Cell::new(0u32);
    let bent = std::cell::Cell::new(0u32);
    let most = std::cell::Cell::new(0.0f64);
    let all = std::cell::Cell::new((0u64, 0u64));
    let outcome = runner.run(&cases(), |case| {
        let mut coarse = run(&case, false);
        let mut fine = run(&case, true);
        prop_assert_eq!(coarse.check(), Ok(()));
        prop_assert_eq!(fine.check(), Ok(()));
        prop_assert_eq!(results(&mut coarse), results(&mut fine));
        let (few, many) = (
            coarse.world.meters.events_by_kind[STEP],
            fine.world.meters.events_by_kind[STEP],
        );
        prop_assert!(few <= many, "folding took more events: {} > {}", few, many);
        let ratio = many as f64 / few.max(1) as f64;
        folded.set(folded.get() + u32::from(ratio > 5.0));
        bent.set(bent.get() + u32::from(case.model == 1));
        most.set(most.get().max(ratio));
        all.set((all.get().0 + few, all.get().1 + many));
        let preemptions = coarse.world.pool_meter(0).preemptions;
        preempted.set(preempted.get() + u32::from(preemptions > 0));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let (preempted, folded, bent) = (preempted.get(), folded.get(), bent.get());
    println!(
        "{CASES} cases: {preempted} preempted, {folded} folded more than 5 iterations an event \
         (at most {:.1}), {bent} with a sliding window; {:?} events folded and not",
        most.get(),
        all.get()
    );
    assert!(preempted >= 20, "only {preempted} cases preempted");
    assert!(folded >= 10, "only {folded} cases folded");
    assert!(bent >= 20, "only {bent} cases had a sliding window");
}
