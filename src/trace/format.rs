//! The formats that traces come in, and how one is told from another.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A format of traces. All but Mooncake are CSV with a header; further columns are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TraceFormat {
    /// Azure Public Dataset, LLM inference 2023: `TIMESTAMP` as `YYYY-MM-DD HH:MM:SS.fffffff`
    /// without a zone, `ContextTokens`, `GeneratedTokens`.
    #[serde(rename = "azure-2023")]
    Azure2023,
    /// Azure Public Dataset, LLM inference 2024: as 2023, stamps with a zone and with or without
    /// a fraction.
    #[serde(rename = "azure-2024")]
    Azure2024,
    /// Azure Public Dataset, multimodal inference: as 2024 with `NumImages`, which is ignored.
    AzureLmm,
    /// Mooncake: JSON lines with `timestamp` in ms, `input_length`, `output_length`.
    Mooncake,
    /// BurstGPT: `Timestamp` in s, `Request tokens`, `Response tokens`; no tokens: a failure.
    #[serde(rename = "burstgpt")]
    BurstGpt,
    /// Vidur: `arrived_at` in s, `num_prefill_tokens`, `num_decode_tokens`.
    Vidur,
    /// seatrial's own: `arrival_ns`, `prompt_tokens`, `output_tokens`.
    Seatrial,
}

/// How a format writes its stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StampKind {
    /// Date and time of day without a zone.
    Local,
    /// Date and time of day, with or without a zone.
    Zoned,
    /// A decimal number of 10^n ns.
    Number(i32),
}

impl TraceFormat {
    /// Every format, in the order in which they are tried.
    pub const ALL: [Self; 7] = [
        Self::Seatrial,
        Self::Azure2023,
        Self::Azure2024,
        Self::AzureLmm,
        Self::Mooncake,
        Self::BurstGpt,
        Self::Vidur,
    ];

    /// Its name, as it is written in files and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Azure2023 => "azure-2023",
            Self::Azure2024 => "azure-2024",
            Self::AzureLmm => "azure-lmm",
            Self::Mooncake => "mooncake",
            Self::BurstGpt => "burstgpt",
            Self::Vidur => "vidur",
            Self::Seatrial => "seatrial",
        }
    }

    /// The columns (JSON keys) it needs: stamp, prompt tokens, output tokens.
    #[must_use]
    pub fn columns(self) -> [&'static str; 3] {
        match self {
            Self::Azure2023 | Self::Azure2024 | Self::AzureLmm => {
                ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
            }
            Self::Mooncake => ["timestamp", "input_length", "output_length"],
            Self::BurstGpt => ["Timestamp", "Request tokens", "Response tokens"],
            Self::Vidur => ["arrived_at", "num_prefill_tokens", "num_decode_tokens"],
            Self::Seatrial => ["arrival_ns", "prompt_tokens", "output_tokens"],
        }
    }

    pub(crate) fn stamp(self) -> StampKind {
        match self {
            Self::Azure2023 => StampKind::Local,
            Self::Azure2024 | Self::AzureLmm => StampKind::Zoned,
            Self::Mooncake => StampKind::Number(6),
            Self::BurstGpt | Self::Vidur => StampKind::Number(9),
            Self::Seatrial => StampKind::Number(0),
        }
    }

    /// The format whose columns a header shares most of; none if it shares no column with any.
    pub(crate) fn of_header(header: &[String]) -> Option<Self> {
        let shared = |format: Self| {
            let wanted = format.columns();
            wanted.iter().filter(|name| has(header, name)).count()
        };
        let mut best = None;
        for format in Self::ALL.into_iter().filter(|f| *f != Self::Mooncake) {
            let count = shared(format);
            if count > best.map_or(0, |(_, most)| most) {
                best = Some((format, count));
            }
        }
        match best?.0 {
            Self::Azure2023 if has(header, "NumImages") => Some(Self::AzureLmm),
            format => Some(format),
        }
    }

    /// All formats with their columns, for messages.
    pub(crate) fn known() -> String {
        let one = |format: Self| format!("{format} ({})", format.columns().join(","));
        Self::ALL.map(one).join(", ")
    }
}

fn has(header: &[String], name: &str) -> bool {
    header.iter().any(|column| column == name)
}

impl fmt::Display for TraceFormat {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for TraceFormat {
    type Err = String;

    /// Reads a name as [`TraceFormat::name`] writes it; the error lists all names.
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is no trace format; allowed: {names}")
        })
    }
}
