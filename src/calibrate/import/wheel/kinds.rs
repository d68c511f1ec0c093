//! The kinds of tables: where they lie, and which columns are read.

/// A kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gemm,
    Scale,
    Prefill,
    Decode,
    AllReduce,
    AllGather,
    ReduceScatter,
    Experts,
    MlaPrefill,
    MlaDecode,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Gemm,
        Self::Scale,
        Self::Prefill,
        Self::Decode,
        Self::AllReduce,
        Self::AllGather,
        Self::ReduceScatter,
        Self::Experts,
        Self::MlaPrefill,
        Self::MlaDecode,
    ];

    /// Its folder below that of a system.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Gemm => "gemm",
            Self::Scale => "quantize",
            Self::Prefill | Self::Decode => "attention",
            Self::AllReduce | Self::AllGather | Self::ReduceScatter => "comm",
            Self::Experts => "moe",
            Self::MlaPrefill | Self::MlaDecode => "mla",
        }
    }

    /// Its file.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Gemm => "gemm_perf.parquet",
            Self::Scale => "computescale_perf.parquet",
            Self::Prefill => "context_attention_perf.parquet",
            Self::Decode => "generation_attention_perf.parquet",
            Self::AllReduce => "custom_allreduce_perf.parquet",
            Self::AllGather | Self::ReduceScatter => "nccl_perf.parquet",
            Self::Experts => "moe_perf.parquet",
            Self::MlaPrefill => "mla_context_module_perf.parquet",
            Self::MlaDecode => "mla_generation_module_perf.parquet",
        }
    }

    /// The columns that are read, beside kernel, latency and device.
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Gemm => &["gemm_dtype", "m", "n", "k"],
            Self::Scale => &["quant_dtype", "m", "k"],
            Self::Prefill | Self::Decode => &[
                "attn_dtype",
                "kv_cache_dtype",
                "num_heads",
                "num_key_value_heads",
                "head_dim",
                "window_size",
                "batch_size",
                "isl",
                "step",
            ],
            Self::AllReduce => &["num_gpus", "message_size"],
            Self::AllGather | Self::ReduceScatter => {
                &["op_name", "nccl_dtype", "num_gpus", "message_size"]
            }
            Self::Experts => &[
                "moe_dtype",
                "num_tokens",
                "hidden_size",
                "inter_size",
                "topk",
                "num_experts",
                "moe_tp_size",
                "moe_ep_size",
                "distribution",
            ],
            Self::MlaPrefill | Self::MlaDecode => &[
                "gemm_type",
                "kv_cache_dtype",
                "num_heads",
                "batch_size",
                "isl",
                "step",
            ],
        }
    }
}
