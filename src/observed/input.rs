//! A file as a stream of text, plain, gzipped or zstd-compressed, that knows its place.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;
use std::rc::Rc;

use super::error::ObservedError;
use crate::inputs::note;
use crate::trace::error::Text;
use crate::trace::lines::open_error;
use crate::trace::packed::Unpacked;

/// The longest line that is read, bytes: spans and payloads may hold whole conversations.
pub const MAX_LINE_BYTES: usize = 16 << 20;
/// How much of the start is looked at to tell the format, bytes.
const HEAD_BYTES: usize = 64 << 10;
const BOM: &[u8] = "\u{feff}".as_bytes();
/// The byte-order marks of UTF-16.
const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// A place in a text: line from 1, bytes of that line read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: u64,
    /// Bytes of it that were read.
    pub column: u64,
}

/// How much more may be read before what is being read is too long to be held in memory; none while
/// nothing of it is held.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowance(Rc<Cell<Option<u64>>>);

impl Allowance {
    /// From here on, as much as a line may have.
    pub(super) fn begin(&self) {
        self.0.set(Some(MAX_LINE_BYTES as u64));
    }

    /// From here on, any length.
    pub(super) fn lift(&self) {
        self.0.set(None);
    }

    fn is_spent(&self) -> bool {
        self.0.get() == Some(0)
    }

    fn spend(&self, bytes: usize) {
        if let Some(left) = self.0.get() {
            self.0.set(Some(left.saturating_sub(bytes as u64)));
        }
    }
}

/// What [`Input::next_line`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// A line, without its end.
    Whole,
    /// A line longer than [`MAX_LINE_BYTES`], passed over.
    TooLong,
    /// The end of the text.
    End,
}

/// A text that is read once, from its start.
pub struct Input {
    name: Text,
    /// A document is taken byte by byte: the buffer is here, not behind the box.
    reader: BufReader<Box<dyn Read>>,
    packed: Option<&'static str>,
    head: Vec<u8>,
    at: Rc<Cell<Place>>,
    last: u8,
    allowance: Allowance,
    fault: Option<ObservedError>,
}

impl Input {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read, or its compressed data is damaged at the start.
    pub fn open(path: &Path) -> Result<Input, ObservedError> {
        let name: Text = path.display().to_string().into();
        note(path);
        let file = File::open(path).map_err(|fault| open_error(&name, &fault))?;
        let about = file.metadata().map_err(|fault| open_error(&name, &fault))?;
        if about.is_dir() {
            return Err(crate::trace::TraceError::IsDirectory { path: name }.into());
        }
        Input::new(name, file)
    }

    /// Reads from any reader; `name` stands for the file in errors.
    ///
    /// # Errors
    /// As [`Input::open`].
    pub fn new(
        name: Text,
        input: impl Read + Send + Sync + 'static,
    ) -> Result<Input, ObservedError> {
        let failed = |packed, fault: &io::Error| ObservedError::reading(&name, packed, 0, fault);
        let unpacked = Unpacked::new(input).map_err(|fault| failed(None, &fault))?;
        let (packed, mut reader) = (unpacked.kind, unpacked.text);
        let mut head = Vec::new();
        let read = reader
            .by_ref()
            .take(HEAD_BYTES as u64)
            .read_to_end(&mut head);
        read.map_err(|fault| failed(packed, &fault))?;
        if head.starts_with(BOM) {
            head.drain(..BOM.len());
        }
        if UTF_16.iter().any(|mark| head.starts_with(mark)) {
            return Err(ObservedError::Utf16 { path: name });
        }
        let reader: Box<dyn Read> = Box::new(io::Cursor::new(head.clone()).chain(reader));
        let reader = BufReader::with_capacity(HEAD_BYTES, reader);
        Ok(Input {
            name,
            reader,
            packed,
            head,
            at: Rc::new(Cell::new(Place { line: 1, column: 0 })),
            last: b'\n',
            allowance: Allowance::default(),
            fault: None,
        })
    }

    /// The name of the file, for errors.
    pub fn name(&self) -> &Text {
        &self.name
    }

    /// The first 64 KiB of the text.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Where it is; a copy of the cell follows along.
    pub fn place(&self) -> Rc<Cell<Place>> {
        Rc::clone(&self.at)
    }

    /// Reads the next line into `into`, without its end; what is over the limit is passed over.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub fn next_line(&mut self, into: &mut Vec<u8>) -> Result<Line, ObservedError> {
        into.clear();
        let (mut any, mut too_long) = (false, false);
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(fault) if fault.kind() == ErrorKind::Interrupted => continue,
                Err(fault) => return Err(self.failed(&fault)),
            };
            if chunk.is_empty() {
                break;
            }
            any = true;
            let end = memchr::memchr(b'\n', chunk);
            let taken = end.unwrap_or(chunk.len());
            too_long |= into.len() + taken > MAX_LINE_BYTES;
            if !too_long {
                into.extend_from_slice(&chunk[..taken]);
            }
            self.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                break;
            }
        }
        if into.last() == Some(&b'\r') {
            into.pop();
        }
        Ok(match (any, too_long) {
            (false, _) => Line::End,
            (true, true) => Line::TooLong,
            (true, false) => Line::Whole,
        })
    }

    /// Whether the line that [`Input::next_line`] last gave breaks off with the text, without an end.
    pub(super) fn line_breaks_off(&self) -> bool {
        self.last != b'\n'
    }

    /// How much more may be read through [`Read`] of what is held in memory; it is
    /// counted down here.
    pub(super) fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }

    /// The number of the line that [`Input::next_line`] last gave.
    pub fn line_read(&self) -> u64 {
        let at = self.at.get();
        at.line - u64::from(self.last == b'\n' && at.line > 1)
    }

    /// Passes over the rest of this line, unless it has just ended.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub(super) fn end_line(&mut self) -> Result<(), ObservedError> {
        if self.last != b'\n' {
            self.next_line(&mut Vec::new())?;
        }
        Ok(())
    }

    /// Whether there is nothing but white space left; passes over it.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub(super) fn only_blank_left(&mut self) -> Result<bool, ObservedError> {
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(fault) if fault.kind() == ErrorKind::Interrupted => continue,
                Err(fault) => return Err(self.failed(&fault)),
            };
            if chunk.is_empty() {
                return Ok(true);
            }
            let blank = chunk.iter().take_while(|b| b.is_ascii_whitespace()).count();
            let more = blank < chunk.len();
            self.consume(blank);
            if more {
                return Ok(false);
            }
        }
    }

    /// A fault of the file that ended reading through [`Read`], if any.
    pub(super) fn take_fault(&mut self) -> Option<ObservedError> {
        self.fault.take()
    }

    /// Takes so many bytes of those that are in the buffer.
    fn consume(&mut self, bytes: usize) {
        let taken = self.reader.buffer();
        let taken = &taken[..bytes.min(taken.len())];
        let Some(last) = taken.last() else {
            return;
        };
        self.last = *last;
        let mut at = self.at.get();
        match taken {
            [b'\n'] => (at.line, at.column) = (at.line + 1, 0),
            [_] => at.column += 1,
            _ => {
                at.line += memchr::memchr_iter(b'\n', taken).count() as u64;
                at.column = match memchr::memrchr(b'\n', taken) {
                    Some(end) => (taken.len() - end - 1) as u64,
                    None => at.column + taken.len() as u64,
                };
            }
        }
        self.at.set(at);
        self.allowance.spend(bytes);
        self.reader.consume(bytes);
    }

    /// Says so where what is being read is too long to be held.
    fn check_allowance(&mut self) -> io::Result<()> {
        if !self.allowance.is_spent() {
            return Ok(());
        }
        self.fault = Some(ObservedError::TooLarge {
            path: self.name.clone(),
            line: self.at.get().line,
            what: "item or row",
            limit: "16 MiB",
            remedy: "leave recorded prompts and answers out of it; of CSV, check that every quote \
                     is closed",
        });
        Err(io::Error::other("longer than what is held in memory"))
    }

    fn failed(&self, fault: &io::Error) -> ObservedError {
        ObservedError::reading(&self.name, self.packed, self.at.get().line, fault)
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Input")
            .field("name", &self.name)
            .field("at", &self.at.get())
            .finish_non_exhaustive()
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.check_allowance()?;
        let taken = match self.reader.fill_buf() {
            Ok(chunk) => {
                let taken = chunk.len().min(into.len());
                into[..taken].copy_from_slice(&chunk[..taken]);
                taken
            }
            Err(fault) => {
                if fault.kind() != ErrorKind::Interrupted {
                    self.fault = Some(self.failed(&fault));
                }
                return Err(fault);
            }
        };
        self.consume(taken);
        Ok(taken)
    }
}
