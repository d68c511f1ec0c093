//! What a store holds, in groups: records of one subject that nothing tells apart, and tombstones.

use smallvec::SmallVec;

use crate::engine::{SimDuration, SimTime};

/// Whom a record is about. Keys are in the order of these numbers, so that neighbours share files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(pub u32);

/// Records of one subject in one place. No erasure ever takes a part of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Whom they are about.
    pub subject: Subject,
    /// How many.
    pub records: u32,
    /// Their bytes.
    pub bytes: u64,
    /// The earliest time of one of them.
    pub oldest: SimTime,
    /// The latest.
    pub newest: SimTime,
}

impl Segment {
    /// Whether an erasure up to and including `stamp` takes some of them and leaves others.
    pub(super) fn straddles(&self, stamp: SimTime) -> bool {
        self.oldest <= stamp && stamp < self.newest
    }

    /// The records up to and including `stamp`, and those after it.
    ///
    /// Where single times are no longer known, records are taken to be spread evenly over their time: a
    /// segment of two or more has its oldest before and its newest after.
    pub(super) fn split(self, stamp: SimTime) -> SmallVec<[Segment; 2]> {
        if !self.straddles(stamp) {
            return SmallVec::from_slice(&[self]);
        }
        let share = (stamp.0 - self.oldest.0) as f64 / (self.newest.0 - self.oldest.0) as f64;
        if self.records < 2 {
            // One record, left over from an earlier split: it goes where more of its time lies.
            let (oldest, newest) = if share < 0.5 {
                (stamp + SimDuration(1), self.newest)
            } else {
                (self.oldest, stamp)
            };
            return SmallVec::from_slice(&[Segment {
                oldest,
                newest,
                ..self
            }]);
        }
        let most = self.records - 1;
        let records = ((share * f64::from(self.records)).round() as u32).clamp(1, most);
        // Below 2^64 whatever the share, since records is at most the whole.
        let bytes = u128::from(self.bytes) * u128::from(records) / u128::from(self.records);
        let before = Segment {
            records,
            bytes: bytes as u64,
            newest: stamp,
            ..self
        };
        let after = Segment {
            records: self.records - records,
            bytes: self.bytes - before.bytes,
            oldest: stamp + SimDuration(1),
            ..self
        };
        SmallVec::from_slice(&[before, after])
    }
}

/// All records of a subject up to and including a time are deleted.
///
/// At the very instant too: a record that cannot be said to be later than the erasure is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// Whose records.
    pub subject: Subject,
    /// Entries it is written as: 1 for a range, one for each record for points.
    pub entries: u32,
    /// Bytes of these entries.
    pub bytes: u64,
    /// Up to when.
    pub stamp: SimTime,
    /// When this store first got it, or one that it replaces.
    pub written: SimTime,
}

/// Records and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Amount {
    pub(super) fn add(&mut self, segment: &Segment) {
        self.records += u64::from(segment.records);
        self.bytes += segment.bytes;
    }
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

impl std::ops::SubAssign for Amount {
    fn sub_assign(&mut self, other: Amount) {
        self.records -= other.records;
        self.bytes -= other.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_keeps_what_there_is() {
        let whole = Segment {
            subject: Subject(1),
            records: 10,
            bytes: 1001,
            oldest: SimTime(100),
            newest: SimTime(200),
        };
        for stamp in [99, 100, 130, 199, 200] {
            let parts = whole.split(SimTime(stamp));
            assert_eq!(parts.iter().map(|p| p.records).sum::<u32>(), 10);
            assert_eq!(parts.iter().map(|p| p.bytes).sum::<u64>(), 1001);
            assert_eq!(parts.len(), if (100..200).contains(&stamp) { 2 } else { 1 });
            assert!(parts.iter().all(|p| p.records > 0 && p.oldest <= p.newest));
            assert!(parts.iter().all(|p| !p.straddles(SimTime(stamp))));
        }
        assert_eq!(whole.split(SimTime(130))[0].records, 3);
    }
}
