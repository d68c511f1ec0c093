//! A feature that is turned off leaves no trace: the run is the one of a scenario that does not
//! mention it, event by event.

mod common;

use common::simulate;

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

#[test]
fn each_option_of_an_engine_off_is_the_engine_without_it() {
    let (rows, plain) = simulate(&scenario(""));
    assert!(rows.iter().any(|row| row.preemptions > 0), "no pressure");
    for off in [
        "role = \"mixed\"",
        "pp = 1",
        "dp = 1",
        "expert_parallel = false",
        "scheduler = \"vllm_v1\"",
        "scheduling_policy = \"fcfs\"",
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
        "request_overhead_ms = 0",
        "response_overhead_ms = 0",
        "step_by_step = false",
    ] {
        let (others, with) = simulate(&scenario(off));
        assert_eq!(with.digest(), plain.digest(), "{off}");
        assert_eq!(others, rows, "{off}");
    }
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
        "request_overhead_ms = 3",
        "response_overhead_ms = 3",
    ] {
        let (_, with) = simulate(&scenario(on));
        assert_ne!(with.digest(), plain.digest(), "{on}");
    }
}
