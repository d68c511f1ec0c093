//! The desk that erasure requests come to, and what it does about each.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use rand::RngExt;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use crate::engine::{SimDuration, SimRng, SimTime, Streams};
use crate::fleet::lsm::{Purge, Subject};
use crate::fleet::plan::FleetPlan;
use crate::fleet::spot::errors::RuleError;
use crate::scenario::erasure::{InFlight, OnErase, Shredding};

use super::agenda::{Agenda, Entry, Target};
use super::audit::{AuditRow, Verdict};
use super::backups::expires;
use super::caches::Cache;
use super::case::Case;
use super::demand::Demand;
use super::kv::KvDesk;
use super::logs::{Log, LogRow, PurgeSums};
use super::meters::{ErasureMeters, PlaceMeter};
use super::plan::ErasurePlan;
use super::subjects::Subjects;
use super::traffic::Links;

/// Which regions can be reached.
pub struct Reach<'a> {
    /// Whether a region is down.
    pub down: &'a dyn Fn(u16) -> bool,
    /// Whether nothing passes from a region to another.
    pub cut: &'a dyn Fn(u16, u16) -> bool,
    /// Whether a replica is alive.
    pub alive: &'a dyn Fn(u32) -> bool,
}

/// A region as a bit of [`Case::known`]; scenarios have 64 regions at most.
fn bit(region: u16) -> u64 {
    1 << (region % 64)
}

impl Reach<'_> {
    /// The word goes from region to region, wherever ways are free.
    fn spread(&self, known: u64, regions: u16) -> u64 {
        let mut all = known;
        loop {
            let before = all;
            for from in (0..regions).filter(|from| before & bit(*from) != 0) {
                if (self.down)(from) {
                    continue;
                }
                for to in (0..regions).filter(|to| self.free(from, *to)) {
                    all |= bit(to);
                }
            }
            if all == before {
                return all;
            }
        }
    }

    pub(super) fn free(&self, from: u16, to: u16) -> bool {
        !(self.down)(to) && (from == to || !(self.down)(from) && !(self.cut)(from, to))
    }
}

/// Whether requests hold blocks at a replica, of names that the second argument picks, that are to go.
pub type Holds<'a> = dyn Fn(u32, &dyn Fn(u64) -> bool) -> bool + 'a;

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
    /// Up to when each subject is erased: the audit log, as gateways know it.
    pub(super) ledger: HashMap<Subject, SimTime, FxBuildHasher>,
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
    records_rows: bool,
    pub(super) wishes: Vec<Wish>,
    /// Places that have not said that they are done, by case; only where lines are wanted.
    pub(super) unfinished: BTreeMap<u64, Vec<(u16, Option<u32>)>>,
    pub(super) is_wound_up: bool,
    /// Places whose reads see nothing any more as soon as they are told, by row: that is noted then.
    is_blind_early: Vec<bool>,
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
            ledger: HashMap::default(),
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
        erasure.is_blind_early = vec![false; erasure.meters.places.len()];
        let logs = erasure.logs.iter().map(|log| log.row);
        let copies = erasure.backup_rows.values().copied();
        let early: Vec<u16> = logs.chain(copies).collect();
        for row in early {
            erasure.is_blind_early[usize::from(row)] = true;
        }
        erasure.begin(streams);
        Ok(Some(Box::new(erasure)))
    }

    fn row(&mut self, store: &str, region: Option<u16>) -> u16 {
        let places = &mut self.meters.places;
        places.push(PlaceMeter::new(store, region));
        (places.len() - 1) as u16
    }

    fn add_logs(&mut self, streams: Streams) -> Result<(), RuleError> {
        let plan = Arc::clone(&self.plan);
        let fleet = Arc::clone(&self.fleet);
        let regions = fleet.topology.regions.len() as u16;
        for (store, log) in (0_u16..).zip(&plan.logs) {
            self.first_log.push(self.logs.len());
            let sites: Vec<(u16, Option<u32>, u16)> = match log.pool {
                None => (0..regions)
                    .map(|region| (region, None, self.row(&log.name, Some(region))))
                    .collect(),
                Some(pool) => {
                    let region = fleet.pools[usize::from(pool)].region;
                    let row = self.row(&log.name, Some(region));
                    let before = fleet.pools[..usize::from(pool)].iter();
                    let first: u32 = before.map(|pool| pool.replicas).sum();
                    let replicas = first..first + fleet.pools[usize::from(pool)].replicas;
                    replicas
                        .map(|replica| (region, Some(replica), row))
                        .collect()
                }
            };
            for (region, replica, row) in sites {
                let site = (store, region, replica, row);
                let world = (&self.subjects, regions, plan.horizon);
                self.logs.push(Log::new(log, site, world, streams)?);
                self.purges.push(PurgeSums::default());
            }
        }
        Ok(())
    }

    fn add_others(&mut self, regions: u16) {
        let plan = Arc::clone(&self.plan);
        self.kv_row = plan.kv.as_ref().map(|kv| self.row(&kv.name, None));
        for cache in &plan.caches {
            for region in 0..regions {
                let row = self.row(&cache.name, Some(region));
                self.caches.push(Cache::new(cache, region, row));
            }
        }
        for (index, backup) in plan.backups.iter().enumerate() {
            for log in self.logs_of(backup.of) {
                let region = self.logs[log].region;
                let before = self.backup_rows.range((index, 0)..(index, log));
                let same = before.map(|(_, row)| *row).next_back();
                // The copies of logs on replicas are one place.
                let row = match (self.logs[log].replica, same) {
                    (Some(_), Some(row)) => row,
                    _ => self.row(&backup.name, Some(region)),
                };
                self.backup_rows.insert((index, log), row);
            }
        }
    }

    /// The logs of a store, by index over all.
    pub(super) fn logs_of(&self, store: usize) -> std::ops::Range<usize> {
        let from = self.first_log.get(store).copied().unwrap_or(0);
        let to = self.first_log.get(store + 1).copied();
        from..to.unwrap_or(self.logs.len())
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

    /// Whether it may cancel requests.
    #[must_use]
    pub fn cancels(&self) -> bool {
        self.plan.in_flight == InFlight::Cancel
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
        case.known = bit(case.region);
        let (subject, region) = (case.subject, case.region);
        let until = self.ledger.entry(subject).or_insert(now);
        *until = (*until).max(now);
        self.fan_out(number, subject, region, now);
    }

    /// Tells every place.
    fn fan_out(&mut self, number: u64, subject: Subject, region: u16, now: SimTime) {
        let fleet = Arc::clone(&self.fleet);
        let plan = Arc::clone(&self.plan);
        let mut left = 0_u32;
        let tell = |at: SimTime, place: Target, agenda: &mut Agenda| {
            agenda.note(
                at,
                Entry::Tell {
                    case: number,
                    place,
                },
            );
        };
        for (index, log) in (0_u16..).zip(&self.logs) {
            let hop = match log.plan.pool {
                None => fleet.topology.between(region, log.region),
                Some(pool) => fleet.hop_to(region, usize::from(pool)),
            };
            tell(now + hop, Target::Log(index), &mut self.agenda);
            self.meters.places[usize::from(log.row)].begun += 1;
            left += 1;
        }
        for row in self.backup_rows.values() {
            self.meters.places[usize::from(*row)].begun += 1;
            left += 1;
        }
        if let Some(row) = self.kv_row {
            let hops = (0..fleet.pools.len()).map(|pool| fleet.hop_to(region, pool));
            let hop = hops.max().unwrap_or(SimDuration::ZERO);
            tell(now + hop, Target::Kv, &mut self.agenda);
            self.meters.places[usize::from(row)].begun += 1;
            left += 1;
        }
        for (index, cache) in (0_u16..).zip(&self.caches) {
            let hop = fleet.topology.between(region, cache.region);
            tell(now + hop, Target::Cache(index), &mut self.agenda);
            self.meters.places[usize::from(cache.row)].begun += 1;
            left += 1;
        }
        self.meters.places[usize::from(self.in_flight_row)].begun += 1;
        left += 1;
        if let Some(case) = self.cases.get_mut(&number) {
            case.left = left;
            case.seen = left;
        }
        if self.records_rows {
            let logs = self.logs.iter().map(|log| (log.row, log.replica));
            let copies = self.backup_rows.values().map(|row| (*row, None));
            let caches = self.caches.iter().map(|cache| (cache.row, None));
            let others = [Some(self.in_flight_row), self.kv_row];
            let others = others.into_iter().flatten().map(|row| (row, None));
            let all = logs.chain(copies).chain(caches).chain(others);
            self.unfinished.insert(number, all.collect());
        }
        match self.under_way.get(&subject).copied() {
            Some(many) if many > 0 => {
                self.awaited
                    .entry(subject)
                    .or_default()
                    .push((number, many, now));
                if plan.in_flight == InFlight::Cancel {
                    self.wishes.push(Wish::Cancel(subject));
                }
            }
            _ => self.finish(number, self.in_flight_row, None, (now, now, now)),
        }
    }

    fn tell(&mut self, number: u64, place: Target, now: SimTime, reach: &Reach<'_>) {
        let Some(case) = self.cases.get(&number).copied() else {
            return;
        };
        let to = match place {
            Target::Log(log) => self.logs[usize::from(log)].region,
            Target::Cache(cache) => self.caches[usize::from(cache)].region,
            Target::Kv => case.region,
        };
        let regions = self.fleet.topology.regions.len() as u16;
        let known = reach.spread(case.known, regions);
        if let Some(case) = self.cases.get_mut(&number) {
            case.known = known;
        }
        let is_told = |to: u16| {
            let mut from = (0..regions).filter(|from| known & bit(*from) != 0);
            from.any(|from| reach.free(from, to) && !(reach.down)(from))
        };
        let reached = match place {
            // Its replicas are in all of them.
            Target::Kv => (0..regions).all(is_told),
            Target::Log(log) => {
                let replica = self.logs[usize::from(log)].replica;
                is_told(to) && replica.is_none_or(|replica| (reach.alive)(replica))
            }
            Target::Cache(_) => is_told(to),
        };
        if !reached {
            let again = Entry::Tell {
                case: number,
                place,
            };
            return self.agenda.note(now + self.plan.retry, again);
        }
        match place {
            Target::Log(log) => self.tell_log(usize::from(log), &case, now),
            Target::Cache(index) => {
                let cache = &mut self.caches[usize::from(index)];
                let gone = cache.erase(case.subject, case.stamp, now);
                // What is left to expire is read until then.
                let logical = match cache.plan.on_erase {
                    OnErase::Invalidate => now,
                    OnErase::Expire => gone,
                };
                let row = cache.row;
                self.gone_at(gone, number, row, (now, logical), now);
            }
            Target::Kv => self.wishes.push(Wish::ForgetKv {
                case: number,
                subject: case.subject,
                name: None,
            }),
        }
    }

    fn tell_log(&mut self, index: usize, case: &Case, now: SimTime) {
        let log = &mut self.logs[index];
        log.sync(&self.subjects, now);
        log.erase(case.subject, case.stamp, case.number, now);
        let logical = log.lsm.last_erased_at() + log.plan.takes.1;
        let row = log.row;
        self.unseen(case.number, row, logical);
        let copies: Vec<u16> = (0..self.plan.backups.len())
            .filter_map(|backup| self.backup_rows.get(&(backup, index)).copied())
            .collect();
        for row in copies {
            self.unseen(case.number, row, now);
        }
        let log = &mut self.logs[index];
        if let Some(remember) = log.plan.remember {
            let forget = Entry::Forget {
                log: index as u16,
                subject: case.subject,
                stamp: case.stamp,
            };
            self.agenda.note(now + remember, forget);
        }
        let backups = Arc::clone(&self.plan);
        for (number, backup) in backups.backups.iter().enumerate() {
            if backup.on_erase == Shredding::DestroyKey
                && let Some(&row) = self.backup_rows.get(&(number, index))
            {
                self.finish(case.number, row, None, (now, now, now));
            }
        }
        self.look_at(index, now);
    }

    /// A log may have done something: what it has erased, whether it is at work, when it is looked at next.
    pub(super) fn look_at(&mut self, index: usize, now: SimTime) {
        for (case, told, purge) in self.logs[index].take_done() {
            self.purged(index, case, told, &purge, now);
        }
        let log = &mut self.logs[index];
        if let (Some(factor), Some(replica)) = (log.plan.slow_factor, log.replica) {
            let at_work = log.lsm.at_work();
            if at_work != log.slows {
                log.slows = at_work;
                self.wishes.push(Wish::Slow {
                    replica,
                    factor,
                    begins: at_work,
                });
            }
        }
        if let Some(at) = log.looked_at_next(now)
            && at < log.due
        {
            log.due = at;
            self.agenda.note(at, Entry::LogDue(index as u16));
        }
    }

    fn purged(&mut self, index: usize, case: u64, told: SimTime, purge: &Purge, now: SimTime) {
        self.purges[index].add(purge);
        let log = &self.logs[index];
        let (row, replica) = (log.row, log.replica);
        let logical = purge.logical + log.plan.takes.1;
        let physical = purge.physical.unwrap_or(now).max(logical);
        self.finish(case, row, replica, (told, logical, physical));
        let plan = Arc::clone(&self.plan);
        for (number, backup) in plan.backups.iter().enumerate() {
            let Some(&row) = self.backup_rows.get(&(number, index)) else {
                continue;
            };
            if backup.on_erase == Shredding::Expire {
                let log = &mut self.logs[index];
                let gone = expires(backup, purge, log.plan.rule.keys).unwrap_or(told);
                // Copies may still have what an earlier erasure of the subject took from the log.
                let known = log.copied.entry((number, purge.subject)).or_insert(gone);
                *known = (*known).max(gone);
                let gone = *known;
                self.gone_at(gone, case, row, (told, told), now);
            }
        }
    }

    /// The last of a case at a place is gone at `at`, which may be past.
    fn gone_at(
        &mut self,
        at: SimTime,
        case: u64,
        row: u16,
        (told, logical): (SimTime, SimTime),
        now: SimTime,
    ) {
        if at <= now {
            return self.finish(case, row, None, (told, logical, at.max(told)));
        }
        let gone = Entry::Gone {
            case,
            row,
            told,
            logical,
        };
        self.agenda.note(at, gone);
    }

    /// A place is done with a case: when it was told, when reads saw nothing more, when the last was gone.
    pub(super) fn finish(
        &mut self,
        number: u64,
        row: u16,
        replica: Option<u32>,
        (told, logical, physical): (SimTime, SimTime, SimTime),
    ) {
        if !self.is_blind_early[usize::from(row)] {
            self.unseen(number, row, logical);
        }
        let Some(case) = self.cases.get_mut(&number) else {
            return;
        };
        let place = &mut self.meters.places[usize::from(row)];
        place.done += 1;
        place.physical.record(physical.since(case.received).0);
        let last = case.place_is_done(physical);
        let case = *case;
        if let Some(open) = self.unfinished.get_mut(&number)
            && let Some(at) = open.iter().position(|place| *place == (row, replica))
        {
            open.swap_remove(at);
        }
        let line = AuditRow {
            erasure: number,
            subject: self.subjects.alias(case.subject),
            verdict: Verdict::Done,
            place: Some(row),
            replica,
            received: case.received,
            stamp: Some(case.stamp),
            told: Some(told),
            logical: Some(logical),
            physical: Some(physical),
        };
        self.note_row(line);
        if last {
            self.close(&case);
        }
    }

    /// Reads of a place see nothing of a case any more.
    fn unseen(&mut self, number: u64, row: u16, logical: SimTime) {
        let Some(case) = self.cases.get_mut(&number) else {
            return;
        };
        let took = logical.since(case.received).0;
        self.meters.places[usize::from(row)].logical.record(took);
        if case.place_is_blind(logical) {
            let took = case.logical.since(case.received).0;
            self.meters.logical.record(took);
        }
    }

    fn close(&mut self, case: &Case) {
        self.cases.remove(&case.number);
        self.unfinished.remove(&case.number);
        let took = case.physical.since(case.received);
        let meters = &mut self.meters;
        meters.done += 1;
        meters.physical.record(took.0);
        meters.deadline_misses += u64::from(took > self.plan.deadline);
        meters.slo_misses += u64::from(self.plan.slo.is_some_and(|slo| took > slo));
    }

    fn note_row(&mut self, row: AuditRow) {
        if self.records_rows {
            self.rows.push(row);
        }
    }

    fn forget(&mut self, index: u16, subject: Subject, stamp: SimTime, now: SimTime) {
        let log = &mut self.logs[usize::from(index)];
        log.sync(&self.subjects, now);
        let (Some(remember), false) = (log.plan.remember, log.lsm.forget(subject, stamp)) else {
            return;
        };
        // The erasure is under way: it is remembered as long as that.
        let again = Entry::Forget {
            log: index,
            subject,
            stamp,
        };
        self.agenda.note(now + remember, again);
    }

    /// The prefix caches have forgotten a case's subject, but for what requests hold at some replicas.
    /// `names`: requests of the subject from before its erasure that are under way.
    pub fn kv_told(&mut self, case: u64, now: SimTime, held: Vec<u32>, names: Vec<u64>) {
        let (Some(row), Some(of)) = (self.kv_row, self.cases.get(&case)) else {
            return;
        };
        if names.is_empty() && held.is_empty() {
            return self.finish(case, row, None, (now, now, now));
        }
        self.kv.wait(case, of.subject, now, (held, names));
    }

    /// They have forgotten what there was of a name, for a case that waited for it; `live` where a request
    /// of it is still under way.
    pub fn kv_told_of(&mut self, case: u64, name: u64, now: SimTime, held: &[u32], live: bool) {
        let told = self.kv.told_of(case, name, held, live);
        if let (Some(told), Some(row)) = (told, self.kv_row) {
            self.finish(case, row, None, (told, told, now));
        }
    }

    /// Up to when a case erases; none where it is over.
    #[must_use]
    pub fn stamp_of(&self, case: u64) -> Option<SimTime> {
        self.cases.get(&case).map(|case| case.stamp)
    }

    /// Whether an erasure waits for blocks that requests hold or make.
    #[inline]
    #[must_use]
    pub fn waits_for_kv(&self) -> bool {
        !self.kv.is_empty()
    }

    /// A request of that name has gone. `holds` says whether requests still hold something of a name at a
    /// replica that is to go.
    pub fn kv_gone(&mut self, name: u64, now: SimTime, holds: &Holds<'_>) {
        self.forget_name(name);
        let subjects = &self.subjects;
        let all = self.resets_kv();
        let of = |replica: u32, subject: Subject| {
            holds(replica, &|name| all || subjects.of(name) == Some(subject))
        };
        for (case, told) in self.kv.let_go(of) {
            if let Some(row) = self.kv_row {
                self.finish(case, row, None, (told, told, now));
            }
        }
    }

    /// Wishes that the caches forget a name for the cases that wait for it.
    pub(super) fn forget_name(&mut self, name: u64) {
        for (case, subject) in self.kv.waiting_for(name) {
            self.wishes.push(Wish::ForgetKv {
                case,
                subject,
                name: Some(name),
            });
        }
    }

    /// Whether prefix caches are emptied for every erasure.
    #[must_use]
    pub fn resets_kv(&self) -> bool {
        let kv = self.plan.kv.as_ref();
        kv.is_some_and(|kv| kv.on_erase == crate::scenario::erasure::OnKvErase::Reset)
    }

    /// The logs by store and region: those on replicas of a pool together.
    #[must_use]
    pub fn log_rows(&self) -> Vec<LogRow> {
        let mut rows: Vec<((u16, u16), LogRow)> = Vec::new();
        for (log, purges) in self.logs.iter().zip(&self.purges) {
            let row = LogRow {
                purges: *purges,
                ..log.at_end.clone().unwrap_or_else(|| log.row())
            };
            let key = (log.store, log.region);
            match rows.iter_mut().find(|(other, _)| *other == key) {
                Some((_, known)) => known.merge(&row),
                None => rows.push((key, row)),
            }
        }
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// Entries of the caches by subject, by place.
    #[must_use]
    pub fn cache_entries(&self) -> Vec<(u16, u64)> {
        let caches = self.caches.iter();
        caches
            .map(|cache| (cache.row, cache.entries() as u64))
            .collect()
    }
}
