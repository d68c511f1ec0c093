//! Sorted files, runs of them, and the levels that runs are in.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::engine::SimTime;

use super::record::{Segment, Subject, Tombstone};

/// A file: segments and tombstones in the order of subjects.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SortedFile {
    /// Never used twice in a store; files of one merge have rising ones.
    pub(super) id: u64,
    /// Segments by subject.
    pub(super) segments: Vec<Segment>,
    /// Tombstones by subject, one for each at most.
    pub(super) tombstones: Vec<Tombstone>,
    /// Entries, tombstones among them.
    pub(super) entries: u64,
    /// Bytes, those of tombstones among them.
    pub(super) bytes: u64,
    /// Bytes of tombstones.
    pub(super) tombstone_bytes: u64,
    /// When the tombstone longest in the store was written.
    pub(super) oldest_tombstone: Option<SimTime>,
    first: Subject,
    last: Subject,
}

impl SortedFile {
    /// A file of what is sorted; `None` when there is nothing.
    pub(super) fn new(id: u64, segments: Vec<Segment>, tombstones: Vec<Tombstone>) -> Option<Self> {
        let firsts = [
            segments.first().map(|s| s.subject),
            tombstones.first().map(|t| t.subject),
        ];
        let lasts = [
            segments.last().map(|s| s.subject),
            tombstones.last().map(|t| t.subject),
        ];
        let first = firsts.into_iter().flatten().min()?;
        let last = lasts.into_iter().flatten().max()?;
        let tombstone_bytes = tombstones.iter().map(|t| t.bytes).sum::<u64>();
        let entries = segments.iter().map(|s| u64::from(s.records)).sum::<u64>()
            + tombstones.iter().map(|t| u64::from(t.entries)).sum::<u64>();
        Some(Self {
            id,
            entries,
            bytes: segments.iter().map(|s| s.bytes).sum::<u64>() + tombstone_bytes,
            tombstone_bytes,
            oldest_tombstone: tombstones.iter().map(|t| t.written).min(),
            first,
            last,
            segments,
            tombstones,
        })
    }

    /// From the first subject to the last.
    pub(super) fn range(&self) -> RangeInclusive<Subject> {
        self.first..=self.last
    }

    /// The segments of `subject`.
    pub(super) fn of(&self, subject: Subject) -> &[Segment] {
        let from = self.segments.partition_point(|s| s.subject < subject);
        let many = self.segments[from..].partition_point(|s| s.subject == subject);
        &self.segments[from..from + many]
    }

    /// The tombstone of `subject`.
    pub(super) fn tombstone(&self, subject: Subject) -> Option<&Tombstone> {
        let at = self
            .tombstones
            .binary_search_by_key(&subject, |t| t.subject)
            .ok()?;
        self.tombstones.get(at)
    }

    /// Parts the segments of `subject` at `stamp`, in place. Totals stay as they are.
    pub(super) fn split(&mut self, subject: Subject, stamp: SimTime) {
        let from = self.segments.partition_point(|s| s.subject < subject);
        let many = self.segments[from..].partition_point(|s| s.subject == subject);
        let parts: Vec<Segment> = self.segments[from..from + many]
            .iter()
            .flat_map(|segment| segment.split(stamp))
            .collect();
        self.segments.splice(from..from + many, parts);
    }
}

/// Files that do not overlap, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Run {
    pub(super) files: Vec<Arc<SortedFile>>,
}

impl Run {
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.bytes).sum()
    }

    /// The file that holds `subject`, if one does.
    pub(super) fn file_for(&self, subject: Subject) -> Option<&Arc<SortedFile>> {
        self.files.get(self.index_for(subject)?)
    }

    /// The place of the file in whose range `subject` lies.
    pub(super) fn index_for(&self, subject: Subject) -> Option<usize> {
        let at = self.files.partition_point(|f| *f.range().end() < subject);
        let file = self.files.get(at)?;
        file.range().contains(&subject).then_some(at)
    }
}

/// Runs, the oldest first; at most one below level 0 where compaction is leveled.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Level {
    pub(super) runs: Vec<Run>,
}

impl Level {
    pub(super) fn bytes(&self) -> u64 {
        self.runs.iter().map(Run::bytes).sum()
    }

    /// All files, those of the newest run first.
    pub(super) fn files(&self) -> impl Iterator<Item = &Arc<SortedFile>> {
        self.runs.iter().rev().flat_map(|run| run.files.iter())
    }

    /// Takes the files with these identifiers out; `ids` is sorted.
    pub(super) fn remove(&mut self, ids: &[u64]) {
        for run in &mut self.runs {
            run.files
                .retain(|file| ids.binary_search(&file.id).is_err());
        }
        self.runs.retain(|run| !run.files.is_empty());
    }

    /// Puts files among those of the only run, in the order of subjects.
    pub(super) fn insert(&mut self, files: Vec<SortedFile>) {
        if files.is_empty() {
            return;
        }
        if self.runs.is_empty() {
            self.runs.push(Run::default());
        }
        if let Some(run) = self.runs.last_mut() {
            run.files.extend(files.into_iter().map(Arc::new));
            run.files.sort_by_key(|file| *file.range().start());
        }
    }

    /// Adds a newest run.
    pub(super) fn push(&mut self, files: Vec<SortedFile>) {
        if !files.is_empty() {
            self.runs.push(Run {
                files: files.into_iter().map(Arc::new).collect(),
            });
        }
    }
}
