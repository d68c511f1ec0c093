//! What the engines of a pool have in common.

use crate::fleet::tiers::TierRule;
use crate::scenario::fleet::{PromptBlocks, Scheduler, SchedulingPolicy};

/// The scheduler of a pool and its limits.
#[derive(Debug, Clone)]
pub struct EngineRules {
    /// Which engine's scheduler it is.
    pub scheduler: Scheduler,
    /// Who is served first, and who is preempted.
    pub policy: SchedulingPolicy,
    /// Most sequences in one iteration.
    pub max_num_seqs: u32,
    /// Most tokens in one iteration; at least `max_num_seqs`.
    pub max_num_batched_tokens: u32,
    /// With [`Scheduler::VllmV0`]: the budget counts a batch of prompts as padded to its longest.
    pub padded_budget: bool,
    /// Whether a prompt may be computed over several iterations.
    pub chunked_prefill: bool,
    /// Most tokens of one prompt in an iteration; 0 for no limit but the budget.
    pub long_prefill_token_threshold: u32,
    /// Blocks that a prompt takes, or must find, when it is admitted.
    pub prompt_blocks: PromptBlocks,
    /// Whether a running sequence of lower priority makes way for one that waits.
    pub preempts_running: bool,
    /// Whether blocks are kept for prompts that begin alike.
    pub prefix_caching: bool,
    /// Where evicted blocks go, fastest first.
    pub tiers: Vec<TierRule>,
    /// Whether an iteration is planned while the one before it runs.
    pub async_scheduling: bool,
    /// Iterations that prompts wait for while others decode; 0: they do not.
    pub prompt_wait_iterations: u32,
    /// Prompt tokens in the queue that end the wait before; 0: the wait is one between looks.
    pub prompt_wait_tokens: u32,
    /// Longest prompt plus output, tokens.
    pub max_model_len: u64,
    /// Tokens of a KV block.
    pub block_size: u32,
    /// KV blocks of a replica.
    pub kv_blocks: u64,
    /// Blocks kept free when admitting.
    pub watermark_blocks: u64,
    /// Drafts that are verified in every iteration.
    pub speculative: Option<SpeculativeRule>,
    /// The stages that the layers are dealt out to, if there are several.
    pub pipeline: Option<PipelineRule>,
    /// Ranks of data-parallel attention, each with a queue and a cache of its own; 1 or more.
    pub data_parallel: u16,
    /// An event for every iteration.
    pub step_by_step: bool,
}

/// Pipeline parallelism: stages, and what goes from one to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineRule {
    /// Each stage's share of the layers; in all 1.
    pub layer_shares: Vec<f64>,
    /// Nanoseconds of a transfer to the next stage, whatever its size.
    pub hop_ns: f64,
    /// Nanoseconds more for every token of the iteration.
    pub hop_row_ns: f64,
    /// Most sequences that decode in one micro-batch.
    pub micro_batch_seqs: u32,
}

/// Speculative decoding: drafts, and how likely they are accepted.
#[derive(Debug, Clone, Copy)]
pub struct SpeculativeRule {
    /// Tokens drafted for each sequence of an iteration, 1 or more.
    pub draft_tokens: u32,
    /// Probability that a draft is accepted when those before it were, 0 to 1.
    pub acceptance: f64,
}

impl EngineRules {
    /// Tokens of a decoding sequence that an iteration computes.
    pub fn rows(&self) -> u32 {
        1 + self.speculative.map_or(0, |rule| rule.draft_tokens)
    }

    /// Whether a request can ever be served.
    pub fn fits(&self, prompt_tokens: u32, output_tokens: u32) -> bool {
        let total = u64::from(prompt_tokens) + u64::from(output_tokens);
        let blocks = total.div_ceil(u64::from(self.block_size));
        let budget = u64::from(self.max_num_batched_tokens);
        total <= self.max_model_len
            && blocks + self.watermark_blocks <= self.kv_blocks
            // A preempted sequence is computed again with its output so far.
            && (self.chunks() || total <= budget)
    }

    /// The most tokens of prompt and output together that [`EngineRules::fits`] lets pass, and what
    /// bounds them. `stated` is the limit of model and scenario, whatever the cache holds.
    pub fn longest_request(&self, stated: u64) -> (u64, &'static str) {
        let blocks = self.kv_blocks.saturating_sub(self.watermark_blocks);
        let cache = blocks * u64::from(self.block_size);
        let budget = match self.chunks() {
            true => u64::MAX,
            false => u64::from(self.max_num_batched_tokens),
        };
        let bounds = [
            (stated, "max_model_len, or the model's context"),
            (cache, "the KV cache"),
            (
                budget,
                "max_num_batched_tokens, since prompts are not cut into chunks",
            ),
        ];
        let least = bounds.into_iter().min_by_key(|bound| bound.0);
        least.unwrap_or((self.max_model_len, ""))
    }

    /// Whether prompts are cut into chunks.
    pub fn chunks(&self) -> bool {
        self.chunked_prefill && self.scheduler != Scheduler::VllmV0
    }

    /// Most tokens of a prompt with `left` tokens to compute that an iteration takes of a `budget`.
    pub fn chunk(&self, left: u32, budget: u32) -> u32 {
        match self.long_prefill_token_threshold {
            0 => left.min(budget),
            most => left.min(budget).min(most),
        }
    }
}
