//! The formats that logs come in, and how one is told from another.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::trace::TraceFormat;

/// A format of logs or of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "&'static str")]
#[non_exhaustive]
pub enum ObservedFormat {
    /// OTLP/JSON spans with GenAI attributes: one document, or one a line.
    Otlp,
    /// Spans of OpenTelemetry written flat: `{"trace_id", "spans": [{"span_id", ...}]}`.
    OtelFlat,
    /// An access log of Envoy, by a format string.
    Envoy,
    /// An access log of Envoy as JSON lines, by the names of its commands or usual ones.
    EnvoyJson,
    /// An access log of nginx, by a format string.
    Nginx,
    /// An access log of an AWS Application Load Balancer.
    Alb,
    /// `StandardLoggingPayload` of LiteLLM, one a line.
    LiteLlm,
    /// `profile_export.jsonl` of AIPerf.
    AiPerf,
    /// The JSON report of GuideLLM.
    GuideLlm,
    /// The JSON result of `vllm bench serve --save-detailed`.
    VllmBench,
    /// Conversations with 64-token hash blocks (`cc-traces-weka`).
    Weka,
    /// Requests of a run of seatrial: `--requests`, CSV or Parquet.
    Requests,
    /// Scrapes of metrics in the text format of Prometheus: series, not requests.
    Prometheus,
    /// A trace that has nothing but arrivals and lengths.
    Trace(TraceFormat),
}

impl ObservedFormat {
    /// Every format of logs; traces have [`TraceFormat::ALL`].
    pub const ALL: [Self; 13] = [
        Self::Otlp,
        Self::OtelFlat,
        Self::Envoy,
        Self::EnvoyJson,
        Self::Nginx,
        Self::Alb,
        Self::LiteLlm,
        Self::AiPerf,
        Self::GuideLlm,
        Self::VllmBench,
        Self::Weka,
        Self::Requests,
        Self::Prometheus,
    ];

    /// Its name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Otlp => "otlp",
            Self::OtelFlat => "otel-flat",
            Self::Envoy => "envoy",
            Self::EnvoyJson => "envoy-json",
            Self::Nginx => "nginx",
            Self::Alb => "alb",
            Self::LiteLlm => "litellm",
            Self::AiPerf => "aiperf",
            Self::GuideLlm => "guidellm",
            Self::VllmBench => "vllm-bench",
            Self::Weka => "weka",
            Self::Requests => "requests",
            Self::Prometheus => "prometheus",
            Self::Trace(format) => format.name(),
        }
    }

    /// What its stamps resolve.
    #[must_use]
    pub fn resolution(self) -> &'static str {
        match self {
            Self::Otlp | Self::AiPerf | Self::Requests => "1 ns",
            Self::OtelFlat | Self::LiteLlm | Self::GuideLlm | Self::VllmBench => {
                "as written, some 1 us"
            }
            Self::Envoy | Self::EnvoyJson => "1 ms (START_TIME and DURATION)",
            Self::Nginx => "1 s for $time_local, 1 ms for $msec and $request_time",
            Self::Alb => "1 us for stamps, 1 ms for times",
            Self::Weka => "as written",
            Self::Prometheus => "the time between scrapes",
            Self::Trace(_) => "as written",
        }
    }

    /// Every name, for messages.
    pub(crate) fn known() -> String {
        let logs = Self::ALL.map(Self::name).join(", ");
        let traces = TraceFormat::ALL.map(TraceFormat::name).join(", ");
        format!("{logs}; traces: {traces}")
    }

    /// The format that a text begins, if it is one of logs; a trace's is found by its header.
    pub(crate) fn of_head(head: &[u8]) -> Option<Self> {
        if head.starts_with(b"PAR1") {
            return Some(Self::Requests);
        }
        let text = String::from_utf8_lossy(head);
        let text = text.trim_start();
        if text.starts_with(['{', '[']) && !begins_stamp(text) {
            return of_json(text);
        }
        let line = text.lines().next()?;
        if ["# HELP ", "# TYPE ", "# scrape "]
            .iter()
            .any(|it| text.starts_with(it))
            || line.contains("vllm:")
        {
            return Some(Self::Prometheus);
        }
        if begins_stamp(line) && line.contains('"') {
            return Some(Self::Envoy);
        }
        let first = line.split(' ').next().unwrap_or("");
        if ["http", "https", "h2", "grpcs", "ws", "wss"].contains(&first) {
            return Some(Self::Alb);
        }
        if line.contains(" [") && line.contains("] \"") {
            return Some(Self::Nginx);
        }
        let has = |name: &str| line.split(',').any(|it| it.trim_matches('"') == name);
        (has("arrival_ns") && has("status")).then_some(Self::Requests)
    }
}

/// Whether a line begins `[2026-`: Envoy's way.
fn begins_stamp(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.first() == Some(&b'[')
        && bytes.len() > 5
        && bytes[1..5].iter().all(u8::is_ascii_digit)
        && bytes[5] == b'-'
}

fn of_json(text: &str) -> Option<ObservedFormat> {
    use ObservedFormat as F;
    let has = |key: &str| has_key(text, key);
    Some(if has("resourceSpans") {
        F::Otlp
    } else if has("spans") && (has("span_id") || has("trace_id")) {
        F::OtelFlat
    } else if has("request_start_ns") {
        F::AiPerf
    } else if has("startTime") && (has("call_type") || has("endTime")) {
        F::LiteLlm
    } else if has("input_lens") || (has("request_throughput") && has("total_input_tokens")) {
        F::VllmBench
    } else if has("guidellm_version") || (has("benchmarks") && !has("input_length")) {
        F::GuideLlm
    } else if has("hash_ids") && has("requests") {
        F::Weka
    } else if has("start_time") || has("response_code") {
        F::EnvoyJson
    } else if has("timestamp") && has("input_length") {
        F::Trace(TraceFormat::Mooncake)
    } else {
        return None;
    })
}

/// Whether `"key"` is followed by a colon somewhere.
fn has_key(text: &str, key: &str) -> bool {
    let quoted = format!("\"{key}\"");
    text.match_indices(&quoted).any(|(at, _)| {
        text[at + quoted.len()..]
            .trim_start_matches([' ', '\t', '\r', '\n'])
            .starts_with(':')
    })
}

impl From<ObservedFormat> for &'static str {
    fn from(format: ObservedFormat) -> &'static str {
        format.name()
    }
}

impl fmt::Display for ObservedFormat {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for ObservedFormat {
    type Err = String;

    /// Reads a name of a log's or a trace's format; the error lists all names.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut logs = Self::ALL.into_iter();
        if let Some(found) = logs.find(|format| format.name() == text) {
            return Ok(found);
        }
        let trace = TraceFormat::from_str(text).map(Self::Trace);
        trace.map_err(|_| format!("`{text}` is no format; allowed: {}", Self::known()))
    }
}
