//! What was observed of a real fleet: requests as a log tells of them, and series as a monitor
//! scraped them. A replay lays what it simulates beside this.
//!
//! [`read()`] takes a log in any of [`ObservedFormat::ALL`] and hands over its requests in order
//! of arrival, retries joined, with a [`ReadReport`] of what was read, skipped and inferred. It
//! holds a bounded number of them: what does not fit is sorted on disk.
//!
//! | File | What it knows |
//! |---|---|
//! | [`mod@format`] | the formats, and how one is told from another |
//! | [`input`] | files, plain or compressed, with the place of every fault |
//! | [`attempt`] | one record of a log, not yet joined to others |
//! | `otlp`, `envoy`, `nginx`, ... | one format each: from text to attempts |
//! | [`intake`] | checks attempts, counts what is skipped, sorts by start |
//! | [`join`] | the tries of one request, found by trace or request id |
//! | [`infer`] | lengths that a log does not have |
//! | [`read()`] | all of these, one after another |
//! | [`series`] | counts and latencies by minute, of requests or of scrapes |
//! | [`levels`] | replicas and queues, as a monitor saw them |

pub mod access;
mod access_line;
mod alb;
pub mod attempt;
mod bare;
mod bench;
mod cells;
mod envoy;
pub mod error;
pub mod export;
pub mod format;
mod genai;
mod group;
mod http;
pub mod infer;
pub mod input;
pub mod intake;
mod items;
pub mod join;
pub mod levels;
mod litellm;
mod meaning;
mod otlp;
mod parquet_kinds;
mod parquet_rows;
pub mod prometheus;
pub mod read;
pub mod record;
pub mod report;
mod rises;
mod rows;
mod scrape;
pub mod series;
pub mod series_file;
mod skew;
mod snapshot;
mod sort;
mod stamp;
mod template;
mod vllm_bench;
mod weka;
pub mod write;

pub use error::ObservedError;
pub use format::ObservedFormat;
pub use read::{ReadOptions, detect, read, read_all};
pub use record::{Blocks, DATED_NS, Ending, Observed, Tokens};
pub use report::ReadReport;
pub use series::ObservedSeries;

/// A date and time of ISO 8601 in ns since 1970, and whether it has a zone: without one it is taken for UTC.
pub(crate) fn stamp_of(text: &str) -> Option<(u64, bool)> {
    stamp::iso(text, 0).ok()
}

/// An offset from UTC as people write it, `+02:00`, `-0530` or `Z`, in s; none where it is none.
pub fn offset_of(text: &str) -> Option<i32> {
    stamp::hours_minutes(text)
}
