//! Lines of a plain or gzipped text, of bounded length and checked as UTF-8.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::MAX_LINE_BYTES;
use super::error::{Text, TraceError};
use crate::inputs::note;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 64 * 1024;
const BOM: &str = "\u{feff}";

/// Reads lines one at a time into one buffer that is used again.
pub(crate) struct Lines {
    name: Text,
    input: Box<dyn BufRead + Send + Sync>,
    gzip: bool,
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
        let mut start = [0u8; 2];
        let mut plain = BufReader::with_capacity(BUFFER_BYTES, input);
        let held = fill(&mut plain, &mut start).map_err(|fault| TraceError::Io {
            path: name.clone(),
            line: 0,
            detail: fault.to_string().into(),
        })?;
        let gzip = held == 2 && start == GZIP_MAGIC;
        let whole = io::Cursor::new(start).take(held as u64).chain(plain);
        let input: Box<dyn BufRead + Send + Sync> = if gzip {
            let decoder = MultiGzDecoder::new(whole);
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
        } else {
            Box::new(whole)
        };
        Ok(Self {
            name,
            input,
            gzip,
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
            let (path, line, gzip) = (&self.name, self.line, self.gzip);
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(fault) if fault.kind() == ErrorKind::Interrupted => continue,
                Err(fault) => return Err(read_error(path, line, gzip, &fault)),
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

/// Reads until `into` is full or the input ends; returns how many bytes it got.
fn fill(input: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut held = 0;
    while held < into.len() {
        match input.read(&mut into[held..]) {
            Ok(0) => break,
            Ok(got) => held += got,
            Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(held)
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

fn read_error(path: &Text, line: u64, gzip: bool, fault: &io::Error) -> TraceError {
    let (path, detail) = (path.clone(), fault.to_string().into());
    match fault.kind() {
        ErrorKind::UnexpectedEof if gzip => TraceError::Truncated { path, line },
        ErrorKind::InvalidInput | ErrorKind::InvalidData if gzip => {
            TraceError::Corrupt { path, line, detail }
        }
        _ => TraceError::Io { path, line, detail },
    }
}
