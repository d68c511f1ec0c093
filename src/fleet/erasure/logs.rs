//! Request logs, one for each region or replica.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::engine::{SimDuration, SimTime, Streams};
use crate::fleet::lsm::{LsmMeters, LsmStore, Purge, Stored, Subject};
use crate::fleet::spot::errors::RuleError;

use super::feed::Feed;
use super::plan::LogPlan;
use super::subjects::Subjects;

/// Mean times between records that are drawn at once.
const RECORDS_AT_ONCE: f64 = 64.0;

/// A log.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) plan: LogPlan,
    /// Index of its plan.
    pub(super) store: u16,
    pub(super) region: u16,
    /// The replica that it is on.
    pub(super) replica: Option<u32>,
    /// Its meter.
    pub(super) row: u16,
    pub(super) lsm: LsmStore,
    pub(super) feed: Feed,
    /// Cases by the number of their erasure here, with when the log was told.
    pub(super) open: HashMap<u64, (u64, SimTime), FxBuildHasher>,
    /// Up to when each subject was erased here, ever.
    pub(super) told: HashMap<Subject, SimTime, FxBuildHasher>,
    /// Whether its replica is slowed down for it.
    pub(super) slows: bool,
    /// When it is looked at next.
    pub(super) due: SimTime,
    /// Records from before an erasure that it has taken in after it.
    pub(super) resurrected: u64,
    /// What it had come to at the end, before it was looked into.
    pub(super) at_end: Option<LogRow>,
    /// Until when copies have something of erased subjects, by backup.
    pub(super) copied: HashMap<(usize, Subject), SimTime, FxBuildHasher>,
    /// At most so long between two looks, where records come by themselves.
    looks_every: SimDuration,
}

impl Log {
    pub(super) fn new(
        plan: &LogPlan,
        (store, region, replica, row): (u16, u16, Option<u32>, u16),
        (subjects, regions, horizon): (&Subjects, u16, SimTime),
        streams: Streams,
    ) -> Result<Log, RuleError> {
        let mut lsm = LsmStore::new(plan.rule)?;
        let id = u64::from(store) << 16 | replica.map_or(0, |replica| u64::from(replica) + 1);
        if plan.records_before > 0.0 {
            let each = u64::from(plan.bytes.0);
            let records = subjects.records(plan.records_before, id);
            lsm.preload(records.map(|(subject, many)| (subject, many, u64::from(many) * each)));
        }
        let lags = (0..regions).filter_map(|origin| match plan.lag {
            _ if origin == region => Some((origin, SimDuration::ZERO)),
            Some(lag) => Some((origin, lag)),
            None => None,
        });
        // Without replication a region's log has what the region makes.
        let feed = Feed::new(plan.records_per_s, horizon, id, lags, streams);
        let rarely = SimDuration((horizon.0 / 1_000).max(1));
        let looks_every = match plan.slow_factor {
            Some(_) if plan.records_per_s > 0.0 => {
                let between = RECORDS_AT_ONCE / plan.records_per_s;
                SimDuration::from_secs_f64(between.clamp(0.001, 1.0))
            }
            _ => rarely,
        };
        Ok(Log {
            plan: plan.clone(),
            store,
            region,
            replica,
            row,
            lsm,
            feed,
            open: HashMap::default(),
            told: HashMap::default(),
            slows: false,
            due: SimTime::NEVER,
            resurrected: 0,
            at_end: None,
            copied: HashMap::default(),
            looks_every,
        })
    }

    /// Takes in what has come by itself, and does what was due.
    pub(super) fn sync(&mut self, subjects: &Subjects, now: SimTime) {
        let bytes = u64::from(self.plan.bytes.0);
        while let Some((at, subject, made, elsewhere)) = self.feed.next(now, subjects) {
            self.take(subject, bytes, made, at, elsewhere);
        }
        self.lsm.advance(now);
    }

    /// A record comes; it was made at `made`.
    pub(super) fn take(
        &mut self,
        subject: Subject,
        bytes: u64,
        made: SimTime,
        now: SimTime,
        elsewhere: bool,
    ) -> Stored {
        let stored = match elsewhere {
            true => self.lsm.put_replica(subject, bytes, made, now),
            false => self.lsm.put_late(subject, bytes, made, now),
        };
        // It was to be gone, and the store has forgotten that.
        if stored != Stored::DroppedLate
            && self.told.get(&subject).is_some_and(|until| made <= *until)
        {
            self.resurrected += 1;
        }
        stored
    }

    /// Bytes of a record of a request.
    pub(super) fn record_bytes(&self, tokens: u64) -> u64 {
        let (fixed, per_token) = self.plan.bytes;
        u64::from(fixed) + (per_token * tokens as f64).round() as u64
    }

    /// Erases a subject for a case.
    pub(super) fn erase(&mut self, subject: Subject, stamp: SimTime, case: u64, now: SimTime) {
        let id = self.lsm.erase(subject, stamp, now);
        self.open.insert(id.0, (case, now));
        let until = self.told.entry(subject).or_insert(stamp);
        *until = (*until).max(stamp);
    }

    /// Erasures that were done since this was last asked: the case, when the log was told, and what became
    /// of it.
    pub(super) fn take_done(&mut self) -> Vec<(u64, SimTime, Purge)> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let done = self.lsm.take_purged().into_iter();
        let open = &mut self.open;
        done.filter_map(|purge| {
            let (case, told) = open.remove(&purge.id.0)?;
            Some((case, told, purge))
        })
        .collect()
    }

    /// When somebody has to look at it again.
    pub(super) fn looked_at_next(&self, now: SimTime) -> Option<SimTime> {
        let next = now + self.looks_every;
        let feeds = !self.feed.is_over();
        let due = self.lsm.next_due();
        let wanted = self.plan.slow_factor.is_some() || !self.open.is_empty();
        match (wanted, feeds) {
            (true, true) => Some(due.map_or(next, |due| due.min(next))),
            (true, false) => due,
            (false, true) => Some(next),
            (false, false) => None,
        }
        .map(|at| at.max(now))
    }

    /// What it holds of records that it should not, counted one subject after the other.
    pub(super) fn recount_resurrected(&self) -> u64 {
        let pending = self.lsm.pending_purges().map(|purge| purge.subject);
        let pending: BTreeSet<Subject> = pending.collect();
        let done = self.told.iter();
        let done = done.filter(|(subject, _)| !pending.contains(*subject));
        done.map(|(subject, until)| self.lsm.held(*subject, *until).records)
            .sum()
    }

    /// What it has come to.
    pub(super) fn row(&self) -> LogRow {
        LogRow {
            store: self.plan.name.clone(),
            region: self.region,
            logs: 1,
            meters: self.lsm.meters(),
            depth: self.lsm.depth() as u64,
            runs: self.lsm.runs() as u64,
            level_bytes: self.lsm.level_bytes(),
            purges: PurgeSums::default(),
            resurrected: self.resurrected,
            pending: self.lsm.pending() as u64,
        }
    }
}

/// What a log has come to, or several of them together.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRow {
    /// Name of the store.
    pub store: String,
    /// Its region, by index.
    pub region: u16,
    /// Logs in it.
    pub logs: u64,
    /// What they counted.
    pub meters: LsmMeters,
    /// Levels below the first, summed.
    pub depth: u64,
    /// Sorted runs, summed.
    pub runs: u64,
    /// Bytes by level, summed.
    pub level_bytes: Vec<u64>,
    /// What erasures took.
    pub purges: PurgeSums,
    /// Records from before an erasure that were taken in after it.
    pub resurrected: u64,
    /// Erasures of which something is left.
    pub pending: u64,
}

/// Sums over the erasures that a log has done.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PurgeSums {
    /// Erasures.
    pub done: u64,
    /// Records that they found.
    pub records: u64,
    /// Runs searched for them.
    pub probed: u64,
    /// Flushes and compactions that their tombstones went through.
    pub jobs: u64,
    /// Records that the log held when it was told, summed.
    pub log_records: u64,
    /// The longest from the log being told until the last was gone.
    pub longest: SimDuration,
    /// Bytes that their tombstones made flushes and compactions read and write, with their share of what was
    /// merged for a deadline alone.
    pub work_bytes: u64,
}

impl PurgeSums {
    pub(super) fn add(&mut self, purge: &Purge) {
        self.done += 1;
        self.records += purge.held.records;
        self.log_records += purge.log_records;
        let took = purge
            .physical
            .map_or(SimDuration::ZERO, |at| at.since(purge.received));
        self.longest = self.longest.max(took);
        self.probed += u64::from(purge.probed);
        self.jobs += u64::from(purge.jobs);
        self.work_bytes += purge.work_bytes;
    }

    fn merge(&mut self, other: &PurgeSums) {
        self.done += other.done;
        self.records += other.records;
        self.log_records += other.log_records;
        self.longest = self.longest.max(other.longest);
        self.probed += other.probed;
        self.jobs += other.jobs;
        self.work_bytes += other.work_bytes;
    }
}

impl LogRow {
    /// Adds what another log has come to, or the same in another replication.
    pub fn merge(&mut self, other: &LogRow) {
        self.logs += other.logs;
        self.meters.merge(&other.meters);
        self.depth += other.depth;
        self.runs += other.runs;
        let levels = self.level_bytes.len().max(other.level_bytes.len());
        self.level_bytes.resize(levels, 0);
        for (mine, theirs) in self.level_bytes.iter_mut().zip(&other.level_bytes) {
            *mine += theirs;
        }
        self.purges.merge(&other.purges);
        self.resurrected += other.resurrected;
        self.pending += other.pending;
    }
}
