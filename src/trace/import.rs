//! Rewriting a trace of any format as seatrial's own CSV.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::TraceRecord;
use super::cursor::Skipped;
use super::error::TraceError;
use super::format::TraceFormat;
use super::reader::RecordReader;
use super::sink::{write_error, write_whole};
use super::sorted::Sorted;
use super::spread::Spread;

/// How to import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Whether to sort by stamp (those of one stamp stay in order): 4 million requests at a time in
    /// memory, more on disk.
    pub sort: bool,
    /// Whether to spread the requests of one stamp evenly until the next one.
    pub dejitter: bool,
}

/// What an import wrote.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ImportReport {
    /// The format read.
    pub format: TraceFormat,
    /// Requests read.
    pub read: u64,
    /// Requests written, those without an answer included.
    pub written: u64,
    /// Requests written with 0 output tokens, which a replay counts and skips.
    pub no_answer: u64,
    /// Requests left out for their empty prompt.
    pub empty_prompt: u64,
    /// From the first to the last request written, in s.
    pub span_s: f64,
}

/// Writes `input` to the file `out`, gzipped if its name ends in `.gz`. The same input gives the
/// same bytes. Arrivals are counted from the first request written. The file appears under its
/// name only once it is whole, unless the name is that of a link, a pipe or a device.
///
/// # Errors
/// When the input is not allowed or holds no requests, or the output cannot be written.
pub fn import(
    input: &Path,
    format: Option<TraceFormat>,
    out: &Path,
    options: ImportOptions,
) -> Result<ImportReport, TraceError> {
    let reader = RecordReader::open(input, format)?;
    let failed = |fault: &io::Error| write_error(out, fault);
    let same = |path: &Path| std::fs::canonicalize(path).ok();
    if same(out).is_some() && same(out) == same(input) {
        let kind = io::ErrorKind::InvalidInput;
        let fault = io::Error::new(kind, "it is the trace that is read; give another name");
        return Err(failed(&fault));
    }
    write_whole(out, |file| import_to(reader, out, file, options))
}

/// Writes all records of `reader` as CSV to any writer, which `name` stands for in errors.
///
/// # Errors
/// As [`import()`].
pub fn import_to(
    reader: RecordReader,
    name: &Path,
    out: &mut dyn Write,
    options: ImportOptions,
) -> Result<ImportReport, TraceError> {
    let mut output = Output {
        name,
        out,
        origin_ns: None,
        last_ns: 0,
        report: ImportReport {
            format: reader.format(),
            read: 0,
            written: 0,
            no_answer: 0,
            empty_prompt: 0,
            span_s: 0.0,
        },
    };
    let path = reader.name();
    if options.sort {
        let mut reader = reader.any_order();
        let mut sorted = Sorted::new();
        while let Some(record) = reader.next_record()? {
            sorted.push(&record)?;
        }
        let mut sorted = sorted.finish()?;
        output.write_all(options.dejitter, || sorted.next_record())?;
    } else {
        let mut reader = reader;
        output.write_all(options.dejitter, || reader.next_record())?;
    }
    let mut report = output.report;
    if report.written == report.no_answer {
        let failed = report.no_answer + report.empty_prompt;
        return Err(TraceError::Empty { path, failed });
    }
    report.span_s = output.last_ns as f64 / 1e9;
    Ok(report)
}

struct Output<'a> {
    name: &'a Path,
    out: &'a mut dyn Write,
    origin_ns: Option<u64>,
    last_ns: u64,
    report: ImportReport,
}

impl Output<'_> {
    fn write_all(
        &mut self,
        dejitter: bool,
        mut pull: impl FnMut() -> Result<Option<TraceRecord>, TraceError>,
    ) -> Result<(), TraceError> {
        let header = TraceFormat::Seatrial.columns().join(",");
        self.line(&header)?;
        let mut spread = Spread::default();
        loop {
            let record = if dejitter {
                spread.next(&mut pull)?
            } else {
                pull()?
            };
            match record {
                Some(record) => self.record(&record)?,
                None => return Ok(()),
            }
        }
    }

    fn record(&mut self, record: &TraceRecord) -> Result<(), TraceError> {
        self.report.read += 1;
        if record.failed {
            let mut skipped = Skipped::default();
            skipped.count_failed(record);
            self.report.no_answer += skipped.no_answer;
            self.report.empty_prompt += skipped.empty_prompt;
        }
        if record.prompt_tokens == 0 {
            return Ok(());
        }
        let origin = *self.origin_ns.get_or_insert(record.t_ns);
        self.last_ns = record.t_ns - origin;
        self.report.written += 1;
        let (prompt, output) = (record.prompt_tokens, record.output_tokens);
        self.line(&format!("{},{prompt},{output}", self.last_ns))
    }

    fn line(&mut self, text: &str) -> Result<(), TraceError> {
        writeln!(self.out, "{text}").map_err(|fault| write_error(self.name, &fault))
    }
}
