//! What is gathered in memory before it is written out.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use crate::engine::SimTime;

use super::record::{Segment, Subject, Tombstone};

/// Records one by one, in the order they came for each subject, and tombstones.
#[derive(Debug, Clone, Default)]
pub(super) struct Memtable {
    segments: HashMap<Subject, SmallVec<[Segment; 1]>, FxBuildHasher>,
    tombstones: HashMap<Subject, SmallVec<[Tombstone; 1]>, FxBuildHasher>,
    /// Bytes, those of tombstones among them.
    pub(super) bytes: u64,
    /// When the first tombstone was written.
    pub(super) oldest_tombstone: Option<SimTime>,
}

impl Memtable {
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.tombstones.is_empty()
    }

    pub(super) fn put(&mut self, segment: Segment) {
        self.bytes += segment.bytes;
        self.segments
            .entry(segment.subject)
            .or_default()
            .push(segment);
    }

    pub(super) fn erase(&mut self, tombstone: Tombstone) {
        self.bytes += tombstone.bytes;
        self.oldest_tombstone.get_or_insert(tombstone.written);
        self.tombstones
            .entry(tombstone.subject)
            .or_default()
            .push(tombstone);
    }

    /// The segments of `subject`.
    pub(super) fn of(&self, subject: Subject) -> &[Segment] {
        self.segments
            .get(&subject)
            .map_or(&[], |segments| segments.as_slice())
    }

    /// Whether it has a tombstone of `subject`.
    pub(super) fn has_tombstone(&self, subject: Subject) -> bool {
        self.tombstones.contains_key(&subject)
    }

    /// Whether it has a record or a tombstone of `subject`.
    pub(super) fn knows(&self, subject: Subject) -> bool {
        self.segments.contains_key(&subject) || self.tombstones.contains_key(&subject)
    }

    /// Everything: segments and tombstones in the order of subjects, what came last first in each.
    pub(super) fn sorted(&self) -> (Vec<Segment>, Vec<Tombstone>) {
        (sorted(&self.segments), sorted(&self.tombstones))
    }
}

/// All entries by subject, the newest of each first: the order of the map never shows.
fn sorted<T: Copy>(map: &HashMap<Subject, SmallVec<[T; 1]>, FxBuildHasher>) -> Vec<T> {
    let mut groups: Vec<_> = map.iter().collect();
    groups.sort_unstable_by_key(|(subject, _)| **subject);
    groups
        .into_iter()
        .flat_map(|(_, group)| group.iter().rev().copied())
        .collect()
}
