//! A recording of a spot pool as it was made, and how it is to be read.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::spot::errors::InputError;
use crate::inputs::note;

/// Largest accepted trace file, bytes (64 MiB). A choice of this crate: the
/// longest public trace (45 days at 195 s) has 0.06 MB.
pub const MAX_TRACE_BYTES: u64 = 64 << 20;
/// Most observations in one trace. A choice of this crate: a year at 6 s.
pub const MAX_OBSERVATIONS: usize = 5_000_000;
/// Most nodes in one observation. A choice of this crate, far above any pool,
/// so that a byte count or a time read as a node count is noticed.
pub const MAX_NODES: u32 = 1_000_000;
/// Longest trace before scaling, seconds (ten years of 365 days). A choice of
/// this crate; it keeps scaled times within 64-bit nanoseconds.
pub const MAX_SPAN_SECONDS: u64 = 315_360_000;

/// What a pool supplies once its recording has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AfterEnd {
    /// The last recorded count for ever.
    #[default]
    Hold,
    /// The recording again from its first instant (not from the offset).
    Repeat,
}

/// What to do with a row whose time lies before the row above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowOrder {
    /// Refuse the file: time running backwards is most often a mistake.
    #[default]
    Strict,
    /// Sort rows by time, keeping the file's order among equal times, and count
    /// the rows that were out of order in the report.
    Sort,
}

/// How a recording is laid onto simulated time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TraceOptions {
    /// Simulated seconds per recorded second, 0.001 to 10; 2 makes the
    /// recording last twice as long. Default 1.
    pub time_scale: f64,
    /// The recorded second at which the simulation starts, from 0 to below the
    /// recording's length; counted before `time_scale`. Default 0.
    pub offset_s: f64,
    /// What follows the recording's end. Default `hold`.
    pub after_end: AfterEnd,
    /// What to do with rows that are out of order. Default `strict`.
    pub order: RowOrder,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self {
            time_scale: 1.0,
            offset_s: 0.0,
            after_end: AfterEnd::Hold,
            order: RowOrder::Strict,
        }
    }
}

/// What was read from a file, and everything that was passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Observations or events read, rows.
    pub rows: usize,
    /// Lines holding nothing, lines.
    pub blank_lines: usize,
    /// Lines starting with `#`, lines.
    pub comment_lines: usize,
    /// Lines naming the columns, lines.
    pub header_lines: usize,
    /// Rows earlier than the row above them, moved by `RowOrder::Sort`, rows.
    pub reordered_rows: usize,
    /// JSON fields that mean nothing here, in the file's order.
    pub ignored_fields: Vec<String>,
}

/// Observations as recorded: unscaled, in time order, equal times allowed.
pub(crate) struct Recording {
    /// (nanoseconds since the first observation, nodes).
    pub points: Vec<(u64, u32)>,
    /// Length, nanoseconds; at least 1.
    pub duration_ns: u64,
    /// What was read and passed over.
    pub report: ReadReport,
}

/// The whole text of a file no larger than [`MAX_TRACE_BYTES`].
pub(crate) fn read_text(path: &Path, file: &str) -> Result<String, InputError> {
    let unreadable = |reason: String| InputError::Unreadable {
        file: file.to_owned(),
        reason,
    };
    let mut bytes = Vec::new();
    note(path);
    // One byte past the limit tells a file that is too large without reading it.
    File::open(path)
        .and_then(|source| source.take(MAX_TRACE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_TRACE_BYTES {
        return Err(InputError::Size {
            file: file.to_owned(),
            what: "size in bytes",
            found: format!("more than {MAX_TRACE_BYTES}"),
            allowed: format!("0 to {MAX_TRACE_BYTES}"),
            remedy: "cut the file into shorter recordings",
        });
    }
    String::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))
}
