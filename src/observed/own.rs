//! A request file of this program (`run --requests FILE.csv`) as a log: what a simulated fleet
//! would have written down.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::record::{Ending, Observed, Tokens};
use crate::inputs::note;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ObservedError {
    /// The file cannot be opened or read.
    #[error("{file}: cannot read: {reason}; check the path, and that the file is whole")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// A column is missing.
    #[error(
        "{file}: column {column} is missing: a request file must have arrival_ns, prompt_tokens, \
         output_tokens and status; write it with `seatrial run --requests FILE.csv`"
    )]
    Column {
        /// The file.
        file: String,
        /// The column.
        column: &'static str,
    },
    /// A value is not what it must be.
    #[error("{file}:{line}: {column} = {value:?}: must be {allowed}; correct or remove this line")]
    Value {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// The value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

/// Reads a request file, plain or gzipped.
///
/// # Errors
/// When it cannot be read, or has a value that is not allowed.
pub fn read(path: &Path) -> Result<Vec<Observed>, ObservedError> {
    let file = path.display().to_string();
    let unreadable = |error: &dyn std::fmt::Display| ObservedError::Unreadable {
        file: file.clone(),
        reason: error.to_string(),
    };
    note(path);
    let mut input = BufReader::new(File::open(path).map_err(|error| unreadable(&error))?);
    let start = input.fill_buf().map_err(|error| unreadable(&error))?;
    match start.starts_with(&[0x1f, 0x8b]) {
        true => read_from(&file, MultiGzDecoder::new(input)),
        false => read_from(&file, input),
    }
}

/// The columns that are read.
struct Columns {
    arrival: usize,
    prompt: usize,
    output: usize,
    status: usize,
    first_token: Option<usize>,
    last_token: Option<usize>,
    cached: Option<usize>,
    attempts: Option<usize>,
    tenant: Option<usize>,
}

impl Columns {
    fn of(file: &str, header: &csv::StringRecord) -> Result<Columns, ObservedError> {
        let find = |name: &str| header.iter().position(|column| column.trim() == name);
        let need = |column: &'static str| {
            find(column).ok_or_else(|| ObservedError::Column {
                file: file.to_owned(),
                column,
            })
        };
        Ok(Columns {
            arrival: need("arrival_ns")?,
            prompt: need("prompt_tokens")?,
            output: need("output_tokens")?,
            status: need("status")?,
            first_token: find("first_token_ns"),
            last_token: find("last_token_ns"),
            cached: find("cached_tokens"),
            attempts: find("attempts"),
            tenant: find("tenant"),
        })
    }
}

fn read_from(file: &str, input: impl Read) -> Result<Vec<Observed>, ObservedError> {
    let unreadable = |error: csv::Error| ObservedError::Unreadable {
        file: file.to_owned(),
        reason: error.to_string(),
    };
    let mut reader = csv::Reader::from_reader(input);
    let columns = Columns::of(file, reader.headers().map_err(unreadable)?)?;
    let mut log = Vec::new();
    let mut row = csv::StringRecord::new();
    while reader.read_record(&mut row).map_err(unreadable)? {
        log.push(Row { file, row: &row }.observed(&columns)?);
    }
    Ok(log)
}

struct Row<'a> {
    file: &'a str,
    row: &'a csv::StringRecord,
}

impl Row<'_> {
    fn refuse(&self, column: &'static str, value: &str, allowed: &'static str) -> ObservedError {
        ObservedError::Value {
            file: self.file.to_owned(),
            line: self.row.position().map_or(0, csv::Position::line),
            column,
            value: value.to_owned(),
            allowed,
        }
    }

    fn text(&self, at: usize) -> &str {
        self.row.get(at).unwrap_or_default().trim()
    }

    /// A whole number; none where the field is empty.
    fn number<T: std::str::FromStr>(
        &self,
        at: Option<usize>,
        column: &'static str,
    ) -> Result<Option<T>, ObservedError> {
        let Some(text) = at.map(|at| self.text(at)).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let read = text.parse::<T>().map(Some);
        read.map_err(|_| self.refuse(column, text, "a whole number of 0 or more, not too large"))
    }

    fn observed(&self, columns: &Columns) -> Result<Observed, ObservedError> {
        let arrival = self.number::<u64>(Some(columns.arrival), "arrival_ns")?;
        let t_ns = arrival.ok_or_else(|| self.refuse("arrival_ns", "", "a stamp in ns"))?;
        let since = |at: Option<usize>, column: &'static str| match self.number::<u64>(at, column)? {
            None => Ok(None),
            Some(stamp) if stamp >= t_ns => Ok(Some(stamp - t_ns)),
            Some(stamp) => {
                let allowed = "arrival_ns or later";
                Err(self.refuse(column, &stamp.to_string(), allowed))
            }
        };
        let tokens = |at: usize, column: &'static str| -> Result<Tokens, ObservedError> {
            Ok(Tokens {
                count: self.number(Some(at), column)?.unwrap_or(0),
                inferred: false,
            })
        };
        let status = self.text(columns.status);
        let ending = ending_of(status)
            .ok_or_else(|| self.refuse("status", status, "a status of a request file"))?;
        let tenant = columns.tenant.map(|at| self.text(at));
        Ok(Observed {
            t_ns,
            ending,
            prompt: tokens(columns.prompt, "prompt_tokens")?,
            output: tokens(columns.output, "output_tokens")?,
            cached_tokens: self.number(columns.cached, "cached_tokens")?,
            ttft_ns: since(columns.first_token, "first_token_ns")?,
            e2e_ns: since(columns.last_token, "last_token_ns")?,
            attempts: self.number(columns.attempts, "attempts")?.unwrap_or(1).max(1),
            tenant: tenant.filter(|it| !it.is_empty()).map(str::to_owned),
            session: None,
            model: None,
        })
    }
}

/// What a status says of the end. One that was under way when the log ended was not answered in time.
fn ending_of(status: &str) -> Option<Ending> {
    let known = crate::fleet::request::Status::ALL;
    let known = known.iter().any(|it| it.name() == status);
    (known || status == "in_flight").then(|| crate::replay::night::ending_of(status))
}
