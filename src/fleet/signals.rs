//! What a gateway replica knows of the replicas' load by asking them, and how old that is.
//!
//! A reading is a value with the instant at which it was true. Nothing is copied that did not
//! change: a replica whose load changed since it was last read is on a list, the list is read at the
//! next question, and no question is asked while the list is empty. So a change costs O(1) and a
//! fleet at rest nothing, however often it is asked.

use std::collections::VecDeque;

use rand::RngExt;

use crate::engine::{EventQueue, SimDuration, SimRng, SimTime, Streams};

use super::balance::Signals as Detail;
use super::event::Event;
use super::ids::ReplicaId;

/// Questions without an answer after which an answer is stale: llm-d's detector takes 200 ms, which
/// are four of its questions.
const STALE_AFTER: u64 = 4;

/// When replicas are asked, and what becomes of their answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignalRule {
    /// Time between two questions, above 0.
    pub interval: SimDuration,
    /// How long an answer takes.
    pub delay: SimDuration,
    /// Probability that an answer is lost.
    pub loss: f64,
    /// Whether a gateway adds what it sent itself since the last answer.
    pub count_own: bool,
}

/// What was outstanding at a replica, and when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Requests, or tokens.
    pub load: u64,
    /// More of it, for routers that look at more.
    pub detail: Detail,
    /// When that was so.
    pub at: SimTime,
}

/// How old the loads were that routers went by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignalMeter {
    /// Replicas chosen.
    pub choices: u64,
    /// Of these: with a load that was not any more what had been reported last.
    pub stale: u64,
    /// How long it had not been that any more, nanoseconds, summed; where reports take longer than
    /// their interval, since the last of them was read.
    pub age_ns: u128,
    /// Reports that replicas were asked for.
    pub reports: u64,
    /// Of these: lost.
    pub lost: u64,
}

impl SignalMeter {
    /// Adds what another counted.
    pub fn merge(&mut self, other: &SignalMeter) {
        self.choices += other.choices;
        self.stale += other.stale;
        self.age_ns += other.age_ns;
        self.reports += other.reports;
        self.lost += other.lost;
    }
}

/// What one gateway replica has been told.
#[derive(Debug, Clone)]
pub struct Signals {
    gateway: u16,
    rule: SignalRule,
    /// When in each interval it asks: gateways do not ask in step.
    phase: SimDuration,
    rng: SimRng,
    /// Replicas whose load is not what was last read, and whether one is on the list.
    changed: Vec<ReplicaId>,
    is_changed: Vec<bool>,
    asking: bool,
    /// Answers on their way, in the order in which they come: when, from whom, what.
    coming: VecDeque<(SimTime, ReplicaId, Reading)>,
    /// The last answer of each replica.
    known: Vec<Reading>,
    /// Since when the last answer of each is not right any more; [`SimTime::NEVER`] while it is.
    wrong_since: Vec<SimTime>,
    /// When the load of each changed first after it was read last.
    changed_at: Vec<SimTime>,
    meter: SignalMeter,
}

impl Signals {
    /// What gateway replica `gateway` of `gateways` knows of `replicas` idle replicas.
    pub fn new(
        rule: SignalRule,
        gateway: u16,
        gateways: u16,
        replicas: usize,
        streams: Streams,
    ) -> Signals {
        let idle = Reading {
            load: 0,
            detail: Detail::default(),
            at: SimTime::ZERO,
        };
        let share = rule.interval.0 / u64::from(gateways.max(1));
        Signals {
            gateway,
            rule,
            phase: SimDuration(share * u64::from(gateway)),
            rng: streams.stream("gateway", u64::from(gateway), "lost reports"),
            changed: Vec::new(),
            is_changed: vec![false; replicas],
            asking: false,
            coming: VecDeque::new(),
            known: vec![idle; replicas],
            wrong_since: vec![SimTime::NEVER; replicas],
            changed_at: vec![SimTime::NEVER; replicas],
            meter: SignalMeter::default(),
        }
    }

    /// Notes that a replica was chosen: by a load that is still right, or how old a one.
    pub fn chosen(&mut self, replica: ReplicaId, now: SimTime) {
        let since = self.wrong_since[replica.0 as usize];
        self.meter.choices += 1;
        if since < now {
            self.meter.stale += 1;
            self.meter.age_ns += u128::from(now.since(since).0);
        }
    }

    /// How old the loads were that its router went by.
    pub fn meter(&self) -> &SignalMeter {
        &self.meter
    }

    /// The last answer of a replica that has come.
    pub fn known(&self, replica: ReplicaId) -> Reading {
        self.known[replica.0 as usize]
    }

    /// The last answer of a replica, unless it should have been followed by others: it changed, and
    /// several questions since went without an answer.
    pub fn recent(&self, replica: ReplicaId, now: SimTime) -> Option<&Reading> {
        let reading = &self.known[replica.0 as usize];
        let patience = self.rule.interval.0.saturating_mul(STALE_AFTER) + self.rule.delay.0;
        let stale = self.is_changed[replica.0 as usize] && now.since(reading.at).0 > patience;
        (!stale).then_some(reading)
    }

    /// The load of a replica is not what it was: it is read at the next question.
    #[inline]
    pub fn changed(&mut self, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        let index = replica.0 as usize;
        if !std::mem::replace(&mut self.is_changed[index], true) {
            self.changed_at[index] = queue.now();
            self.wrong_since[index] = self.wrong_since[index].min(queue.now());
            self.changed.push(replica);
            self.ask_in_time(queue);
        }
    }

    /// Asks all whose load has changed. `answer` is what they say, and whether it will be something
    /// else by the next question; none where they say nothing.
    pub fn ask(
        &mut self,
        answer: impl Fn(ReplicaId) -> Option<(u64, Detail, bool)>,
        queue: &mut EventQueue<Event>,
    ) {
        let now = queue.now();
        self.asking = false;
        let mut lost = 0;
        for index in 0..self.changed.len() {
            let replica = self.changed[index];
            let is_lost = self.rule.loss > 0.0 && self.rng.random::<f64>() < self.rule.loss;
            let said = answer(replica);
            self.meter.reports += u64::from(said.is_some());
            self.meter.lost += u64::from(said.is_some() && is_lost);
            let said = said.filter(|_| !is_lost);
            let changes_on = said.is_none_or(|(_, _, changes_on)| changes_on);
            if changes_on {
                self.changed[lost] = replica;
                lost += 1;
            }
            self.is_changed[replica.0 as usize] = changes_on;
            let Some((load, detail, _)) = said else {
                continue;
            };
            let reading = Reading {
                load,
                detail,
                at: now,
            };
            self.changed_at[replica.0 as usize] = match changes_on {
                true => now,
                false => SimTime::NEVER,
            };
            let comes = now + self.rule.delay;
            self.coming.push_back((comes, replica, reading));
        }
        self.changed.truncate(lost);
        if lost > 0 {
            self.ask_in_time(queue);
        }
        // Answers without delay are seen at once.
        if self.rule.delay > SimDuration::ZERO && !self.coming.is_empty() {
            queue.schedule(now + self.rule.delay, Event::ReportsSeen(self.gateway));
        }
    }

    /// The next answer that has come by now.
    pub fn next_answer(&mut self, now: SimTime) -> Option<(ReplicaId, Reading)> {
        let &(comes, replica, reading) = self.coming.front()?;
        if comes > now {
            return None;
        }
        self.coming.pop_front();
        let index = replica.0 as usize;
        self.known[index] = reading;
        // What changed after it was read, if anything did.
        self.wrong_since[index] = self.changed_at[index].max(reading.at);
        Some((replica, reading))
    }

    /// Schedules the next question, which comes after now.
    fn ask_in_time(&mut self, queue: &mut EventQueue<Event>) {
        if std::mem::replace(&mut self.asking, true) {
            return;
        }
        let (now, interval, phase) = (queue.now().0, self.rule.interval.0, self.phase.0);
        let asked = match now >= phase {
            true => (now - phase) / interval + 1,
            false => 0,
        };
        let at = SimTime(phase.saturating_add(asked.saturating_mul(interval)));
        queue.schedule(at, Event::AskReplicas(self.gateway));
    }
}
