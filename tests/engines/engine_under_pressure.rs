//! An engine with too little memory: preemption storms end, and what cannot be served is refused
//! with the reason.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::path::Path;

use common::simulate;
use seatrial::experiment::runner::{Control, run_scenario};
use seatrial::scenario::{Document, SourceText};

/// 200 requests at once, each of 20 prompt and 300 output tokens, for a cache that holds five.
fn storm(pool: &str, prefix: &str) -> String {
    format!(
        "name = \"storm\"\n[run]\nwarmup_s = 0\nhorizon_s = 1000\n\
         [[tiers]]\nname = \"first\"\nshare = 0.3\npriority = 0\n\
         [[tiers]]\nname = \"last\"\nshare = 0.7\npriority = 5\n\
         [workload]\nmax_requests = 200\narrivals = {{ process = \"poisson\", rate_per_s = 1e5 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 20 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 300 }}\n{prefix}\n\
         [[pools]]\nname = \"a\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
         accelerator = \"h100-sxm\"\nkv_blocks = 100\nmax_num_seqs = 128\n\
         max_num_batched_tokens = 512\n{pool}\n"
    )
}

#[test]
fn a_preemption_storm_ends_whatever_the_scheduler() {
    const SPECULATES: &str =
        "speculative = { draft_tokens = 3, acceptance = 0.6, draft_us_per_token = 100 }";
    let prefix = "prefix = { sharing = \"groups\", groups = 3, tokens = 16 }";
    let mut most = 0;
    for scheduler in ["vllm_v1", "vllm_v0", "sarathi"] {
        for policy in ["fcfs", "priority"] {
            for more in [
                "",
                "chunked_prefill = false",
                "prefix_caching = true",
                "prefix_caching = true\nchunked_prefill = false",
                "prefix_caching = true\nkv_tiers = [{ name = \"dram\", capacity_gb = 1, \
                 bandwidth_gb_per_s = 20 }]",
                "watermark = 0.05",
                "async_scheduling = true",
                "pp = 2",
                SPECULATES,
            ] {
                let v0 = scheduler == "vllm_v0";
                if v0
                    && ["async", "pp", "spec"]
                        .iter()
                        .any(|it| more.starts_with(it))
                {
                    continue;
                }
                let pool = format!(
                    "scheduler = \"{scheduler}\"\nscheduling_policy = \"{policy}\"\n{more}"
                );
                let shared = if more.starts_with("prefix") {
                    prefix
                } else {
                    ""
                };
                // Blocks are compared after every event, as debug assertions are on in tests.
                let (rows, simulation) = simulate(&storm(&pool, shared));
                assert_eq!(rows.len(), 200, "{pool}");
                assert!(rows.iter().all(|row| row.status == "completed"), "{pool}");
                assert_eq!(simulation.world.in_flight(), 0, "{pool}");
                let preempted: u32 = rows.iter().map(|row| u32::from(row.preemptions)).sum();
                most = most.max(preempted);
                // Whoever is oldest is never preempted by first come first served: no request
                // begins again more often than there are others that can end before it.
                assert!(preempted < 200 * 200, "{pool}: {preempted}");
            }
        }
    }
    assert!(most > 200, "that was no storm: {most}");
}

/// What the page of a run says of requests turned away.
fn page(pool: &str, prompt: u32) -> (u64, String) {
    let text = format!(
        "name = \"long\"\n[run]\nwarmup_s = 0\n[workload]\nmax_requests = 7\n\
         arrivals = {{ process = \"poisson\", rate_per_s = 5 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = {prompt} }}\n\
         output_tokens = {{ law = \"constant\", tokens = 100 }}\n\
         [[pools]]\nname = \"a\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
         accelerator = \"h100-sxm\"\n{pool}\n"
    );
    let document = Document::parse(SourceText::new("long.toml", &text)).unwrap();
    let outcome = run_scenario(&document, Path::new(""), Control::default()).unwrap();
    let refused = outcome.result.requests.rejected_by.too_long;
    (refused, seatrial::report::terminal::render(&outcome))
}

#[test]
fn a_request_longer_than_the_cache_is_refused_with_the_bound() {
    for (pool, prompt, said) in [
        (
            "kv_blocks = 100",
            1_501,
            "at most 1,600 tokens of prompt and output: bounded by the KV cache",
        ),
        (
            "max_model_len = 1000",
            901,
            "at most 1,000 tokens of prompt and output: bounded by max_model_len",
        ),
        (
            "chunked_prefill = false\nmax_num_batched_tokens = 512",
            413,
            "at most 512 tokens of prompt and output: bounded by max_num_batched_tokens",
        ),
    ] {
        let (refused, text) = page(pool, prompt);
        assert_eq!(refused, 7, "{pool}");
        assert!(text.contains(said), "{pool}: {text}");
        // One token less fits, and nothing is said.
        let (refused, text) = page(pool, prompt - 1);
        assert_eq!(refused, 0, "{pool}");
        assert!(!text.contains("serves at most"), "{pool}");
    }
}
