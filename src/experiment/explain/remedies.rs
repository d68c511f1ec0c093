//! What a user could do about a figure, as changes of the scenario that are then run.

use serde::Serialize;

use crate::scenario::fleet::{Pool, Router};
use crate::scenario::resolve::Plan;

/// Tokens of an iteration below which shorter chunks are not tried.
const SHORT_CHUNK: u32 = 512;
/// Tokens of an iteration (`max_num_batched_tokens`) from which more are not tried.
const LARGE_BUDGET: u32 = 32_768;
/// Seats (`max_num_seqs`) from which more are not tried: the default of vLLM.
const MANY_SEATS: u32 = 256;

/// A change of the scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// In words.
    pub text: String,
    /// Paths and the values they are set to, as `--set` takes them.
    pub set: Vec<(String, String)>,
}

/// The changes that can be tried on a scenario.
pub fn remedies(plan: &Plan) -> Vec<Remedy> {
    let scenario = &plan.scenario;
    let mut found = Vec::new();
    let mut add = |text: String, set: Vec<(String, String)>| found.push(Remedy { text, set });
    for (index, pool) in scenario.pools.iter().enumerate() {
        let name = pool.name();
        let path = |field: &str| format!("pools.{index}.{field}");
        if scenario.capacity.groups.is_empty() {
            let replicas = pool.replicas();
            let tenth = replicas.div_ceil(10);
            for more in [tenth, replicas.div_ceil(4)] {
                let many = (replicas + more).to_string();
                let words = if more == 1 { "replica" } else { "replicas" };
                add(
                    format!("{more} more {words} of {name}"),
                    vec![(path("replicas"), many)],
                );
                if replicas.div_ceil(4) == tenth {
                    break;
                }
            }
        }
        if let Pool::Llm(pool) = pool
            && pool.max_num_seqs < MANY_SEATS
        {
            let seats = pool.max_num_seqs.saturating_mul(2);
            let mut set = vec![(path("max_num_seqs"), seats.to_string())];
            if pool.max_num_batched_tokens < seats {
                set.push((path("max_num_batched_tokens"), seats.to_string()));
            }
            add(format!("{seats} seats (max_num_seqs) in {name}"), set);
        }
        if let Pool::Llm(pool) = pool
            && pool.max_num_batched_tokens < LARGE_BUDGET
        {
            let budget = pool.max_num_batched_tokens.saturating_mul(2);
            add(
                format!("iterations of up to {budget} tokens in {name}"),
                vec![(path("max_num_batched_tokens"), budget.to_string())],
            );
        }
        if let Pool::Llm(pool) = pool
            && pool.chunked_prefill
            && pool.max_num_batched_tokens > SHORT_CHUNK
            && pool.max_num_seqs <= SHORT_CHUNK
        {
            add(
                format!("chunks of {SHORT_CHUNK} tokens in {name}"),
                vec![(path("max_num_batched_tokens"), SHORT_CHUNK.to_string())],
            );
        }
    }
    let window = scenario.batching.window_ms;
    if window > 0.0 {
        add(
            "no batching window".to_owned(),
            vec![("batching.window_ms".to_owned(), "0".to_owned())],
        );
        add(
            format!("a window of {} ms", window / 2.0),
            vec![("batching.window_ms".to_owned(), (window / 2.0).to_string())],
        );
    }
    let replicas: u32 = scenario.pools.iter().map(Pool::replicas).sum();
    let looks_at_all = matches!(scenario.router, Router::LeastRequest { choices: 0, .. });
    if replicas > 1 && !looks_at_all {
        let router = "{ policy = \"least_request\", choices = 0 }".to_owned();
        add(
            "routing to the least loaded of all".to_owned(),
            vec![("router".to_owned(), router)],
        );
    }
    found
}
