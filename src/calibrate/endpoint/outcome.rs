//! What became of a request.

use std::collections::BTreeMap;

use serde::Serialize;

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Sending to first text, milliseconds.
    pub ttft_ms: f64,
    /// Between texts, milliseconds.
    pub itl_ms: Vec<f64>,
    /// Sending to the end of the stream, milliseconds.
    pub e2e_ms: f64,
    /// Tokens of the prompt, where the server counts them.
    pub prompt_tokens: Option<u32>,
    /// Tokens of the answer: as the server counts them, or the pieces of text that came.
    pub output_tokens: u32,
    /// Whether the server counted them.
    pub counted: bool,
}

impl Answer {
    /// Pieces of text that came, each with an event of its own.
    pub fn pieces(&self) -> u32 {
        self.itl_ms.len() as u32 + 1
    }

    /// Tokens of a piece, on average; below 1 where a token came in several.
    pub fn tokens_per_piece(&self) -> f64 {
        f64::from(self.output_tokens) / f64::from(self.pieces())
    }

    /// Mean time per token after those of the first piece, milliseconds; none where all came in one.
    /// How many tokens the first piece holds is not told: as many as the others on average are
    /// assumed, and one at least.
    pub fn tpot_ms(&self) -> Option<f64> {
        let spent: f64 = self.itl_ms.iter().sum();
        let after = f64::from(self.output_tokens) - self.tokens_per_piece().max(1.0);
        (self.pieces() > 1 && after > 0.0).then(|| spent / after)
    }
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No connection, or one that broke before anything came.
    Connection,
    /// The time of a request, or of the whole measurement, was over.
    Timeout,
    /// The server wants a key, or another one.
    Unauthorized,
    /// The server knows no such path or model.
    NotFound,
    /// The server turned it away for now.
    RateLimited,
    /// The server would not have it.
    Refused,
    /// The server failed.
    ServerError,
    /// What came is no stream of events.
    NotAStream,
    /// An event is not what it should be.
    Malformed,
    /// What came is no text.
    NotUtf8,
    /// The stream broke off.
    Cut,
    /// The stream ended without any text.
    Empty,
}

impl Kind {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Kind::Connection => "no connection",
            Kind::Timeout => "out of time",
            Kind::Unauthorized => "not authorised",
            Kind::NotFound => "not found",
            Kind::RateLimited => "rate limited",
            Kind::Refused => "refused",
            Kind::ServerError => "the server failed",
            Kind::NotAStream => "no stream of events",
            Kind::Malformed => "a malformed event",
            Kind::NotUtf8 => "not UTF-8",
            Kind::Cut => "the stream broke off",
            Kind::Empty => "an empty answer",
        }
    }
}

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}: {detail}", kind.words())]
pub struct Failed {
    /// The kind.
    pub kind: Kind,
    /// What the server or the system said.
    pub detail: String,
}

impl Failed {
    /// A failure with what was said of it.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Failed {
        Failed {
            kind,
            detail: detail.into(),
        }
    }
}

/// Failures of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// What was said of the first.
    pub first: String,
}

/// Failures by kind.
pub type Failures = BTreeMap<Kind, Counted>;

/// Counts failures by kind.
pub fn count(failed: impl Iterator<Item = Failed>) -> Failures {
    let mut failures = Failures::new();
    for failed in failed {
        let own = failures.entry(failed.kind).or_default();
        if own.count == 0 {
            own.first = failed.detail;
        }
        own.count += 1;
    }
    failures
}
