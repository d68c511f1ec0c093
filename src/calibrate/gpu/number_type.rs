//! Number types.

use serde::{Deserialize, Serialize};

use crate::perf::Dtype;
use crate::perf::tables::KernelDtype;

/// The number type of an operation's inputs. Products of either type give bf16.
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
pub enum NumberType {
    /// 16 bits: 8 of exponent, 7 of mantissa.
    Bf16,
    /// 8 bits: 4 of exponent, 3 of mantissa, a scale per tensor.
    Fp8E4m3,
    /// The same with a scale per 128 x 128 weights. Imported only, as all below.
    Fp8Block,
    /// 4 bits of weights and activations, a scale per 16.
    Nvfp4,
    /// 4 bits of weights, a scale per 32; activations of 16 bits.
    Mxfp4,
    /// Integers of 8 bits.
    Int8,
}

impl NumberType {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Bf16,
        Self::Fp8E4m3,
        Self::Fp8Block,
        Self::Nvfp4,
        Self::Mxfp4,
        Self::Int8,
    ];

    /// Bytes of a value in a buffer; of types below 8 bits, which are not measured here, 1.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Bf16 => 2,
            _ => 1,
        }
    }

    /// Bytes of a weight and of an activation, with their scales where these are per block.
    #[must_use]
    pub const fn value_bytes(self) -> (f64, f64) {
        match self {
            Self::Bf16 => (2.0, 2.0),
            Self::Fp8E4m3 | Self::Fp8Block | Self::Int8 => (1.0, 1.0),
            Self::Nvfp4 => (0.5625, 0.5625),
            Self::Mxfp4 => (0.53125, 2.0),
        }
    }

    /// The number type at whose rate a device multiplies it.
    #[must_use]
    pub const fn rate(self) -> Dtype {
        match self {
            Self::Bf16 | Self::Mxfp4 => Dtype::Bf16,
            Self::Fp8E4m3 | Self::Fp8Block => Dtype::Fp8,
            Self::Nvfp4 => Dtype::Fp4,
            Self::Int8 => Dtype::Int8,
        }
    }

    /// The number type of kernel tables that it is.
    #[must_use]
    pub const fn of_kernels(self) -> KernelDtype {
        match self {
            Self::Bf16 => KernelDtype::Bf16,
            Self::Fp8E4m3 => KernelDtype::Fp8,
            Self::Fp8Block => KernelDtype::Fp8Block,
            Self::Nvfp4 => KernelDtype::Nvfp4,
            Self::Mxfp4 => KernelDtype::Mxfp4,
            Self::Int8 => KernelDtype::Int8,
        }
    }

    /// The name in files and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp8E4m3 => "fp8_e4m3",
            Self::Fp8Block => "fp8_block",
            Self::Nvfp4 => "nvfp4",
            Self::Mxfp4 => "mxfp4",
            Self::Int8 => "int8",
        }
    }
}
