//! The values of a language-model pool.

use super::speculative::check_speculative;
use crate::perf::{KernelFactors, MOST_CAPTURED};
use crate::scenario::fleet::{LlmPool, PromptBlocks, Scheduler, SchedulingPolicy, StepModelChoice};
use crate::scenario::problems::Problems;
use crate::scenario::roles::Role;
use crate::scenario::validate::MOST_MS;

/// Most ranks of data-parallel attention.
const MOST_RANKS: u64 = 256;
/// Most pipeline stages.
const MOST_STAGES: u64 = 64;

pub(super) fn check_llm(pool: &LlmPool, at: &str, problems: &mut Problems<'_>) {
    if let (Some(StepModelChoice::Roofline), Some(backend)) = (pool.step_model, pool.kernel_backend)
    {
        problems.push(
            &format!("{at}.kernel_backend"),
            format!("\"{backend}\""),
            "must be left out with step_model = \"roofline\", which uses no measured kernels",
            "drop one of the two",
        );
    }
    check_tables(pool, at, problems);
    let path = |field: &str| format!("{at}.{field}");
    let mut int = |field: &str, value: u64, low: u64, high: u64| {
        problems.int_in_range(&path(field), value, low, high);
    };
    int("tp", u64::from(pool.tp), 1, 1_024);
    int("max_num_seqs", u64::from(pool.max_num_seqs), 1, 1 << 20);
    int("block_size", u64::from(pool.block_size), 1, 4_096);
    let (seqs, tokens) = (pool.max_num_seqs, pool.max_num_batched_tokens);
    // Beyond their own range the sequences say nothing of the tokens.
    let least = u64::from(seqs.clamp(1, 1 << 20));
    int("max_num_batched_tokens", u64::from(tokens), least, 1 << 24);
    let captured = u64::from(MOST_CAPTURED);
    int(
        "max_graph_tokens",
        u64::from(pool.max_graph_tokens),
        0,
        captured,
    );
    if let Some(length) = pool.max_model_len {
        int("max_model_len", u64::from(length), 2, 1 << 28);
    }
    if let Some(blocks) = pool.kv_blocks {
        int("kv_blocks", blocks, 1, 1 << 40);
    }
    if pool.preempt_running && pool.scheduling_policy != SchedulingPolicy::Priority {
        let allowed = "goes by priorities, and this pool does not";
        let remedy = "state scheduling_policy = \"priority\"";
        problems.push(&path("preempt_running"), "true", allowed, remedy);
    }
    problems.in_range(&path("watermark"), pool.watermark, 0.0, 0.99);
    problems.in_range(
        &path("memory_utilization"),
        pool.memory_utilization,
        0.01,
        1.0,
    );
    for (field, value) in [
        ("overhead_fixed_us", pool.overhead_fixed_us),
        ("overhead_per_seq_us", pool.overhead_per_seq_us),
    ] {
        if let Some(value) = value {
            problems.non_negative(&path(field), value, 1e9);
        }
    }
    problems.non_negative(
        &path("overhead_per_prompt_token_us"),
        pool.overhead_per_prompt_token_us,
        1e9,
    );
    for (field, value) in [
        ("request_overhead_ms", pool.request_overhead_ms),
        ("response_overhead_ms", pool.response_overhead_ms),
    ] {
        problems.non_negative(&path(field), value, MOST_MS);
    }
    if pool.role == Role::Decode && pool.request_overhead_ms > 0.0 {
        let allowed = "does nothing with role = \"decode\": prompts come from prefill pools";
        let remedy = "state it in the prefill pools";
        let given = pool.request_overhead_ms;
        problems.push(&path("request_overhead_ms"), given, allowed, remedy);
    }
    if pool.role == Role::Prefill && pool.response_overhead_ms > 0.0 {
        let allowed = "does nothing with role = \"prefill\": answers come from decode pools";
        let remedy = "state it in the decode pools";
        let given = pool.response_overhead_ms;
        problems.push(&path("response_overhead_ms"), given, allowed, remedy);
    }
    for (field, value) in [
        ("prefill_time_factor", pool.prefill_time_factor),
        ("decode_time_factor", pool.decode_time_factor),
    ] {
        let (least, most) = (KernelFactors::LEAST, KernelFactors::MOST);
        problems.in_range(&path(field), value, least, most);
    }
    let skew_us = pool.all_reduce_skew_us;
    problems.non_negative(&path("all_reduce_skew_us"), skew_us, 1e6);
    if skew_us > 0.0 && (pool.tp <= 1 || pool.profile.is_some()) {
        let allowed =
            "does nothing with `tp` = 1, where there are no all-reduces, nor with `profile`";
        problems.push(
            &path("all_reduce_skew_us"),
            skew_us,
            allowed,
            "take it away",
        );
    }
    check_scheduler(pool, at, problems);
    check_pipeline(pool, at, problems);
    check_ranks(pool, at, problems);
    check_speculative(pool, at, problems);
    problems.unique(
        &path("kv_tiers"),
        pool.kv_tiers.iter().map(|tier| tier.name.as_str()),
    );
    for (index, tier) in pool.kv_tiers.iter().enumerate() {
        let at = |field: &str| path(&format!("kv_tiers.{index}.{field}"));
        problems.name(&at("name"), &tier.name);
        problems.positive(&at("capacity_gb"), tier.capacity_gb, 1e9);
        problems.positive(&at("bandwidth_gb_per_s"), tier.bandwidth_gb_per_s, 1e6);
        problems.non_negative(&at("latency_ms"), tier.latency_ms, 1e6);
    }
    if !pool.kv_tiers.is_empty() && !pool.prefix_caching {
        let allowed = "needs `prefix_caching = true`";
        problems.push(
            &path("kv_tiers"),
            pool.kv_tiers.len(),
            allowed,
            "turn it on",
        );
    }
}

/// Refuses what does not go with kernels from a file.
fn check_tables(pool: &LlmPool, at: &str, problems: &mut Problems<'_>) {
    let Some(file) = &pool.kernel_tables else {
        return;
    };
    let roofline = pool.step_model == Some(StepModelChoice::Roofline);
    for (given, allowed) in [
        (
            roofline,
            "must be left out with step_model = \"roofline\", which uses no measured kernels",
        ),
        (
            pool.kernel_backend.is_some(),
            "must be left out with `kernel_backend`, which names kernels of the program's",
        ),
        (
            pool.profile.is_some(),
            "must be left out with `profile`, by which iterations are timed then",
        ),
    ] {
        if given {
            let path = format!("{at}.kernel_tables");
            problems.push(&path, format!("{file:?}"), allowed, "drop one of the two");
        }
    }
}

/// Refuses options that the pool's scheduler does not have.
fn check_scheduler(pool: &LlmPool, at: &str, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    let v0 = pool.scheduler == Scheduler::VllmV0;
    for (given, field, value) in [
        (
            v0 && pool.async_scheduling,
            "async_scheduling",
            "true".to_owned(),
        ),
        (
            v0 && pool.long_prefill_token_threshold > 0,
            "long_prefill_token_threshold",
            pool.long_prefill_token_threshold.to_string(),
        ),
    ] {
        if given {
            let allowed = "is not an option of `vllm_v0`";
            problems.push(&path(field), value, allowed, "take it away");
        }
    }
    if pool.prompt_wait_tokens > 0 && pool.prompt_wait_iterations == 0 {
        let allowed = "needs `prompt_wait_iterations`";
        let given = pool.prompt_wait_tokens;
        problems.push(&path("prompt_wait_tokens"), given, allowed, "give both");
    }
    if pool.padded_budget && !v0 {
        let allowed = "is an option of `vllm_v0` only";
        problems.push(&path("padded_budget"), true, allowed, "take it away");
    }
    if let Some(blocks) = pool.prompt_blocks
        && pool.scheduler != Scheduler::VllmV1
        && blocks != PromptBlocks::ReserveWhole
    {
        let allowed = "must be `reserve_whole`, which `vllm_v0` and `sarathi` do";
        problems.push(&path("prompt_blocks"), "other", allowed, "take it away");
    }
}

/// Refuses values of pipeline stages out of range, and what does not go with them.
fn check_pipeline(pool: &LlmPool, at: &str, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    problems.int_in_range(&path("pp"), u64::from(pool.pp), 1, MOST_STAGES);
    if let Some(bandwidth) = pool.pp_link_gb_per_s {
        problems.positive(&path("pp_link_gb_per_s"), bandwidth, 1e6);
    }
    if let Some(latency) = pool.pp_link_latency_us {
        problems.non_negative(&path("pp_link_latency_us"), latency, 1e9);
    }
    let seqs = pool.micro_batch_seqs;
    let most = u64::from(pool.max_num_seqs);
    problems.int_in_range(&path("micro_batch_seqs"), u64::from(seqs), 0, most);
    if pool.pp <= 1 {
        for (given, field) in [
            (pool.pp_link_gb_per_s.is_some(), "pp_link_gb_per_s"),
            (pool.pp_link_latency_us.is_some(), "pp_link_latency_us"),
            (seqs > 0, "micro_batch_seqs"),
        ] {
            if given {
                let remedy = "take it away, or deal the layers out to more stages";
                problems.push(&path(field), "", "goes with `pp` above 1", remedy);
            }
        }
        return;
    }
    for (given, field) in [
        (pool.scheduler == Scheduler::VllmV0, "scheduler"),
        (pool.async_scheduling, "async_scheduling"),
        (pool.prompt_wait_iterations > 0, "prompt_wait_iterations"),
        (pool.speculative.is_some(), "speculative"),
    ] {
        if given {
            let allowed = match field {
                "scheduler" => "cannot be `vllm_v0` with `pp` above 1, which is not modelled",
                _ => "does not go with `pp` above 1, which is not modelled",
            };
            let remedy = "use tp instead of pp, or leave it out";
            problems.push(&path(field), "", allowed, remedy);
        }
    }
}

/// Refuses values of data-parallel attention out of range, and what does not go with it.
fn check_ranks(pool: &LlmPool, at: &str, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    problems.int_in_range(&path("dp"), u64::from(pool.dp), 1, MOST_RANKS);
    if let Some(bandwidth) = pool.dp_link_gb_per_s {
        problems.positive(&path("dp_link_gb_per_s"), bandwidth, 1e6);
        if pool.dp <= 1 {
            let (allowed, remedy) = ("goes with `dp` above 1", "take it away");
            problems.push(&path("dp_link_gb_per_s"), bandwidth, allowed, remedy);
        }
    }
    if pool.dp <= 1 {
        return;
    }
    for (given, field) in [
        (pool.pp > 1, "pp"),
        (pool.scheduler == Scheduler::VllmV0, "scheduler"),
        (pool.speculative.is_some(), "speculative"),
        (pool.profile.is_some(), "profile"),
    ] {
        if given {
            let allowed = "does not go with `dp` above 1 like this, which is not modelled";
            problems.push(&path(field), "", allowed, "leave one of the two out");
        }
    }
}
