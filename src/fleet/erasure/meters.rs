//! What is counted of erasures.

use crate::measure::LatencyHistogram;

/// Counts and times of all erasures.
#[derive(Debug, Clone, Default)]
pub struct ErasureMeters {
    /// Requests that came.
    pub requested: u64,
    /// Of these: turned down.
    pub rejected: u64,
    /// Of these: done everywhere.
    pub done: u64,
    /// From the request until no read of any place saw anything of it.
    pub logical: LatencyHistogram,
    /// From the request until the last byte was gone from every place; of those done.
    pub physical: LatencyHistogram,
    /// Done within the deadline.
    pub in_time: u64,
    /// Not done within the deadline, those still pending past it among them.
    pub deadline_misses: u64,
    /// Done within the objective of one's own.
    pub within_slo: u64,
    /// Not done within it, those still pending past it among them.
    pub slo_misses: u64,
    /// Records from before an erasure that a store took in after it had forgotten the erasure.
    pub resurrected: u64,
    /// Requests under way that were given up.
    pub cancelled: u64,
    /// By place.
    pub places: Vec<PlaceMeter>,
}

/// One place, or those of one kind on all replicas.
#[derive(Debug, Clone)]
pub struct PlaceMeter {
    /// Name of the store.
    pub store: String,
    /// The region, by index; none where it is not one region's.
    pub region: Option<u16>,
    /// Erasures that it has to do.
    pub begun: u64,
    /// And has done.
    pub done: u64,
    /// From the request until its reads saw nothing of it.
    pub logical: LatencyHistogram,
    /// From the request until the last byte was gone from it.
    pub physical: LatencyHistogram,
}

impl PlaceMeter {
    pub(super) fn new(store: &str, region: Option<u16>) -> PlaceMeter {
        PlaceMeter {
            store: store.to_owned(),
            region,
            begun: 0,
            done: 0,
            logical: LatencyHistogram::new(),
            physical: LatencyHistogram::new(),
        }
    }
}

impl ErasureMeters {
    /// Adds what another replication counted.
    pub fn merge(&mut self, other: &ErasureMeters) {
        self.requested += other.requested;
        self.rejected += other.rejected;
        self.done += other.done;
        self.logical.merge(&other.logical);
        self.physical.merge(&other.physical);
        self.in_time += other.in_time;
        self.deadline_misses += other.deadline_misses;
        self.within_slo += other.within_slo;
        self.slo_misses += other.slo_misses;
        self.resurrected += other.resurrected;
        self.cancelled += other.cancelled;
        for (mine, theirs) in self.places.iter_mut().zip(&other.places) {
            mine.begun += theirs.begun;
            mine.done += theirs.done;
            mine.logical.merge(&theirs.logical);
            mine.physical.merge(&theirs.physical);
        }
    }
}
