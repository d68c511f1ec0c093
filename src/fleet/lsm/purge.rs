//! Erasures: which are under way, what has become of each, and what was ever erased.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use crate::engine::SimTime;

use super::record::{Amount, Subject};

/// The number of an erasure in its store, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PurgeId(pub u64);

/// One erasure of a subject in one store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Purge {
    /// Its number.
    pub id: PurgeId,
    /// Whose records.
    pub subject: Subject,
    /// Records up to and including this time.
    pub stamp: SimTime,
    /// When the store was told.
    pub received: SimTime,
    /// When reads saw them no more: the tombstone is in the log and in the memtable.
    pub logical: SimTime,
    /// When the last was gone from disk and memory; `None` while some are left.
    pub physical: Option<SimTime>,
    /// What was held of them when the store was told.
    pub held: Amount,
    /// Records that the store held of everybody then.
    pub log_records: u64,
    /// When the first of those was made; [`SimTime::NEVER`] without any.
    pub oldest: SimTime,
    /// Places that held some then: memtables and runs.
    pub places: u32,
    /// Runs that were searched for them, each one binary search.
    pub probed: u32,
    /// Flushes and compactions that its tombstone went through until the last record was gone.
    pub jobs: u32,
    /// Bytes read and written for it: its own tombstone's in ordinary jobs, and its share of those that
    /// were started for a deadline.
    pub work_bytes: u64,
}

/// What a store remembers of every subject erased: it outlives tombstones, so that nothing comes back.
#[derive(Debug, Clone, Default)]
pub(super) struct Erased {
    subjects: HashMap<Subject, Marks, FxBuildHasher>,
}

#[derive(Debug, Clone, Default)]
struct Marks {
    /// The latest time up to which records are erased.
    latest: SimTime,
    /// That, and the times of erasures under way.
    stamps: SmallVec<[SimTime; 2]>,
}

impl Erased {
    /// Up to when the subject's records are erased.
    pub(super) fn until(&self, subject: Subject) -> Option<SimTime> {
        self.subjects.get(&subject).map(|marks| marks.latest)
    }

    /// The times that part records of the subject from one another.
    pub(super) fn stamps(&self, subject: Subject) -> &[SimTime] {
        self.subjects
            .get(&subject)
            .map_or(&[], |marks| marks.stamps.as_slice())
    }

    /// Forgets a subject whose latest erasure is not after `stamp`.
    pub(super) fn forget(&mut self, subject: Subject, stamp: SimTime) {
        if self.until(subject).is_some_and(|latest| latest <= stamp) {
            self.subjects.remove(&subject);
        }
    }

    fn add(&mut self, subject: Subject, stamp: SimTime) {
        let marks = self.subjects.entry(subject).or_default();
        marks.latest = marks.latest.max(stamp);
        if !marks.stamps.contains(&stamp) {
            marks.stamps.push(stamp);
        }
    }
}

/// The erasures of a store.
#[derive(Debug, Clone, Default)]
pub(super) struct Purges {
    pub(super) erased: Erased,
    open: BTreeMap<Subject, SmallVec<[Purge; 1]>>,
    done: Vec<Purge>,
    begun: u64,
    pending: usize,
}

impl Purges {
    /// Records an erasure; one that finds nothing is done at once.
    pub(super) fn begin(&mut self, mut purge: Purge) -> PurgeId {
        let id = PurgeId(self.begun);
        purge.id = id;
        self.begun += 1;
        self.erased.add(purge.subject, purge.stamp);
        if purge.held.records == 0 {
            purge.physical = Some(purge.logical);
            self.done.push(purge);
        } else {
            self.open.entry(purge.subject).or_default().push(purge);
            self.pending += 1;
        }
        id
    }

    /// Whether an erasure of the subject is under way.
    pub(super) fn is_open(&self, subject: Subject) -> bool {
        !self.open.is_empty() && self.open.contains_key(&subject)
    }

    /// The erasures of the subject that are under way.
    pub(super) fn open(&mut self, subject: Subject) -> &mut [Purge] {
        match self.open.get_mut(&subject) {
            Some(purges) => purges.as_mut_slice(),
            None => &mut [],
        }
    }

    /// How many are under way.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// Those under way, by subject.
    pub(super) fn all_open(&self) -> impl Iterator<Item = &Purge> {
        self.open.values().flatten()
    }

    /// Ends those of the subject of which `left` says that nothing is left.
    pub(super) fn settle(
        &mut self,
        subject: Subject,
        now: SimTime,
        left: impl Fn(SimTime) -> bool,
    ) {
        let Some(purges) = self.open.get_mut(&subject) else {
            return;
        };
        let before = purges.len();
        let done = &mut self.done;
        purges.retain(|purge| {
            let stays = left(purge.stamp);
            if !stays {
                purge.physical = Some(now.max(purge.logical));
                done.push(*purge);
            }
            stays
        });
        self.pending -= before - purges.len();
        if before == purges.len() {
            return;
        }
        if let Some(marks) = self.erased.subjects.get_mut(&subject) {
            let open: SmallVec<[SimTime; 2]> = purges.iter().map(|purge| purge.stamp).collect();
            let latest = marks.latest;
            marks
                .stamps
                .retain(|stamp| *stamp == latest || open.contains(stamp));
        }
        if purges.is_empty() {
            self.open.remove(&subject);
        }
    }

    /// Those that ended since this was last asked, in the order of their ends.
    pub(super) fn take_done(&mut self) -> Vec<Purge> {
        std::mem::take(&mut self.done)
    }
}
