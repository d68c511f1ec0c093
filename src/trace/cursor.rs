//! Replaying a trace one request at a time.

use std::fmt;

use serde::Serialize;

use super::TraceRecord;
use super::error::TraceError;
use super::reader::RecordReader;
use super::source::TraceSource;
use super::spread::Spread;

/// Requests read but not replayed, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// In the slice, with a prompt but an answer of 0 tokens.
    pub no_answer: u64,
    /// In the slice, with a prompt of 0 tokens.
    pub empty_prompt: u64,
    /// Before or after the slice.
    pub outside_slice: u64,
}

impl Skipped {
    /// Requests of the slice skipped because they failed when they were recorded.
    #[must_use]
    pub fn failed(self) -> u64 {
        self.no_answer + self.empty_prompt
    }

    pub(crate) fn count_failed(&mut self, record: &TraceRecord) {
        if record.prompt_tokens == 0 {
            self.empty_prompt += 1;
        } else {
            self.no_answer += 1;
        }
    }
}

/// One pass over the file: origin, spreading, slice and scale.
pub(crate) struct Replay {
    reader: RecordReader,
    origin_ns: Option<u64>,
    spread: Option<Spread>,
    from_ns: u64,
    to_ns: Option<u64>,
    rate_scale: f64,
    keep_failed: bool,
    skipped: Skipped,
    end_ns: u64,
    digest: u64,
}

impl Replay {
    pub(crate) fn open(source: &TraceSource) -> Result<Self, TraceError> {
        let (from_ns, to_ns) = source.checked_slice()?;
        Ok(Self {
            reader: RecordReader::open(&source.path, Some(source.format))?,
            origin_ns: None,
            spread: source.dejitter.then(Spread::default),
            from_ns,
            to_ns,
            rate_scale: source.rate_scale,
            keep_failed: source.keep_failed,
            skipped: Skipped::default(),
            end_ns: 0,
            digest: FNV_START,
        })
    }

    pub(crate) fn next_record(&mut self) -> Result<Option<TraceRecord>, TraceError> {
        while let Some(mut record) = self.pull()? {
            if record.t_ns < self.from_ns {
                self.skipped.outside_slice += 1;
            } else if self.to_ns.is_some_and(|to| record.t_ns >= to) {
                self.skipped.outside_slice += 1;
                return Ok(None);
            } else if record.failed && !self.keep_failed {
                self.skipped.count_failed(&record);
            } else {
                record.t_ns = self.scaled(record.t_ns - self.from_ns)?;
                self.digest = fnv_record(self.digest, &record);
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Reads what is left after the slice; returns the time of the last record, in ns of trace.
    pub(crate) fn drain(&mut self) -> Result<u64, TraceError> {
        while self.pull()?.is_some() {
            self.skipped.outside_slice += 1;
        }
        Ok(self.end_ns)
    }

    pub(crate) fn skipped(&self) -> Skipped {
        self.skipped
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// The next record in ns of trace, spread if asked for.
    fn pull(&mut self) -> Result<Option<TraceRecord>, TraceError> {
        let (reader, origin) = (&mut self.reader, &mut self.origin_ns);
        let mut read = || {
            let mut record = reader.next_record()?;
            if let Some(record) = &mut record {
                record.t_ns -= *origin.get_or_insert(record.t_ns);
            }
            Ok(record)
        };
        let record = match &mut self.spread {
            Some(spread) => spread.next(read)?,
            None => read()?,
        };
        if let Some(record) = &record {
            self.end_ns = record.t_ns;
        }
        Ok(record)
    }

    fn scaled(&self, t_ns: u64) -> Result<u64, TraceError> {
        if self.rate_scale == 1.0 {
            return Ok(t_ns);
        }
        let scaled = (t_ns as f64 / self.rate_scale).round();
        if scaled < u64::MAX as f64 {
            return Ok(scaled as u64);
        }
        Err(TraceError::TooFar {
            path: self.reader.name(),
            t_ns,
            rate_scale: self.rate_scale,
        })
    }
}

/// A place in a replay. A clone continues from the same place on its own; it opens the file again
/// when it is first read, checking that the requests before that place are still the same.
pub struct TraceCursor {
    source: TraceSource,
    replay: Option<Replay>,
    yielded: u64,
    digest: u64,
    skipped: Skipped,
    ended: Option<Result<(), TraceError>>,
}

impl TraceCursor {
    pub(crate) fn new(source: &TraceSource) -> Result<Self, TraceError> {
        Ok(Self {
            replay: Some(Replay::open(source)?),
            source: source.clone(),
            yielded: 0,
            digest: FNV_START,
            skipped: Skipped::default(),
            ended: None,
        })
    }

    /// The next request, in order of arrival; none at the end, and from then on.
    ///
    /// # Errors
    /// When the next line cannot be read or is not allowed; from then on, the same again.
    pub fn next_record(&mut self) -> Result<Option<TraceRecord>, TraceError> {
        if let Some(ended) = &self.ended {
            return ended.clone().map(|()| None);
        }
        let next = self.read();
        match &next {
            Ok(Some(_)) => self.yielded += 1,
            Ok(None) => self.ended = Some(Ok(())),
            Err(fault) => self.ended = Some(Err(fault.clone())),
        }
        if self.ended.is_some() {
            self.replay = None;
        }
        next
    }

    fn read(&mut self) -> Result<Option<TraceRecord>, TraceError> {
        let replay = match &mut self.replay {
            Some(replay) => replay,
            none => none.insert(resume(&self.source, self.yielded, self.digest)?),
        };
        let next = replay.next_record()?;
        self.digest = replay.digest();
        self.skipped = replay.skipped();
        Ok(next)
    }

    /// Requests skipped so far, by reason. Those after the slice are not read, so not counted
    /// (but for the first): [`TraceSource::scan`] counts them all.
    #[must_use]
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Requests yielded so far.
    #[must_use]
    pub fn yielded(&self) -> u64 {
        self.yielded
    }

    /// What it replays.
    #[must_use]
    pub fn source(&self) -> &TraceSource {
        &self.source
    }
}

/// Opens the file again and reads past the first `yielded` records.
fn resume(source: &TraceSource, yielded: u64, digest: u64) -> Result<Replay, TraceError> {
    let mut replay = Replay::open(source)?;
    let mut read = 0;
    while read < yielded && replay.next_record()?.is_some() {
        read += 1;
    }
    if read < yielded || replay.digest() != digest {
        return Err(TraceError::Changed {
            path: source.name(),
            records: yielded,
        });
    }
    Ok(replay)
}

impl Clone for TraceCursor {
    fn clone(&self) -> Self {
        Self {
            source: self.source.clone(),
            replay: None,
            yielded: self.yielded,
            digest: self.digest,
            skipped: self.skipped,
            ended: self.ended.clone(),
        }
    }
}

impl fmt::Debug for TraceCursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TraceCursor")
            .field("source", &self.source)
            .field("yielded", &self.yielded)
            .field("skipped", &self.skipped)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv_record(digest: u64, record: &TraceRecord) -> u64 {
    let stamp = record.t_ns.to_le_bytes();
    let prompt = record.prompt_tokens.to_le_bytes();
    let output = record.output_tokens.to_le_bytes();
    let failed = [u8::from(record.failed)];
    let bytes = stamp.iter().chain(&prompt).chain(&output).chain(&failed);
    bytes.fold(digest, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
