//! What reading a log found.

use std::collections::BTreeMap;

use serde::Serialize;

use super::format::ObservedFormat;
use super::record::Ending;

/// Records that were skipped, or values left out, for one reason.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SkipCount {
    /// How many.
    pub count: u64,
    /// The first of them: its place and what is there.
    pub first: String,
}

/// Counts by reason.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Skips(pub BTreeMap<&'static str, SkipCount>);

impl Skips {
    /// Notes one; `first` tells its place, and is asked for only the first time.
    pub fn add(&mut self, reason: &'static str, first: impl FnOnce() -> String) {
        let entry = self.0.entry(reason).or_insert_with(|| SkipCount {
            count: 0,
            first: first(),
        });
        entry.count += 1;
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.values().map(|it| it.count).sum()
    }

    /// Reasons with their counts and first places, for a message.
    pub fn told(&self) -> String {
        let one = |(reason, it): (&&'static str, &SkipCount)| {
            format!("{} {reason}, the first at {}", it.count, it.first)
        };
        self.0.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

/// Where the lengths of one kind came from: numbers of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LengthSources {
    /// The log had them.
    pub logged: u64,
    /// Inferred from bytes.
    pub from_bytes: u64,
    /// Drawn from a law that the caller gave.
    pub from_law: u64,
    /// Drawn from the lengths of other requests of the log.
    pub from_others: u64,
    /// Inferred already by who wrote what is read.
    pub before: u64,
}

impl LengthSources {
    /// Counts one that is in the log, where it may stand as inferred.
    pub(super) fn count_logged(&mut self, inferred: bool) {
        match inferred {
            true => self.before += 1,
            false => self.logged += 1,
        }
    }

    /// Those that the log did not have.
    pub fn inferred(&self) -> u64 {
        self.from_bytes + self.from_law + self.from_others + self.before
    }
}

/// How far the clock of one service seems to be ahead of another's, from spans of the one within
/// spans of the other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SkewEstimate {
    /// The service whose spans are within.
    pub of: String,
    /// The service whose spans are around.
    pub against: String,
    /// Pairs of spans.
    pub pairs: u64,
    /// Pairs that cannot be right: the inner span begins before the outer or ends after it.
    pub impossible: u64,
    /// Median of the clock's lead, ms, if the way there takes as long as the way back.
    pub lead_ms: f64,
}

/// What joining found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// Requests of more than one try.
    pub requests: u64,
    /// Tries of them beyond the first.
    pub retries: u64,
    /// Records that are another view of a try: spans within spans.
    pub within: u64,
    /// Records that were delivered more than once, beyond the first.
    pub twice: u64,
    /// The most requests that were held at once, waiting for further tries.
    pub most_held: u64,
    /// Requests that were over and were put aside until the end of the log, since one before
    /// them was not, or others had been put aside already.
    pub put_aside: u64,
}

/// What reading a log found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReadReport {
    /// The format read.
    pub format: ObservedFormat,
    /// What its stamps resolve.
    pub resolution: &'static str,
    /// Records read: lines, spans, rows.
    pub read: u64,
    /// Requests handed over.
    pub requests: u64,
    /// Records skipped, by reason.
    pub skipped: Skips,
    /// Values left out of records that were kept, by reason.
    pub left_out: Skips,
    /// Requests by how they ended.
    pub endings: BTreeMap<&'static str, u64>,
    /// The log's own words for how records ended, with what they were taken for.
    pub codes: BTreeMap<String, (Ending, u64)>,
    /// Where prompt lengths came from.
    pub prompt: LengthSources,
    /// Where output lengths came from.
    pub output: LengthSources,
    /// Requests with a time to first token.
    pub with_ttft: u64,
    /// Requests with a duration.
    pub with_e2e: u64,
    /// How stamps were taken for UTC.
    pub zone: String,
    /// What was assumed, or may not be read from the log.
    pub notes: Vec<String>,
    /// What joining found.
    pub joined: Joined,
    /// Clocks of services against one another.
    pub skew: Vec<SkewEstimate>,
    /// Records that came later in the log than one with a later start.
    pub out_of_order: u64,
    /// Runs that were sorted on disk; none where all fitted in memory.
    pub runs_on_disk: u64,
    /// When the first request came, ns.
    pub first_ns: u64,
    /// When the last request came, ns.
    pub last_ns: u64,
}
