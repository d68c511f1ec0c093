//! Number types.

use serde::{Deserialize, Serialize};

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
}

impl NumberType {
    /// Bytes of a value.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Bf16 => 2,
            Self::Fp8E4m3 => 1,
        }
    }

    /// The name in files and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp8E4m3 => "fp8_e4m3",
        }
    }
}
