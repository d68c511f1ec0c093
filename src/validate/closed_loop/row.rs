//! The rows of a table of servers.

use std::path::Path;

use crate::validate::cards::model_card;
use crate::validate::error::ValidateError;
use crate::validate::lines::{Row as TableRow, Table};

/// Columns without which a table is refused.
const NEEDED: [&str; 10] = [
    "origin",
    "system",
    "backend",
    "model_path",
    "mode",
    "isl",
    "osl",
    "concurrency",
    "silicon_ttft_ms",
    "silicon_tpot_ms",
];

/// One server at one concurrency. Counts that were left empty are `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its line in the file.
    pub line: u64,
    /// Its name; empty where the table has none.
    pub id: String,
    /// Where the measurement comes from.
    pub origin: String,
    /// The devices.
    pub system: String,
    /// The engine.
    pub backend: String,
    /// The engine's version; may be empty.
    pub version: String,
    /// The day it was measured; may be empty.
    pub measured: String,
    /// The model's published name.
    pub model: String,
    /// Number type of the weights; may be empty.
    pub precision: String,
    /// `agg` or `disagg`.
    pub mode: String,
    /// Nominal prompt tokens.
    pub isl: Option<u32>,
    /// Nominal output tokens.
    pub osl: Option<u32>,
    /// Users.
    pub concurrency: Option<u32>,
    /// Tensor parallelism.
    pub tp: Option<u32>,
    /// Pipeline stages.
    pub pp: Option<u32>,
    /// Data parallelism of the attention.
    pub attention_dp: Option<u32>,
    /// Expert parallelism.
    pub moe_ep: Option<u32>,
    /// Measured mean time to first token.
    pub ttft_ms: Option<f64>,
    /// Measured mean time per output token.
    pub tpot_ms: Option<f64>,
}

impl Row {
    fn read(row: &TableRow<'_>) -> Result<Row, ValidateError> {
        let text = |column: &str| row.text(column).to_owned();
        Ok(Row {
            line: row.line,
            id: text("id"),
            origin: text("origin"),
            system: text("system"),
            backend: text("backend"),
            version: text("backend_version"),
            measured: text("measured"),
            model: text("model_path"),
            precision: text("precision"),
            mode: text("mode"),
            isl: row.count("isl")?,
            osl: row.count("osl")?,
            concurrency: row.count("concurrency")?,
            tp: row.count("tp_size")?,
            pp: row.count("pp_size")?,
            attention_dp: row.count("attention_dp_size")?,
            moe_ep: row.count("moe_ep_size")?,
            ttft_ms: row.measure("silicon_ttft_ms")?,
            tpot_ms: row.measure("silicon_tpot_ms")?,
        })
    }

    /// Whether the client that measured it is known.
    pub fn client_is_known(&self) -> bool {
        self.origin.starts_with("2026-") || self.origin.starts_with("db-dump")
    }

    /// The model's card, which models that differ in their weights alone share; its name where
    /// there is none.
    pub fn card(&self) -> &str {
        model_card(&self.model).unwrap_or(&self.model)
    }

    /// Rows of one server at several concurrencies have this in common.
    pub fn server_key(&self) -> String {
        format!(
            "{} {} {} {} tp{} ep{} {}x{}",
            self.card(),
            self.precision,
            self.system,
            self.backend,
            self.tp.unwrap_or(0),
            self.moe_ep.unwrap_or(0),
            self.isl.unwrap_or(0),
            self.osl.unwrap_or(0)
        )
    }
}

/// Reads a table, plain or gzipped.
///
/// # Errors
/// A missing column, or a value that is not what its column holds, with line and column.
pub fn read(path: &Path) -> Result<Vec<Row>, ValidateError> {
    let table = Table::read(path)?;
    table.need(&NEEDED)?;
    table.rows().map(|row| Row::read(&row)).collect()
}
