//! Pipeline parallelism: what micro-batches gain, what a bubble costs, and that nothing is lost.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::{e2e_ns, plan_of, rows, simulate, with_times};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use seatrial::perf::{
    AcceleratorCard, DecodePiece, Dtype, MemoryPlan, ModelCard, Parallelism, PrefillChunk,
    StepParts, StepTimes,
};
use seatrial::scenario::{Document, SourceText};

/// Iterations whose layers take so many nanoseconds, and so many more for every token.
#[derive(Debug)]
struct Even {
    layers_ns: f64,
    per_token_ns: f64,
    engine_ns: f64,
    last_ns: f64,
}

impl StepTimes for Even {
    fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.parts(prefill, decodes, context, 0.0).total_ns()
    }

    fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        DecodePiece {
            base_ns: self.step_ns(&[], decodes, context),
            per_context_ns: 0.0,
            until_context: u64::MAX,
        }
    }

    fn parts(&self, prefill: &[PrefillChunk], decodes: u32, _: u64, _: f64) -> StepParts {
        let rows = decodes + prefill.iter().map(|chunk| chunk.tokens).sum::<u32>();
        StepParts {
            engine_ns: self.engine_ns,
            layers_ns: self.layers_ns + self.per_token_ns * f64::from(rows),
            last_ns: self.last_ns,
        }
    }
}

/// Requests that arrive together, at stages with nothing between them.
fn burst(requests: u32, prompt: u32, output: u32, pool: &str) -> String {
    format!(
        "name = \"burst\"\n[run]\nwarmup_s = 0\n\
         [workload]\nmax_requests = {requests}\narrivals = {{ process = \"constant\", rate_per_s = 1e9 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = {prompt} }}\n\
         output_tokens = {{ law = \"constant\", tokens = {output} }}\n\
         [[pools]]\nname = \"a\"\nengine = \"llm\"\nmodel = \"llama-3.1-70b\"\n\
         accelerator = \"h100-sxm\"\ntp = 2\npp_link_latency_us = 0\npp_link_gb_per_s = 1e6\n{pool}\n"
    )
}

const MS: u64 = 1_000_000;

/// Equal within the rounding of some nanoseconds.
fn close(a: u64, b: u64) -> bool {
    a.abs_diff(b) < 1_000
}

#[test]
fn a_prompt_in_chunks_fills_the_pipeline_and_pays_the_bubble_once() {
    // m chunks through p stages of t each take (m + p - 1) t.
    for (stages, chunks) in [(2u32, 1u32), (2, 8), (4, 8), (8, 3), (4, 40)] {
        let pool = format!("pp = {stages}\nmax_num_batched_tokens = 256");
        let plan = plan_of(&burst(1, 256 * chunks, 1, &pool));
        let plan = with_times(
            plan,
            Even {
                layers_ns: f64::from(stages) * 1e6,
                per_token_ns: 0.0,
                engine_ns: 0.0,
                last_ns: 0.0,
            },
        );
        let took = e2e_ns(&rows(&plan)[0]);
        let expected = u64::from(chunks + stages - 1) * MS;
        assert!(close(took, expected), "{stages} x {chunks}: {took}");
    }
}

#[test]
fn one_micro_batch_leaves_the_stages_idle_and_as_many_as_stages_do_not() {
    // Four sequences, 4 ms of layers for each token over four stages.
    let times = || Even {
        layers_ns: 0.0,
        per_token_ns: 4e6,
        engine_ns: 0.0,
        last_ns: 0.0,
    };
    let tpot = |pool: &str| {
        let row = &rows(&with_times(plan_of(&burst(4, 1, 101, pool)), times()))[0];
        (row.last_token_ns.unwrap() - row.first_token_ns.unwrap()) / 100
    };
    assert!(close(tpot("pp = 4"), 16 * MS), "in one batch, as in vLLM");
    assert!(close(tpot("pp = 4\nmicro_batch_seqs = 1"), 4 * MS));
    assert!(close(tpot("pp = 4\nmicro_batch_seqs = 2"), 8 * MS));
}

#[test]
fn the_engine_works_beside_the_stages_and_the_head_is_the_last_ones() {
    // A turn of a micro-batch: 1 ms of the engine, 4 stages of 1 ms, 2 ms of the head; the last
    // stage has 3 ms for each of the four, which is the longest.
    let plan = plan_of(&burst(4, 1, 401, "pp = 4\nmicro_batch_seqs = 1"));
    let times = Even {
        layers_ns: 4e6,
        per_token_ns: 0.0,
        engine_ns: 1e6,
        last_ns: 2e6,
    };
    let row = &rows(&with_times(plan, times))[0];
    let tpot = (row.last_token_ns.unwrap() - row.first_token_ns.unwrap()) / 400;
    assert!(tpot.abs_diff(12 * MS) < MS / 20, "{tpot}");
    // Alone it is the sum.
    let alone = plan_of(&burst(1, 1, 2, "pp = 4"));
    let times = Even {
        layers_ns: 4e6,
        per_token_ns: 0.0,
        engine_ns: 1e6,
        last_ns: 2e6,
    };
    assert!(close(e2e_ns(&rows(&with_times(alone, times))[0]), 14 * MS));
}

#[test]
fn a_request_alone_takes_as_long_as_on_one_stage_and_each_transfer() {
    let pool = |pp: u32, latency_us: u32| {
        format!(
            "name = \"alone\"\n[run]\nwarmup_s = 0\n\
             [workload]\nmax_requests = 1\narrivals = {{ process = \"constant\", rate_per_s = 1 }}\n\
             prompt_tokens = {{ law = \"constant\", tokens = 700 }}\n\
             output_tokens = {{ law = \"constant\", tokens = 50 }}\n\
             [[pools]]\nname = \"a\"\nengine = \"llm\"\nmodel = \"llama-3.1-70b\"\n\
             accelerator = \"h100-sxm\"\ntp = 4\nkv_blocks = 1000\n{}",
            match pp {
                1 => String::new(),
                _ => format!(
                    "pp = {pp}\npp_link_latency_us = {latency_us}\npp_link_gb_per_s = 1e6\n"
                ),
            }
        )
    };
    let one = simulate(&pool(1, 0)).0;
    let two = simulate(&pool(2, 0)).0;
    assert!(close(e2e_ns(&one[0]), e2e_ns(&two[0])));
    let far = simulate(&pool(2, 250)).0;
    assert_eq!(e2e_ns(&far[0]) - e2e_ns(&two[0]), 50 * 250_000);
}

#[test]
fn stages_share_weights_and_cache() {
    let (model, card) = (card("llama-3.1-405b"), h100());
    let plan = |tp, pp, dtype| {
        let p = Parallelism {
            pp,
            ..Parallelism::tensor(tp)
        };
        MemoryPlan::new(&model, &card, p, dtype, Dtype::Bf16, 0.9, 8_192, 256, 16)
    };
    // 16 bits of 405e9 weights fit no 8 devices of 80 GB, but two stages of 8.
    assert!(plan(8, 1, Dtype::Bf16).is_err());
    let two = plan(8, 2, Dtype::Bf16).unwrap();
    assert!((two.weight_gb_per_device - 405.0 * 2.0 / 16.0).abs() < 1.5);
    // With 126 layers in 4 stages the largest has 32, and bounds the blocks.
    let [one, four] = [1, 4].map(|pp| plan(8, pp, Dtype::Fp8).unwrap());
    let room_gb = 0.9 * card.memory_bytes() / 1e9 - four.reserve_gb - four.activation_gb_per_device;
    let tables_gb = 128_256.0 * 16_384.0 * 2.0 / 1e9 / 8.0;
    let layers_gb = one.weight_gb_per_device - 2.0 * tables_gb;
    let expected = [31.0, 32.0, 32.0, 31.0]
        .into_iter()
        .enumerate()
        .map(|(stage, layers)| {
            let tables = if stage == 0 || stage == 3 {
                tables_gb
            } else {
                0.0
            };
            let block = 16.0 * 4_096.0 / 8.0 * layers / 1e9;
            (room_gb - layers_gb * layers / 126.0 - tables) / block
        })
        .fold(f64::INFINITY, f64::min);
    let found = four.kv_blocks as f64;
    assert!(
        (found / expected - 1.0).abs() < 1e-3,
        "{found} and {expected}"
    );
}

fn card(name: &str) -> ModelCard {
    ModelCard::load(name, std::path::Path::new("")).unwrap()
}

fn h100() -> AcceleratorCard {
    AcceleratorCard::load("h100-sxm", std::path::Path::new("")).unwrap()
}

#[test]
fn what_does_not_go_with_stages_is_refused_with_the_reason() {
    let said = |pool: &str| {
        let text = burst(1, 10, 10, pool);
        let document = Document::parse(SourceText::new("test.toml", &text)).unwrap();
        match seatrial::scenario::resolve::resolve(&document, std::path::Path::new("")) {
            Ok(_) => panic!("accepted: {pool}"),
            Err(error) => error.to_string(),
        }
    };
    assert!(said("pp = 1").contains("goes with `pp` above 1"));
    assert!(said("pp = 65").contains("64"));
    assert!(said("pp = 2\nasync_scheduling = true").contains("async_scheduling"));
    assert!(said("pp = 2\nscheduler = \"vllm_v0\"").contains("vllm_v0"));
    let over = "pp = 2\nmicro_batch_seqs = 300";
    assert!(said(over).contains("micro_batch_seqs"));
    // Two stages of eight are two nodes: the link between them is nobody's guess.
    let text = "name = \"n\"\n[workload]\nmax_requests = 1\n\
                arrivals = { process = \"constant\", rate_per_s = 1 }\n\
                prompt_tokens = { law = \"constant\", tokens = 10 }\n\
                output_tokens = { law = \"constant\", tokens = 10 }\n\
                [[pools]]\nname = \"a\"\nengine = \"llm\"\nmodel = \"llama-3.1-405b\"\n\
                accelerator = \"h100-sxm\"\ntp = 8\npp = 2\n";
    let document = Document::parse(SourceText::new("test.toml", text)).unwrap();
    let error = seatrial::scenario::resolve::resolve(&document, std::path::Path::new(""));
    let said = error.err().unwrap().to_string();
    assert!(
        said.contains("pp_link_gb_per_s") && said.contains("16"),
        "{said}"
    );
}

#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    pp: u32,
    micro: u32,
    blocks: u64,
    seqs: u32,
    budget: u32,
    scheduler: &'static str,
    policy: &'static str,
    caching: bool,
    chunked: bool,
    rate: f64,
    prompt: f64,
    output: f64,
}

fn cases() -> impl Strategy<Value = Case> {
    let fleet = (2u32..6, 0u32..6, 40u64..160, 1u32..24, 24u32..200);
    let mode = (
        prop_oneof![2 => Just("vllm_v1"), 1 => Just("sarathi")],
        prop_oneof![2 => Just("fcfs"), 1 => Just("priority")],
        any::<bool>(),
        any::<bool>(),
    );
    let load = (1.0f64..200.0, 5.0f64..150.0, 2.0f64..80.0);
    (any::<u32>(), fleet, mode, load).prop_map(|(seed, fleet, mode, load)| Case {
        seed: u64::from(seed),
        pp: fleet.0,
        micro: fleet.1.min(fleet.3),
        blocks: fleet.2,
        seqs: fleet.3,
        budget: fleet.4.max(fleet.3),
        scheduler: mode.0,
        policy: mode.1,
        caching: mode.2,
        chunked: mode.3,
        rate: load.0,
        prompt: load.1,
        output: load.2,
    })
}

/// The fleet of a case, with two tiers and prompts that begin alike.
fn scenario(case: &Case) -> String {
    format!(
        "name = \"stages\"\n[run]\nseed = {}\nwarmup_s = 0\n\
         [[tiers]]\nname = \"first\"\nshare = 0.5\npriority = 0\n\
         [[tiers]]\nname = \"last\"\nshare = 0.5\npriority = 1\n\
         [workload]\nmax_requests = 120\narrivals = {{ process = \"poisson\", rate_per_s = {} }}\n\
         prompt_tokens = {{ law = \"exponential\", mean_tokens = {} }}\n\
         output_tokens = {{ law = \"exponential\", mean_tokens = {} }}\n\
         {}\n\
         [[pools]]\nname = \"a\"\nengine = \"llm\"\nmodel = \"llama-3.1-70b\"\n\
         accelerator = \"h100-sxm\"\ntp = 1\npp = {}\nmicro_batch_seqs = {}\nkv_blocks = {}\n\
         max_num_seqs = {}\nmax_num_batched_tokens = {}\nscheduler = \"{}\"\n\
         scheduling_policy = \"{}\"\nprefix_caching = {}\nchunked_prefill = {}\n",
        case.seed,
        case.rate,
        case.prompt,
        case.output,
        match case.caching {
            true => "prefix = { sharing = \"groups\", groups = 5, tokens = 40 }",
            false => "",
        },
        case.pp,
        case.micro,
        case.blocks,
        case.seqs,
        case.budget,
        case.scheduler,
        case.policy,
        case.caching,
        case.chunked,
    )
}

/// With debug assertions the KV blocks are compared after every event.
#[test]
fn nothing_is_lost_and_no_block_leaks() {
    let config = Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut preempted = 0;
    let counted = std::cell::RefCell::new(&mut preempted);
    TestRunner::new_with_rng(config, rng)
        .run(&cases(), |case| {
            let times = || Even {
                layers_ns: 3e6,
                per_token_ns: 2e4,
                engine_ns: 4e5,
                last_ns: 3e5,
            };
            let plan = with_times(plan_of(&scenario(&case)), times());
            let all = rows(&plan);
            prop_assert_eq!(all.len(), 120);
            for row in &all {
                **counted.borrow_mut() += u64::from(row.preemptions);
                let status = row.status;
                let known = status == "completed" || status == "rejected_too_long";
                prop_assert!(known, "{}", status);
                if status == "completed" {
                    // No token comes sooner than all stages take one after the other.
                    let least = u64::from(row.output_tokens) * 3_700_000 - 1_000;
                    prop_assert!(e2e_ns(row) >= least);
                }
            }
            let again = rows(&plan);
            for (one, two) in all.iter().zip(&again) {
                prop_assert_eq!(one.last_token_ns, two.last_token_ns);
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(preempted > 1_000, "too little pressure: {preempted}");
}
