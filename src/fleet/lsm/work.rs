//! What a store does by itself: flushes and compactions, one of each at a time.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::engine::{SimDuration, SimTime};

use super::merge::{Merged, Terms, merge};
use super::meters::Cause;
use super::pick::{Choice, Job};
use super::record::{Amount, Subject, Tombstone};
use super::rule::Compaction;
use super::store::LsmStore;

/// A compaction under way, for whoever shares its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// Why it was started.
    pub cause: Cause,
    /// Bytes it reads.
    pub read: u64,
    /// Bytes it writes.
    pub written: u64,
    /// When it ends, unless foreground or a flush holds it up.
    pub due: SimTime,
}

impl LsmStore {
    /// When it next has something to do; `None` while only a write can give it some. Writes and reads may
    /// put it off, so that nothing may be due when that time comes.
    #[must_use]
    pub fn next_due(&self) -> Option<SimTime> {
        if self.down_since.is_some() {
            return None;
        }
        let job = match &self.job {
            Some(job) => Some(job.due),
            None => self.file_deadline,
        };
        let due = [self.flush_due, job, self.memory_deadline()];
        due.into_iter().flatten().min()
    }

    /// Does all that is due by `now`, each at its own time.
    pub fn advance(&mut self, now: SimTime) {
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            // What became due while its machine was down is done when that is back.
            self.step(due.max(self.up_since));
        }
    }

    /// Does the first thing that is due at `due`.
    pub(super) fn step(&mut self, due: SimTime) {
        if self.flush_due.is_some_and(|at| at <= due) {
            self.end_flush(due);
        } else if self.job.as_ref().is_some_and(|job| job.due <= due) {
            self.end_job(due);
        } else if self.memory_deadline().is_some_and(|at| at <= due) {
            self.freeze(due);
        }
        self.start_job(due);
    }

    /// The compaction under way.
    #[must_use]
    pub fn running(&self) -> Option<Running> {
        self.job.as_ref().map(|job| Running {
            cause: job.choice.cause,
            read: job.read,
            written: job.merged.bytes,
            due: job.due,
        })
    }

    /// Its machine goes down: what it has is kept, and nothing is done until it is back.
    pub fn go_down(&mut self, now: SimTime) {
        self.advance(now);
        self.down_since.get_or_insert(now);
    }

    /// Its machine is back: what was under way goes on where it was, and what has become due meanwhile is
    /// due now.
    pub fn come_back(&mut self, now: SimTime) {
        let Some(since) = self.down_since.take() else {
            return;
        };
        self.up_since = now;
        let lost = now.since(since);
        if let Some(due) = &mut self.flush_due {
            *due += lost;
        }
        if let Some(job) = &mut self.job {
            job.due += lost;
        }
    }

    /// Whether it flushes or compacts.
    #[must_use]
    pub fn at_work(&self) -> bool {
        self.down_since.is_none() && (self.flush_due.is_some() || self.job.is_some())
    }

    /// Writes out what is in memory, full or not, as before a store is closed. It is on disk when
    /// [`LsmStore::next_due`] has come.
    pub fn flush(&mut self, now: SimTime) {
        self.advance(now);
        self.freeze(now);
    }

    /// When the memtable has to be flushed for its tombstones.
    fn memory_deadline(&self) -> Option<SimTime> {
        self.deadline(0, self.memtable.oldest_tombstone?)
    }

    pub(super) fn freeze_if_full(&mut self, now: SimTime) {
        if self.memtable.bytes >= self.rule.memtable_bytes() {
            self.freeze(now);
        }
    }

    fn freeze(&mut self, now: SimTime) {
        if self.memtable.is_empty() {
            return;
        }
        self.frozen.push_back(std::mem::take(&mut self.memtable));
        self.start_flush(now);
    }

    fn start_flush(&mut self, now: SimTime) {
        if self.flush_due.is_some() {
            return;
        }
        let Some(table) = self.frozen.front() else {
            return;
        };
        let cost = self.background(table.bytes);
        self.flush_due = Some(now + cost);
        if let Some(job) = &mut self.job {
            job.due += cost;
        }
    }

    fn background(&mut self, bytes: u64) -> SimDuration {
        let cost = self.device.stream(bytes).max(SimDuration(1));
        self.meters.background = self.meters.background + cost;
        cost
    }

    fn end_flush(&mut self, now: SimTime) {
        self.flush_due = None;
        let Some(table) = self.frozen.pop_front() else {
            return;
        };
        let (segments, tombstones) = table.sorted();
        let written = tombstones.clone();
        let terms = Terms {
            keys: self.rule.keys,
            settled: self.settled(now),
            erased: &self.purges.erased,
            file_bytes: None,
        };
        // Tombstones are never left out here: what they cover is below.
        let merged = merge(segments, tombstones, &terms, &|_| true, &mut self.next_file);
        self.meters.flushes += 1;
        self.meters.flushed_bytes += merged.bytes;
        self.credit(written, |tombstone, _| tombstone.bytes);
        let touched = self.reclaim(&merged);
        if let Some(level) = self.levels.first_mut() {
            level.push(merged.files);
        }
        self.settle(touched, now);
        self.plan_deadlines();
        self.start_flush(now);
    }

    /// Starts the compaction that is most called for, unless one is under way.
    fn start_job(&mut self, now: SimTime) {
        while self.job.is_none() {
            let Some(choice) = self.choose(now) else {
                return;
            };
            while self.levels.len() <= choice.output + 1 {
                self.levels.push(super::file::Level::default());
            }
            if self.movable(&choice) {
                self.move_down(&choice);
                continue;
            }
            let (merged, read) = self.merge_choice(&choice, now);
            let cost = self.background(read + merged.bytes);
            // A flush under way goes first.
            let wait = self
                .flush_due
                .map_or(SimDuration::ZERO, |due| due.since(now));
            self.job = Some(Job {
                choice,
                merged,
                read,
                due: now + wait + cost,
            });
        }
    }

    fn move_down(&mut self, choice: &Choice) {
        let files: Vec<_> = self.taken(choice).cloned().collect();
        self.meters.moves += files.len() as u64;
        self.take_out(choice);
        if let Some(level) = self.levels.get_mut(choice.output) {
            level.insert(files);
        }
        self.plan_deadlines();
    }

    fn take_out(&mut self, choice: &Choice) {
        for input in &choice.inputs {
            if let Some(level) = self.levels.get_mut(input.level) {
                level.remove(input);
            }
        }
    }

    fn end_job(&mut self, now: SimTime) {
        let Some(job) = self.job.take() else {
            return;
        };
        let io = job.read + job.merged.bytes;
        let compacted = self.meters.compacted(job.choice.cause);
        compacted.jobs += 1;
        compacted.read += job.read;
        compacted.written += job.merged.bytes;
        let tombstones = self.tombstones_under_way(&job.choice);
        match job.choice.cause {
            Cause::Size => self.credit(tombstones, |tombstone, _| 2 * tombstone.bytes),
            Cause::Deadline => self.credit(tombstones, |_, sharers| io / sharers),
        }
        let touched = self.reclaim(&job.merged);
        self.take_out(&job.choice);
        if let Some(level) = self.levels.get_mut(job.choice.output) {
            match self.rule.compaction {
                Compaction::Leveled => {
                    level.insert(job.merged.files.into_iter().map(Arc::new).collect());
                }
                Compaction::Tiered => level.push(job.merged.files),
            }
        }
        self.settle(touched, now);
        self.plan_deadlines();
    }

    /// The tombstones in a job's files that belong to erasures under way.
    fn tombstones_under_way(&self, choice: &Choice) -> Vec<Tombstone> {
        let mut found = Vec::new();
        if self.purges.pending() == 0 {
            return found;
        }
        for file in self.taken(choice) {
            let open = file.tombstones.iter();
            found.extend(open.filter(|t| self.purges.is_open(t.subject)));
        }
        found
    }

    /// Adds a job's work to the erasures whose tombstones, or later ones that cover as much, went through
    /// it.
    fn credit(&mut self, mut tombstones: Vec<Tombstone>, work: impl Fn(&Tombstone, u64) -> u64) {
        if self.purges.pending() == 0 {
            return;
        }
        tombstones.sort_by_key(|tombstone| (tombstone.subject, Reverse(tombstone.stamp)));
        tombstones.dedup_by_key(|tombstone| tombstone.subject);
        let mut sharers = 0;
        for tombstone in &tombstones {
            let open = self.purges.open(tombstone.subject).iter();
            sharers += open.filter(|p| p.stamp <= tombstone.stamp).count() as u64;
        }
        for tombstone in &tombstones {
            for purge in self.purges.open(tombstone.subject) {
                if purge.stamp <= tombstone.stamp {
                    purge.jobs += 1;
                    purge.work_bytes += work(tombstone, sharers.max(1));
                }
            }
        }
    }

    /// Counts what a merge has left out; gives the subjects whose erasures may be done by that.
    fn reclaim(&mut self, merged: &Merged) -> Vec<Subject> {
        let mut amount = Amount::default();
        let mut touched = Vec::new();
        for segment in &merged.reclaimed {
            amount.add(segment);
            if touched.last() != Some(&segment.subject) && self.purges.is_open(segment.subject) {
                touched.push(segment.subject);
            }
        }
        self.meters.shadowed -= amount;
        self.meters.reclaimed += amount;
        self.meters.reclaimed_tombstone_bytes += merged.tombstone_bytes;
        touched
    }

    /// Ends the erasures of which nothing is held any more.
    fn settle(&mut self, subjects: Vec<Subject>, now: SimTime) {
        for subject in subjects {
            let mut oldest: Vec<SimTime> = Vec::new();
            oldest.extend(self.places(subject).flatten().map(|s| s.newest));
            let oldest = oldest.into_iter().min();
            let left = |stamp: SimTime| oldest.is_some_and(|oldest| oldest <= stamp);
            self.purges.settle(subject, now, left);
        }
    }

    /// Merges a compaction's files anew when an erasure parts what it had put together.
    pub(super) fn remerge_for(&mut self, subject: Subject, stamp: SimTime, now: SimTime) {
        let parted = self.job.as_ref().is_some_and(|job| {
            let files = job.merged.files.iter();
            let mut segments = files.flat_map(|file| file.of(subject));
            stamp < now && segments.any(|segment| segment.straddles(stamp))
        });
        if !parted {
            return;
        }
        if let Some(mut job) = self.job.take() {
            let (merged, read) = self.merge_choice(&job.choice, now);
            job.merged = merged;
            job.read = read;
            self.job = Some(job);
        }
    }
}
