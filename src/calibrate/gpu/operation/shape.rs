//! Shapes of operations: in words, and as numbers.

use serde::Serialize;

use super::{NumberType, Operation};

impl Operation {
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
            Self::AllReduce { devices, values }
            | Self::AllGather { devices, values }
            | Self::ReduceScatter { devices, values } => format!("{name} {devices} x {values}"),
            Self::Gemm { m, n, k } => format!("{name} m {m} n {n} k {k}"),
            Self::PrefillAttention {
                sequences,
                tokens,
                heads,
                kv_heads,
                head_dim,
                kv,
                window,
            } => format!(
                "prefill {sequences} x {tokens} heads {heads}/{kv_heads} x {head_dim}{}",
                beside(*kv, *window)
            ),
            Self::DecodeAttention {
                sequences,
                context,
                heads,
                kv_heads,
                head_dim,
                kv,
                window,
            } => format!(
                "decode {sequences} x {context} heads {heads}/{kv_heads} x {head_dim}{}",
                beside(*kv, *window)
            ),
            Self::RmsNorm { rows, width }
            | Self::SiluMul { rows, width }
            | Self::FindScale { rows, width } => {
                format!("{name} {rows} x {width}")
            }
            Self::Rotary {
                rows,
                heads,
                head_dim,
            } => format!("{name} {rows} x {heads} x {head_dim}"),
            Self::Experts {
                tokens,
                hidden,
                width,
                per_token,
                experts,
                tp,
                ep,
                spread,
            } => format!(
                "{name} {tokens}, {per_token} of {experts} x {hidden} x {width}, tp {tp} ep {ep} {}",
                word(spread)
            ),
            Self::MlaPrefill {
                sequences,
                tokens,
                heads,
                kv,
            } => format!(
                "{name} {sequences} x {tokens} heads {heads}{}",
                beside(*kv, 0)
            ),
            Self::MlaDecode {
                sequences,
                context,
                heads,
                kv,
            } => format!(
                "{name} {sequences} x {context} heads {heads}{}",
                beside(*kv, 0)
            ),
            Self::PromptStep {
                model,
                tp,
                sequences,
                tokens,
            } => format!("{name} {model} tp {tp}, {sequences} x {tokens}"),
            Self::DecodeStep {
                model,
                tp,
                sequences,
                prompt_tokens,
                output_tokens,
            }
            | Self::Batch {
                model,
                tp,
                sequences,
                prompt_tokens,
                output_tokens,
            } => format!("{name} {model} tp {tp}, {sequences} x {prompt_tokens}+{output_tokens}"),
            Self::Served {
                model,
                latency,
                load,
                prompt_tokens,
                output_tokens,
                ..
            } => format!(
                "{} of {model}, {prompt_tokens}+{output_tokens}, {load}",
                word(latency)
            ),
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
            Self::AllReduce { devices, values }
            | Self::AllGather { devices, values }
            | Self::ReduceScatter { devices, values } => {
                vec![("devices", u64::from(devices)), ("values", values)]
            }
            Self::Gemm { m, n, k } => vec![("m", m), ("n", n), ("k", k)],
            Self::PrefillAttention {
                sequences,
                tokens,
                heads,
                kv_heads,
                head_dim,
                ..
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
                ..
            } => vec![
                ("sequences", sequences),
                ("context", context),
                ("heads", heads),
                ("kv_heads", kv_heads),
                ("head_dim", head_dim),
            ],
            Self::RmsNorm { rows, width }
            | Self::SiluMul { rows, width }
            | Self::FindScale { rows, width } => {
                vec![("rows", rows), ("width", width)]
            }
            Self::Rotary {
                rows,
                heads,
                head_dim,
            } => vec![("rows", rows), ("heads", heads), ("head_dim", head_dim)],
            Self::Experts {
                tokens,
                hidden,
                width,
                per_token,
                experts,
                tp,
                ep,
                ..
            } => vec![
                ("tokens", tokens),
                ("hidden", hidden),
                ("width", width),
                ("per_token", per_token),
                ("experts", experts),
                ("tp", tp),
                ("ep", ep),
            ],
            Self::MlaPrefill {
                sequences,
                tokens,
                heads,
                ..
            } => vec![
                ("sequences", sequences),
                ("tokens", tokens),
                ("heads", heads),
            ],
            Self::MlaDecode {
                sequences,
                context,
                heads,
                ..
            } => vec![
                ("sequences", sequences),
                ("context", context),
                ("heads", heads),
            ],
            Self::PromptStep {
                tp,
                sequences,
                tokens,
                ..
            } => vec![("tp", tp), ("sequences", sequences), ("tokens", tokens)],
            Self::DecodeStep {
                tp,
                sequences,
                prompt_tokens,
                output_tokens,
                ..
            }
            | Self::Batch {
                tp,
                sequences,
                prompt_tokens,
                output_tokens,
                ..
            } => vec![
                ("tp", tp),
                ("sequences", sequences),
                ("prompt_tokens", prompt_tokens),
                ("output_tokens", output_tokens),
            ],
            Self::Served {
                tp,
                requests,
                prompt_tokens,
                output_tokens,
                ..
            } => vec![
                ("tp", tp.unwrap_or(1)),
                ("requests", requests),
                ("prompt_tokens", prompt_tokens),
                ("output_tokens", output_tokens),
            ],
        }
    }
}

/// What attention has beside its heads.
fn beside(kv: Option<NumberType>, window: u64) -> String {
    let kv = kv.map_or_else(String::new, |kv| format!(" {} kv", kv.name()));
    match window {
        0 => kv,
        _ => format!("{kv} window {window}"),
    }
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
