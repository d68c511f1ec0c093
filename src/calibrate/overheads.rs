//! Overheads of engines by engine and system.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an engine adds to the kernels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Overheads {
    /// Per iteration, microseconds.
    pub fixed_us: f64,
    /// Per sequence of an iteration, microseconds.
    pub per_seq_us: f64,
    /// Per request before its first token (HTTP, tokenising, detokenising), milliseconds.
    pub per_request_ms: f64,
}

/// Where nothing was fitted: what pools assume beside measured kernels, and a front end that costs nothing.
pub const ASSUMED: Overheads = Overheads {
    fixed_us: 500.0,
    per_seq_us: 5.0,
    per_request_ms: 0.0,
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
    /// Rows it was fitted on.
    pub rows: usize,
    /// What it was fitted on.
    pub source: String,
    /// Whether the next iteration is planned while one runs.
    #[serde(default)]
    pub async_scheduling: bool,
    /// Whose kernels stand for a model's at a precision (`MODEL PRECISION`), where that is not the
    /// engine itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kernels: BTreeMap<String, String>,
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
            for (field, value) in [
                ("fixed_us", entry.fixed_us),
                ("per_seq_us", entry.per_seq_us),
                ("per_request_ms", entry.per_request_ms),
            ] {
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

    /// The overheads of an engine on a system: its own, the engine's, or the assumed ones.
    pub fn of(&self, engine: &str, system: &str) -> Overheads {
        self.entry(engine, system)
            .map_or(ASSUMED, |entry| Overheads {
                fixed_us: entry.fixed_us,
                per_seq_us: entry.per_seq_us,
                per_request_ms: entry.per_request_ms,
            })
    }
}
