//! One request as a log tells of it.

use serde::{Deserialize, Serialize};

/// Stamps from here on are dates, ns since 1970; below it a log has a zero of its own (some 30 years).
pub const DATED_NS: u64 = 1_000_000_000_000_000_000;

/// How a request ended, as far as a log tells. Names are those of results: see
/// [`Status`](crate::fleet::request::Status).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It had its whole answer.
    Completed,
    /// It was refused at once: no capacity, an open breaker, a rate limit (503 with Envoy's `UO`,
    /// 429 with `RL`, ...).
    Rejected,
    /// It was let in and then given up under load.
    Shed,
    /// Nobody answered in time (504, Envoy's `UT`).
    TimedOut,
    /// The server failed it (5xx otherwise, `UF`, `UC`, an error in the span).
    Failed,
    /// Its client went away (499, Envoy's `DC`).
    Cancelled,
}

impl Ending {
    /// All of them, in the order of results.
    pub const ALL: [Self; 6] = [
        Self::Completed,
        Self::Rejected,
        Self::Shed,
        Self::TimedOut,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Its name, as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Shed => "shed",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A number of tokens, and whether the log had it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// How many.
    pub count: u32,
    /// Whether it was inferred, from bytes or a distribution, rather than logged.
    pub inferred: bool,
}

/// One request as a log tells of it; retries of it are already joined to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// When its first try came to the gateway: ns since 1970 where the log has dates, else since
    /// the log's own zero.
    pub t_ns: u64,
    /// How it ended, its last try.
    pub ending: Ending,
    /// Length of its prompt.
    pub prompt: Tokens,
    /// Length of its answer.
    pub output: Tokens,
    /// Prompt tokens that a cache had.
    pub cached_tokens: Option<u32>,
    /// From arrival to the first token of the answer, ns.
    pub ttft_ns: Option<u64>,
    /// From arrival to its end, ns; of all its tries.
    pub e2e_ns: Option<u64>,
    /// Tries, one or more; none where the log does not tell.
    pub attempts: Option<u32>,
    /// Who asked.
    pub tenant: Option<String>,
    /// The conversation it belongs to.
    pub session: Option<String>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// Its prompt's blocks, where the log has hashes of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Blocks>,
}

/// Hashes of a prompt's blocks: equal ones at the start of two prompts are the same text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blocks {
    /// Tokens of a block.
    pub tokens: u32,
    /// A hash for each, over all before it too; the last block may be shorter.
    pub hashes: Vec<u64>,
}
