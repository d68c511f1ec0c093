//! Server-sent events, as WHATWG HTML section 9.2 has them, from bytes as they come.

/// The longest line that is taken, bytes: a token with its probabilities is far shorter.
const LONGEST_LINE: usize = 1 << 20;

/// Why a stream is none of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line that is no text.
    #[error("a line is not UTF-8")]
    NotUtf8,
    /// A line without an end.
    #[error("a line is longer than 1 MiB")]
    TooLong,
}

/// A reader of a stream, fed piece by piece.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
    data: Option<String>,
    /// The last byte was a carriage return: a line feed after it ends no other line.
    returned: bool,
    begun: bool,
}

impl Events {
    /// Takes the next bytes, and gives the data of the events that end in them.
    ///
    /// # Errors
    /// [`SseError`]; the stream is of no use after one.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<String>, SseError> {
        let mut ended = Vec::new();
        for byte in bytes {
            let after_return = std::mem::replace(&mut self.returned, *byte == b'\r');
            match *byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => ended.extend(self.end_line()?),
                _ if self.line.len() >= LONGEST_LINE => return Err(SseError::TooLong),
                byte => self.line.push(byte),
            }
        }
        Ok(ended)
    }

    /// The event that an empty line ends; other lines add to it.
    fn end_line(&mut self) -> Result<Option<String>, SseError> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8(line).map_err(|_| SseError::NotUtf8)?;
        let begun = std::mem::replace(&mut self.begun, true);
        let line = match line.strip_prefix('\u{feff}') {
            Some(rest) if !begun => rest,
            _ => line.as_str(),
        };
        if line.is_empty() {
            return Ok(self.data.take());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: hello\n\ndata: one\n\nevent: x\r\ndata:two\r\ndata:  three\r\n\r\n\
                          id: 7\rdata\r\rdata: lost";

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let expected = ["one", "two\n three", ""];
        for size in [1, 2, 3, 7, STREAM.len()] {
            let mut events = Events::default();
            let mut found = Vec::new();
            for piece in STREAM.as_bytes().chunks(size) {
                found.extend(events.feed(piece).unwrap());
            }
            assert_eq!(found, expected, "pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_text_or_has_no_end_is_refused() {
        assert_eq!(
            Events::default().feed(b"data: \xff\n"),
            Err(SseError::NotUtf8)
        );
        let long = vec![b'x'; LONGEST_LINE + 1];
        assert_eq!(Events::default().feed(&long), Err(SseError::TooLong));
    }
}
