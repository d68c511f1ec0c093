//! All changes of a run, in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::places::Places;
use super::random::{Group, Process, groups_of};
use super::timed::Timed;
use super::{Cause, Change, What};
use crate::engine::{SimTime, Streams};
use crate::scenario::faults::{Faults, Layout};

/// The changes of a run in order of time, made one at a time: what is kept is one pending change
/// for every entry of the timeline and every group of replicas that fail together, however long
/// the run. Of changes at one instant those that begin come first, so that a target whose faults
/// adjoin is never seen well in between; then by entry, those of the timeline first. (A deployment
/// whose share changes ends with the old share and begins with the new one at the same instant.)
#[derive(Debug, Clone)]
pub struct FaultSchedule {
    places: Places,
    streams: Streams,
    horizon: SimTime,
    timeline: Vec<Timed>,
    processes: Vec<Process>,
    groups: Vec<Group>,
    pending: BinaryHeap<Reverse<Pending>>,
}

/// Who changes next. The order of the fields is the order of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pending {
    at: SimTime,
    ends: bool,
    /// An entry of the timeline, or behind all of these a group.
    source: usize,
}

impl FaultSchedule {
    /// The changes before `horizon`. Returns what is wrong with the faults, where something is;
    /// [`Faults::check`] finds it first. `faults.file` is not read here.
    pub fn new(
        faults: &Faults,
        layout: &Layout,
        streams: Streams,
        horizon: SimTime,
    ) -> Result<FaultSchedule, String> {
        let places = Places::new(layout, &faults.racks);
        let timeline = faults.timeline.iter();
        let timeline = timeline.map(|fault| Timed::new(fault, layout, &faults.racks));
        let timeline: Vec<Timed> = timeline.collect::<Result<_, String>>()?;
        let (mut processes, mut groups) = (Vec::new(), Vec::new());
        for (number, random) in (0_u32..).zip(&faults.random) {
            let process = Process::new(random, layout)?;
            let names = (layout, faults.racks.as_slice());
            groups.extend(groups_of(
                random, number, &process, streams, &places, names,
            )?);
            processes.push(process);
        }
        let mut schedule = FaultSchedule {
            places,
            streams,
            horizon,
            timeline,
            processes,
            groups,
            pending: BinaryHeap::new(),
        };
        for source in 0..schedule.timeline.len() + schedule.groups.len() {
            schedule.enqueue(source);
        }
        Ok(schedule)
    }

    /// The replicas of every scope.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// When the next change comes; `None` after the last.
    pub fn next_at(&self) -> Option<SimTime> {
        self.pending.peek().map(|Reverse(pending)| pending.at)
    }

    /// The next change; `None` after the last. O(log n) in the number of entries and groups.
    pub fn next_change(&mut self) -> Option<Change> {
        let Reverse(pending) = self.pending.pop()?;
        let source = pending.source;
        let (cause, scope, next) = self.peek(source);
        let (at, what) = next?;
        match source.checked_sub(self.timeline.len()) {
            None => self.timeline[source].advance(),
            Some(group) => {
                let group = &mut self.groups[group];
                group.advance(&self.processes[group.process as usize], self.streams);
            }
        }
        self.enqueue(source);
        Some(Change {
            at,
            cause,
            scope,
            what,
        })
    }

    fn peek(&self, source: usize) -> (Cause, super::Scope, Option<(SimTime, What)>) {
        match source.checked_sub(self.timeline.len()) {
            None => {
                let timed = &self.timeline[source];
                (Cause::Timeline(source as u32), timed.scope, timed.peek())
            }
            Some(group) => {
                let group = &self.groups[group];
                let cause = Cause::Random {
                    process: group.process,
                    group: group.number,
                };
                let next = group.peek(&self.processes[group.process as usize]);
                (cause, group.scope, Some(next))
            }
        }
    }

    fn enqueue(&mut self, source: usize) {
        let Some((at, what)) = self.peek(source).2 else {
            return;
        };
        if at < self.horizon {
            let ends = matches!(what, What::End(_));
            self.pending.push(Reverse(Pending { at, ends, source }));
        }
    }
}
