//! What is to be done, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::SimTime;
use crate::fleet::lsm::Subject;

/// Something to be done. Of those of one instant the one noted first is done first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    /// The next request of a demand comes.
    Ask(u16),
    /// The sender of a request has been authenticated, or was not.
    Verified {
        /// The case.
        case: u64,
        /// Whether the sender is the subject.
        accepted: bool,
    },
    /// The word of an erasure comes to a place.
    Tell {
        /// The case.
        case: u64,
        /// Which place.
        place: Target,
    },
    /// Records written in one region come to the others' logs.
    Ship(u32),
    /// A log has something to do by itself.
    LogDue(u16),
    /// The last copy of a subject's data at a place is gone.
    Gone {
        /// The case.
        case: u64,
        /// The meter of the place.
        row: u16,
        /// When the place was told.
        told: SimTime,
        /// When reads saw it no more.
        logical: SimTime,
    },
    /// A log forgets that a subject was erased.
    Forget {
        /// The log.
        log: u16,
        /// The subject.
        subject: Subject,
        /// Up to when it was erased.
        stamp: SimTime,
    },
}

/// A place that is told of an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// A request log, by index over all.
    Log(u16),
    /// The prefix caches.
    Kv,
    /// A cache by subject in a region, by index over all.
    Cache(u16),
}

/// Entries in order of time.
#[derive(Debug, Clone, Default)]
pub(super) struct Agenda {
    entries: BinaryHeap<Reverse<(SimTime, u64, Entry)>>,
    noted: u64,
}

impl Agenda {
    pub(super) fn note(&mut self, at: SimTime, entry: Entry) {
        self.entries.push(Reverse((at, self.noted, entry)));
        self.noted += 1;
    }

    /// When the first is due.
    pub(super) fn first(&self) -> Option<SimTime> {
        self.entries.peek().map(|Reverse((at, ..))| *at)
    }

    /// The first of those due by `now`.
    pub(super) fn next(&mut self, now: SimTime) -> Option<Entry> {
        if self.first()? > now {
            return None;
        }
        self.entries.pop().map(|Reverse((_, _, entry))| entry)
    }
}
