//! Data-parallel attention with shared experts: ranks go in step, and nothing is lost.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::path::Path;

use common::{plan_of, rows, simulate, with_times};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use seatrial::perf::tables::{ExpertsKey, KernelBackend, KernelDtype, KernelTables, Spread};
use seatrial::perf::{
    AcceleratorCard, DecodePiece, Dtype, MemoryPlan, ModelCard, Overheads, Parallelism,
    PrefillChunk, RankWork, StepModel, StepTimes,
};
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

/// Iterations of a millisecond, and a microsecond more for every token of the slowest rank.
#[derive(Debug)]
struct PerToken;

impl StepTimes for PerToken {
    fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, _: u64) -> f64 {
        let rows = decodes + prefill.iter().map(|chunk| chunk.tokens).sum::<u32>();
        1e6 + 1e3 * f64::from(rows)
    }

    fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        DecodePiece {
            base_ns: self.step_ns(&[], decodes, context),
            per_context_ns: 0.0,
            until_context: u64::MAX,
        }
    }
}

fn burst(requests: u32, prompt: &str, output: u32, pool: &str) -> String {
    format!(
        "name = \"burst\"\n[run]\nwarmup_s = 0\n\
         [workload]\nmax_requests = {requests}\n\
         arrivals = {{ process = \"closed_loop\", users = {requests} }}\n\
         prompt_tokens = {prompt}\n\
         output_tokens = {{ law = \"constant\", tokens = {output} }}\n\
         [[pools]]\nname = \"a\"\nengine = \"llm\"\nmodel = \"qwen3-30b-a3b\"\n\
         accelerator = \"h100-sxm\"\n{pool}\n"
    )
}

const SHORT: &str = "{ law = \"constant\", tokens = 10 }";

#[test]
fn requests_that_come_together_are_dealt_out_evenly() {
    let all = rows(&with_times(
        plan_of(&burst(8, SHORT, 5, "dp = 4")),
        PerToken,
    ));
    // Two prompts of ten tokens at each rank, then four iterations of two sequences.
    for row in &all {
        let scheduled = row.scheduled_ns.unwrap();
        assert_eq!(row.first_token_ns.unwrap() - scheduled, 1_020_000);
        assert_eq!(
            row.last_token_ns.unwrap() - row.first_token_ns.unwrap(),
            4 * 1_002_000
        );
    }
}

#[test]
fn a_rank_with_a_long_prompt_holds_up_the_others() {
    let decoding = RankWork {
        prefill: &[],
        decodes: 3,
        context: 30,
        spread: 0.0,
    };
    let prompt = [PrefillChunk {
        tokens: 2_000,
        context: 0,
    }];
    let long = RankWork {
        prefill: &prompt,
        decodes: 0,
        context: 0,
        spread: 0.0,
    };
    assert!((PerToken.joint_ns(&[decoding, long]) - 3e6).abs() < 1e-6);
    // Prompts of two lengths at two ranks: all iterations end together.
    let two = "{ law = \"exponential\", mean_tokens = 1000 }";
    let all = rows(&with_times(plan_of(&burst(2, two, 1, "dp = 2")), PerToken));
    assert_ne!(all[0].prompt_tokens, all[1].prompt_tokens);
    assert_eq!(all[0].last_token_ns, all[1].last_token_ns);
}

fn card(name: &str) -> ModelCard {
    ModelCard::load(name, Path::new("")).unwrap()
}

fn accelerator(name: &str) -> AcceleratorCard {
    AcceleratorCard::load(name, Path::new("")).unwrap()
}

fn experts_over(dp: u32) -> Parallelism {
    Parallelism {
        dp,
        ep: true,
        ..Parallelism::tensor(1)
    }
}

#[test]
fn the_experts_work_for_the_rows_of_all_ranks_and_these_are_exchanged() {
    let (model, h100) = (card("qwen3-30b-a3b"), accelerator("h100-sxm"));
    let step = StepModel::new(
        &model,
        &h100,
        &experts_over(8),
        Dtype::Bf16,
        Dtype::Bf16,
        Overheads::default(),
    )
    .unwrap()
    .with_tables(Some(KernelBackend::Vllm))
    .unwrap();
    let rank = RankWork {
        prefill: &[],
        decodes: 16,
        context: 16 * 500,
        spread: 0.0,
    };
    let alone = StepTimes::step_ns(&step, &[], 16, 16 * 500);
    let all = step.joint_ns(&[rank; 8]);
    // What was measured, at 16 and 128 tokens of 2,048 values.
    let tables = KernelTables::builtin("h100_sxm", KernelBackend::Vllm).unwrap();
    let key = ExpertsKey {
        dtype: KernelDtype::Bf16,
        hidden: 2_048,
        width: 768,
        per_token: 8,
        experts: 128,
        tp: 1,
        ep: 8,
        spread: Spread::PowerLaw,
    };
    let of = |tokens: u32| {
        let values = u64::from(tokens) * 2_048;
        tables.moe.measured_us(&key, tokens).unwrap()
            + tables.all_gather.measured_us(8, values).unwrap()
            + tables.reduce_scatter.measured_us(8, values).unwrap()
    };
    let expected = 48.0 * 1e3 * (of(128) - of(16));
    assert!(
        ((all - alone) - expected).abs() < 1.0,
        "{} and {expected}",
        all - alone
    );
    // Idle ranks cost nothing but the waiting for the one that works.
    let idle = RankWork {
        decodes: 0,
        context: 0,
        ..rank
    };
    let lone = step.joint_ns(&[rank, idle, idle, idle]);
    assert!((lone - alone).abs() < 1e-6);
}

#[test]
fn no_joint_iteration_beats_physics() {
    let (model, h200) = (card("deepseek-v3"), accelerator("h200-sxm"));
    let step = StepModel::new(
        &model,
        &h200,
        &experts_over(8),
        Dtype::Fp8,
        Dtype::Fp8,
        Overheads::default(),
    )
    .unwrap();
    let roofline = step.clone();
    let tables = step.with_tables(None).unwrap();
    let config = Config {
        cases: 500,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let ranks = proptest::collection::vec((0u32..300, 0u64..4_000, 0u32..5_000), 8);
    TestRunner::new_with_rng(config, rng)
        .run(&ranks, |ranks| {
            let chunks: Vec<Vec<PrefillChunk>> = ranks
                .iter()
                .map(|rank| match rank.2 {
                    0 => Vec::new(),
                    tokens => vec![PrefillChunk { tokens, context: 0 }],
                })
                .collect();
            let work: Vec<RankWork<'_>> = ranks
                .iter()
                .zip(&chunks)
                .map(|(rank, prefill)| RankWork {
                    prefill,
                    decodes: rank.0,
                    context: u64::from(rank.0) * rank.1,
                    spread: 0.0,
                })
                .collect();
            for step in [&roofline, &tables] {
                let (ns, floor) = (step.joint_ns(&work), step.joint_floor_ns(&work));
                prop_assert!(ns >= floor * (1.0 - 1e-9), "{} below {}", ns, floor);
                // Nor is it shorter than that of any of its ranks alone.
                for one in &work {
                    let alone = step.step_ns(one.prefill, one.decodes, one.context);
                    prop_assert!(ns >= alone * (1.0 - 1e-9), "{} below {}", ns, alone);
                }
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn ranks_keep_what_is_dense_and_share_the_experts() {
    let (model, h200) = (card("deepseek-v3"), accelerator("h200-sxm"));
    let plan = |p: Parallelism| {
        MemoryPlan::new(
            &model,
            &h200,
            p,
            Dtype::Fp8,
            Dtype::Bf16,
            0.9,
            8_192,
            256,
            16,
        )
        .unwrap()
    };
    let (split, ranks) = (plan(Parallelism::tensor(8)), plan(experts_over(8)));
    // 256 experts of 3 x 7168 x 2048 weights in 58 layers are 654e9 bytes; the rest some 17e9,
    // which each rank has whole.
    let experts_gb = 256.0 * 3.0 * 7_168.0 * 2_048.0 * 58.0 / 1e9;
    let dense_gb = split.weight_gb_per_device * 8.0 - experts_gb;
    let expected = dense_gb + experts_gb / 8.0;
    assert!((ranks.weight_gb_per_device - expected).abs() < 0.01);
    assert!(dense_gb > 10.0 && dense_gb < 25.0, "{dense_gb}");
}

#[test]
fn what_does_not_go_with_ranks_is_refused_with_the_reason() {
    let said = |text: &str| {
        let document = Document::parse(SourceText::new("test.toml", text)).unwrap();
        match resolve(&document, Path::new("")) {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => error.to_string(),
        }
    };
    let pool = |pool: &str| said(&burst(1, SHORT, 1, pool));
    assert!(pool("dp = 257").contains("256"));
    let both = pool("dp = 2\npp = 2");
    assert!(both.contains(".pp"), "{both}");
    assert!(pool("dp = 2\nscheduler = \"vllm_v0\"").contains(".scheduler"));
    assert!(pool("dp_link_gb_per_s = 50").contains("`dp` above 1"));
    let far = pool("dp = 16\nexpert_parallel = true");
    assert!(
        far.contains("dp_link_gb_per_s") && far.contains("16"),
        "{far}"
    );
    let many = pool("dp = 256\nexpert_parallel = true\ndp_link_gb_per_s = 50");
    assert!(many.contains("the model has 128"), "{many}");
    let dense = burst(1, SHORT, 1, "dp = 2").replace("qwen3-30b-a3b", "llama-3.1-8b");
    assert!(said(&dense).contains("replicas"));
}

#[test]
fn one_rank_is_the_engine_as_it_was() {
    let pool = |more: &str| burst(60, SHORT, 40, &format!("tp = 2\nkv_blocks = 60\n{more}"));
    let (with, without) = (
        simulate(&pool("dp = 1\nexpert_parallel = false")),
        simulate(&pool("")),
    );
    assert_eq!(with.1.digest(), without.1.digest());
}

#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    dp: u32,
    blocks: u64,
    seqs: u32,
    budget: u32,
    policy: &'static str,
    flags: (bool, bool, bool),
    rate: f64,
    prompt: f64,
    output: f64,
}

fn cases() -> impl Strategy<Value = Case> {
    let fleet = (2u32..6, 30u64..90, 1u32..16, 24u32..200);
    let policy = prop_oneof![2 => Just("fcfs"), 1 => Just("priority")];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let load = (1.0f64..400.0, 5.0f64..120.0, 2.0f64..60.0);
    (any::<u32>(), fleet, policy, flags, load).prop_map(|(seed, fleet, policy, flags, load)| Case {
        seed: u64::from(seed),
        dp: fleet.0,
        blocks: fleet.1,
        seqs: fleet.2,
        budget: fleet.3.max(fleet.2),
        policy,
        flags,
        rate: load.0,
        prompt: load.1,
        output: load.2,
    })
}

fn scenario(case: &Case) -> String {
    let (caching, asynchronous, chunked) = case.flags;
    let prefix = match caching {
        true => "prefix = { sharing = \"groups\", groups = 5, tokens = 40 }",
        false => "",
    };
    format!(
        "name = \"ranks\"\n[run]\nseed = {}\nwarmup_s = 0\n\
         [[tiers]]\nname = \"first\"\nshare = 0.5\npriority = 0\n\
         [[tiers]]\nname = \"last\"\nshare = 0.5\npriority = 1\n\
         [workload]\nmax_requests = 120\narrivals = {{ process = \"poisson\", rate_per_s = {} }}\n\
         prompt_tokens = {{ law = \"exponential\", mean_tokens = {} }}\n\
         output_tokens = {{ law = \"exponential\", mean_tokens = {} }}\n{prefix}\n\
         [[pools]]\nname = \"a\"\nengine = \"llm\"\nmodel = \"qwen3-30b-a3b\"\nreplicas = 2\n\
         accelerator = \"h100-sxm\"\ndp = {}\nexpert_parallel = true\nkv_blocks = {}\n\
         max_num_seqs = {}\nmax_num_batched_tokens = {}\nscheduling_policy = \"{}\"\n\
         prefix_caching = {caching}\nasync_scheduling = {asynchronous}\nchunked_prefill = {chunked}\n",
        case.seed,
        case.rate,
        case.prompt,
        case.output,
        case.dp,
        case.blocks,
        case.seqs,
        case.budget,
        case.policy,
    )
}

/// With debug assertions the KV blocks are compared after every event.
#[test]
fn nothing_is_lost_and_no_block_leaks() {
    let config = Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let preempted = std::cell::Cell::new(0);
    TestRunner::new_with_rng(config, rng)
        .run(&cases(), |case| {
            let plan = plan_of(&scenario(&case));
            let all = rows(&plan);
            prop_assert_eq!(all.len(), 120);
            for row in &all {
                preempted.set(preempted.get() + u64::from(row.preemptions));
                let known = row.status == "completed" || row.status == "rejected_too_long";
                prop_assert!(known, "{}", row.status);
            }
            let again = rows(&plan);
            for (one, two) in all.iter().zip(&again) {
                prop_assert_eq!(one.last_token_ns, two.last_token_ns);
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(
        preempted.get() > 300,
        "too little pressure: {}",
        preempted.get()
    );
}
