//! The desk that erasure requests come to, and what it does about each.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use rand::RngExt;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use crate::engine::{SimDuration, SimRng, SimTime, Streams};
use crate::fleet::geo::{RegionIndex, bit};
use crate::fleet::lsm::Subject;
use crate::fleet::plan::FleetPlan;
use crate::fleet::spot::errors::RuleError;

use super::agenda::{Agenda, Entry};
use super::audit::{AuditRow, Verdict};
use super::caches::Cache;
use super::case::Case;
use super::demand::Demand;
use super::kv::KvDesk;
use super::logs::{Log, PurgeSums};
use super::meters::ErasureMeters;
use super::plan::ErasurePlan;
use super::reach::Reach;
use super::subjects::Subjects;
use super::traffic::Links;

/// What the world is to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wish {
    /// Give up the requests of a subject that are under way.
    Cancel(Subject),
    /// Rid all prefix caches of what a subject has in them, and tell [`Erasure::kv_told`].
    ForgetKv {
        /// The case.
        case: u64,
        /// The subject.
        subject: Subject,
        /// Of a request that has gone, where it waited for that: then no more than its blocks, and
        /// [`Erasure::kv_told_of`] is told.
        name: Option<u64>,
    },
    /// Slow a replica down, or do so no more.
    Slow {
        /// The replica.
        replica: u32,
        /// Its iterations take so many times as long.
        factor: f64,
        /// Whether it begins or ends.
        begins: bool,
    },
}

/// A request that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// The name of its session, or its own.
    pub name: u64,
    /// When it began.
    pub arrival: SimTime,
    /// Whether it was answered.
    pub answered: bool,
    /// Tokens of prompt and answer.
    pub tokens: u64,
    /// The region of its gateway.
    pub region: u16,
    /// The replica that answered.
    pub replica: Option<u32>,
}

/// Requests of a subject under way that a case waits for: the case, how many, and up to when they came.
pub(super) type Awaited = SmallVec<[(u64, u32, SimTime); 1]>;

/// Everything about erasures.
#[derive(Debug, Clone)]
pub struct Erasure {
    pub(super) fleet: Arc<FleetPlan>,
    pub(super) plan: Arc<ErasurePlan>,
    pub(super) subjects: Subjects,
    pub(super) agenda: Agenda,
    demands: Vec<Demand>,
    verification: SimRng,
    homes: SimRng,
    pub(super) cases: BTreeMap<u64, Case>,
    count: u64,
    /// Requests under way by subject.
    pub(super) under_way: HashMap<Subject, u32, FxBuildHasher>,
    pub(super) awaited: HashMap<Subject, Awaited, FxBuildHasher>,
    pub(super) logs: Vec<Log>,
    /// The first log of each store.
    pub(super) first_log: Vec<usize>,
    /// What erasures took, by log.
    pub(super) purges: Vec<PurgeSums>,
    pub(super) caches: Vec<Cache>,
    pub(super) kv: KvDesk,
    pub(super) kv_row: Option<u16>,
    pub(super) in_flight_row: u16,
    /// The meter of the copies of each log, by backup and log.
    pub(super) backup_rows: BTreeMap<(usize, usize), u16>,
    pub(super) links: Links,
    /// Counts and times.
    pub meters: ErasureMeters,
    /// Lines of the audit log, until somebody takes them; only where they are wanted.
    pub rows: Vec<AuditRow>,
    pub(super) records_rows: bool,
    pub(super) wishes: Vec<Wish>,
    /// Places that have not said that they are done, by case; only where lines are wanted.
    pub(super) unfinished: BTreeMap<u64, Vec<(u16, Option<u32>)>>,
    pub(super) is_wound_up: bool,
    /// Places whose reads see nothing any more as soon as they are told, by row: that is noted then.
    pub(super) is_blind_early: Vec<bool>,
}

impl Erasure {
    /// Builds the overlay of a fleet; none where it has none.
    ///
    /// # Errors
    /// A store that cannot be made.
    pub fn new(fleet: &Arc<FleetPlan>) -> Result<Option<Box<Erasure>>, RuleError> {
        let Some(plan) = &fleet.erasure else {
            return Ok(None);
        };
        let streams = fleet.streams;
        let subjects = Subjects::new(plan.subjects, plan.of_requests, plan.exponent, streams);
        let regions = fleet.topology.regions.len() as u16;
        let mut erasure = Erasure {
            fleet: Arc::clone(fleet),
            plan: Arc::clone(plan),
            subjects,
            agenda: Agenda::default(),
            demands: Vec::new(),
            verification: streams.stream("erasure", 0, "verification"),
            homes: streams.stream("erasure", 0, "regions"),
            cases: BTreeMap::new(),
            count: 0,
            under_way: HashMap::default(),
            awaited: HashMap::default(),
            logs: Vec::new(),
            first_log: Vec::new(),
            purges: Vec::new(),
            caches: Vec::new(),
            kv: KvDesk::default(),
            kv_row: None,
            in_flight_row: 0,
            backup_rows: BTreeMap::new(),
            links: Links::new(plan, regions),
            meters: ErasureMeters::default(),
            rows: Vec::new(),
            records_rows: fleet.record_erasures,
            wishes: Vec::new(),
            unfinished: BTreeMap::new(),
            is_wound_up: false,
            is_blind_early: Vec::new(),
        };
        erasure.in_flight_row = erasure.row("requests under way", None);
        erasure.add_logs(streams)?;
        erasure.add_others(regions);
        erasure.begin(streams);
        Ok(Some(Box::new(erasure)))
    }

    fn begin(&mut self, streams: Streams) {
        let plan = Arc::clone(&self.plan);
        for (index, demand) in (0_u16..).zip(&plan.demands) {
            let mut demand = Demand::new(demand, u64::from(index), streams);
            let first = demand.first().filter(|_| plan.traffic);
            if let Some(at) = first {
                self.agenda.note(at, Entry::Ask(index));
            }
            self.demands.push(demand);
        }
        for log in 0..self.logs.len() {
            self.look_at(log, SimTime::ZERO);
        }
    }

    /// When it next has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<SimTime> {
        self.agenda.first()
    }

    /// Whose request it is that has this name; none of a sampled subject's where it is sampled out.
    #[must_use]
    pub fn subject_of(&self, name: u64) -> Option<Subject> {
        self.subjects.of(name)
    }

    /// Does what is due by `now`; what others are to do is in [`Erasure::take_wishes`] then.
    pub fn work(&mut self, now: SimTime, reach: &Reach<'_>) {
        while let Some(entry) = self.agenda.next(now) {
            match entry {
                Entry::Ask(demand) => self.ask(demand, now),
                Entry::Verified { case, accepted } => self.verified(case, accepted, now, reach),
                Entry::Tell { case, place } => self.tell(case, place, now, reach),
                Entry::Ship(link) => self.ship(link, now, reach),
                Entry::LogDue(log) => {
                    let log = usize::from(log);
                    if self.logs[log].due <= now {
                        self.logs[log].due = SimTime::NEVER;
                        self.logs[log].sync(&self.subjects, now);
                        self.look_at(log, now);
                    }
                }
                Entry::Gone {
                    case,
                    row,
                    told,
                    logical,
                } => self.finish(case, row, None, (told, logical, now)),
                Entry::Forget {
                    log,
                    subject,
                    stamp,
                } => self.forget(log, subject, stamp, now),
            }
        }
    }

    /// What the world is to do, in this order.
    pub fn take_wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    fn ask(&mut self, index: u16, now: SimTime) {
        let demand = &mut self.demands[usize::from(index)];
        let (subject, accepted) = demand.request(&self.subjects, self.plan.asked_by_activity);
        if let Some(at) = demand.after(now) {
            self.agenda.note(at, Entry::Ask(index));
        }
        let regions = self.fleet.topology.regions.len() as u16;
        let region = self.homes.random_range(0..regions);
        let takes = match &self.plan.verification {
            Some(law) => law.sample(&mut self.verification),
            None => SimDuration::ZERO,
        };
        let number = self.count;
        self.count += 1;
        self.meters.requested += 1;
        self.cases
            .insert(number, Case::new(number, subject, region, now));
        let verified = Entry::Verified {
            case: number,
            accepted,
        };
        self.agenda.note(now + takes, verified);
    }

    fn verified(&mut self, number: u64, accepted: bool, now: SimTime, reach: &Reach<'_>) {
        let Some(case) = self.cases.get_mut(&number) else {
            return;
        };
        if !accepted {
            let row = AuditRow {
                erasure: number,
                subject: self.subjects.alias(case.subject),
                verdict: Verdict::Rejected,
                place: None,
                replica: None,
                received: case.received,
                stamp: None,
                told: None,
                logical: None,
                physical: None,
            };
            self.note_row(row);
            self.meters.rejected += 1;
            self.cases.remove(&number);
            return;
        }
        // Its gateway may have died; another region's takes over, or it is sent again.
        let regions = 0..self.fleet.topology.regions.len() as u16;
        let mut alive = regions.filter(|region| !(reach.down)(*region));
        if (reach.down)(case.region) {
            let Some(other) = alive.next() else {
                let again = Entry::Verified {
                    case: number,
                    accepted,
                };
                return self.agenda.note(now + self.plan.retry, again);
            };
            case.region = other;
        }
        case.stamp = now;
        case.known = bit(RegionIndex(case.region));
        let (subject, region) = (case.subject, case.region);
        self.fan_out(number, subject, region, now);
    }
}
