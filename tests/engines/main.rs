//! What engines promise: batching, KV blocks, parallelism, prefill and decode apart.

#[path = "../common/mod.rs"]
mod common;

mod components_gateway;
mod components_kv_blocks;
mod components_window;
mod data_parallel_attention;
mod disaggregation;
mod disaggregation_folding_is_exact;
mod engine_folding_is_exact;
mod engine_fork_goes_on_alike;
mod engine_matches_vidur;
mod engine_semantics;
mod engine_under_pressure;
mod pipeline_parallel;
mod prefix_cache;
mod shared_kv;
mod speculative_decoding;
