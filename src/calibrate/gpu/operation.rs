//! What is measured: operations with their shapes, and the least arithmetic and bytes they need.

use serde::{Deserialize, Serialize};

mod shape;
mod work;

pub use super::number_type::NumberType;

/// How an empty kernel is started.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LaunchWay {
    /// One after another from the host, the device's time for each.
    Stream,
    /// As nodes of a captured graph, the device's time for each.
    Graph,
    /// From the host: launch, and wait for it to end.
    RoundTrip,
}

/// What is done to bytes in the device's memory.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MemoryWay {
    /// They are read.
    Read,
    /// They are written.
    Write,
    /// They are copied: each is read and written.
    Copy,
}

/// How tokens fall on experts.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ExpertSpread {
    /// All experts get as many.
    Balanced,
    /// By a power law of exponent 1.2.
    PowerLaw,
}

/// A latency of requests.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ServedLatency {
    /// From sending to the first token.
    Ttft,
    /// Mean time per output token after the first.
    Tpot,
    /// From one token to the next.
    Itl,
    /// From sending to the last token.
    E2e,
}

/// One operation of one shape. All counts are of one device.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// An empty kernel.
    Launch {
        /// How it is started.
        way: LaunchWay,
    },
    /// Bytes of the device's memory.
    Memory {
        /// What is done to them.
        way: MemoryWay,
        /// How many.
        bytes: u64,
    },
    /// From pinned memory of the host to the device.
    HostToDevice {
        /// How many bytes.
        bytes: u64,
    },
    /// From the device to pinned memory of the host.
    DeviceToHost {
        /// How many bytes.
        bytes: u64,
    },
    /// From one device to the next.
    PeerCopy {
        /// How many bytes.
        bytes: u64,
    },
    /// A sum over devices that all of them get; of captures by NCCL.
    AllReduce {
        /// Devices.
        devices: u32,
        /// bf16 values of the message (not bytes).
        values: u64,
    },
    /// `y[m, n] = x[m, k] w[n, k]^T`.
    Gemm {
        /// Rows of x and y.
        m: u64,
        /// Columns of y.
        n: u64,
        /// Columns of x.
        k: u64,
    },
    /// Causal attention of whole prompts of equal length.
    PrefillAttention {
        /// Prompts.
        sequences: u64,
        /// Tokens of each.
        tokens: u64,
        /// Query heads.
        heads: u64,
        /// Key/value heads.
        kv_heads: u64,
        /// Width of a head.
        head_dim: u64,
        /// Number type of the cache; that of the inputs if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kv: Option<NumberType>,
        /// Tokens of the sliding window, 0 for none.
        #[serde(default, skip_serializing_if = "is_zero")]
        window: u64,
    },
    /// Attention of one new token per sequence over a paged cache.
    DecodeAttention {
        /// Sequences.
        sequences: u64,
        /// Tokens each attends to, the new one included.
        context: u64,
        /// Query heads.
        heads: u64,
        /// Key/value heads.
        kv_heads: u64,
        /// Width of a head.
        head_dim: u64,
        /// Number type of the cache; that of the inputs if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kv: Option<NumberType>,
        /// Tokens of the sliding window, 0 for none.
        #[serde(default, skip_serializing_if = "is_zero")]
        window: u64,
    },
    /// `RMSNorm` with the residual added: reads both, writes their sum and its norm.
    RmsNorm {
        /// Rows.
        rows: u64,
        /// Values of a row.
        width: u64,
    },
    /// `silu(gate) * up`.
    SiluMul {
        /// Rows.
        rows: u64,
        /// Values of a row of the result.
        width: u64,
    },
    /// Rotary positions on queries and keys.
    Rotary {
        /// Rows.
        rows: u64,
        /// Heads of queries and keys together.
        heads: u64,
        /// Width of a head.
        head_dim: u64,
    },
    /// What each device has of the values is given to all of them.
    AllGather {
        /// Devices.
        devices: u32,
        /// bf16 values that each has after it (not bytes).
        values: u64,
    },
    /// A sum over devices of which each gets its part.
    ReduceScatter {
        /// Devices.
        devices: u32,
        /// bf16 values that each has before it (not bytes).
        values: u64,
    },
    /// Finding the scale of activations, where products include it.
    FindScale {
        /// Rows.
        rows: u64,
        /// Values of a row.
        width: u64,
    },
    /// The routed experts of a layer on one device, routing excluded.
    Experts {
        /// Tokens.
        tokens: u64,
        /// Width of the residual stream.
        hidden: u64,
        /// Width of an expert before any split.
        width: u64,
        /// Experts of a token.
        per_token: u64,
        /// Experts.
        experts: u64,
        /// Devices that each expert is split over.
        tp: u64,
        /// Devices that the experts are dealt out to.
        ep: u64,
        /// How tokens fall on experts.
        spread: ExpertSpread,
    },
    /// An attention block of DeepSeek-V3 with its projections, of whole prompts; the number type is
    /// that of the projections.
    MlaPrefill {
        /// Prompts.
        sequences: u64,
        /// Tokens of each.
        tokens: u64,
        /// Heads.
        heads: u64,
        /// Number type of the cache; that of the projections if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kv: Option<NumberType>,
    },
    /// The same of decode steps.
    MlaDecode {
        /// Sequences.
        sequences: u64,
        /// Tokens each attends to, the new one included.
        context: u64,
        /// Heads.
        heads: u64,
        /// Number type of the cache; that of the projections if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kv: Option<NumberType>,
    },
    /// An iteration of a whole model that computes prompts, engine included.
    PromptStep {
        /// The model.
        model: String,
        /// Devices it is split over.
        tp: u64,
        /// Prompts.
        sequences: u64,
        /// Tokens of each.
        tokens: u64,
    },
    /// The mean iteration of a whole model that gives each sequence a token, engine included.
    DecodeStep {
        /// The model.
        model: String,
        /// Devices it is split over.
        tp: u64,
        /// Sequences.
        sequences: u64,
        /// Prompt tokens of each.
        prompt_tokens: u64,
        /// Output tokens of each.
        output_tokens: u64,
    },
    /// A batch of requests of a whole model, from its start to its last token.
    Batch {
        /// The model.
        model: String,
        /// Devices it is split over.
        tp: u64,
        /// Requests, all at once.
        sequences: u64,
        /// Prompt tokens of each.
        prompt_tokens: u64,
        /// Output tokens of each.
        output_tokens: u64,
    },
    /// A latency of requests to a server; the median is over requests.
    Served {
        /// The model.
        model: String,
        /// Devices it is split over, where that is told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tp: Option<u64>,
        /// Which latency.
        latency: ServedLatency,
        /// How requests came, in words.
        load: String,
        /// Requests.
        requests: u64,
        /// Prompt tokens of a request, the rounded mean.
        prompt_tokens: u64,
        /// Output tokens of a request, the rounded mean.
        output_tokens: u64,
    },
}

impl Operation {
    /// The names of all operations, as files have them.
    pub const NAMES: [&'static str; 22] = [
        "launch",
        "memory",
        "host_to_device",
        "device_to_host",
        "peer_copy",
        "all_reduce",
        "gemm",
        "prefill_attention",
        "decode_attention",
        "rms_norm",
        "silu_mul",
        "rotary",
        "all_gather",
        "reduce_scatter",
        "find_scale",
        "experts",
        "mla_prefill",
        "mla_decode",
        "prompt_step",
        "decode_step",
        "batch",
        "served",
    ];

    /// The operation's name in files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        let index = match self {
            Self::Launch { .. } => 0,
            Self::Memory { .. } => 1,
            Self::HostToDevice { .. } => 2,
            Self::DeviceToHost { .. } => 3,
            Self::PeerCopy { .. } => 4,
            Self::AllReduce { .. } => 5,
            Self::Gemm { .. } => 6,
            Self::PrefillAttention { .. } => 7,
            Self::DecodeAttention { .. } => 8,
            Self::RmsNorm { .. } => 9,
            Self::SiluMul { .. } => 10,
            Self::Rotary { .. } => 11,
            Self::AllGather { .. } => 12,
            Self::ReduceScatter { .. } => 13,
            Self::FindScale { .. } => 14,
            Self::Experts { .. } => 15,
            Self::MlaPrefill { .. } => 16,
            Self::MlaDecode { .. } => 17,
            Self::PromptStep { .. } => 18,
            Self::DecodeStep { .. } => 19,
            Self::Batch { .. } => 20,
            Self::Served { .. } => 21,
        };
        Self::NAMES[index]
    }

    /// Whether it has numbers of one type; not, if it only moves bytes or none, or is a whole model.
    #[must_use]
    pub const fn has_dtype(&self) -> bool {
        !matches!(
            self,
            Self::Launch { .. }
                | Self::Memory { .. }
                | Self::HostToDevice { .. }
                | Self::DeviceToHost { .. }
                | Self::PeerCopy { .. }
                | Self::PromptStep { .. }
                | Self::DecodeStep { .. }
                | Self::Batch { .. }
                | Self::Served { .. }
        )
    }
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}
