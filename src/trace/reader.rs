//! From lines to records, for every format: stamps as written, order checked.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::{Text, TraceError, shorten};
use super::format::TraceFormat;
use super::lines::Lines;
use super::{HASHED_TOKENS, TraceRecord, parse};

/// Where the three values of a row stand.
enum Layout {
    Csv { at: [usize; 3], width: usize },
    JsonLines,
}

/// Reads the records of one file in order. Their `t_ns` is the stamp as written: ns since 1970
/// for dates, ns since zero for numbers.
pub struct RecordReader {
    lines: Lines,
    format: TraceFormat,
    layout: Layout,
    /// Whether `lines` holds a line that is yet to be parsed.
    held: bool,
    any_order: bool,
    last_ns: u64,
    last_text: String,
}

impl RecordReader {
    /// Opens a file. Without a format, the first lines tell it.
    ///
    /// # Errors
    /// When the file cannot be read, is empty, or its first lines do not fit the format.
    pub fn open(path: &Path, format: Option<TraceFormat>) -> Result<Self, TraceError> {
        Self::new(Lines::open(path)?, format)
    }

    /// Reads from any reader, plain or gzipped; `name` stands for the file in errors.
    ///
    /// # Errors
    /// As [`RecordReader::open`].
    pub fn from_reader(
        name: &str,
        input: impl Read + Send + Sync + 'static,
        format: Option<TraceFormat>,
    ) -> Result<Self, TraceError> {
        Self::new(Lines::new(name.into(), input)?, format)
    }

    fn new(mut lines: Lines, format: Option<TraceFormat>) -> Result<Self, TraceError> {
        if !lines.advance()? {
            let path = lines.name();
            return Err(TraceError::Empty { path, failed: 0 });
        }
        let json = lines.text().trim_start().starts_with('{');
        let (mut format, given) = match format {
            Some(format) => (format, true),
            None if json => (TraceFormat::Mooncake, false),
            None => (detect(&lines)?, false),
        };
        let mut held = true;
        let layout = if format == TraceFormat::Mooncake {
            Layout::JsonLines
        } else {
            let layout = csv_layout(&lines, format)?;
            held = lines.advance()?;
            layout
        };
        if held && !given && format == TraceFormat::Azure2023 && zoned(&lines, &layout) {
            format = TraceFormat::Azure2024;
        }
        Ok(Self {
            lines,
            format,
            layout,
            held,
            any_order: false,
            last_ns: 0,
            last_text: String::new(),
        })
    }

    /// Lets stamps come in any order.
    #[must_use]
    pub fn any_order(mut self) -> Self {
        self.any_order = true;
        self
    }

    /// The format, as given or as detected.
    #[must_use]
    pub fn format(&self) -> TraceFormat {
        self.format
    }

    /// The next record, failed ones included; none at the end.
    ///
    /// # Errors
    /// When the next line cannot be read or holds what is not allowed.
    pub fn next_record(&mut self) -> Result<Option<TraceRecord>, TraceError> {
        if !std::mem::take(&mut self.held) && !self.lines.advance()? {
            return Ok(None);
        }
        let (values, hashes) = match self.layout {
            Layout::Csv { at, width } => (csv_values(&self.lines, at, width)?, (None, 0)),
            Layout::JsonLines => json_values(&self.lines, self.format)?,
        };
        let mut record = self.record(&values)?;
        (record.hashes, record.hashed_tokens) = hashes;
        if record.t_ns < self.last_ns && !self.any_order {
            return Err(TraceError::Unsorted {
                path: self.lines.name(),
                line: self.lines.line(),
                stamp: shorten(&values[0]),
                previous: shorten(&self.last_text),
            });
        }
        self.last_ns = record.t_ns;
        self.last_text.clear();
        self.last_text.push_str(&values[0]);
        Ok(Some(record))
    }

    fn record(&self, values: &[Cow<'_, str>; 3]) -> Result<TraceRecord, TraceError> {
        let refuse = |which: usize, fault: &parse::Fault| TraceError::Value {
            path: self.lines.name(),
            line: self.lines.line(),
            field: self.place(which),
            value: shorten(&values[which]),
            why: fault.why,
            allowed: fault.allowed,
        };
        let t_ns = parse::stamp(&values[0], self.format.stamp()).map_err(|f| refuse(0, &f))?;
        let prompt_tokens = parse::tokens(&values[1]).map_err(|f| refuse(1, &f))?;
        let output_tokens = parse::tokens(&values[2]).map_err(|f| refuse(2, &f))?;
        if prompt_tokens == 0 && self.format != TraceFormat::BurstGpt {
            return Err(refuse(1, &parse::empty_prompt()));
        }
        Ok(TraceRecord {
            t_ns,
            prompt_tokens,
            output_tokens,
            failed: prompt_tokens == 0 || output_tokens == 0,
            hashes: None,
            hashed_tokens: 0,
        })
    }

    fn place(&self, which: usize) -> Text {
        let name = self.format.columns()[which];
        match self.layout {
            Layout::Csv { at, .. } => format!("column {} (`{name}`)", at[which] + 1).into(),
            Layout::JsonLines => format!("key `{name}`").into(),
        }
    }

    /// The line of the record last read, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.lines.line()
    }

    pub(crate) fn name(&self) -> Text {
        self.lines.name()
    }
}

impl fmt::Debug for RecordReader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RecordReader")
            .field("name", &self.lines.name())
            .field("format", &self.format)
            .field("line", &self.lines.line())
            .finish_non_exhaustive()
    }
}

fn detect(lines: &Lines) -> Result<TraceFormat, TraceError> {
    TraceFormat::of_header(&header(lines.text())).ok_or_else(|| TraceError::UnknownFormat {
        path: lines.name(),
        first: shorten(lines.text()),
        known: TraceFormat::known().into(),
    })
}

fn header(line: &str) -> Vec<String> {
    let trim = |column: Cow<'_, str>| column.trim().to_owned();
    split(line).into_iter().map(trim).collect()
}

fn csv_layout(lines: &Lines, format: TraceFormat) -> Result<Layout, TraceError> {
    let header = header(lines.text());
    let mut at = [0; 3];
    for (slot, name) in at.iter_mut().zip(format.columns()) {
        let mut found = (0..header.len()).filter(|i| header[*i] == name);
        *slot = found.next().ok_or_else(|| {
            let here = header.iter().map(String::as_str);
            missing(lines, format, "column", name, here)
        })?;
        if found.next().is_some() {
            let path = lines.name();
            return Err(TraceError::DuplicateColumn { path, name });
        }
    }
    let width = header.len();
    Ok(Layout::Csv { at, width })
}

fn missing<'a>(
    lines: &Lines,
    format: TraceFormat,
    what: &'static str,
    name: &'static str,
    here: impl Iterator<Item = &'a str>,
) -> TraceError {
    let folded = name.to_lowercase();
    let near = |other: &&str| {
        let score = strsim::jaro_winkler(&folded, &other.to_lowercase());
        (score * 1e6) as u64
    };
    TraceError::MissingColumn {
        path: lines.name(),
        line: lines.line(),
        what,
        name,
        format: format.name(),
        nearest: shorten(here.max_by_key(near).unwrap_or("")),
    }
}

/// Whether the stamp of the row now held ends in a zone.
fn zoned(lines: &Lines, layout: &Layout) -> bool {
    let Layout::Csv { at, .. } = layout else {
        return false;
    };
    let fields = split(lines.text());
    let stamp = fields.get(at[0]).map_or("", |field| field.trim());
    stamp.ends_with('Z') || stamp.contains('+') || stamp.matches('-').count() > 2
}

fn csv_values(
    lines: &Lines,
    at: [usize; 3],
    width: usize,
) -> Result<[Cow<'_, str>; 3], TraceError> {
    let mut fields = split(lines.text());
    if fields.len() != width {
        return Err(TraceError::FieldCount {
            path: lines.name(),
            line: lines.line(),
            found: fields.len(),
            expected: width,
            value: shorten(lines.text()),
        });
    }
    Ok(at.map(|column| trimmed(std::mem::take(&mut fields[column]))))
}

fn trimmed(field: Cow<'_, str>) -> Cow<'_, str> {
    match field {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// Splits a row of CSV; only a row with quotes takes the long way.
fn split(line: &str) -> Vec<Cow<'_, str>> {
    if !line.contains('"') {
        return line.split(',').map(Cow::Borrowed).collect();
    }
    let mut rows = csv::ReaderBuilder::new();
    let mut rows = rows.has_headers(false).from_reader(line.as_bytes());
    let row = rows.records().next().and_then(Result::ok);
    let row = row.unwrap_or_default();
    row.iter().map(|f| Cow::Owned(f.to_owned())).collect()
}

/// The three values of a line, and the hashes of the prompt where it has them, with the tokens that
/// each stands for.
type JsonValues<'a> = ([Cow<'a, str>; 3], (Option<Arc<[u64]>>, u32));

fn json_values(lines: &Lines, format: TraceFormat) -> Result<JsonValues<'_>, TraceError> {
    #[derive(serde::Deserialize)]
    struct Row {
        hash_ids: Option<Vec<u64>>,
        block_size: Option<u32>,
        timestamp: Option<Value>,
        input_length: Option<Value>,
        output_length: Option<Value>,
    }
    let refuse = |fault: &serde_json::Error| TraceError::Json {
        path: lines.name(),
        line: lines.line(),
        column: fault.column(),
        value: shorten(lines.text()),
        detail: without_place(&fault.to_string()).into(),
    };
    if !lines.text().trim_start().starts_with('{') {
        return Err(TraceError::Json {
            path: lines.name(),
            line: lines.line(),
            column: 1,
            value: shorten(lines.text()),
            detail: "it does not start with `{`".into(),
        });
    }
    let row: Row = serde_json::from_str(lines.text()).map_err(|fault| refuse(&fault))?;
    let values = [row.timestamp, row.input_length, row.output_length];
    let mut out = [const { Cow::Borrowed("") }; 3];
    for ((slot, value), name) in out.iter_mut().zip(values).zip(format.columns()) {
        let Some(value) = value else {
            let all: Map<String, Value> =
                serde_json::from_str(lines.text()).map_err(|fault| refuse(&fault))?;
            let here = all.keys().map(String::as_str);
            return Err(missing(lines, format, "key", name, here));
        };
        *slot = Cow::Owned(value.to_string());
    }
    if row.block_size == Some(0) {
        return Err(TraceError::Value {
            path: lines.name(),
            line: lines.line(),
            field: "key `block_size`".into(),
            value: "0".into(),
            why: "is no number of tokens",
            allowed: "1 or more",
        });
    }
    let hashed = match row.hash_ids {
        Some(_) => row.block_size.unwrap_or(HASHED_TOKENS),
        None => 0,
    };
    Ok((out, (row.hash_ids.map(Arc::from), hashed)))
}

/// A message of `serde_json` without its "at line 1 column n": a line here is a whole document.
fn without_place(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}
