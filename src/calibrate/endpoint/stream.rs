//! The stream of an answer: when its texts came, and how it ended.

use super::chunk::{self, DONE, excerpt};
use super::outcome::{Answer, Failed, Kind};
use super::sse::{Events, SseError};

/// A stream as it comes.
#[derive(Debug, Default)]
pub struct Stream {
    events: Events,
    /// When texts came, milliseconds after the sending.
    texts_ms: Vec<f64>,
    usage: Option<(u32, u32)>,
    /// An end of the answer was seen.
    ended: bool,
    /// That of the stream was seen.
    pub done: bool,
}

impl Stream {
    /// Takes bytes that came so many milliseconds after the sending.
    ///
    /// # Errors
    /// What is no stream of completions, or what the server says went wrong.
    pub fn take(&mut self, bytes: &[u8], now_ms: f64) -> Result<(), Failed> {
        let events = self.events.feed(bytes).map_err(|error| {
            let kind = match error {
                SseError::NotUtf8 => Kind::NotUtf8,
                SseError::TooLong => Kind::Malformed,
            };
            Failed::new(kind, error.to_string())
        })?;
        for data in events {
            if data == DONE {
                self.done = true;
                continue;
            }
            let chunk = chunk::read(&data).map_err(|said| Failed::new(Kind::Malformed, said))?;
            if let Some(said) = chunk.error {
                return Err(Failed::new(Kind::ServerError, excerpt(&said)));
            }
            if chunk.has_text {
                self.texts_ms.push(now_ms);
            }
            self.ended |= chunk.ended;
            self.usage = chunk.usage.or(self.usage);
        }
        Ok(())
    }

    /// The answer of a stream that ended then.
    ///
    /// # Errors
    /// It broke off, or had no text.
    pub fn answer(self, now_ms: f64) -> Result<Answer, Failed> {
        if !self.done && !self.ended {
            let detail = format!(
                "it ended after {} pieces of text without saying so",
                self.texts_ms.len()
            );
            return Err(Failed::new(Kind::Cut, detail));
        }
        let Some(first) = self.texts_ms.first() else {
            return Err(Failed::new(Kind::Empty, "no event had text"));
        };
        let pieces = self.texts_ms.len() as u32;
        Ok(Answer {
            ttft_ms: *first,
            itl_ms: self
                .texts_ms
                .windows(2)
                .map(|pair| pair[1] - pair[0])
                .collect(),
            e2e_ms: now_ms,
            prompt_tokens: self.usage.map(|usage| usage.0),
            output_tokens: self.usage.map_or(pieces, |usage| usage.1),
            counted: self.usage.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_become_an_answer() {
        let mut stream = Stream::default();
        let piece = r#"data: {"choices":[{"text":"a","finish_reason":null}]}"#;
        for at in [30.0, 40.0, 60.0] {
            stream.take(format!("{piece}\n\n").as_bytes(), at).unwrap();
        }
        let usage = r#"data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":7}}"#;
        stream
            .take(format!("{usage}\n\ndata: [DONE]\n\n").as_bytes(), 61.0)
            .unwrap();
        let answer = stream.answer(62.0).unwrap();
        assert_eq!((answer.ttft_ms, answer.e2e_ms), (30.0, 62.0));
        assert_eq!(answer.itl_ms, [10.0, 20.0]);
        // Seven tokens in three pieces: those of two pieces came in the 30 ms after the first.
        let tpot_ms = answer.tpot_ms().unwrap();
        assert!((tpot_ms - 30.0 / (7.0 * 2.0 / 3.0)).abs() < 1e-12);
        assert_eq!(answer.prompt_tokens, Some(7));
    }
}
