//! A row of measurements: what was served on what, how many users there were, and the means they saw.

use serde::{Deserialize, Serialize};

use crate::report::number::in_full;
use crate::validate::closed_loop::case::Case;
use crate::validate::closed_loop::choice::KERNELS;
use crate::validate::server::Server;

/// Tokens of an iteration that engines allow where nothing is stated.
const TOKENS: u32 = 8_192;
/// Sequences of an iteration, likewise.
const SEQUENCES: u32 = 256;

/// Share of a load's requests that may fail; with more it is no measurement of that load: the others were
/// faster for it.
pub const MOST_FAILED: f64 = 0.05;

/// Mean latencies of one server at one concurrency, as a file has them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// The engine: `vllm`, `sglang`, `trtllm`, or any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The model: a card, a published name that one is known for, or the path of a card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The accelerator, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<String>,
    /// Tensor parallelism, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tp: Option<u32>,
    /// Number type of the weights; absent: the card's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_dtype: Option<String>,
    /// Number type of the KV cache; absent: the card's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_dtype: Option<String>,
    /// Mean prompt tokens, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u32>,
    /// Mean output tokens, at least 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u32>,
    /// Lengths were drawn uniformly within this share of the mean, 0 (all alike) to below 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_spread: Option<f64>,
    /// Users, each of whom sends a request when the one before has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Requests that came at once, none after them; instead of `concurrency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
    /// Requests that were measured; absent: ten a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// Mean time from the sending of a request to its first token, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// Mean time per output token after the first, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpot_ms: Option<f64>,
    /// Where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Its fields, as columns.
pub const FIELDS: [&str; 16] = [
    "engine",
    "version",
    "model",
    "accelerator",
    "tp",
    "weight_dtype",
    "kv_dtype",
    "prompt_tokens",
    "output_tokens",
    "length_spread",
    "concurrency",
    "batch",
    "requests",
    "ttft_ms",
    "tpot_ms",
    "source",
];

/// What the command line says of all rows: it fills what a row leaves open, and leaves out the rows
/// that say otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Given {
    /// The engine.
    pub engine: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The accelerator.
    pub accelerator: Option<String>,
    /// Tensor parallelism.
    pub tp: Option<u32>,
}

/// A row that can be simulated.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Where it is from: `FILE line N`.
    pub place: String,
    /// The engine.
    pub engine: String,
    /// Its version; may be empty.
    pub version: String,
    /// The accelerator, as the file names it.
    pub accelerator: String,
    /// The server, its users and what they saw.
    pub case: Case,
    /// What rows of one server and one pair of lengths have in common.
    pub server: String,
}

/// A value that is missing or not allowed: the field, its value, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field.
    pub field: &'static str,
    /// What is there.
    pub value: String,
    /// What is allowed.
    pub allowed: &'static str,
}

fn fault<T: std::fmt::Display>(
    field: &'static str,
    value: Option<T>,
    allowed: &'static str,
) -> Fault {
    let value = value.map_or_else(|| "missing".to_owned(), |value| format!("`{value}`"));
    Fault {
        field,
        value,
        allowed,
    }
}

fn text(field: &'static str, value: Option<&String>) -> Result<String, Fault> {
    match value {
        Some(value) if !value.trim().is_empty() => Ok(value.trim().to_owned()),
        other => Err(fault(
            field,
            other,
            "a name, in the row or by the option of that name",
        )),
    }
}

fn whole(
    field: &'static str,
    value: Option<u32>,
    (least, most): (u32, u32),
    allowed: &'static str,
) -> Result<u32, Fault> {
    match value {
        Some(value) if (least..=most).contains(&value) => Ok(value),
        other => Err(fault(field, other, allowed)),
    }
}

fn time(field: &'static str, value: Option<f64>) -> Result<f64, Fault> {
    match value {
        Some(value) if value > 0.0 && value <= 1e9 => Ok(value),
        other => {
            let other = other.map(in_full);
            Err(fault(field, other, "milliseconds above 0, at most 1e9"))
        }
    }
}

impl Measurement {
    /// With what it leaves open filled in.
    #[must_use]
    pub fn filled(mut self, given: &Given) -> Measurement {
        let fill = |own: &mut Option<String>, given: &Option<String>| {
            if own.as_deref().is_none_or(|own| own.trim().is_empty()) {
                own.clone_from(given);
            }
        };
        fill(&mut self.engine, &given.engine);
        fill(&mut self.model, &given.model);
        fill(&mut self.accelerator, &given.accelerator);
        self.tp = self.tp.or(given.tp);
        self
    }

    /// The row as something that can be simulated.
    ///
    /// # Errors
    /// The first field that is missing or not allowed.
    pub fn observed(&self, place: String) -> Result<Observed, Fault> {
        const TOKENS_ALLOWED: &str = "a whole number of tokens from 1 to 4,000,000";
        let engine = text("engine", self.engine.as_ref())?;
        let model = text("model", self.model.as_ref())?;
        let accelerator = text("accelerator", self.accelerator.as_ref())?;
        let tp = whole("tp", self.tp, (1, 1_024), "1 to 1,024")?;
        let limits = (1, 4_000_000);
        let prompt = whole("prompt_tokens", self.prompt_tokens, limits, TOKENS_ALLOWED)?;
        let limits = (2, 4_000_000);
        let output = whole(
            "output_tokens",
            self.output_tokens,
            limits,
            "2 to 4,000,000",
        )?;
        let spread = self.length_spread.unwrap_or(0.0);
        if !(0.0..1.0).contains(&spread) {
            return Err(fault("length_spread", Some(spread), "0 to below 1"));
        }
        let (users, requests) = match (self.concurrency, self.batch) {
            (Some(_), Some(batch)) => {
                let allowed = "left out where `concurrency` is given";
                return Err(fault("batch", Some(batch), allowed));
            }
            (None, Some(batch)) => {
                let batch = whole("batch", Some(batch), (1, 65_536), "1 to 65,536")?;
                (batch, Some(batch))
            }
            (users, None) => {
                let allowed = "1 to 65,536, or `batch` instead";
                let users = whole("concurrency", users, (1, 65_536), allowed)?;
                (users, self.requests)
            }
        };
        if let Some(requests) = requests {
            let allowed = "at least as many as there are users, at most 1,000,000";
            whole("requests", Some(requests), (users, 1_000_000), allowed)?;
        }
        let optional = |value: &Option<String>| {
            let value = value.as_deref().map(str::trim);
            value.filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let sequences = users.max(SEQUENCES);
        let server = Server {
            model: model.clone(),
            device: accelerator.clone(),
            tp,
            max_num_seqs: Some(sequences),
            max_num_batched_tokens: Some(TOKENS.max(sequences)),
            weight_dtype: optional(&self.weight_dtype),
            kv_dtype: optional(&self.kv_dtype),
            kernel_backend: KERNELS.contains(&engine.as_str()).then(|| engine.clone()),
            ..Server::default()
        };
        let range = |mean: u32, least: u32| {
            let off = (f64::from(mean) * spread).round() as u32;
            (mean.saturating_sub(off).max(least), mean + off)
        };
        let key = format!(
            "{engine} {model} {accelerator} tp{tp} {} {} {prompt}x{output}",
            server.weight_dtype.as_deref().unwrap_or(""),
            server.kv_dtype.as_deref().unwrap_or(""),
        );
        Ok(Observed {
            place,
            version: optional(&self.version).unwrap_or_default(),
            case: Case {
                server,
                users,
                prompt: range(prompt, 1),
                output: range(output, 2),
                requests,
                ttft_ms: time("ttft_ms", self.ttft_ms)?,
                tpot_ms: time("tpot_ms", self.tpot_ms)?,
            },
            engine,
            accelerator,
            server: key,
        })
    }
}
