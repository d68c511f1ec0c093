//! What must hold of erasures, and what they come to at the end.

use std::collections::BTreeMap;

use crate::engine::SimTime;

use super::audit::{AuditRow, Verdict};
use super::desk::Erasure;
use super::meters::ErasureMeters;

/// Lookups in each log at the end of a run.
const LOOKUPS: u32 = 1_000;

impl Erasure {
    /// Does what logs had to do by `now`, and takes in what came to them: for the end of a run, once.
    ///
    /// Then it looks some subjects up in each log, to see what reads cost; that counts as nobody's work.
    pub fn wind_up(&mut self, now: SimTime) {
        if std::mem::replace(&mut self.is_wound_up, true) {
            return;
        }
        self.settle(now);
        for (index, log) in (0_u64..).zip(&mut self.logs) {
            let mut row = log.row();
            let mut rng = self.fleet.streams.stream("erasure", index, "lookups");
            for _ in 0..LOOKUPS {
                let subject = self.subjects.active(&mut rng);
                log.lsm.get(subject, now, &mut rng);
            }
            let looked = log.lsm.meters();
            row.meters.lookups = looked.lookups;
            row.meters.blocks_read = looked.blocks_read;
            row.meters.false_positives = looked.false_positives;
            log.at_end = Some(row);
        }
    }

    /// Erasures that are not done.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.cases.len() as u64
    }

    /// Records on their way to other regions.
    #[must_use]
    pub fn on_their_way(&self) -> u64 {
        self.links.sent() as u64
    }

    /// The counts at `now`, with those that are pending past their deadline: for the end of a run.
    #[must_use]
    pub fn meters_at(&self, now: SimTime) -> ErasureMeters {
        let mut meters = self.meters.clone();
        for case in self.cases.values() {
            let age = now.since(case.received);
            meters.deadline_misses += u64::from(age > self.plan.deadline);
            meters.slo_misses += u64::from(self.plan.slo.is_some_and(|slo| age > slo));
        }
        meters.resurrected = self.logs.iter().map(|log| log.resurrected).sum();
        meters
    }

    /// Lines of the audit log for what is not done: for the end of a run.
    #[must_use]
    pub fn pending_rows(&self) -> Vec<AuditRow> {
        let mut rows = Vec::new();
        for case in self.cases.values() {
            let blank = AuditRow {
                erasure: case.number,
                subject: self.subjects.alias(case.subject),
                verdict: Verdict::Received,
                place: None,
                replica: None,
                received: case.received,
                stamp: None,
                told: None,
                logical: None,
                physical: None,
            };
            let Some(open) = self.unfinished.get(&case.number) else {
                rows.push(blank);
                continue;
            };
            rows.extend(open.iter().map(|(place, replica)| AuditRow {
                verdict: Verdict::Pending,
                place: Some(*place),
                replica: *replica,
                stamp: Some(case.stamp),
                told: self.told_of(case.number, *place, *replica),
                ..blank.clone()
            }));
        }
        rows.sort_by_key(|row| (row.erasure, row.place, row.replica));
        rows
    }

    /// When a place was told of a case that it has not done, if it was and that is known.
    fn told_of(&self, case: u64, place: u16, replica: Option<u32>) -> Option<SimTime> {
        if Some(place) == self.kv_row {
            let mut waiting = self.kv.all();
            return waiting.find(|(of, _)| *of == case).map(|(_, told)| told);
        }
        let logs = self.logs.iter();
        let mut logs = logs.filter(|log| log.row == place && log.replica == replica);
        let mut open = logs.next()?.open.values();
        open.find(|(of, _)| *of == case).map(|(_, told)| *told)
    }

    /// Checks that every log adds up (see [`crate::fleet::lsm::LsmStore::check`]); that erasures that came
    /// are rejected, done or under way, and what places were to do is done or waited for; that no log holds
    /// anything of a subject whose erasure it has done, but for what was counted as resurrected.
    ///
    /// It walks all stores: for the end of a run.
    ///
    /// # Errors
    /// The first thing that does not hold, in words.
    pub fn check(&self) -> Result<(), String> {
        let meters = &self.meters;
        let pending = self.pending();
        if meters.requested != meters.rejected + meters.done + pending {
            return Err(format!(
                "{} erasures were requested, but {} rejected, {} done and {pending} are under way",
                meters.requested, meters.rejected, meters.done
            ));
        }
        let begun: u64 = meters.places.iter().map(|place| place.begun).sum();
        let done: u64 = meters.places.iter().map(|place| place.done).sum();
        let left: u64 = self.cases.values().map(|case| u64::from(case.left)).sum();
        if begun != done + left {
            return Err(format!(
                "places had {begun} erasures to do and have done {done}, but {left} are waited for"
            ));
        }
        for log in &self.logs {
            let name = &log.plan.name;
            log.lsm
                .check()
                .map_err(|why| format!("log {name}: {why}"))?;
            let again = log.recount_resurrected();
            if again > log.resurrected {
                return Err(format!(
                    "log {name} holds {again} records of erased subjects, but counted {} as resurrected",
                    log.resurrected
                ));
            }
        }
        Ok(())
    }

    /// Requests under way by subject, for comparison with those of the fleet.
    #[must_use]
    pub fn under_way_by_subject(&self) -> BTreeMap<u32, u32> {
        let all = self.under_way.iter();
        all.map(|(subject, many)| (subject.0, *many)).collect()
    }
}
