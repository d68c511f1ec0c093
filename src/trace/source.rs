//! Which trace to replay, and how.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::cursor::{Replay, Skipped, TraceCursor};
use super::error::{Text, TraceError};
use super::format::TraceFormat;
use super::reader::RecordReader;

/// A trace file and how to replay it. The fields may be set freely after [`TraceSource::open`];
/// they are checked when a cursor is made.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSource {
    /// The file, plain or gzipped.
    pub path: PathBuf,
    /// Its format.
    pub format: TraceFormat,
    /// How many times as fast to replay it: 2 halves every time. Finite and above 0.
    pub rate_scale: f64,
    /// Where the slice to replay starts, in s of the trace (before scaling) from its first record.
    pub from_s: f64,
    /// Where the slice ends, in s like `from_s`; a request at just this time is outside.
    /// None: at the end of the trace.
    pub to_s: Option<f64>,
    /// Whether requests of one stamp are spread evenly until the next distinct stamp: the i-th of
    /// n moves by gap * i / n; the last group takes the gap before it.
    pub dejitter: bool,
    /// Whether requests without an answer are replayed too, with
    /// [`failed`](super::TraceRecord::failed) set.
    pub keep_failed: bool,
}

/// What one full pass over a trace found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TraceScan {
    /// Requests that a replay yields.
    pub requests: u64,
    /// When the first of them arrives, in ns of replay.
    pub first_ns: u64,
    /// When the last of them arrives, in ns of replay.
    pub last_ns: u64,
    /// From the first to the last, in s of replay.
    pub span_s: f64,
    /// Prompt tokens of all of them.
    pub prompt_tokens: u64,
    /// Output tokens of all of them.
    pub output_tokens: u64,
    /// The longest prompt, in tokens.
    pub max_prompt_tokens: u32,
    /// The longest answer, in tokens.
    pub max_output_tokens: u32,
    /// Requests of the file that a replay leaves out.
    pub skipped: Skipped,
    /// 64-bit FNV-1a digest of the records that a replay yields.
    pub digest: u64,
}

impl TraceSource {
    /// Opens a trace, detecting its format, to be replayed as it is.
    ///
    /// # Errors
    /// When the file cannot be read, is empty or is in no known format.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        Self::open_as(path, None)
    }

    /// As [`TraceSource::open`], in a given format where there is one.
    ///
    /// # Errors
    /// When the file cannot be read, is empty or is not in the format.
    pub fn open_as(path: &Path, format: Option<TraceFormat>) -> Result<Self, TraceError> {
        let reader = RecordReader::open(path, format)?;
        Ok(Self {
            path: path.to_owned(),
            format: reader.format(),
            rate_scale: 1.0,
            from_s: 0.0,
            to_s: None,
            dejitter: false,
            keep_failed: false,
        })
    }

    /// A cursor at the start of the slice.
    ///
    /// # Errors
    /// When a setting is not allowed or the file can no longer be opened.
    pub fn cursor(&self) -> Result<TraceCursor, TraceError> {
        TraceCursor::new(self)
    }

    /// Reads the whole file once, checking every line, also outside the slice.
    ///
    /// # Errors
    /// When anything in the file is not allowed, and when it or the slice holds no requests.
    pub fn scan(&self) -> Result<TraceScan, TraceError> {
        let mut replay = Replay::open(self)?;
        let mut scan = TraceScan {
            requests: 0,
            first_ns: 0,
            last_ns: 0,
            span_s: 0.0,
            prompt_tokens: 0,
            output_tokens: 0,
            max_prompt_tokens: 0,
            max_output_tokens: 0,
            skipped: Skipped::default(),
            digest: 0,
        };
        while let Some(record) = replay.next_record()? {
            if scan.requests == 0 {
                scan.first_ns = record.t_ns;
            }
            scan.requests += 1;
            scan.last_ns = record.t_ns;
            scan.prompt_tokens += u64::from(record.prompt_tokens);
            scan.output_tokens += u64::from(record.output_tokens);
            scan.max_prompt_tokens = scan.max_prompt_tokens.max(record.prompt_tokens);
            scan.max_output_tokens = scan.max_output_tokens.max(record.output_tokens);
        }
        scan.digest = replay.digest();
        let end_ns = replay.drain()?;
        scan.skipped = replay.skipped();
        scan.span_s = (scan.last_ns - scan.first_ns) as f64 / 1e9;
        if scan.requests == 0 {
            return Err(self.empty(scan.skipped, end_ns));
        }
        Ok(scan)
    }

    /// The error of a replay that yields nothing from a file that ends at `end_ns`.
    fn empty(&self, skipped: Skipped, end_ns: u64) -> TraceError {
        let path = self.name();
        if skipped.outside_slice == 0 {
            let failed = skipped.failed();
            return TraceError::Empty { path, failed };
        }
        let to = self.to_s.map(|to| format!("{to} s"));
        TraceError::EmptySlice {
            path,
            from_s: self.from_s,
            to: to.unwrap_or_else(|| "the end".to_owned()).into(),
            outside: skipped.outside_slice,
            last_s: end_ns as f64 / 1e9,
        }
    }

    /// The slice in ns of the trace; the end is none where it is the trace's own.
    pub(crate) fn checked_slice(&self) -> Result<(u64, Option<u64>), TraceError> {
        let refuse = |field, value: f64, allowed| TraceError::Setting {
            path: self.name(),
            field,
            value: value.to_string().into(),
            allowed,
        };
        if !(self.rate_scale.is_finite() && self.rate_scale > 0.0) {
            let allowed = "a finite number above 0 (2 replays twice as fast)";
            return Err(refuse("rate_scale", self.rate_scale, allowed));
        }
        let from = whole_ns(self.from_s).ok_or_else(|| {
            let allowed = "seconds from the first record, from 0 to 1e10";
            refuse("from_s", self.from_s, allowed)
        })?;
        let Some(to_s) = self.to_s else {
            return Ok((from, None));
        };
        match whole_ns(to_s) {
            Some(to) if to > from => Ok((from, Some(to))),
            _ => {
                let allowed = "seconds from the first record, above from_s and up to 1e10";
                Err(refuse("to_s", to_s, allowed))
            }
        }
    }

    pub(crate) fn name(&self) -> Text {
        self.path.display().to_string().into()
    }
}

fn whole_ns(seconds: f64) -> Option<u64> {
    let fits = (0.0..=1e10).contains(&seconds);
    fits.then(|| (seconds * 1e9).round() as u64)
}
