//! `[[pools]]` with `engine = "llm"`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::perf::tables::KernelBackend;
use crate::scenario::roles::Role;

/// A pool of language-model replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LlmPool {
    /// Name, unique, of letters, digits, `_` and `-`.
    pub name: String,
    /// Replicas (model copies). Default 1.
    #[serde(default = "super::one_u32")]
    pub replicas: u32,
    /// Which part of a request it computes: `mixed` (all), `prefill` (the prompt and the first
    /// token) or `decode` (the rest). The router sends requests to `mixed` and `prefill` pools
    /// alike, and a second one of the same policy sends computed prompts to the `decode` pools;
    /// see `[kv_transfer]`. Default `mixed`.
    #[serde(default, skip_serializing_if = "Role::is_default")]
    pub role: Role,
    /// The region it is in. Default: the first of `[[regions]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Weight of each replica, for routers that go by weights, 1 to 1,000. Default 1.
    #[serde(default = "super::one_u32", skip_serializing_if = "is_one")]
    pub weight: u32,
    /// Names of what it serves, which tiers ask for by `model`. Default: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serves: Vec<String>,
    /// Model card: a name of `models/`, or a path to a card relative to the scenario.
    pub model: String,
    /// Accelerator card: a name of `calibration/accelerators/`, or a path to a card.
    pub accelerator: String,
    /// Tensor parallelism: accelerators one replica's layers are split over. Default 1.
    #[serde(default = "super::one_u32")]
    pub tp: u32,
    /// Pipeline parallelism: stages of `tp` accelerators each that the layers are dealt out to, 1 to
    /// 64; as many micro-batches may be under way at once. As in vLLM nobody deals sequences out to
    /// them: a light load, or a burst that fits one iteration, goes round in one and leaves the other
    /// stages idle (`micro_batch_seqs` bounds that). Every iteration is then an event of the simulator.
    /// Default 1.
    #[serde(default = "super::one_u32", skip_serializing_if = "is_one")]
    pub pp: u32,
    /// Bandwidth from an accelerator to that of the next stage, 1e9 bytes per second. Default: that
    /// of the accelerator card's scale-up links where `tp` x `pp` accelerators are within them;
    /// else it must be stated.
    pub pp_link_gb_per_s: Option<f64>,
    /// Time of a transfer to the next stage whatever its size, microseconds. Default 10, assumed.
    pub pp_link_latency_us: Option<f64>,
    /// A micro-batch with so many sequences admits no more (SGLang `pp_max_micro_batch_size`).
    /// Default 0: no limit, as in vLLM.
    #[serde(default)]
    pub micro_batch_seqs: u32,
    /// Data-parallel attention of a model with experts (vLLM `--data-parallel-size`): ranks of `tp`
    /// accelerators each, with a queue and a KV cache of their own, that share the experts and go
    /// in step; 1 to 256. `max_num_seqs`, `max_num_batched_tokens` and `kv_blocks` are a rank's.
    /// Every iteration is then an event of the simulator. For copies of a whole model state
    /// `replicas`. Default 1.
    #[serde(default = "super::one_u32", skip_serializing_if = "is_one")]
    pub dp: u32,
    /// Deals the experts out whole to the `tp` x `dp` accelerators (vLLM
    /// `--enable-expert-parallel`) instead of splitting each over all of them. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expert_parallel: bool,
    /// Bandwidth from a rank's accelerator to those of the other ranks, 1e9 bytes per second.
    /// Default: the scale-up links', as measured where it was, if they join `tp` x `dp`
    /// accelerators; else it must be stated.
    pub dp_link_gb_per_s: Option<f64>,
    /// Weight dtype (`bf16`, `fp16`, `fp8`, `fp4`, `int8`). Default: the model card's.
    pub weight_dtype: Option<String>,
    /// KV-cache dtype. Default: the model card's.
    pub kv_dtype: Option<String>,
    /// Most sequences in one iteration (vLLM `max_num_seqs`). Default 256.
    #[serde(default = "default_max_num_seqs")]
    pub max_num_seqs: u32,
    /// Most tokens in one iteration, prefill and decode together (vLLM
    /// `max_num_batched_tokens`). Default 8,192.
    #[serde(default = "default_max_num_batched_tokens")]
    pub max_num_batched_tokens: u32,
    /// Whose scheduler it is. Default `vllm_v1`.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// Who is admitted first, and who is preempted (vLLM `--scheduling-policy`). Default `fcfs`.
    #[serde(default)]
    pub scheduling_policy: SchedulingPolicy,
    /// Lets a request that waits take the seat and the blocks of running ones of lower priority:
    /// those are preempted and computed again later (SGLang's priority scheduling). Needs
    /// `scheduling_policy = "priority"`. Default false: they make way only where their own blocks
    /// run out, as in vLLM.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preempt_running: bool,
    /// Lets a prompt be computed over several iterations. Default true; `vllm_v0` never does.
    #[serde(default = "yes")]
    pub chunked_prefill: bool,
    /// Most tokens of one prompt in an iteration (vLLM `long_prefill_token_threshold`). Default 0:
    /// no limit but `max_num_batched_tokens`.
    #[serde(default)]
    pub long_prefill_token_threshold: u32,
    /// With `vllm_v0`: counts a batch of prompts as padded to its longest, as its first versions
    /// did. Default false.
    #[serde(default)]
    pub padded_budget: bool,
    /// Blocks a prompt needs to be admitted. Default `chunk` for `vllm_v1`, `reserve_whole` for the
    /// others, which know nothing else.
    pub prompt_blocks: Option<PromptBlocks>,
    /// Keeps the KV blocks of prompts that begin alike (vLLM `--enable-prefix-caching`). Default
    /// false.
    #[serde(default)]
    pub prefix_caching: bool,
    /// Where KV blocks go that are evicted from the accelerators' memory, fastest first; needs
    /// `prefix_caching`. Default: nowhere.
    #[serde(default)]
    pub kv_tiers: Vec<KvTier>,
    /// Plans an iteration while the one before it runs (vLLM `--async-scheduling`): the engine's
    /// overhead is hidden behind the kernels as far as they last, and a request that comes during an
    /// iteration is in the next but one. Default false.
    #[serde(default)]
    pub async_scheduling: bool,
    /// While sequences decode, looks for new requests only every so many iterations after the last
    /// one with a prompt (SGLang `--scheduler-recv-interval`); with `prompt_wait_tokens`, lets them
    /// wait for that many at most (TensorRT-LLM `batch_wait_timeout_iters`). Default 0: at once.
    #[serde(default)]
    pub prompt_wait_iterations: u32,
    /// Prompt tokens in the queue that end the wait before (TensorRT-LLM
    /// `batch_wait_max_tokens_ratio` x `max_num_tokens`). Default 0.
    #[serde(default)]
    pub prompt_wait_tokens: u32,
    /// Iterations of up to so many tokens run from captured graphs and are padded to their sizes
    /// (vLLM `max_cudagraph_capture_size`), 0 to 512. Default 0: none is padded.
    #[serde(default)]
    pub max_graph_tokens: u32,
    /// Longest prompt plus output, tokens. Default: the model's longest context. Never more than
    /// the KV cache can hold.
    pub max_model_len: Option<u32>,
    /// Tokens of a KV block. Default 16.
    #[serde(default = "default_block_size")]
    pub block_size: u32,
    /// Share of the memory the engine may use (vLLM `gpu_memory_utilization`). Default 0.9.
    #[serde(default = "default_memory_utilization")]
    pub memory_utilization: f64,
    /// KV blocks of a replica, as the engine's log reports them. Default: computed from memory.
    pub kv_blocks: Option<u64>,
    /// Share of the KV blocks kept free when admitting. Default 0.
    #[serde(default)]
    pub watermark: f64,
    /// A folder with a layer-wise kernel profile of the model on the accelerator, relative to the
    /// scenario: iterations are then timed by it. Default: none.
    pub profile: Option<String>,
    /// Where step times come from. Default: `tables` where the accelerator's kernels were measured
    /// with weights of this dtype, else `roofline`.
    pub step_model: Option<StepModelChoice>,
    /// Whose kernels with `tables`: `vllm`, `trtllm` or `sglang`. Default: the first of these that
    /// was measured with weights of this dtype.
    pub kernel_backend: Option<KernelBackend>,
    /// A file with kernels measured on this accelerator, relative to the scenario, in place of those
    /// that come with the program: a calibration (`seatrial calibrate gpu` or `import`), or kernel
    /// tables. What it lacks is timed by the roofline. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_tables: Option<String>,
    /// Engine overhead of an iteration, microseconds. Default, assumed: 500 beside measured
    /// kernels, 1,500 with the roofline.
    pub overhead_fixed_us: Option<f64>,
    /// Engine overhead per sequence of an iteration, microseconds. Default 5, assumed.
    pub overhead_per_seq_us: Option<f64>,
    /// Engine overhead per prompt token of an iteration, microseconds, which `async_scheduling` does
    /// not hide. Default 0.
    #[serde(default)]
    pub overhead_per_prompt_token_us: f64,
    /// Time of a request in the server before the engine's queue (HTTP, text to tokens),
    /// milliseconds, 0 to 1e9; part of the network in the latency budget. Not with
    /// `role = "decode"`. Default 0.
    #[serde(default)]
    pub request_overhead_ms: f64,
    /// Time from the engine to the network (tokens to text, streaming), milliseconds, 0 to 1e9, for
    /// every token; it holds up no iteration. Where prompts and answers are computed apart it is
    /// that of the pool that makes the last token, for the first token, too. Default 0.
    #[serde(default)]
    pub response_overhead_ms: f64,
    /// Microseconds that each further accelerator of `tp` adds to every all-reduce, since they do not
    /// come to it together as they do when kernels are measured. Default 0.
    #[serde(default)]
    pub all_reduce_skew_us: f64,
    /// What the kernels that prompts add to an iteration take, divided by what the step model says,
    /// 0.1 to 100. No iteration gets below the floor of the hardware. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one_f64")]
    pub prefill_time_factor: f64,
    /// The same of the kernels of an iteration without its prompts. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one_f64")]
    pub decode_time_factor: f64,
    /// A file that `seatrial calibrate fit` wrote, relative to the scenario: the overheads and
    /// factors above, and `request_overhead_ms` and `async_scheduling`, are then what was fitted to an
    /// engine on this accelerator, except where the pool states them. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_profile: Option<String>,
    /// Names of the cards of the models that the profile was fitted to, once it has been read.
    #[serde(skip)]
    pub profile_models: Vec<String>,
    /// Speculative decoding: several tokens an iteration. Default: one token an iteration.
    pub speculative: Option<Box<Speculative>>,
    /// Fires an event for every iteration instead of folding runs of like ones. The results are
    /// the same; it is there to show that. Default false.
    #[serde(default)]
    pub step_by_step: bool,
}

/// Speculative decoding, as in vLLM v1: each iteration verifies `draft_tokens` drafts of every
/// decoding sequence, and keeps those before the first that is not accepted, and a token more.
///
/// State `draft_model` or `draft_us_per_token`. The mean number of tokens of an iteration is
/// `(1 - acceptance^(draft_tokens + 1)) / (1 - acceptance)`. Sequences then grow unlike, so every
/// iteration is an event of its own and costs the simulator time in proportion to its sequences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Speculative {
    /// Tokens drafted for each sequence of an iteration (vLLM `num_speculative_tokens`), 1 to 64.
    pub draft_tokens: u32,
    /// Probability that a draft is accepted when those before it were, 0 to 1.
    pub acceptance: f64,
    /// Model card of the draft model, on the same accelerators at the same `tp`: a name of
    /// `models/`, or a path relative to the scenario. Its weights, in the number type of its card,
    /// and its KV, in the pool's `kv_dtype` if stated, share the memory.
    /// Default: none.
    pub draft_model: Option<String>,
    /// Time to draft one token for all sequences of an iteration, microseconds, where no other
    /// model does it: heads on the model itself (EAGLE, Medusa), n-grams. Default: none.
    pub draft_us_per_token: Option<f64>,
}

/// A store of KV blocks below the accelerators' memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KvTier {
    /// Name, for people: `dram`, `nvme`, `remote`.
    pub name: String,
    /// What it holds for one replica (for one rank of `dp`), 1e9 bytes.
    pub capacity_gb: f64,
    /// Speed at which blocks come back to one replica, 1e9 bytes per second.
    pub bandwidth_gb_per_s: f64,
    /// Time before the first one comes, milliseconds. Default 0.
    #[serde(default)]
    pub latency_ms: f64,
}

/// Whose scheduler a language-model pool has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheduler {
    /// vLLM v1: one token budget for prefill and decode, running sequences before waiting ones, no
    /// admission in an iteration that preempted.
    #[default]
    VllmV1,
    /// vLLM v0: prompts first, whole and in iterations of their own; the others wait.
    VllmV0,
    /// Sarathi-Serve: as v1, with the blocks of the whole prompt reserved when it is admitted;
    /// `max_num_batched_tokens` is its chunk size.
    Sarathi,
}

/// Who is admitted first, and who is preempted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchedulingPolicy {
    /// First come, first served; the sequence admitted last is preempted.
    #[default]
    Fcfs,
    /// The tier of the lower `priority` number first, then by arrival; the sequence that is last in
    /// that order is preempted.
    Priority,
}

/// Blocks that a prompt needs to be admitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromptBlocks {
    /// Those of its first chunk.
    #[default]
    Chunk,
    /// Those of the whole prompt must be free, and those of its first chunk are taken (vLLM
    /// `scheduler_reserve_full_isl`, the default from 0.19 on).
    CheckWhole,
    /// Those of the whole prompt are taken.
    ReserveWhole,
}

/// Where the step times of a language model come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepModelChoice {
    /// Measured kernels, composed; the roofline where one was not measured.
    Tables,
    /// The roofline of the cards at assumed efficiencies.
    Roofline,
}

fn is_one(value: &u32) -> bool {
    *value == 1
}
fn one() -> f64 {
    1.0
}
fn is_one_f64(value: &f64) -> bool {
    *value == 1.0
}
fn yes() -> bool {
    true
}
fn default_max_num_seqs() -> u32 {
    256
}
fn default_max_num_batched_tokens() -> u32 {
    8192
}
fn default_block_size() -> u32 {
    16
}
fn default_memory_utilization() -> f64 {
    0.9
}
