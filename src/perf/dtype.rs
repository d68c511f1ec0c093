//! Number types of weights and of the KV cache.

use super::error::{PerfError, nearest};

/// A number type of weights or of the KV cache.
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
pub enum Dtype {
    /// bfloat16: 2 bytes.
    Bf16,
    /// IEEE half precision: 2 bytes.
    Fp16,
    /// 8-bit floating point (e4m3 or e5m2): 1 byte; scales (per tensor or per 128 x 128) ignored.
    Fp8,
    /// 4-bit floating point: 0.5 byte + one 1-byte scale per 16 values (NVFP4) = 0.5625 byte.
    Fp4,
    /// 8-bit integers: 1 byte; scales (per channel) ignored.
    Int8,
}

impl Dtype {
    /// All number types.
    pub const ALL: [Self; 5] = [Self::Bf16, Self::Fp16, Self::Fp8, Self::Fp4, Self::Int8];

    /// Bytes of one value. For fp4 that counts one 1-byte scale per 16 values, as in NVFP4
    /// (0.5 + 1/16); MXFP4 has one per 32 (0.53125), so its weights are overstated by 6 %.
    #[must_use]
    pub const fn bytes(self) -> f64 {
        match self {
            Self::Bf16 | Self::Fp16 => 2.0,
            Self::Fp8 | Self::Int8 => 1.0,
            Self::Fp4 => 0.5625,
        }
    }

    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
            Self::Fp8 => "fp8",
            Self::Fp4 => "fp4",
            Self::Int8 => "int8",
        }
    }

    /// The number type of that name, upper or lower case.
    ///
    /// # Errors
    /// [`PerfError::UnknownDtype`], which offers the nearest name.
    pub fn parse(value: &str) -> Result<Self, PerfError> {
        let lowered = value.to_lowercase();
        Self::ALL
            .into_iter()
            .find(|d| d.name() == lowered)
            .ok_or_else(|| PerfError::UnknownDtype {
                value: value.to_owned(),
                nearest: nearest(value, Self::ALL.map(Self::name)),
                known: Self::ALL.map(Self::name).join(", "),
            })
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Dtype {
    type Err = PerfError;

    fn from_str(value: &str) -> Result<Self, PerfError> {
        Self::parse(value)
    }
}

/// The number types of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dtypes {
    /// Of the weights of the blocks; embeddings and LM head are kept at 16 bits or more.
    pub weight: Dtype,
    /// Of the KV cache.
    pub kv: Dtype,
}
