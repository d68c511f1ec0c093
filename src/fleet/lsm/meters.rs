//! What a store counts.

use crate::engine::SimDuration;

use super::record::Amount;

/// Why a compaction was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A level held too much.
    Size,
    /// A tombstone was about to stay longer than it may.
    Deadline,
}

/// Compactions of one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// How many ended.
    pub jobs: u64,
    /// Bytes they read.
    pub read: u64,
    /// Bytes they wrote.
    pub written: u64,
}

/// Sums since the start, and what is held now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LsmMeters {
    /// Records taken in, erased or not.
    pub taken: Amount,
    /// Of those: from before the run.
    pub preloaded: Amount,
    /// Tombstone entries taken in, and their bytes.
    pub tombstones: Amount,
    /// Records refused because their subject had been erased at or after their time.
    pub dropped_late: Amount,
    /// Of those the ones that came by replication.
    pub dropped_replicas: u64,
    /// Records that a read can see.
    pub live: Amount,
    /// Records still held that no read can see.
    pub shadowed: Amount,
    /// Records that are gone.
    pub reclaimed: Amount,
    /// Bytes of tombstones that are gone.
    pub reclaimed_tombstone_bytes: u64,
    /// Bytes written to the log.
    pub log_bytes: u64,
    /// Bytes that flushes wrote.
    pub flushed_bytes: u64,
    /// Flushes.
    pub flushes: u64,
    /// Compactions because of size.
    pub by_size: Compacted,
    /// Compactions because of a tombstone's deadline.
    pub by_deadline: Compacted,
    /// Files that went a level down as they were, without being read.
    pub moves: u64,
    /// Writes that came while the store was behind with flushes or with level 0.
    pub stalls: u64,
    /// Lookups, and scans of a subject.
    pub lookups: u64,
    /// Blocks they read.
    pub blocks_read: u64,
    /// Of those the ones that a Bloom filter should have spared.
    pub false_positives: u64,
    /// Segments parted by an erasure later than what is known of single records.
    pub estimated_splits: u64,
    /// Time that the disk spent on foreground.
    pub foreground: SimDuration,
    /// Time that the disk spent, or is to spend, on flushes and compactions.
    pub background: SimDuration,
}

impl LsmMeters {
    /// Bytes of tombstones still held.
    #[must_use]
    pub fn held_tombstone_bytes(&self) -> u64 {
        self.tombstones.bytes - self.reclaimed_tombstone_bytes
    }

    /// Bytes held, in memory and on disk.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.live.bytes + self.shadowed.bytes + self.held_tombstone_bytes()
    }

    /// Bytes taken in during the run: records and tombstones.
    #[must_use]
    pub fn taken_bytes(&self) -> u64 {
        self.taken.bytes - self.preloaded.bytes + self.tombstones.bytes
    }

    /// Bytes that flushes and compactions wrote for each byte taken in, the log apart; `None` before the
    /// first byte.
    #[must_use]
    pub fn write_amplification(&self) -> Option<f64> {
        let written = self.flushed_bytes + self.by_size.written + self.by_deadline.written;
        ratio(written, self.taken_bytes())
    }

    /// Bytes held for each live one; `None` when none is live.
    #[must_use]
    pub fn space_amplification(&self) -> Option<f64> {
        ratio(self.held_bytes(), self.live.bytes)
    }

    /// Blocks read by a lookup on average; `None` before the first.
    #[must_use]
    pub fn read_amplification(&self) -> Option<f64> {
        ratio(self.blocks_read, self.lookups)
    }

    /// Adds what another store, or the same in another run, has counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.taken, other.taken),
            (&mut self.preloaded, other.preloaded),
            (&mut self.tombstones, other.tombstones),
            (&mut self.dropped_late, other.dropped_late),
            (&mut self.live, other.live),
            (&mut self.shadowed, other.shadowed),
            (&mut self.reclaimed, other.reclaimed),
        ] {
            *mine += theirs;
        }
        for (mine, theirs) in [
            (&mut self.dropped_replicas, other.dropped_replicas),
            (
                &mut self.reclaimed_tombstone_bytes,
                other.reclaimed_tombstone_bytes,
            ),
            (&mut self.log_bytes, other.log_bytes),
            (&mut self.flushed_bytes, other.flushed_bytes),
            (&mut self.flushes, other.flushes),
            (&mut self.moves, other.moves),
            (&mut self.stalls, other.stalls),
            (&mut self.lookups, other.lookups),
            (&mut self.blocks_read, other.blocks_read),
            (&mut self.false_positives, other.false_positives),
            (&mut self.estimated_splits, other.estimated_splits),
        ] {
            *mine += theirs;
        }
        for (mine, theirs) in [
            (&mut self.by_size, other.by_size),
            (&mut self.by_deadline, other.by_deadline),
        ] {
            mine.jobs += theirs.jobs;
            mine.read += theirs.read;
            mine.written += theirs.written;
        }
        self.foreground = self.foreground + other.foreground;
        self.background = self.background + other.background;
    }

    pub(super) fn compacted(&mut self, cause: Cause) -> &mut Compacted {
        match cause {
            Cause::Size => &mut self.by_size,
            Cause::Deadline => &mut self.by_deadline,
        }
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
