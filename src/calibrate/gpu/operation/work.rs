//! The least arithmetic and bytes that operations need.

use super::{MemoryWay, NumberType, Operation};

impl Operation {
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
                window: 0,
                ..
            } => 2.0 * product(&[sequences, heads, head_dim, tokens, tokens.saturating_add(1)]),
            Self::DecodeAttention {
                sequences,
                context,
                heads,
                head_dim,
                window,
                ..
            } => 4.0 * product(&[sequences, heads, head_dim, seen(context, window)]),
            Self::Experts {
                tokens,
                hidden,
                width,
                per_token,
                tp,
                ep,
                ..
            } => 6.0 * product(&[tokens, per_token, hidden, width]) / product(&[tp, ep]),
            _ => 0.0,
        }
    }

    /// The least bytes it moves: each input read once and each output written once.
    #[must_use]
    pub fn bytes(&self, dtype: Option<NumberType>) -> f64 {
        let (weight, activation) = dtype.map_or((1.0, 1.0), NumberType::value_bytes);
        match *self {
            Self::Launch { .. } => 0.0,
            Self::Memory { way, bytes } => {
                let times = if way == MemoryWay::Copy { 2.0 } else { 1.0 };
                times * bytes as f64
            }
            Self::HostToDevice { bytes }
            | Self::DeviceToHost { bytes }
            | Self::PeerCopy { bytes } => bytes as f64,
            Self::AllReduce { values, .. }
            | Self::AllGather { values, .. }
            | Self::ReduceScatter { values, .. } => 2.0 * values as f64,
            Self::Gemm { m, n, k } => {
                activation * product(&[m, k]) + weight * product(&[n, k]) + 2.0 * product(&[m, n])
            }
            Self::PrefillAttention {
                sequences,
                tokens,
                heads,
                kv_heads,
                head_dim,
                ..
            } => 4.0 * product(&[sequences, tokens, heads.saturating_add(kv_heads), head_dim]),
            Self::DecodeAttention {
                sequences,
                context,
                heads,
                kv_heads,
                head_dim,
                kv,
                window,
            } => {
                let cached = kv.or(dtype).map_or(2.0, |kv| kv.value_bytes().0);
                let seen = seen(context, window);
                product(&[sequences, head_dim])
                    * (2.0 * cached * product(&[seen, kv_heads]) + 4.0 * heads as f64)
            }
            Self::RmsNorm { rows, width } => 8.0 * product(&[rows, width]),
            Self::SiluMul { rows, width } => 6.0 * product(&[rows, width]),
            Self::Rotary {
                rows,
                heads,
                head_dim,
            } => product(&[rows, head_dim]) * (4.0 * heads as f64 + 4.0),
            Self::FindScale { rows, width } => 2.0 * product(&[rows, width]),
            // What they touch depends on where the tokens fall; whole models are not one kernel.
            Self::Experts { .. }
            | Self::MlaPrefill { .. }
            | Self::MlaDecode { .. }
            | Self::PromptStep { .. }
            | Self::DecodeStep { .. }
            | Self::Batch { .. }
            | Self::Served { .. } => 0.0,
        }
    }
}

/// Tokens of a context that are attended to through a window, 0 for none.
fn seen(context: u64, window: u64) -> u64 {
    match window {
        0 => context,
        _ => context.min(window),
    }
}

fn product(factors: &[u64]) -> f64 {
    factors.iter().map(|factor| *factor as f64).product()
}
