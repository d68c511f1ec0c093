//! The journal of a capture: every row is on the disk as soon as it is measured.
//!
//! JSON lines: a header that says what is measured where, then a line for each row.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::operation::{NumberType, Operation};
use super::record::{DeviceFacts, PlanFacts, RecordError, Row, Software, Unmeasured};

/// What a journal is of. A capture goes on only with an equal one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the format.
    pub schema: u32,
    /// The program with its version.
    pub tool: String,
    /// The device.
    pub device: DeviceFacts,
    /// The libraries.
    pub software: Software,
    /// What was asked for.
    pub plan: PlanFacts,
}

/// A line after the header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// Measured.
    Row(Box<Row>),
    /// Could not be measured.
    Failure(Unmeasured),
}

impl Entry {
    /// What the line is about.
    #[must_use]
    pub fn key(&self) -> (&Operation, Option<NumberType>) {
        match self {
            Self::Row(row) => (&row.operation, row.dtype),
            Self::Failure(failure) => (&failure.operation, failure.dtype),
        }
    }
}

/// Why a journal cannot be gone on with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] RecordError),
    /// There is one, and nobody said what to do with it.
    #[error(
        "{file}: a capture was interrupted; go on with it by `--resume`, or remove the file to \
         begin anew"
    )]
    Interrupted {
        /// The journal.
        file: String,
    },
    /// There is none to go on with, and a calibration that would be written over.
    #[error(
        "{out}: is a finished calibration, and there is no journal ({file}) to go on with; leave \
         `--resume` out to measure anew and write over it, or name another `--out`"
    )]
    Finished {
        /// The calibration.
        out: String,
        /// The journal.
        file: String,
    },
    /// It is of something else.
    #[error(
        "{file}: the journal is of another {what} ({there}; now {here}); measure as it was begun, \
         or remove the file to begin anew"
    )]
    Other {
        /// The journal.
        file: String,
        /// What differs.
        what: &'static str,
        /// What the journal has.
        there: String,
        /// What is now.
        here: String,
    },
    /// A line is not one of a journal's.
    #[error(
        "{file}: line {line} is damaged ({reason}); remove the line, or the file to begin anew"
    )]
    Damaged {
        /// The journal.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// A journal that is written.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// The journal beside a calibration file.
    #[must_use]
    pub fn path_of(out: &Path) -> PathBuf {
        let mut name = out.file_name().unwrap_or_default().to_owned();
        name.push(".journal");
        out.with_file_name(name)
    }

    /// Begins a journal, or goes on with the one that is there, and returns what it has.
    ///
    /// # Errors
    /// It cannot be read or written, is of something else, is there and `resume` was not asked, or was
    /// asked beside a finished calibration.
    pub fn open(
        out: &Path,
        header: &Header,
        resume: bool,
    ) -> Result<(Journal, Vec<Entry>), JournalError> {
        let path = Self::path_of(out);
        let file = path.display().to_string();
        let failed = |what: &str, error: &std::io::Error| RecordError::File {
            file: file.clone(),
            cause: format!("cannot be {what} ({error})"),
            remedy: "check the folder of `--out` and the space left",
        };
        let there = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("read", &error).into()),
        };
        if there.is_some() && !resume {
            return Err(JournalError::Interrupted { file });
        }
        if there.is_none() && resume && out.exists() {
            let out = out.display().to_string();
            return Err(JournalError::Finished { out, file });
        }
        // A last line without its end was cut off while it was written: it is measured again.
        let text = there.unwrap_or_default();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let entries = entries(&file, &text[..whole], header)?;
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let handle = opened.map_err(|error| failed("written", &error))?;
        if whole < text.len() {
            handle
                .set_len(whole as u64)
                .map_err(|error| failed("written", &error))?;
        }
        let mut journal = Journal { file: handle, path };
        if whole == 0 {
            journal.line(header)?;
        }
        Ok((journal, entries))
    }

    /// Adds a line; it is on the disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.line(entry)
    }

    fn line<T: Serialize>(&mut self, value: &T) -> Result<(), JournalError> {
        let mut line = serde_json::to_string(value).unwrap_or_default();
        line.push('\n');
        let written = self.file.write_all(line.as_bytes());
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|error| {
                JournalError::File(RecordError::File {
                    file: self.path.display().to_string(),
                    cause: format!("cannot be written ({error})"),
                    remedy: "check the space left",
                })
            })
    }

    /// Removes the journal, once the calibration is written.
    pub fn remove(self) {
        // What is left behind is refused by name the next time.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The lines after the header, which must be equal to this one.
fn entries(file: &str, text: &str, header: &Header) -> Result<Vec<Entry>, JournalError> {
    let damaged = |index: usize, reason: String| JournalError::Damaged {
        file: file.to_owned(),
        line: index + 1,
        reason,
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut lines = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        if index == 0 {
            let there: Header =
                serde_json::from_str(line).map_err(|error| damaged(index, error.to_string()))?;
            same(file, &there, header)?;
            continue;
        }
        let entry: Entry =
            serde_json::from_str(line).map_err(|error| damaged(index, error.to_string()))?;
        if let Entry::Row(row) = &entry {
            let place = format!("line {} ", index + 1);
            row.check(file, &place)?;
        }
        let (operation, dtype) = entry.key();
        let text = operation.text();
        if let Some(first) = lines.insert((operation.clone(), dtype), index + 1) {
            return Err(damaged(index, format!("{text} is in line {first} already")));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn same(file: &str, there: &Header, here: &Header) -> Result<(), JournalError> {
    let parts = |header: &Header| {
        [
            ("version of the format", json(&header.schema)),
            ("device or driver", json(&header.device)),
            ("version of the libraries", json(&header.software)),
            ("plan", json(&header.plan)),
            ("version of seatrial", json(&header.tool)),
        ]
    };
    for ((what, there), (_, here)) in parts(there).into_iter().zip(parts(here)) {
        if there != here {
            return Err(JournalError::Other {
                file: file.to_owned(),
                what,
                there,
                here,
            });
        }
    }
    Ok(())
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
