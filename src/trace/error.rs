//! What can be wrong with a trace, and what to do about it.

use super::MAX_LINE_BYTES;

/// A text inside an error.
pub type Text = Box<str>;

/// Why a trace was refused. Every message names the file, the place, what is there, what is
/// allowed and the remedy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields are what the messages below say
pub enum TraceError {
    /// Not of a trace: something else that a run needs cannot be set up.
    #[error("the run cannot be set up: {reason}")]
    Setup { reason: String },
    /// No such file.
    #[error("trace `{path}` does not exist; check the path")]
    NotFound { path: Text },
    /// A directory where a file is wanted.
    #[error("trace `{path}` is a directory; name one trace file in it")]
    IsDirectory { path: Text },
    /// The file may not be read.
    #[error("trace `{path}` may not be read (permission denied); allow it with `chmod +r`")]
    Forbidden { path: Text },
    /// Reading failed.
    #[error(
        "trace `{path}`: reading failed after line {line}: {detail}; try again or copy the file to a local disk"
    )]
    Io { path: Text, line: u64, detail: Text },
    /// The compressed data ends early.
    #[error(
        "trace `{path}`: the {kind} data is truncated: it ends early, after line {line}; copy or download the file again"
    )]
    Truncated {
        path: Text,
        kind: &'static str,
        line: u64,
    },
    /// The compressed data is damaged.
    #[error(
        "trace `{path}`: the {kind} data is damaged after line {line} ({detail}); copy or download the file again"
    )]
    Corrupt {
        path: Text,
        kind: &'static str,
        line: u64,
        detail: Text,
    },
    /// A line longer than [`MAX_LINE_BYTES`].
    #[error(
        "trace `{path}`, line {line}: longer than {MAX_LINE_BYTES} bytes, the longest line allowed; a trace holds one request a line, so check that this is a trace and that it has line ends"
    )]
    LongLine { path: Text, line: u64 },
    /// Bytes that are not UTF-8.
    #[error(
        "trace `{path}`, line {line}, byte {column}: 0x{byte:02X} is not valid UTF-8, the only encoding allowed; convert the file (`iconv -t utf-8`)"
    )]
    Utf8 {
        path: Text,
        line: u64,
        column: u64,
        byte: u8,
    },
    /// Nothing to replay.
    #[error(
        "trace `{path}` holds no requests ({failed} without an answer were skipped); at least one is needed, so give another trace"
    )]
    Empty { path: Text, failed: u64 },
    /// The slice has nothing to replay.
    #[error(
        "trace `{path}` holds no requests from {from_s} s to {to}, though it holds {outside} outside this slice, up to {last_s} s; widen `from_s` and `to_s`"
    )]
    EmptySlice {
        path: Text,
        from_s: f64,
        to: Text,
        outside: u64,
        last_s: f64,
    },
    /// The first line is not one of a known format.
    #[error(
        "trace `{path}`, line 1: `{first}` begins no known format; allowed: {known}; rename the columns to one of these"
    )]
    UnknownFormat {
        path: Text,
        first: Text,
        known: Text,
    },
    /// A column or key that the format needs is not there.
    #[error(
        "trace `{path}`, line {line}: no {what} `{name}`, which format {format} needs; the nearest here is `{nearest}`: rename it, or name the right format"
    )]
    MissingColumn {
        path: Text,
        line: u64,
        what: &'static str,
        name: &'static str,
        format: &'static str,
        nearest: Text,
    },
    /// A column that the format needs is there twice.
    #[error(
        "trace `{path}`, line 1: column `{name}` is there twice; only one is allowed: rename or remove the other"
    )]
    DuplicateColumn { path: Text, name: &'static str },
    /// A row with more or fewer fields than the header.
    #[error(
        "trace `{path}`, line {line}: {found} fields in `{value}` where the header has {expected}; allowed: exactly {expected}: correct or remove this line"
    )]
    FieldCount {
        path: Text,
        line: u64,
        found: usize,
        expected: usize,
        value: Text,
    },
    /// A blank line with more after it.
    #[error(
        "trace `{path}`, line {line}: blank, with more lines after it; blank lines are allowed at the end only: remove it"
    )]
    BlankLine { path: Text, line: u64 },
    /// A line that is no JSON object.
    #[error(
        "trace `{path}`, line {line}, byte {column}: `{value}` is not a JSON object ({detail}); allowed: one JSON object a line: correct or remove this line"
    )]
    Json {
        path: Text,
        line: u64,
        column: usize,
        value: Text,
        detail: Text,
    },
    /// A value that is not allowed.
    #[error(
        "trace `{path}`, line {line}, {field}: `{value}` {why}; allowed: {allowed}; correct or remove this line"
    )]
    Value {
        path: Text,
        line: u64,
        field: Text,
        value: Text,
        why: &'static str,
        allowed: &'static str,
    },
    /// A stamp before the one on the line above.
    #[error(
        "trace `{path}`, line {line}: stamp `{stamp}` comes before `{previous}` of the line above; allowed: stamps in order: sort them with `seatrial trace import --sort`"
    )]
    Unsorted {
        path: Text,
        line: u64,
        stamp: Text,
        previous: Text,
    },
    /// A setting of the source that is not allowed.
    #[error("trace `{path}`: {field} = {value} is not allowed; allowed: {allowed}")]
    Setting {
        path: Text,
        field: &'static str,
        value: Text,
        allowed: &'static str,
    },
    /// An arrival after the last time that can be written down.
    #[error(
        "trace `{path}`: an arrival {t_ns} ns into the trace lies beyond 2^64 ns once slowed down by rate_scale = {rate_scale}; allowed: up to 2^64 ns (584 years): give a larger rate_scale"
    )]
    TooFar {
        path: Text,
        t_ns: u64,
        rate_scale: f64,
    },
    /// The file is not what it was.
    #[error(
        "trace `{path}` changed while it was being replayed: its first {records} requests differ from those read before; leave it alone during a run"
    )]
    Changed { path: Text, records: u64 },
    /// Writing failed.
    #[error(
        "cannot write trace `{path}`: {detail}; check that the folder exists, may be written and has room"
    )]
    Write { path: Text, detail: Text },
}

/// `text` cut to 60 characters, to be quoted in a message.
pub(crate) fn shorten(text: &str) -> Text {
    const KEEP: usize = 60;
    match text.char_indices().nth(KEEP) {
        None => text.into(),
        Some((end, _)) => format!("{}...", &text[..end]).into(),
    }
}
