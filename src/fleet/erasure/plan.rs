//! What erasure traffic and the stores are built from.

use crate::engine::{SimDuration, SimTime};
use crate::fleet::lsm::LsmRule;
use crate::scenario::erasure::{InFlight, OnErase, OnKvErase, Shredding};
use crate::workload::Sampler;

/// Everything the overlay is built from, of the sampled subjects alone.
#[derive(Debug, Clone)]
pub struct ErasurePlan {
    /// Whether anybody asks.
    pub traffic: bool,
    /// Subjects that are simulated.
    pub subjects: u32,
    /// One of so many of all subjects.
    pub sample: u32,
    /// One in so many of the fleet's requests is of one of them.
    pub of_requests: u32,
    /// Exponent of the law of activity; 0 where all are alike.
    pub exponent: f64,
    /// Whether those who have more ask more.
    pub asked_by_activity: bool,
    /// Who asks, when.
    pub demands: Vec<DemandPlan>,
    /// How long authentication takes.
    pub verification: Option<Sampler>,
    /// Within which all is to be gone.
    pub deadline: SimDuration,
    /// The objective of one's own.
    pub slo: Option<SimDuration>,
    /// What becomes of requests under way.
    pub in_flight: InFlight,
    /// How long until a place that cannot be reached is told again.
    pub retry: SimDuration,
    /// Arrivals and erasure requests end here.
    pub horizon: SimTime,
    /// Request logs.
    pub logs: Vec<LogPlan>,
    /// Prefix caches.
    pub kv: Option<KvPlan>,
    /// Caches by subject.
    pub caches: Vec<CachePlan>,
    /// Backups.
    pub backups: Vec<BackupPlan>,
}

/// A stream of erasure requests.
#[derive(Debug, Clone, PartialEq)]
pub struct DemandPlan {
    /// What it is.
    pub name: String,
    /// From when.
    pub from: SimTime,
    /// Until when.
    pub to: SimTime,
    /// Requests a second of the sampled subjects.
    pub per_s: f64,
    /// It is about so many different subjects; none for all.
    pub among: Option<u32>,
    /// Probability of being turned down.
    pub rejection: f64,
}

/// A request log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPlan {
    /// Name.
    pub name: String,
    /// The tree.
    pub rule: LsmRule,
    /// Bytes of a record, and for each of its tokens.
    pub bytes: (u32, f64),
    /// The pool on whose replicas it is; none for one in each region.
    pub pool: Option<u16>,
    /// Records a second beside those of simulated requests, of the sampled subjects, in each region.
    pub records_per_s: f64,
    /// Records of a subject from before the run, on average.
    pub records_before: f64,
    /// Lag of replication; none without.
    pub lag: Option<SimDuration>,
    /// Whether answers wait for their record.
    pub before_answer: bool,
    /// How long it remembers erasures; none for ever.
    pub remember: Option<SimDuration>,
    /// Factor on the work of the replica that it is on, while it flushes or compacts.
    pub slow_factor: Option<f64>,
    /// What a write takes beside the disk, and what an erasure does.
    pub takes: (SimDuration, SimDuration),
}

/// The prefix caches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvPlan {
    /// Name.
    pub name: String,
    /// What is done.
    pub on_erase: OnKvErase,
}

/// A cache by subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePlan {
    /// Name.
    pub name: String,
    /// How long it keeps something.
    pub ttl: SimDuration,
    /// What is done.
    pub on_erase: OnErase,
}

/// Backups of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupPlan {
    /// Name.
    pub name: String,
    /// The log, by index.
    pub of: usize,
    /// Between two copies.
    pub interval: SimDuration,
    /// How long one is kept.
    pub retention: SimDuration,
    /// What is done.
    pub on_erase: Shredding,
}
