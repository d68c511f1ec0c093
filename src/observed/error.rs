//! Why a log was refused as a whole. What is wrong with single records is counted instead: see
//! [`Skips`](super::report::Skips).

use std::io;

use thiserror::Error;

use crate::trace::TraceError;
use crate::trace::error::Text;

/// Why a log cannot be read. Every message names the file, what is there, what is allowed and the
/// remedy.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields are what the messages below say
pub enum ObservedError {
    /// A trace, or what is wrong with opening any file.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// Compressed data that is damaged or ends early.
    #[error(
        "log `{path}`: the {kind} data is damaged or ends early, {} ({detail}); copy or download the file again", after(*line)
    )]
    Damaged {
        path: Text,
        kind: &'static str,
        line: u64,
        detail: Text,
    },
    /// Reading failed.
    #[error(
        "log `{path}`: reading failed {}: {detail}; try again or copy the file to a local disk", after(*line)
    )]
    Read { path: Text, line: u64, detail: Text },
    /// None of the formats.
    #[error(
        "log `{path}`: `{first}` begins no known format; allowed: {known}; name it with `trace import --format`, or describe an access log with `trace import --log-format`"
    )]
    UnknownFormat {
        path: Text,
        first: Text,
        known: Text,
    },
    /// Not one request in it.
    #[error(
        "log `{path}`, read as {format}: no request in it: {records} records read{reasons}; name another format with `trace import --format`, or give another file"
    )]
    Nothing {
        path: Text,
        format: &'static str,
        records: u64,
        reasons: Text,
    },
    /// Lengths that the log does not have, and nothing says how to infer them.
    #[error(
        "log `{path}`: {count} requests have no {what} tokens, and nothing in it tells how many there may be; give `trace import` {remedy}{option}"
    )]
    NoTokens {
        path: Text,
        what: &'static str,
        count: u64,
        remedy: &'static str,
        option: &'static str,
    },
    /// One thing that is longer than what is held in memory.
    #[error(
        "log `{path}`, line {line}: one {what} is longer than {limit}, the most that is held in memory; {remedy}"
    )]
    TooLarge {
        path: Text,
        line: u64,
        what: &'static str,
        limit: &'static str,
        remedy: &'static str,
    },
    /// More requests at once than are held in memory.
    #[error(
        "log `{path}`: {count} requests are under way or wait for another try at once, which is more than the {limit_mib} MiB that are held in memory; give `trace import` a shorter --retry-window-s (0 joins no tries), and check that durations have the right unit"
    )]
    TooManyOpen {
        path: Text,
        count: usize,
        limit_mib: usize,
    },
    /// Text in another encoding.
    #[error("log `{path}` is UTF-16; only UTF-8 is read: convert it (`iconv -f utf-16 -t utf-8`)")]
    Utf16 { path: Text },
    /// Compressed with a window that takes more memory than is given to it.
    #[error(
        "log `{path}`: it was packed by zstd with a window of more than 128 MiB, the most that is held in memory; pack it again without --long=N and --ultra"
    )]
    Window { path: Text },
    /// A setting that is not allowed.
    #[error("{option} {value}: {why}; {remedy}")]
    Option {
        option: &'static str,
        value: Text,
        why: Text,
        remedy: Text,
    },
    /// A column of Parquet whose values are not what they are stored as.
    #[error(
        "Parquet file `{path}`: column `{column}` is {found}; allowed: whole numbers, TIMESTAMP(NANOS), FLOAT, DOUBLE, BOOLEAN and texts, one a row; {remedy}"
    )]
    ColumnKind {
        path: Text,
        column: Text,
        found: Text,
        remedy: &'static str,
    },
    /// A Parquet file without the columns that it must have.
    #[error(
        "Parquet file `{path}`: has columns {found}; needed: {needed}; name its columns so, or give another file"
    )]
    Columns {
        path: Text,
        found: Text,
        needed: Text,
    },
    /// Scrapes that make no series.
    #[error("scrapes `{path}`: {detail}; {remedy}")]
    Scrapes {
        path: Text,
        detail: Text,
        remedy: &'static str,
    },
    /// A file of levels over time that is not what it must be.
    #[error("observed series `{path}`: {detail}; {remedy}")]
    Levels {
        path: Text,
        detail: Text,
        remedy: Text,
    },
    /// The folder for temporary files.
    #[error(
        "cannot sort on disk: {detail}; free room in the folder for temporary files, or name another with TMPDIR"
    )]
    Temporary { detail: Text },
    /// Writing failed.
    #[error(
        "cannot write `{path}`: {detail}; check that the folder exists, may be written and has room"
    )]
    Write { path: Text, detail: Text },
}

impl ObservedError {
    pub(crate) fn temporary(fault: &dyn std::fmt::Display) -> Self {
        ObservedError::Temporary {
            detail: fault.to_string().into(),
        }
    }

    pub(crate) fn write(path: &str, fault: &dyn std::fmt::Display) -> Self {
        ObservedError::Write {
            path: path.into(),
            detail: fault.to_string().into(),
        }
    }

    pub(crate) fn reading(
        path: &Text,
        packed: Option<&'static str>,
        line: u64,
        fault: &io::Error,
    ) -> Self {
        let (path, detail) = (path.clone(), fault.to_string());
        // What zstd says of a frame whose window is beyond its limit.
        if packed == Some("zstd") && detail.contains("too much memory") {
            return ObservedError::Window { path };
        }
        let detail = detail.into();
        match packed {
            Some(kind) => ObservedError::Damaged {
                path,
                kind,
                line,
                detail,
            },
            None => ObservedError::Read { path, line, detail },
        }
    }
}

/// Where reading ended.
fn after(line: u64) -> String {
    match line {
        0 => "before its first line ended".to_owned(),
        line => format!("after line {line}"),
    }
}
