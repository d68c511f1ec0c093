//! Overheads of engines by engine and system.

use serde::{Deserialize, Serialize};

use crate::perf::KernelFactors;

/// What an engine adds to the kernels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Overheads {
    /// Per iteration, microseconds.
    pub fixed_us: f64,
    /// Per sequence of an iteration, microseconds.
    pub per_seq_us: f64,
    /// Per request before its first token (HTTP, tokenising, detokenising, launching the kernels of
    /// a prompt without a captured graph), milliseconds.
    pub per_request_ms: f64,
    /// The same per 1,000 tokens of its prompt.
    pub per_1k_tokens_ms: f64,
}

/// Where nothing was fitted: what pools assume beside measured kernels, and a front end that costs nothing.
pub const ASSUMED: Overheads = Overheads {
    fixed_us: 500.0,
    per_seq_us: 5.0,
    per_request_ms: 0.0,
    per_1k_tokens_ms: 0.0,
};

/// The overheads fitted for an engine on a system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverheadEntry {
    /// The engine.
    pub engine: String,
    /// The system; `*` for those without an entry of their own.
    pub system: String,
    /// Per iteration, microseconds.
    pub fixed_us: f64,
    /// Per sequence of an iteration, microseconds.
    pub per_seq_us: f64,
    /// Per request, milliseconds.
    pub per_request_ms: f64,
    /// Per 1,000 tokens of its prompt, milliseconds.
    #[serde(default)]
    pub per_1k_tokens_ms: f64,
    /// Rows it was fitted on.
    pub rows: usize,
    /// What it was fitted on.
    pub source: String,
    /// Names of the cards of the models of those rows, where they are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fitted_to: Vec<String>,
    /// Whether the next iteration is planned while one runs.
    #[serde(default)]
    pub async_scheduling: bool,
    /// Per prompt token of an iteration, microseconds, where no model has its own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub per_prompt_token_us: f64,
    /// What the kernels of prompts take, divided by what the step model says.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub prefill_time_factor: f64,
    /// The same of the kernels of decodes.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub decode_time_factor: f64,
    /// Where the figures come from: `fitted` in what `seatrial calibrate fit` writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<String>,
    /// What differs by model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelEntry>,
}

/// What was fitted for a model on an engine and system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// The model's card and its precision, `CARD PRECISION`.
    pub model: String,
    /// Whose measured kernels stand for the engine's; absent: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernels: Option<String>,
    /// Per request, milliseconds.
    pub per_request_ms: f64,
    /// Per 1,000 tokens of its prompt, milliseconds.
    pub per_1k_tokens_ms: f64,
    /// Per prompt token of an iteration, microseconds: it keeps the others of the iteration, too.
    #[serde(default)]
    pub per_prompt_token_us: f64,
}

impl OverheadEntry {
    /// What was fitted for a model.
    pub fn model(&self, key: &str) -> Option<&ModelEntry> {
        self.models.iter().find(|entry| entry.model == key)
    }

    /// The overheads of a model.
    pub fn of(&self, key: &str) -> Overheads {
        let own = self.model(key);
        Overheads {
            fixed_us: self.fixed_us,
            per_seq_us: self.per_seq_us,
            per_request_ms: own.map_or(self.per_request_ms, |own| own.per_request_ms),
            per_1k_tokens_ms: own.map_or(self.per_1k_tokens_ms, |own| own.per_1k_tokens_ms),
        }
    }
}

fn one() -> f64 {
    1.0
}
fn is_one(value: &f64) -> bool {
    *value == 1.0
}
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// A table of overheads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverheadTable {
    /// Its entries.
    #[serde(default)]
    pub overheads: Vec<OverheadEntry>,
}

/// Why a table of overheads could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file}: {message}; give [[overheads]] of engine, system, fixed_us, per_seq_us, \
         per_request_ms, rows and source, figures of at least 0"
)]
pub struct OverheadError {
    file: String,
    message: String,
}

impl OverheadTable {
    /// The shipped table.
    pub fn shipped() -> OverheadTable {
        let text = include_str!("../../calibration/overheads.toml");
        // A test reads the shipped table; an empty one gives the assumed overheads.
        OverheadTable::parse("calibration/overheads.toml", text).unwrap_or_default()
    }

    /// Reads a table.
    ///
    /// # Errors
    /// When the text is no such table, or a figure is below 0 or not finite.
    pub fn parse(file: &str, text: &str) -> Result<OverheadTable, OverheadError> {
        let refuse = |message: String| OverheadError {
            file: file.to_owned(),
            message,
        };
        let table: OverheadTable =
            toml::from_str(text).map_err(|error| refuse(error.to_string().trim().to_owned()))?;
        for entry in &table.overheads {
            let own = [
                ("fixed_us", entry.fixed_us),
                ("per_seq_us", entry.per_seq_us),
                ("per_request_ms", entry.per_request_ms),
                ("per_1k_tokens_ms", entry.per_1k_tokens_ms),
                ("per_prompt_token_us", entry.per_prompt_token_us),
            ];
            for (field, value) in [
                ("prefill_time_factor", entry.prefill_time_factor),
                ("decode_time_factor", entry.decode_time_factor),
            ] {
                let (least, most) = (KernelFactors::LEAST, KernelFactors::MOST);
                if !(least..=most).contains(&value) {
                    return Err(refuse(format!(
                        "{field} of {} on {} is {value}, not {least} to {most}",
                        entry.engine, entry.system
                    )));
                }
            }
            let models = entry.models.iter().flat_map(|model| {
                [
                    ("per_request_ms", model.per_request_ms),
                    ("per_1k_tokens_ms", model.per_1k_tokens_ms),
                    ("per_prompt_token_us", model.per_prompt_token_us),
                ]
            });
            for (field, value) in own.into_iter().chain(models) {
                if !(0.0..=1e7).contains(&value) {
                    return Err(refuse(format!(
                        "{field} of {} on {} is {value}",
                        entry.engine, entry.system
                    )));
                }
            }
        }
        Ok(table)
    }

    /// The entry for an engine on a system: its own, or the engine's.
    pub fn entry(&self, engine: &str, system: &str) -> Option<&OverheadEntry> {
        let find = |system: &str| {
            let mut entries = self.overheads.iter();
            entries.find(|entry| entry.engine == engine && entry.system == system)
        };
        find(system).or_else(|| find("*"))
    }

    /// The overheads of a model on an engine and system: its own, the engine's, or the assumed.
    pub fn of(&self, engine: &str, system: &str, model: &str) -> Overheads {
        self.entry(engine, system)
            .map_or(ASSUMED, |entry| entry.of(model))
    }
}
