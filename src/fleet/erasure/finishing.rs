//! What places have done about an erasure, until the last of them is done.

use std::sync::Arc;

use crate::engine::SimTime;
use crate::fleet::lsm::{Purge, Subject};
use crate::scenario::erasure::Shredding;

use super::agenda::Entry;
use super::audit::{AuditRow, Verdict};
use super::backups::expires;
use super::case::Case;
use super::desk::{Erasure, Wish};

impl Erasure {
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

    pub(super) fn purged(
        &mut self,
        index: usize,
        case: u64,
        told: SimTime,
        purge: &Purge,
        now: SimTime,
    ) {
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
    pub(super) fn gone_at(
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
    pub(super) fn unseen(&mut self, number: u64, row: u16, logical: SimTime) {
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

    pub(super) fn close(&mut self, case: &Case) {
        self.cases.remove(&case.number);
        self.unfinished.remove(&case.number);
        let took = case.physical.since(case.received);
        let meters = &mut self.meters;
        meters.done += 1;
        meters.physical.record(took.0);
        let in_time = took <= self.plan.deadline;
        meters.in_time += u64::from(in_time);
        meters.deadline_misses += u64::from(!in_time);
        let within = self.plan.slo.is_none_or(|slo| took <= slo);
        meters.within_slo += u64::from(within);
        meters.slo_misses += u64::from(!within);
    }

    pub(super) fn note_row(&mut self, row: AuditRow) {
        if self.records_rows {
            self.rows.push(row);
        }
    }

    pub(super) fn forget(&mut self, index: u16, subject: Subject, stamp: SimTime, now: SimTime) {
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
}
