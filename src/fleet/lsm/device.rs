//! The disk: so many bytes and operations each second, foreground first.

use crate::engine::{SimDuration, SimTime};

use super::rule::{BLOCK_BYTES, LsmRule, STREAM_BYTES};

/// A disk that works on foreground before flushes, and on flushes before compactions, at once.
#[derive(Debug, Clone)]
pub(super) struct Device {
    bytes_per_s: f64,
    iops: f64,
    /// Until when foreground keeps it busy.
    free_at: SimTime,
    /// Time spent on foreground in all.
    pub(super) foreground: SimDuration,
    /// Part of a nanosecond not yet spent.
    rest_ns: f64,
}

impl Device {
    pub(super) fn new(rule: &LsmRule) -> Self {
        Self {
            bytes_per_s: rule.bandwidth(),
            iops: rule.iops,
            free_at: SimTime::ZERO,
            foreground: SimDuration::ZERO,
            rest_ns: 0.0,
        }
    }

    fn cost_ns(&self, bytes: f64, operations: f64) -> f64 {
        // The scarcer of the two is what is waited for.
        (bytes / self.bytes_per_s).max(operations / self.iops) * 1e9
    }

    /// How long a flush or a compaction takes that has the disk to itself.
    pub(super) fn stream(&self, bytes: u64) -> SimDuration {
        let operations = bytes.div_ceil(STREAM_BYTES) as f64;
        SimDuration(self.cost_ns(bytes as f64, operations).ceil() as u64)
    }

    /// Appends to the log: when that is on disk, and how long others have to wait for it. Appends share
    /// blocks, as where commits are gathered.
    pub(super) fn append(&mut self, bytes: u64, now: SimTime) -> (SimTime, SimDuration) {
        let cost = self.cost_ns(bytes as f64, bytes as f64 / BLOCK_BYTES as f64);
        self.spend(cost, now)
    }

    /// Reads single blocks.
    pub(super) fn read(&mut self, blocks: u64, now: SimTime) -> (SimTime, SimDuration) {
        let cost = self.cost_ns((blocks * BLOCK_BYTES) as f64, blocks as f64);
        self.spend(cost, now)
    }

    fn spend(&mut self, cost_ns: f64, now: SimTime) -> (SimTime, SimDuration) {
        // Whole nanoseconds are given out and the rest is kept, so that small costs are not lost.
        let exact = cost_ns + self.rest_ns;
        let cost = SimDuration(exact as u64);
        self.rest_ns = exact - cost.0 as f64;
        self.free_at = self.free_at.max(now) + cost;
        self.foreground = self.foreground + cost;
        (self.free_at, cost)
    }
}
