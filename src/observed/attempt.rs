//! One record of a log: a request, or one of several tries of it.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::record::{Blocks, Ending};

/// What an allocator takes beside what it was asked for, bytes.
pub(super) const ALLOCATION: usize = 16;

/// One record of a log, not yet joined to others. Stamps are ns since 1970, or since the log's
/// own zero where it has no dates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it came.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: Option<u64>,
    /// When the first token of its answer came.
    pub first_token_ns: Option<u64>,
    /// How it ended.
    pub ending: Ending,
    /// Prompt tokens, where logged.
    pub prompt: Option<u32>,
    /// Output tokens, where logged.
    pub output: Option<u32>,
    /// Whether those are what it would have had, though it did not complete.
    pub output_is_whole: bool,
    /// Whether the prompt's and the output's tokens were inferred by who wrote this.
    pub inferred: [bool; 2],
    /// Prompt tokens that a cache had.
    pub cached: Option<u32>,
    /// Bytes of its request.
    pub bytes_in: Option<u64>,
    /// Bytes of its answer.
    pub bytes_out: Option<u64>,
    /// Tries that this record already stands for, 1 or more.
    pub attempts: u32,
    /// Whether that is told: by a field, or by a log that has a record of every try.
    pub attempts_told: bool,
    /// What the tries of one request share: a trace id or a request id.
    pub key: Option<Box<str>>,
    /// Its own id among those of its key: of a span, or of a call within a trace.
    pub span: Option<Box<str>>,
    /// How it is known where it is delivered once more.
    pub again: Again,
    /// The span that it is a part of.
    pub parent: Option<Box<str>>,
    /// Who logged it: the service.
    pub logger: Option<Box<str>>,
    /// Who asked.
    pub tenant: Option<Box<str>>,
    /// The conversation it belongs to.
    pub session: Option<Box<str>>,
    /// The model that was asked for.
    pub model: Option<Box<str>>,
    /// Its prompt's blocks.
    pub blocks: Option<Blocks>,
    /// The log's own word for how it ended, such as `503 UO`.
    pub code: Option<Box<str>>,
    /// Its number in the log.
    pub number: u64,
}

/// How a record is known that is delivered once more: shippers of logs deliver at least once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Again {
    /// By its span: there is one record of it.
    BySpan,
    /// By all that it tells: of another try, the times would be others.
    ByAll,
    /// Not at all: its times are told to the second, and another try may fail within the same one.
    Never,
}

impl Attempt {
    /// A record of which nothing but its start is known; it is taken to have completed.
    pub fn at(start_ns: u64) -> Attempt {
        Attempt {
            start_ns,
            end_ns: None,
            first_token_ns: None,
            ending: Ending::Completed,
            prompt: None,
            output: None,
            output_is_whole: false,
            inferred: [false; 2],
            cached: None,
            bytes_in: None,
            bytes_out: None,
            attempts: 1,
            attempts_told: true,
            key: None,
            span: None,
            again: Again::ByAll,
            parent: None,
            logger: None,
            tenant: None,
            session: None,
            model: None,
            blocks: None,
            code: None,
            number: 0,
        }
    }

    /// What it takes in memory, bytes, near enough to bound what is held.
    pub(super) fn bytes(&self) -> usize {
        let texts = [
            &self.key,
            &self.span,
            &self.parent,
            &self.logger,
            &self.tenant,
            &self.session,
            &self.model,
            &self.code,
        ];
        let texts = texts.into_iter().flatten().map(|it| it.len() + ALLOCATION);
        let hashes = self.blocks.as_ref().map(|it| it.hashes.len() * 8);
        size_of::<Attempt>() + texts.sum::<usize>() + hashes.map_or(0, |it| it + ALLOCATION)
    }

    /// A hash of all that it tells, wherever it stands in the log.
    pub(super) fn told(&self) -> u64 {
        let times = (self.start_ns, self.end_ns, self.first_token_ns);
        let tokens = (self.prompt, self.output, self.cached);
        let marks = (self.output_is_whole, self.inferred, self.attempts);
        let ids = (&self.key, &self.span, &self.parent, &self.logger);
        let texts = (&self.tenant, &self.session, &self.model, &self.code);
        let bytes = (self.bytes_in, self.bytes_out);
        // It is compared within one reading only, so that it may be another with other releases.
        let mut hash = DefaultHasher::new();
        (times, self.ending, tokens, marks, ids, texts, bytes).hash(&mut hash);
        self.blocks.hash(&mut hash);
        hash.finish()
    }

    /// Whether its end is before its start.
    pub(super) fn is_reversed(&self) -> bool {
        self.end_ns.is_some_and(|end| end < self.start_ns)
    }

    /// Whether its first token came outside of it.
    pub(super) fn first_token_is_outside(&self) -> bool {
        let ends = self.end_ns.unwrap_or(u64::MAX);
        self.first_token_ns
            .is_some_and(|at| at < self.start_ns || at > ends)
    }
}
