//! A feature that is turned off leaves no trace: the run is the one of a scenario that does not
//! mention it, event by event.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::path::Path;

use common::simulate;
use seatrial::experiment::runner::{Control, run_scenario};
use seatrial::scenario::fleet::LlmPool;
use seatrial::scenario::{Document, SourceText};

/// A pool under some pressure, with tiers, so that every part of the engine works.
fn scenario(more: &str) -> String {
    format!(
        "name = \"off\"\n[run]\nwarmup_s = 2\nhorizon_s = 20\n\
         [[tiers]]\nname = \"first\"\nshare = 0.5\n[[tiers]]\nname = \"last\"\nshare = 0.5\n\
         [workload]\narrivals = {{ process = \"gamma\", rate_per_s = 100, cv = 2 }}\n\
         prompt_tokens = {{ law = \"lognormal\", mean_tokens = 300, cv = 1, max_tokens = 2500 }}\n\
         output_tokens = {{ law = \"exponential\", mean_tokens = 60, max_tokens = 400 }}\n\
         [[pools]]\nname = \"p\"\nengine = \"llm\"\nmodel = \"qwen3-30b-a3b\"\n\
         accelerator = \"h100-sxm\"\ntp = 2\nreplicas = 2\nkv_blocks = 250\n\
         max_num_batched_tokens = 1024\n{more}\n"
    )
}

/// Every option that can be turned off, off.
const OFF: [&str; 29] = [
    "weight = 1",
    "serves = []",
    "role = \"mixed\"",
    "pp = 1",
    "dp = 1",
    "expert_parallel = false",
    "scheduler = \"vllm_v1\"",
    "scheduling_policy = \"fcfs\"",
    "preempt_running = false",
    "chunked_prefill = true",
    "long_prefill_token_threshold = 0",
    "padded_budget = false",
    "prompt_blocks = \"chunk\"",
    "prefix_caching = false",
    "kv_tiers = []",
    "async_scheduling = false",
    "prompt_wait_iterations = 0",
    "prompt_wait_tokens = 0",
    "watermark = 0",
    "max_graph_tokens = 0",
    "micro_batch_seqs = 0",
    "all_reduce_skew_us = 0",
    "overhead_per_prompt_token_us = 0",
    "prefill_time_factor = 1",
    "decode_time_factor = 1",
    "request_overhead_ms = 0",
    "response_overhead_ms = 0",
    "step_by_step = false",
    "max_num_seqs = 256",
];

/// Options that are never off, at the values they have unless stated.
const AS_BY_DEFAULT: [&str; 9] = [
    "weight_dtype = \"bf16\"",
    "kv_dtype = \"bf16\"",
    "block_size = 16",
    "memory_utilization = 0.9",
    "max_model_len = 40960",
    "overhead_fixed_us = 500",
    "overhead_per_seq_us = 5",
    "step_model = \"tables\"",
    "kernel_backend = \"vllm\"",
];

/// What a pool must state, what the scenario above states, and what has no value that is none.
const NEITHER: [&str; 15] = [
    "engine_profile",
    "name",
    "region",
    "replicas",
    "model",
    "accelerator",
    "tp",
    "max_num_batched_tokens",
    "kv_blocks",
    "pp_link_gb_per_s",
    "pp_link_latency_us",
    "dp_link_gb_per_s",
    "profile",
    "kernel_tables",
    "speculative",
];

/// The whole result, as it is written.
fn written(text: &str) -> String {
    let document = Document::parse(SourceText::new("off.toml", text)).unwrap();
    let outcome = run_scenario(&document, Path::new(""), Control::default()).unwrap();
    outcome.result.to_json().to_string()
}

#[test]
fn each_option_of_an_engine_off_is_the_engine_without_it() {
    let (rows, plain) = simulate(&scenario(""));
    let bytes = written(&scenario(""));
    assert!(rows.iter().any(|row| row.preemptions > 0), "no pressure");
    for off in OFF {
        let (others, with) = simulate(&scenario(off));
        assert_eq!(with.digest(), plain.digest(), "{off}");
        assert_eq!(others, rows, "{off}");
        assert_eq!(written(&scenario(off)), bytes, "{off}");
    }
    // Of these the result says that they were given.
    for default in AS_BY_DEFAULT {
        let (others, with) = simulate(&scenario(default));
        assert_eq!(with.digest(), plain.digest(), "{default}");
        assert_eq!(others, rows, "{default}");
    }
}

/// Parts of a scenario that are there and do nothing.
const IDLE: [&str; 12] = [
    "[clients]",
    "[clients]\ntimeout_ms = 1e9\ntry_timeout_ms = 1e9\nmax_retries = 3",
    "[health]",
    "[health]\nactive = { interval_s = 1, timeout_s = 1 }",
    "[health]\nbreaker = {}",
    "[health]\nlimits = { max_requests = 1_000_000 }",
    "[admission]",
    "[admission]\nconcurrency = { policy = \"fixed\", limit = 1_000_000 }\nwaiting_room = {}",
    "[admission]\nrate = { requests = { per_s = 1e6, burst = 1e6 } }",
    "[[faults.timeline]]\nat_s = 1e6\nkind = \"crash\"\ntarget = { pool = \"p\" }",
    "[capability]\nreserve_output_tokens = 0",
    "[signals]\nsource = \"own\"",
];

#[test]
fn each_part_of_the_traffic_plane_that_does_nothing_leaves_no_trace() {
    let (rows, plain) = simulate(&scenario(""));
    for idle in IDLE {
        let (others, with) = simulate(&scenario(idle));
        assert!(others == rows, "{idle}");
        assert_eq!(
            with.world.meters.outcomes, plain.world.meters.outcomes,
            "{idle}"
        );
        assert_eq!(with.digest(), plain.digest(), "{idle}");
    }
    // One region, one gateway and clients in it without a way.
    let single = scenario("[[regions]]\nname = \"here\"\n[network]\ninter_az_rtt_ms = 0");
    let (others, with) = simulate(&single);
    assert_eq!(others, rows);
    assert_eq!(with.digest(), plain.digest());
}

#[test]
fn no_option_of_an_engine_is_forgotten_here() {
    let schema = schemars::schema_for!(LlmPool);
    let properties = schema.as_value()["properties"].as_object().unwrap();
    let field = |line: &'static str| line.split(" =").next().unwrap();
    let mut listed: Vec<&str> = OFF.into_iter().chain(AS_BY_DEFAULT).map(field).collect();
    listed.extend(NEITHER);
    listed.sort_unstable();
    let mut known: Vec<&str> = properties.keys().map(String::as_str).collect();
    known.sort_unstable();
    assert_eq!(listed, known);
}

#[test]
fn each_option_on_is_noticed() {
    // The test above could not fail if the options did nothing.
    let (_, plain) = simulate(&scenario(""));
    for on in [
        "pp = 2",
        "dp = 2",
        "expert_parallel = true",
        "scheduler = \"vllm_v0\"",
        "chunked_prefill = false",
        "long_prefill_token_threshold = 100",
        "prompt_blocks = \"check_whole\"",
        "async_scheduling = true",
        "prompt_wait_iterations = 8",
        "watermark = 0.2",
        "max_graph_tokens = 512",
        "all_reduce_skew_us = 3",
        "overhead_per_prompt_token_us = 5",
        "prefill_time_factor = 1.1",
        "decode_time_factor = 1.1",
        "request_overhead_ms = 3",
        "response_overhead_ms = 3",
    ] {
        let (_, with) = simulate(&scenario(on));
        assert_ne!(with.digest(), plain.digest(), "{on}");
    }
}
