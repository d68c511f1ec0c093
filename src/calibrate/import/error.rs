//! Why files could not be imported.

use std::collections::BTreeMap;

use super::format::ImportFormat;
use crate::calibrate::gpu::record::RecordError;
use crate::perf::PerfError;

/// Why files could not be imported.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read or written.
    #[error("{file}: {cause}; {remedy}")]
    File {
        /// The file.
        file: String,
        /// What happened.
        cause: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Nothing says what the file is.
    #[error(
        "{path}: is none of {}; name its format with --format, or check the path",
        ImportFormat::list()
    )]
    Format {
        /// The path.
        path: String,
    },
    /// A value is not what it should be.
    #[error(
        "{file}:{line}: column {column} (`{name}`) is `{value}`, but it must be {allowed}; correct the file, or leave the line out"
    )]
    Cell {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: usize,
        /// The column's name.
        name: String,
        /// The value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A line does not have the cells of the first line.
    #[error("{file}:{line}: {cause}; correct the file")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        cause: String,
    },
    /// A column is missing.
    #[error("{file}: has no column `{name}`, which {format} has; its columns are {columns}")]
    Column {
        /// The file.
        file: String,
        /// The column.
        name: String,
        /// What the file was taken for.
        format: &'static str,
        /// The columns there are.
        columns: String,
    },
    /// A field of a JSON document is not what it should be.
    #[error("{file}: field `{field}` is {value}, but it must be {allowed}; {remedy}")]
    Field {
        /// The file.
        file: String,
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// An option is missing, of no use, or names what is not there.
    #[error("--{option}{}: {why}; {remedy}", value.as_ref().map_or_else(String::new, |value| format!(" {value}")))]
    Asked {
        /// The option, without its dashes.
        option: &'static str,
        /// Its value, if it was given.
        value: Option<String>,
        /// What is wrong.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// A model card.
    #[error(transparent)]
    Card(#[from] PerfError),
    /// The calibration made of it does not hold.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Nothing is left.
    #[error(
        "{path}: nothing can be imported: {read} measurements read{}; give a file with operations of this format",
        reasons(skipped)
    )]
    Nothing {
        /// The path.
        path: String,
        /// Measurements read.
        read: u64,
        /// Those left out, by reason.
        skipped: BTreeMap<String, u64>,
    },
}

/// Reasons with their counts, in brackets.
fn reasons(skipped: &BTreeMap<String, u64>) -> String {
    if skipped.is_empty() {
        return String::new();
    }
    let each = skipped
        .iter()
        .map(|(why, number)| format!("{number} {why}"));
    format!(", left out: {}", each.collect::<Vec<_>>().join(", "))
}
