//! The word of an erasure goes to every place, again and again until it has come.

use std::sync::Arc;

use crate::engine::{SimDuration, SimTime};
use crate::fleet::geo::{RegionIndex, bit};
use crate::fleet::lsm::Subject;
use crate::scenario::erasure::{InFlight, OnErase, Shredding};

use super::agenda::{Entry, Target};
use super::case::Case;
use super::desk::{Erasure, Wish};
use super::reach::Reach;

impl Erasure {
    /// Tells every place.
    pub(super) fn fan_out(&mut self, number: u64, subject: Subject, region: u16, now: SimTime) {
        let fleet = Arc::clone(&self.fleet);
        let mut places = vec![(self.in_flight_row, None)];
        let mut told: Vec<(SimDuration, Target)> = Vec::new();
        for (index, log) in (0_u16..).zip(&self.logs) {
            let hop = match log.plan.pool {
                None => fleet.topology.between(region, log.region),
                Some(pool) => fleet.hop_to(region, usize::from(pool)),
            };
            told.push((hop, Target::Log(index)));
            places.push((log.row, log.replica));
        }
        // Their logs tell them.
        places.extend(self.backup_rows.values().map(|row| (*row, None)));
        if let Some(row) = self.kv_row {
            let hops = (0..fleet.pools.len()).map(|pool| fleet.hop_to(region, pool));
            told.push((hops.max().unwrap_or(SimDuration::ZERO), Target::Kv));
            places.push((row, None));
        }
        for (index, cache) in (0_u16..).zip(&self.caches) {
            let hop = fleet.topology.between(region, cache.region);
            told.push((hop, Target::Cache(index)));
            places.push((cache.row, None));
        }
        for (hop, place) in told {
            let tell = Entry::Tell {
                case: number,
                place,
            };
            self.agenda.note(now + hop, tell);
        }
        for (row, _) in &places {
            self.meters.places[usize::from(*row)].begun += 1;
        }
        if let Some(case) = self.cases.get_mut(&number) {
            case.left = places.len() as u32;
            case.seen = case.left;
        }
        if self.records_rows {
            self.unfinished.insert(number, places);
        }
        self.await_requests(number, subject, now);
    }

    /// Requests of the subject that are under way are waited for, or given up.
    fn await_requests(&mut self, number: u64, subject: Subject, now: SimTime) {
        let many = self.under_way.get(&subject).copied().unwrap_or(0);
        if many == 0 {
            return self.finish(number, self.in_flight_row, None, (now, now, now));
        }
        let awaited = self.awaited.entry(subject).or_default();
        awaited.push((number, many, now));
        if self.plan.in_flight == InFlight::Cancel {
            self.wishes.push(Wish::Cancel(subject));
        }
    }

    pub(super) fn tell(&mut self, number: u64, place: Target, now: SimTime, reach: &Reach<'_>) {
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
            let mut from = (0..regions).filter(|from| known & bit(RegionIndex(*from)) != 0);
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
        let plan = Arc::clone(&self.plan);
        let log = &mut self.logs[index];
        log.sync(&self.subjects, now);
        log.erase(case.subject, case.stamp, case.number, now);
        let logical = log.lsm.last_erased_at() + log.plan.takes.1;
        let (row, remember) = (log.row, log.plan.remember);
        self.unseen(case.number, row, logical);
        if let Some(remember) = remember {
            let forget = Entry::Forget {
                log: index as u16,
                subject: case.subject,
                stamp: case.stamp,
            };
            self.agenda.note(now + remember, forget);
        }
        for (number, backup) in plan.backups.iter().enumerate() {
            let Some(&row) = self.backup_rows.get(&(number, index)) else {
                continue;
            };
            // Nobody reads copies; who restores one erases again what the audit log says.
            self.unseen(case.number, row, now);
            if backup.on_erase == Shredding::DestroyKey {
                self.finish(case.number, row, None, (now, now, now));
            }
        }
        self.look_at(index, now);
    }
}
