//! What must hold of a store at any time.

use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::engine::SimTime;

use super::file::SortedFile;
use super::record::{Amount, Subject};
use super::rule::{Compaction, Keys};
use super::store::LsmStore;

impl LsmStore {
    /// Counts all that is held, and compares: what was taken in = live + shadowed + reclaimed, in records
    /// and in bytes, tombstones too; files are sorted and know their totals; runs do not overlap; an
    /// erasure is under way exactly while a record is held that it is to take.
    ///
    /// It walks the whole store: for tests and for ends of runs.
    ///
    /// # Errors
    /// The first thing that does not hold, in words.
    pub fn check(&self) -> Result<(), String> {
        let meters = &self.meters;
        let mut parts = meters.live;
        parts += meters.shadowed;
        parts += meters.reclaimed;
        same("taken = live + shadowed + reclaimed", meters.taken, parts)?;
        self.check_files()?;
        let (live, held) = self.recount();
        same("live records", meters.live, live)?;
        let mut expected = meters.live;
        expected += meters.shadowed;
        same("held records", expected, held)?;
        let memory = std::iter::once(&self.memtable).chain(&self.frozen);
        let tables = memory.flat_map(|table| table.sorted().1).map(|t| t.bytes);
        let files = self.levels.iter().flat_map(|level| level.files());
        let held = tables.sum::<u64>() + files.map(|file| file.tombstone_bytes).sum::<u64>();
        same("held tombstone bytes", meters.held_tombstone_bytes(), held)?;
        for purge in self.pending_purges() {
            if self.held(purge.subject, purge.stamp).records == 0 {
                return Err(format!("{purge:?} is under way, but nothing is left of it"));
            }
        }
        Ok(())
    }

    /// What is live and what is held, counted one by one.
    fn recount(&self) -> (Amount, Amount) {
        let (mut live, mut held) = (Amount::default(), Amount::default());
        let mut latest: BTreeMap<Subject, (SimTime, u64)> = BTreeMap::new();
        let memory = std::iter::once(&self.memtable).chain(self.frozen.iter().rev());
        let files = self.levels.iter().flat_map(|level| level.files());
        let segments = memory
            .flat_map(|table| table.sorted().0)
            .chain(files.flat_map(|file| file.segments.iter().copied()));
        for segment in segments {
            held.add(&segment);
            let until = self.purges.erased.until(segment.subject);
            if until.is_some_and(|until| segment.newest <= until) {
                continue;
            }
            match self.rule.keys {
                Keys::Appended => live.add(&segment),
                Keys::Replaced => {
                    // Sources come from the newest on: of equally late records the first counts.
                    let record = (segment.newest, segment.bytes);
                    let best = latest.entry(segment.subject).or_insert(record);
                    if segment.newest > best.0 {
                        *best = record;
                    }
                }
            }
        }
        for (_, bytes) in latest.values() {
            live.records += 1;
            live.bytes += bytes;
        }
        (live, held)
    }

    fn check_files(&self) -> Result<(), String> {
        for (number, level) in self.levels.iter().enumerate() {
            if self.rule.compaction == Compaction::Leveled && number > 0 && level.runs.len() > 1 {
                return Err(format!("level {number} has {} runs", level.runs.len()));
            }
            for run in &level.runs {
                let files = run.files().iter().zip(run.files().iter().skip(1));
                for (a, b) in files {
                    if a.range().end() >= b.range().start() {
                        return Err(format!("files {} and {} overlap", a.id, b.id));
                    }
                }
                for file in run.files() {
                    check_file(file)?;
                }
                same("index of a run", run.is_indexed(), true)?;
                let bytes = run.files().iter().map(|file| file.bytes).sum::<u64>();
                same("bytes of a run", run.bytes(), bytes)?;
            }
        }
        Ok(())
    }
}

fn check_file(file: &SortedFile) -> Result<(), String> {
    let sorted = file.segments.is_sorted_by_key(|s| s.subject)
        && file.tombstones.is_sorted_by(|a, b| a.subject < b.subject);
    if !sorted {
        return Err(format!("file {} is not in order", file.id));
    }
    let bytes = file.segments.iter().map(|s| s.bytes).sum::<u64>() + file.tombstone_bytes;
    same("bytes of a file", file.bytes, bytes)
}

fn same<T: Copy + PartialEq + Debug>(what: &str, expected: T, found: T) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what}: expected {expected:?}, found {found:?}"))
}
