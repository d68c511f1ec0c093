//! Kernel tables: times of single kernels measured on real devices, and how to read between the
//! measurements.
//!
//! The built-in tables lie in `calibration/kernels`, one file per system and serving framework;
//! its README gives schema, units and provenance. A file is unpacked when a step model first asks
//! for it. Times in the files are microseconds.

mod attention;
mod builtin;
mod comm;
mod fill;
mod gemm;
mod handle;
mod held_out;
mod interpolate;
mod moe;
mod parse;
mod rows;
mod shapes;

pub use attention::{AttentionKey, AttentionTable};
pub use comm::CollectiveTable;
pub use gemm::GemmTable;
pub use moe::{ExpertsKey, MoeTable, Spread};
pub use rows::RowTable;

pub(crate) use attention::{DecodeCurve, PrefillCurve, nearest_key};
pub(crate) use builtin::check_system;
pub(crate) use gemm::GemmCurve;
pub(crate) use handle::TablesHandle;
pub use held_out::{HeldOut, HeldOutWay};
pub(crate) use interpolate::Curve;

use super::dtype::Dtype;

/// The serving framework whose kernels were measured.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum KernelBackend {
    /// TensorRT-LLM.
    Trtllm,
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
}

impl KernelBackend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Trtllm, Self::Vllm, Self::Sglang];

    /// The name in scenarios and file names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trtllm => "trtllm",
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
        }
    }
}

impl std::fmt::Display for KernelBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A number type of kernels, as the tables name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KernelDtype {
    /// `bf16`: 16 bits.
    Bf16,
    /// `fp8`: 8 bits, a scale per tensor.
    Fp8,
    /// `fp8_block`: 8 bits, a scale per 128 x 128 weights.
    Fp8Block,
    /// `nvfp4`: 4 bits of weights and activations, a scale per 16.
    Nvfp4,
    /// `mxfp4`: 4 bits of weights, a scale per 32; activations of 16 bits.
    Mxfp4,
    /// `int8`: 8-bit integers (smooth quantisation).
    Int8,
}

impl KernelDtype {
    /// All of them with their names.
    const NAMES: [(Self, &'static str); 6] = [
        (Self::Bf16, "bf16"),
        (Self::Fp8, "fp8"),
        (Self::Fp8Block, "fp8_block"),
        (Self::Nvfp4, "nvfp4"),
        (Self::Mxfp4, "mxfp4"),
        (Self::Int8, "int8"),
    ];

    /// The name in the tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(dtype, _)| *dtype == self)
            .map_or("", |(_, name)| name)
    }

    /// The number type of that name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(dtype, _)| *dtype)
    }

    /// The number type at whose rate a device multiplies it.
    pub(crate) const fn rate(self) -> Dtype {
        match self {
            Self::Bf16 | Self::Mxfp4 => Dtype::Bf16,
            Self::Fp8 | Self::Fp8Block => Dtype::Fp8,
            Self::Nvfp4 => Dtype::Fp4,
            Self::Int8 => Dtype::Int8,
        }
    }

    /// Bytes of a weight and of an activation.
    pub(crate) fn bytes(self) -> (f64, f64) {
        match self {
            Self::Bf16 => (2.0, 2.0),
            Self::Fp8 | Self::Fp8Block | Self::Int8 => (1.0, 1.0),
            Self::Nvfp4 => (0.5625, 0.5625),
            Self::Mxfp4 => (0.53125, 2.0),
        }
    }
}

/// How far a time lies from what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// A measurement, or read between measurements of the same shape.
    Measured,
    /// Read between measurements of neighbouring shapes.
    BetweenShapes,
    /// Scaled from the nearest shape measured.
    Extrapolated,
}

/// The tables of one system and framework.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KernelTables {
    /// The system, `h100_sxm` say.
    pub system: String,
    /// The framework: the name of a [`KernelBackend`].
    pub backend: String,
    /// The framework's version.
    pub version: String,
    /// The kernels that decode attention was measured with over caches of 16 and of 8 bits, joined
    /// by `+`.
    pub attention_kernels: [String; 2],
    /// Matrix products.
    pub gemm: GemmTable,
    /// Attention of prompts, by sequences and their length.
    pub prefill: AttentionTable,
    /// Attention of decode steps, by sequences and their context (the new token included).
    pub decode: AttentionTable,
    /// All-reduces.
    pub allreduce: CollectiveTable,
    /// All-gathers, by what each device has after them.
    pub all_gather: CollectiveTable,
    /// Reduce-scatters, by what each device has before them.
    pub reduce_scatter: CollectiveTable,
    /// Routed experts.
    pub moe: MoeTable,
    /// MLA blocks with their projections, of prompts; `query` is the projections' number type.
    pub mla_prefill: AttentionTable,
    /// The same of decode steps.
    pub mla_decode: AttentionTable,
    /// Norms with the residual added, by their width.
    pub norms: RowTable,
    /// Activations of gated feed-forward parts, by the width of their result.
    pub activations: RowTable,
    /// Rotary positions, by heads of queries and keys together and their width.
    pub rotations: RowTable,
    /// Where they come from.
    pub origin: TablesOrigin,
}

/// Where kernel tables come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TablesOrigin {
    /// With the program.
    #[default]
    Shipped,
    /// From a file that this program captured on a device.
    Captured {
        /// The file's name.
        file: String,
        /// The program with its version.
        tool: String,
    },
    /// From a file that was imported.
    Imported {
        /// The file's name.
        file: String,
        /// What it was imported from.
        source: String,
    },
}

impl KernelTables {
    /// The built-in tables of a system and framework, if there are any.
    #[must_use]
    pub fn builtin(system: &str, backend: KernelBackend) -> Option<&'static Self> {
        builtin::tables(system, backend)
    }

    /// Whether the prompts and the decoding sequences of an iteration share one kernel of attention:
    /// vLLM calls FlashAttention once for all sequences of an iteration, and FlashInfer's kernels
    /// for prompts and for decoding apart, as TensorRT-LLM does its own.
    #[must_use]
    pub fn joins_attention(&self, kv: KernelDtype) -> bool {
        let narrow = kv != KernelDtype::Bf16;
        self.attention_kernels[usize::from(narrow)].contains("vllm_flash_attn")
    }

    /// Whether measured attention rotates queries and keys. TensorRT-LLM's takes what the projection
    /// makes; vLLM's and SGLang's were measured with queries and keys that were rotated before, as
    /// these frameworks call them.
    #[must_use]
    pub fn attention_rotates(&self) -> bool {
        self.backend == KernelBackend::Trtllm.name()
    }

    /// The systems that have built-in tables, sorted.
    pub fn systems() -> impl Iterator<Item = &'static str> {
        builtin::systems()
    }

    /// Whether it has no kernel that a step is composed of.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gemm.shapes.is_empty()
            && self.moe.shapes.is_empty()
            && self.allreduce.devices.is_empty()
            && [
                &self.prefill,
                &self.decode,
                &self.mla_prefill,
                &self.mla_decode,
            ]
            .into_iter()
            .all(|table| table.shapes.is_empty())
    }

    /// Reads tables from the text of a file (unpacked).
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::parse(text)
    }
}
