//! Lines of a plain or compressed text, of bounded length and checked as UTF-8.

use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Read};
use std::path::Path;

use super::MAX_LINE_BYTES;
use super::error::{Text, TraceError};
use super::packed::Unpacked;
use crate::inputs::note;

const BOM: &str = "\u{feff}";

/// Reads lines one at a time into one buffer that is used again.
pub(crate) struct Lines {
    name: Text,
    input: Box<dyn BufRead + Send + Sync>,
    packed: Option<&'static str>,
    line: u64,
    blank: Option<u64>,
    text: String,
}

impl Lines {
    /// Opens a file; a folder, a missing file and a forbidden one each get their own error.
    pub(crate) fn open(path: &Path) -> Result<Self, TraceError> {
        let name: Text = path.display().to_string().into();
        note(path);
        let file = File::open(path).map_err(|fault| open_error(&name, &fault))?;
        let about = file.metadata().map_err(|fault| open_error(&name, &fault))?;
        if about.is_dir() {
            return Err(TraceError::IsDirectory { path: name });
        }
        Self::new(name, file)
    }

    /// Reads from any reader; `name` stands for the file in errors.
    pub(crate) fn new(
        name: Text,
        input: impl Read + Send + Sync + 'static,
    ) -> Result<Self, TraceError> {
        let unpacked = Unpacked::new(input).map_err(|fault| TraceError::Io {
            path: name.clone(),
            line: 0,
            detail: fault.to_string().into(),
        })?;
        Ok(Self {
            name,
            input: unpacked.text,
            packed: unpacked.kind,
            line: 0,
            blank: None,
            text: String::new(),
        })
    }

    /// The name of the file, for errors.
    pub(crate) fn name(&self) -> Text {
        self.name.clone()
    }

    /// The number of the line held in [`Lines::text`], from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The line last read, without its line end.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Reads the next line; false at the end. Blank lines are allowed at the end only.
    pub(crate) fn advance(&mut self) -> Result<bool, TraceError> {
        while self.read_line()? {
            let blank = self.text.trim().is_empty();
            match self.blank {
                None if blank => self.blank = Some(self.line),
                None => return Ok(true),
                Some(_) if blank => {}
                Some(line) => {
                    let path = self.name();
                    return Err(TraceError::BlankLine { path, line });
                }
            }
        }
        Ok(false)
    }

    fn read_line(&mut self) -> Result<bool, TraceError> {
        let mut bytes = std::mem::take(&mut self.text).into_bytes();
        bytes.clear();
        let mut ended = false;
        while !ended {
            let (path, line, packed) = (&self.name, self.line, self.packed);
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(fault) if fault.kind() == ErrorKind::Interrupted => continue,
                Err(fault) => return Err(read_error(path, line, packed, &fault)),
            };
            if chunk.is_empty() {
                break;
            }
            let found = memchr::memchr(b'\n', chunk);
            let taken = found.unwrap_or(chunk.len());
            if bytes.len() + taken > MAX_LINE_BYTES + 1 {
                return Err(self.too_long());
            }
            bytes.extend_from_slice(&chunk[..taken]);
            ended = found.is_some();
            self.input.consume(taken + usize::from(ended));
        }
        if !ended && bytes.is_empty() {
            return Ok(false);
        }
        self.line += 1;
        self.keep(bytes)?;
        Ok(true)
    }

    /// Takes a whole line: cuts `\r` and the byte-order mark, checks length and encoding.
    fn keep(&mut self, mut bytes: Vec<u8>) -> Result<(), TraceError> {
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        if bytes.len() > MAX_LINE_BYTES {
            self.line -= 1;
            return Err(self.too_long());
        }
        self.text = String::from_utf8(bytes).map_err(|fault| {
            let at = fault.utf8_error().valid_up_to();
            TraceError::Utf8 {
                path: self.name(),
                line: self.line,
                column: at as u64 + 1,
                byte: fault.as_bytes().get(at).copied().unwrap_or(0),
            }
        })?;
        if self.line == 1 && self.text.starts_with(BOM) {
            self.text.drain(..BOM.len());
        }
        Ok(())
    }

    fn too_long(&self) -> TraceError {
        TraceError::LongLine {
            path: self.name(),
            line: self.line + 1,
        }
    }
}

pub(crate) fn open_error(path: &Text, fault: &io::Error) -> TraceError {
    let path = path.clone();
    match fault.kind() {
        ErrorKind::NotFound => TraceError::NotFound { path },
        ErrorKind::PermissionDenied => TraceError::Forbidden { path },
        ErrorKind::IsADirectory => TraceError::IsDirectory { path },
        _ => TraceError::Io {
            path,
            line: 0,
            detail: fault.to_string().into(),
        },
    }
}

fn read_error(
    path: &Text,
    line: u64,
    packed: Option<&'static str>,
    fault: &io::Error,
) -> TraceError {
    let (path, detail) = (path.clone(), fault.to_string().into());
    let Some(kind) = packed else {
        return TraceError::Io { path, line, detail };
    };
    match fault.kind() {
        ErrorKind::UnexpectedEof => TraceError::Truncated { path, kind, line },
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::Other => {
            TraceError::Corrupt {
                path,
                kind,
                line,
                detail,
            }
        }
        _ => TraceError::Io { path, line, detail },
    }
}
