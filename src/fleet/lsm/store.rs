//! The store: writes and erasures, and what is held where.

use std::collections::VecDeque;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::engine::{SimDuration, SimTime};
use crate::fleet::spot::errors::RuleError;

use super::device::Device;
use super::file::{Level, SortedFile};
use super::memtable::Memtable;
use super::meters::LsmMeters;
use super::pick::Job;
use super::purge::{Purge, PurgeId, Purges};
use super::record::{Amount, Segment, Subject, Tombstone};
use super::rule::{Compaction, Erasing, Keys, LsmRule};

/// Memtables that may wait for their flush before writes are held up. A choice of this crate.
const FROZEN_MOST: usize = 2;
/// Runs in level 0, in multiples of what starts a compaction, at which writes are held up (`RocksDB`: 20
/// slows and 36 stops at a trigger of 4). A choice of this crate.
const L0_MOST: usize = 5;

/// A log-structured merge tree on a disk of its own.
///
/// Time never goes back: every call first does what was due by its `now`.
#[derive(Debug, Clone)]
pub struct LsmStore {
    pub(super) rule: LsmRule,
    pub(super) device: Device,
    pub(super) memtable: Memtable,
    /// Full memtables, the oldest first; that one is being flushed.
    pub(super) frozen: VecDeque<Memtable>,
    pub(super) flush_due: Option<SimTime>,
    pub(super) levels: Vec<Level>,
    pub(super) job: Option<Job>,
    pub(super) purges: Purges,
    pub(super) meters: LsmMeters,
    /// The record that a read of each subject finds, where records replace one another.
    current: HashMap<Subject, (SimTime, u64), FxBuildHasher>,
    pub(super) next_file: u64,
    /// The age at which a tombstone has to leave each stage; empty without a deadline.
    pub(super) ages: Vec<SimDuration>,
    /// When the first file has to be merged for its tombstones.
    pub(super) file_deadline: Option<SimTime>,
    /// Since when its machine is down.
    pub(super) down_since: Option<SimTime>,
    /// When it came back last.
    pub(super) up_since: SimTime,
    /// When reads saw nothing of the subject erased last.
    last_erased_at: SimTime,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Taken in.
    Written {
        /// When it is in the log on disk.
        durable: SimTime,
        /// How long the writer should be held up, because the store is behind.
        stall: SimDuration,
    },
    /// Refused: the subject was erased at or after the record's time.
    DroppedLate,
}

impl LsmStore {
    /// An empty store.
    ///
    /// # Errors
    /// `RuleError` for the first setting out of range.
    pub fn new(rule: LsmRule) -> Result<Self, RuleError> {
        rule.check()?;
        let mut store = Self {
            device: Device::new(&rule),
            rule,
            memtable: Memtable::default(),
            frozen: VecDeque::new(),
            flush_due: None,
            levels: vec![Level::default(); 2],
            job: None,
            purges: Purges::default(),
            meters: LsmMeters::default(),
            current: HashMap::default(),
            next_file: 0,
            ages: Vec::new(),
            file_deadline: None,
            down_since: None,
            up_since: SimTime::ZERO,
            last_erased_at: SimTime::ZERO,
        };
        store.plan_deadlines();
        Ok(store)
    }

    /// What it was made from.
    #[must_use]
    pub fn rule(&self) -> &LsmRule {
        &self.rule
    }

    /// What it has counted.
    #[must_use]
    pub fn meters(&self) -> LsmMeters {
        LsmMeters {
            foreground: self.device.foreground,
            ..self.meters
        }
    }

    /// Fills an empty store with one sorted run of records from before the run, as a bulk load leaves
    /// it: in the first level that has room for all of it. `amounts` has records (1 or more) and bytes
    /// of each subject, in the order of subjects; their time is the start.
    ///
    /// They count as taken in, but not against the writing that a byte costs.
    pub fn preload(&mut self, amounts: impl Iterator<Item = (Subject, u32, u64)>) {
        let mut files = Vec::new();
        let (mut segments, mut open, mut all) = (Vec::new(), 0, 0);
        let most = self.rule.file_bytes();
        for (subject, records, bytes) in amounts {
            let amount = Amount {
                records: u64::from(records),
                bytes,
            };
            self.meters.taken += amount;
            self.meters.preloaded += amount;
            self.meters.live += amount;
            if self.rule.keys == Keys::Replaced {
                self.current.insert(subject, (SimTime::ZERO, bytes));
            }
            segments.push(Segment {
                subject,
                records,
                bytes,
                oldest: SimTime::ZERO,
                newest: SimTime::ZERO,
            });
            open += bytes;
            all += bytes;
            if open >= most {
                open = 0;
                files.extend(self.new_file(std::mem::take(&mut segments)));
            }
        }
        files.extend(self.new_file(segments));
        let level = self.level_with_room(all);
        while self.levels.len() <= level + 1 {
            self.levels.push(Level::default());
        }
        self.levels[level].push(files);
        self.plan_deadlines();
    }

    fn new_file(&mut self, segments: Vec<Segment>) -> Option<SortedFile> {
        let file = SortedFile::new(self.next_file, segments, Vec::new())?;
        self.next_file += 1;
        Some(file)
    }

    /// The first level below level 0 that may hold so much: tiered, as many runs of it as fit.
    fn level_with_room(&self, bytes: u64) -> usize {
        let room = |level: &usize| match self.rule.compaction {
            Compaction::Leveled => self.rule.level_target_bytes(*level) >= bytes as f64,
            Compaction::Tiered => {
                let runs = f64::from(self.rule.size_ratio);
                self.rule.level_target_bytes(*level) * runs >= bytes as f64
            }
        };
        (1..64).find(room).unwrap_or(64)
    }

    /// Writes a record of `subject`, made now.
    pub fn put(&mut self, subject: Subject, bytes: u64, now: SimTime) -> Stored {
        self.write(subject, bytes, now, now, false)
    }

    /// Writes a record that was made elsewhere at `stamp` and comes by replication. A stamp in the future
    /// counts as now.
    pub fn put_replica(
        &mut self,
        subject: Subject,
        bytes: u64,
        stamp: SimTime,
        now: SimTime,
    ) -> Stored {
        self.write(subject, bytes, stamp.min(now), now, true)
    }

    /// Writes a record that was made here at `stamp` and comes late, as from a request that took its time.
    /// A stamp in the future counts as now.
    pub fn put_late(
        &mut self,
        subject: Subject,
        bytes: u64,
        stamp: SimTime,
        now: SimTime,
    ) -> Stored {
        self.write(subject, bytes, stamp.min(now), now, false)
    }

    fn write(
        &mut self,
        subject: Subject,
        bytes: u64,
        stamp: SimTime,
        now: SimTime,
        replica: bool,
    ) -> Stored {
        self.advance(now);
        let amount = Amount { records: 1, bytes };
        if self
            .purges
            .erased
            .until(subject)
            .is_some_and(|until| stamp <= until)
        {
            self.meters.dropped_late += amount;
            self.meters.dropped_replicas += u64::from(replica);
            return Stored::DroppedLate;
        }
        let stall = self.behind(now);
        self.meters.stalls += u64::from(stall > SimDuration::ZERO);
        self.meters.taken += amount;
        self.show(subject, stamp, amount);
        self.memtable.put(Segment {
            subject,
            records: 1,
            bytes,
            oldest: stamp,
            newest: stamp,
        });
        let durable = self.append(bytes, now);
        self.freeze_if_full(now);
        Stored::Written { durable, stall }
    }

    /// Counts a new record as live, and what it replaces as shadowed.
    fn show(&mut self, subject: Subject, stamp: SimTime, amount: Amount) {
        if self.rule.keys == Keys::Appended {
            self.meters.live += amount;
            return;
        }
        let old = self.current.get(&subject).copied();
        if old.is_some_and(|(newest, _)| stamp < newest) {
            self.meters.shadowed += amount;
            return;
        }
        self.current.insert(subject, (stamp, amount.bytes));
        self.meters.live += amount;
        if let Some((_, bytes)) = old {
            self.shadow(Amount { records: 1, bytes });
        }
    }

    fn shadow(&mut self, amount: Amount) {
        self.meters.live -= amount;
        self.meters.shadowed += amount;
    }

    /// Deletes one subject's record where records replace one another, and all of its records where they
    /// do not: the same as [`LsmStore::erase`] of what has been written until now.
    pub fn delete(&mut self, subject: Subject, now: SimTime) -> PurgeId {
        self.erase(subject, now, now)
    }

    /// Erases all records of `subject` up to and including `stamp`, which is now or, where the word comes
    /// from elsewhere, earlier; a later one counts as now.
    ///
    /// A second erasure up to the same or an earlier time writes no tombstone, and is done when the last
    /// record up to its own time is gone.
    pub fn erase(&mut self, subject: Subject, stamp: SimTime, now: SimTime) -> PurgeId {
        self.advance(now);
        let stamp = stamp.min(now);
        let before = self.purges.erased.until(subject);
        self.part(subject, stamp, now);
        let found = self.found(subject, stamp, before);
        let mut logical = now;
        if before.is_none_or(|until| until < stamp) {
            let newly = match self.rule.keys {
                Keys::Appended => found.visible,
                Keys::Replaced => self.take_current(subject, stamp),
            };
            self.shadow(newly);
            let entries = match self.rule.erasing {
                Erasing::Range => 1,
                Erasing::Points => u32::try_from(newly.records).unwrap_or(u32::MAX).max(1),
            };
            let bytes = u64::from(entries) * u64::from(self.rule.tombstone_bytes);
            self.meters.tombstones += Amount {
                records: u64::from(entries),
                bytes,
            };
            self.memtable.erase(Tombstone {
                subject,
                entries,
                bytes,
                stamp,
                written: now,
            });
            logical = self.append(bytes, now);
        }
        self.last_erased_at = logical;
        let id = self.purges.begin(Purge {
            id: PurgeId(0),
            subject,
            stamp,
            received: now,
            logical,
            physical: None,
            held: found.held,
            log_records: self.meters.live.records + self.meters.shadowed.records,
            oldest: found.oldest,
            places: found.places,
            probed: found.probed,
            jobs: 0,
            work_bytes: 0,
        });
        self.remerge_for(subject, stamp, now);
        self.freeze_if_full(now);
        id
    }

    /// The live record of a subject, if it is not after `stamp`; it is no longer live.
    fn take_current(&mut self, subject: Subject, stamp: SimTime) -> Amount {
        match self.current.get(&subject) {
            Some((newest, bytes)) if *newest <= stamp => {
                let bytes = *bytes;
                self.current.remove(&subject);
                Amount { records: 1, bytes }
            }
            _ => Amount::default(),
        }
    }

    fn append(&mut self, bytes: u64, now: SimTime) -> SimTime {
        self.meters.log_bytes += bytes;
        let (durable, cost) = self.device.append(bytes, now);
        self.hold_up_background(cost);
        durable
    }

    /// Foreground goes first: what runs in the background ends so much later.
    pub(super) fn hold_up_background(&mut self, cost: SimDuration) {
        if let Some(due) = &mut self.flush_due {
            *due += cost;
        }
        if let Some(job) = &mut self.job {
            job.due += cost;
        }
    }

    /// How long a writer has to wait for the store to catch up.
    fn behind(&self, now: SimTime) -> SimDuration {
        let most = L0_MOST * self.rule.l0_trigger as usize;
        let runs = self.levels.first().map_or(0, |level| level.runs.len());
        let until = if self.frozen.len() > FROZEN_MOST {
            self.flush_due
        } else if runs >= most {
            self.job.as_ref().map(|job| job.due)
        } else {
            None
        };
        until.map_or(SimDuration::ZERO, |until| until.since(now))
    }

    /// When reads saw nothing any more of the subject erased last: its tombstone was on disk.
    #[must_use]
    pub fn last_erased_at(&self) -> SimTime {
        self.last_erased_at
    }

    /// Forgets that a subject was erased up to `stamp`: records from before then that come late are taken
    /// in again, as by a store that keeps tombstones for so long and no longer. False where the erasure is
    /// under way or its tombstone is still held, which hides what comes late, and nothing is forgotten.
    pub fn forget(&mut self, subject: Subject, stamp: SimTime) -> bool {
        if self.purges.is_open(subject) || self.has_tombstone(subject) {
            return false;
        }
        self.purges.erased.forget(subject, stamp);
        true
    }

    fn has_tombstone(&self, subject: Subject) -> bool {
        let mut memory = std::iter::once(&self.memtable).chain(&self.frozen);
        let mut runs = self.levels.iter().flat_map(|level| &level.runs);
        memory.any(|table| table.has_tombstone(subject))
            || runs.any(|run| {
                let file = run.file_for(subject);
                file.is_some_and(|file| file.tombstone(subject).is_some())
            })
    }

    /// Erasures that have been completed since this was last asked.
    pub fn take_purged(&mut self) -> Vec<Purge> {
        self.purges.take_done()
    }

    /// Erasures of which some record is still held.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.purges.pending()
    }

    /// Those erasures, by subject.
    pub fn pending_purges(&self) -> impl Iterator<Item = &Purge> {
        self.purges.all_open()
    }

    /// Levels on disk that hold something, level 0 apart.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.last_level()
    }

    /// The deepest level that holds something, 0 when none does.
    pub(super) fn last_level(&self) -> usize {
        let holding = |level: &Level| !level.runs.is_empty();
        self.levels.iter().rposition(holding).unwrap_or(0)
    }

    /// Bytes of each level, level 0 first.
    #[must_use]
    pub fn level_bytes(&self) -> Vec<u64> {
        self.levels.iter().map(Level::bytes).collect()
    }

    /// Files of each level, level 0 first, down to the deepest that holds some.
    #[must_use]
    pub fn level_files(&self) -> Vec<usize> {
        let levels = self.levels.iter().take(self.last_level() + 1);
        levels.map(|level| level.files().count()).collect()
    }

    /// Runs that a lookup may have to ask, memtables apart.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.levels.iter().map(|level| level.runs.len()).sum()
    }

    /// Bytes in memory that have not been flushed.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memtable.bytes + self.frozen.iter().map(|table| table.bytes).sum::<u64>()
    }

    /// Segments and tombstones in files: what the simulation itself has to keep in memory.
    #[must_use]
    pub fn kept(&self) -> usize {
        let files = self.levels.iter().flat_map(Level::files);
        files.map(|f| f.segments.len() + f.tombstones.len()).sum()
    }

    /// Parts what an erasure up to `stamp` would take in part.
    fn part(&mut self, subject: Subject, stamp: SimTime, now: SimTime) {
        // Nothing is later than now, and memtables hold records one by one.
        if stamp >= now {
            return;
        }
        for run in self.levels.iter_mut().flat_map(|level| &mut level.runs) {
            self.meters.estimated_splits += u64::from(run.split(subject, stamp));
        }
    }

    /// The segments of a subject in every place that may hold some, memtables first.
    pub(super) fn places(&self, subject: Subject) -> impl Iterator<Item = &[Segment]> {
        let memory = std::iter::once(&self.memtable)
            .chain(self.frozen.iter().rev())
            .map(move |table| table.of(subject));
        let runs = self.levels.iter().flat_map(|level| level.runs.iter().rev());
        let disk = runs.map(move |run| run.file_for(subject).map_or(&[][..], |f| f.of(subject)));
        memory.chain(disk)
    }

    fn found(&self, subject: Subject, stamp: SimTime, before: Option<SimTime>) -> Found {
        let mut found = Found::new();
        for place in self.places(subject) {
            found.probed += 1;
            let mut any = false;
            for segment in place.iter().filter(|s| s.newest <= stamp) {
                any = true;
                found.held.add(segment);
                found.oldest = found.oldest.min(segment.oldest);
                if before.is_none_or(|until| segment.newest > until) {
                    found.visible.add(segment);
                }
            }
            found.places += u32::from(any);
        }
        found
    }

    /// What a read of all of a subject's records finds.
    #[must_use]
    pub fn visible(&self, subject: Subject) -> Amount {
        let mut amount = Amount::default();
        match self.rule.keys {
            Keys::Replaced => {
                if let Some((_, bytes)) = self.current.get(&subject) {
                    amount = Amount {
                        records: 1,
                        bytes: *bytes,
                    };
                }
            }
            Keys::Appended => {
                let until = self.purges.erased.until(subject);
                let seen = self.places(subject).flatten();
                seen.filter(|s| until.is_none_or(|until| s.newest > until))
                    .for_each(|segment| amount.add(segment));
            }
        }
        amount
    }

    /// What is held of a subject's records up to and including `stamp`, visible or not.
    #[must_use]
    pub fn held(&self, subject: Subject, stamp: SimTime) -> Amount {
        let mut amount = Amount::default();
        let held = self.places(subject).flatten();
        held.filter(|segment| segment.newest <= stamp)
            .for_each(|segment| amount.add(segment));
        amount
    }
}

/// What an erasure finds.
struct Found {
    held: Amount,
    visible: Amount,
    oldest: SimTime,
    places: u32,
    probed: u32,
}

impl Found {
    fn new() -> Found {
        Found {
            held: Amount::default(),
            visible: Amount::default(),
            oldest: SimTime::NEVER,
            places: 0,
            probed: 0,
        }
    }
}
