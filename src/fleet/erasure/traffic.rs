//! What requests leave behind: records and entries, and the way of records to other regions.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::{SimDuration, SimTime};
use crate::fleet::lsm::{Stored, Subject};

use super::agenda::Entry;
use super::desk::{Erasure, Served};
use super::plan::ErasurePlan;
use super::reach::Reach;

/// A record on its way.
#[derive(Debug, Clone, Copy)]
struct Sent {
    due: SimTime,
    subject: Subject,
    made: SimTime,
    bytes: u64,
}

/// The ways between the logs of a store in different regions.
#[derive(Debug, Clone)]
pub(super) struct Links {
    regions: usize,
    /// By store, region and region.
    ways: Vec<VecDeque<Sent>>,
}

impl Links {
    pub(super) fn new(plan: &ErasurePlan, regions: u16) -> Links {
        let regions = usize::from(regions);
        Links {
            regions,
            ways: vec![VecDeque::new(); plan.logs.len() * regions * regions],
        }
    }

    fn index(&self, store: usize, from: u16, to: usize) -> usize {
        (store * self.regions + usize::from(from)) * self.regions + to
    }

    /// The store and the regions of a way.
    fn ends(&self, index: usize) -> (usize, u16, usize) {
        let (rest, to) = (index / self.regions, index % self.regions);
        (rest / self.regions, (rest % self.regions) as u16, to)
    }

    /// Records on their way.
    pub(super) fn sent(&self) -> usize {
        self.ways.iter().map(VecDeque::len).sum()
    }
}

impl Erasure {
    /// A request has begun.
    #[inline]
    pub fn began(&mut self, name: u64) {
        if let Some(subject) = self.subjects.of(name) {
            *self.under_way.entry(subject).or_insert(0) += 1;
        }
    }

    /// A request has ended: its record is written, and its entries are, unless it is from before an
    /// erasure.
    pub fn ended(&mut self, served: &Served, now: SimTime) {
        let Some(subject) = self.subjects.of(served.name) else {
            return;
        };
        self.leaves(subject, served.arrival, now);
        // It may end without a try under way.
        if !self.kv.is_empty() {
            self.forget_name(served.name);
        }
        if !served.answered {
            return;
        }
        for store in 0..self.plan.logs.len() {
            if !self.plan.logs[store].before_answer {
                self.write(store, subject, served, now);
            }
        }
        let here = self.caches.iter_mut();
        for cache in here.filter(|cache| cache.region == served.region) {
            cache.write(subject, served.arrival, now);
        }
    }

    /// A request is under way no more: who waits for it may be done.
    fn leaves(&mut self, subject: Subject, arrival: SimTime, now: SimTime) {
        if let Some(many) = self.under_way.get_mut(&subject) {
            *many -= 1;
            if *many == 0 {
                self.under_way.remove(&subject);
            }
        }
        let Some(awaited) = self.awaited.get_mut(&subject) else {
            return;
        };
        let mut done = Vec::new();
        awaited.retain(|(case, left, stamp)| {
            if arrival <= *stamp {
                *left -= 1;
            }
            if *left == 0 {
                done.push((*case, *stamp));
            }
            *left > 0
        });
        if awaited.is_empty() {
            self.awaited.remove(&subject);
        }
        for (case, stamp) in done {
            self.finish(case, self.in_flight_row, None, (stamp, stamp, now));
        }
    }

    /// Writes the records that an answer waits for; how long that takes.
    pub fn written_before(&mut self, served: &Served, now: SimTime) -> SimDuration {
        let Some(subject) = self.subjects.of(served.name) else {
            return SimDuration::ZERO;
        };
        let stores = 0..self.plan.logs.len();
        let mut longest = SimDuration::ZERO;
        for store in stores {
            if self.plan.logs[store].before_answer {
                longest = longest.max(self.write(store, subject, served, now));
            }
        }
        longest
    }

    /// Writes the record of a request to the log of a store that is its; how long until it is on disk.
    fn write(
        &mut self,
        store: usize,
        subject: Subject,
        served: &Served,
        now: SimTime,
    ) -> SimDuration {
        let mut logs = self.logs_of(store);
        let found = logs.find(|log| {
            let log = &self.logs[*log];
            match log.replica {
                None => log.region == served.region,
                replica => replica == served.replica,
            }
        });
        let Some(index) = found else {
            return SimDuration::ZERO;
        };
        let log = &mut self.logs[index];
        log.sync(&self.subjects, now);
        let bytes = log.record_bytes(served.tokens);
        let takes = log.plan.takes.0;
        let lag = log.plan.lag;
        let stored = log.take(subject, bytes, served.arrival, now, false);
        let mut wait = SimDuration::ZERO;
        if let Stored::Written { durable, stall } = stored {
            wait = durable.since(now) + stall + takes;
            if let Some(lag) = lag {
                let sent = Sent {
                    due: now + lag,
                    subject,
                    made: served.arrival,
                    bytes,
                };
                self.send(store, served.region, sent);
            }
        }
        self.look_at(index, now);
        wait
    }

    /// A record sets out for the logs of the other regions.
    fn send(&mut self, store: usize, from: u16, sent: Sent) {
        for to in 0..self.links.regions {
            if to == usize::from(from) {
                continue;
            }
            let way = self.links.index(store, from, to);
            if self.links.ways[way].is_empty() {
                self.agenda.note(sent.due, Entry::Ship(way as u32));
            }
            self.links.ways[way].push_back(sent);
        }
    }

    /// Records come to the log of another region, unless nothing passes: they wait, and come later.
    pub(super) fn ship(&mut self, way: u32, now: SimTime, reach: &Reach<'_>) {
        let (store, from, to) = self.links.ends(way as usize);
        if !reach.free(from, to as u16) {
            return self.agenda.note(now + self.plan.retry, Entry::Ship(way));
        }
        let Some(index) = self.logs_of(store).nth(to) else {
            return;
        };
        let sent = &mut self.links.ways[way as usize];
        let log = &mut self.logs[index];
        log.sync(&self.subjects, now);
        while let Some(record) = sent.front().copied().filter(|record| record.due <= now) {
            sent.pop_front();
            log.take(record.subject, record.bytes, record.made, now, true);
        }
        if let Some(next) = sent.front() {
            self.agenda.note(next.due, Entry::Ship(way));
        }
        self.look_at(index, now);
    }

    /// Regions are about to come up or go down, or ways to open or close: what came until now came under
    /// the old conditions.
    pub fn settle(&mut self, now: SimTime) {
        for index in 0..self.logs.len() {
            self.logs[index].sync(&self.subjects, now);
            self.look_at(index, now);
        }
    }

    /// They have.
    pub fn conditions(&mut self, now: SimTime, reach: &Reach<'_>) {
        let plan = Arc::clone(&self.plan);
        for log in &mut self.logs {
            let replicated = plan.logs[usize::from(log.store)].lag.is_some();
            let regions = 0..self.links.regions as u16;
            // The origins of a feed are the regions whose records it takes, in order.
            let origins = regions.filter(|origin| replicated || *origin == log.region);
            for (at, origin) in origins.enumerate() {
                let cut = origin != log.region && !reach.free(origin, log.region);
                let makes = !(reach.down)(origin) && log.replica.is_none_or(|it| (reach.alive)(it));
                log.feed.set(at, cut, makes, now);
            }
            let here = log.replica.is_none_or(|it| (reach.alive)(it));
            match here && !(reach.down)(log.region) {
                true => log.lsm.come_back(now),
                false => log.lsm.go_down(now),
            }
        }
        for index in 0..self.logs.len() {
            self.look_at(index, now);
        }
    }
}
