//! What is measured: operations with their shapes, and the least arithmetic and bytes they need.

use serde::{Deserialize, Serialize};

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
    /// A sum over devices that all of them get, by NCCL.
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
}

impl Operation {
    /// The names of all operations, as files have them.
    pub const NAMES: [&'static str; 12] = [
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
        };
        Self::NAMES[index]
    }

    /// Whether it has numbers of a type, or only moves bytes or none.
    #[must_use]
    pub const fn has_dtype(&self) -> bool {
        !matches!(
            self,
            Self::Launch { .. }
                | Self::Memory { .. }
                | Self::HostToDevice { .. }
                | Self::DeviceToHost { .. }
                | Self::PeerCopy { .. }
        )
    }

    /// The operation and its shape in one line.
    #[must_use]
    pub fn text(&self) -> String {
        let name = self.name();
        match self {
            Self::Launch { way } => format!("{name} {}", word(way)),
            Self::Memory { way, bytes } => format!("{name} {} {}", word(way), size(*bytes)),
            Self::HostToDevice { bytes }
            | Self::DeviceToHost { bytes }
            | Self::PeerCopy { bytes } => format!("{name} {}", size(*bytes)),
            Self::AllReduce { devices, values } => format!("{name} {devices} x {values}"),
            Self::Gemm { m, n, k } => format!("{name} m {m} n {n} k {k}"),
            Self::PrefillAttention {
                sequences,
                tokens,
                heads,
                kv_heads,
                head_dim,
            } => format!("prefill {sequences} x {tokens} heads {heads}/{kv_heads} x {head_dim}"),
            Self::DecodeAttention {
                sequences,
                context,
                heads,
                kv_heads,
                head_dim,
            } => format!("decode {sequences} x {context} heads {heads}/{kv_heads} x {head_dim}"),
            Self::RmsNorm { rows, width } | Self::SiluMul { rows, width } => {
                format!("{name} {rows} x {width}")
            }
            Self::Rotary {
                rows,
                heads,
                head_dim,
            } => format!("{name} {rows} x {heads} x {head_dim}"),
        }
    }

    /// The least floating-point operations it takes: a multiply and an add are two, and of causal
    /// attention only the pairs that are seen count.
    #[must_use]
    pub fn flops(&self) -> f64 {
        match *self {
            Self::Gemm { m, n, k } => 2.0 * product(&[m, n, k]),
            Self::PrefillAttention {
                sequences,
                tokens,
                heads,
                head_dim,
                ..
            } => 2.0 * product(&[sequences, heads, head_dim, tokens, tokens + 1]),
            Self::DecodeAttention {
                sequences,
                context,
                heads,
                head_dim,
                ..
            } => 4.0 * product(&[sequences, heads, head_dim, context]),
            _ => 0.0,
        }
    }

    /// The least bytes it moves: each input read once and each output written once.
    #[must_use]
    pub fn bytes(&self, dtype: Option<NumberType>) -> f64 {
        let one = dtype.map_or(1, NumberType::bytes) as f64;
        match *self {
            Self::Launch { .. } => 0.0,
            Self::Memory { way, bytes } => {
                let times = if way == MemoryWay::Copy { 2.0 } else { 1.0 };
                times * bytes as f64
            }
            Self::HostToDevice { bytes }
            | Self::DeviceToHost { bytes }
            | Self::PeerCopy { bytes } => bytes as f64,
            Self::AllReduce { values, .. } => 2.0 * values as f64,
            Self::Gemm { m, n, k } => {
                one * (product(&[m, k]) + product(&[n, k])) + 2.0 * product(&[m, n])
            }
            Self::PrefillAttention {
                sequences,
                tokens,
                heads,
                kv_heads,
                head_dim,
            } => 4.0 * product(&[sequences, tokens, heads + kv_heads, head_dim]),
            Self::DecodeAttention {
                sequences,
                context,
                heads,
                kv_heads,
                head_dim,
            } => {
                4.0 * product(&[sequences, head_dim])
                    * (product(&[context, kv_heads]) + heads as f64)
            }
            Self::RmsNorm { rows, width } => 8.0 * product(&[rows, width]),
            Self::SiluMul { rows, width } => 6.0 * product(&[rows, width]),
            Self::Rotary {
                rows,
                heads,
                head_dim,
            } => product(&[rows, head_dim]) * (4.0 * heads as f64 + 4.0),
        }
    }

    /// The numbers that name its shape, with their fields, for checks.
    #[must_use]
    pub fn sizes(&self) -> Vec<(&'static str, u64)> {
        match *self {
            Self::Launch { .. } => Vec::new(),
            Self::Memory { bytes, .. }
            | Self::HostToDevice { bytes }
            | Self::DeviceToHost { bytes }
            | Self::PeerCopy { bytes } => vec![("bytes", bytes)],
            Self::AllReduce { devices, values } => {
                vec![("devices", u64::from(devices)), ("values", values)]
            }
            Self::Gemm { m, n, k } => vec![("m", m), ("n", n), ("k", k)],
            Self::PrefillAttention {
                sequences,
                tokens,
                heads,
                kv_heads,
                head_dim,
            } => vec![
                ("sequences", sequences),
                ("tokens", tokens),
                ("heads", heads),
                ("kv_heads", kv_heads),
                ("head_dim", head_dim),
            ],
            Self::DecodeAttention {
                sequences,
                context,
                heads,
                kv_heads,
                head_dim,
            } => vec![
                ("sequences", sequences),
                ("context", context),
                ("heads", heads),
                ("kv_heads", kv_heads),
                ("head_dim", head_dim),
            ],
            Self::RmsNorm { rows, width } | Self::SiluMul { rows, width } => {
                vec![("rows", rows), ("width", width)]
            }
            Self::Rotary {
                rows,
                heads,
                head_dim,
            } => vec![("rows", rows), ("heads", heads), ("head_dim", head_dim)],
        }
    }
}

fn product(factors: &[u64]) -> f64 {
    factors.iter().map(|factor| *factor as f64).product()
}

/// The word that a file has for a small enum.
fn word<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    text.trim_matches('"').to_owned()
}

/// Bytes in the largest binary unit that leaves them whole.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = units
        .iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    fits.map_or_else(
        || format!("{bytes} B"),
        |(unit, name)| format!("{} {name}", bytes / unit),
    )
}
