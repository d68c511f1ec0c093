//! Traffic traces: recorded requests, read as a stream from public formats.
//!
//! [`TraceSource`] says which file and how to replay it, [`TraceCursor`] yields its
//! [`TraceRecord`]s one at a time, [`stats()`] describes it and [`import()`] rewrites any format
//! as seatrial's own. Nothing is preloaded: a trace may be larger than memory.

pub mod cursor;
pub mod error;
pub mod faults;
pub mod format;
pub mod import;
pub(crate) mod lines;
pub(crate) mod packed;
pub(crate) mod parse;
pub mod reader;
pub mod sink;
mod sorted;
pub mod source;
mod spread;
pub mod stats;

pub use cursor::{Skipped, TraceCursor};
pub use error::TraceError;
pub use format::TraceFormat;
pub use import::{ImportOptions, ImportReport, import, import_to};
pub use reader::RecordReader;
pub use source::{TraceScan, TraceSource};
pub use stats::{LengthStats, TraceStats, stats};

/// The longest line of a trace that is read, in bytes without its line end (1 MiB).
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// One request of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TraceRecord {
    /// When it arrives, in ns from the first record of the trace (from the start of the slice
    /// where one is cut, and after scaling).
    pub t_ns: u64,
    /// Length of its prompt, in tokens.
    pub prompt_tokens: u32,
    /// Length of its answer, in tokens.
    pub output_tokens: u32,
    /// Whether it had no answer when it was recorded. Such requests are skipped unless
    /// [`TraceSource::keep_failed`] says otherwise.
    pub failed: bool,
    /// Hashes of the prompt's stretches of `hashed_tokens` tokens, each over all before it too;
    /// none where the trace has none.
    #[serde(skip)]
    pub hashes: Option<std::sync::Arc<[u64]>>,
    /// Who asked, where the trace says so (`client` of seatrial's own CSV).
    #[serde(skip)]
    pub client: Option<std::sync::Arc<str>>,
    /// Tokens that a hash stands for; 0 where there are none.
    #[serde(skip)]
    pub hashed_tokens: u32,
}

/// Tokens that a hash of a Mooncake trace (`hash_ids`) stands for, unless its row says otherwise
/// (`block_size`).
pub const HASHED_TOKENS: u32 = 512;
