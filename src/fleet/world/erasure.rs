//! Erasures and the fleet: what requests leave behind, and what is done about those under way.

use crate::engine::{EventQueue, SimDuration, SimTime};
use crate::fleet::erasure::{Reach, Served, Wish};
use crate::fleet::event::Event;
use crate::fleet::faults::{Effect, What};
use crate::fleet::ids::{NONE, ReplicaId, RequestId};
use crate::fleet::lsm::Subject;
use crate::fleet::outcome::Ending;
use crate::fleet::request::{Request, Status};

use super::World;
use super::faults::Way;

impl World {
    /// Erasures have something to do.
    pub(super) fn erasure_due(&mut self, queue: &mut EventQueue<Event>) {
        self.with_erasure(queue, |erasure, now, reach| {
            erasure.work(now, reach);
        });
    }

    /// Lets erasures act, does what they wish, and notes when they have to act next.
    pub(super) fn with_erasure(
        &mut self,
        queue: &mut EventQueue<Event>,
        act: impl FnOnce(&mut super::Erasure, SimTime, &Reach<'_>),
    ) {
        let Some(mut erasure) = self.erasure.take() else {
            return;
        };
        let reach = Reach {
            down: &|region| self.region_is_down(region),
            cut: &|from, to| self.is_cut_off(Way::Replicas(from, to)),
            alive: &|replica| self.is_alive(ReplicaId(replica)),
        };
        act(&mut erasure, queue.now(), &reach);
        let wishes = erasure.take_wishes();
        self.erasure = Some(erasure);
        for wish in wishes {
            self.fulfil(wish, queue);
        }
        self.await_erasure(queue);
    }

    /// One event is under way for the first entry of the agenda; one that comes when there is nothing to do
    /// does no harm.
    fn await_erasure(&mut self, queue: &mut EventQueue<Event>) {
        let Some(due) = self.erasure.as_ref().and_then(|it| it.next_due()) else {
            return;
        };
        let now = queue.now();
        if self.erasure_at <= now || due < self.erasure_at {
            self.erasure_at = due.max(now);
            queue.schedule(self.erasure_at, Event::ErasureDue);
        }
    }

    /// At the beginning.
    pub(super) fn erasure_begins(&mut self, queue: &mut EventQueue<Event>) {
        self.with_erasure(queue, |_, _, _| {});
    }

    fn fulfil(&mut self, wish: Wish, queue: &mut EventQueue<Event>) {
        match wish {
            Wish::Cancel(subject) => self.cancel_all_of(subject, queue),
            Wish::ForgetKv {
                case,
                subject,
                name,
            } => self.forget_kv(case, subject, name, queue),
            Wish::Slow {
                replica,
                factor,
                begins,
            } => {
                let slow = Effect::Slow { factor };
                let what = match begins {
                    true => What::Begin(slow),
                    false => What::End(slow),
                };
                self.impair(ReplicaId(replica), what, queue);
            }
        }
    }

    /// The calls of a subject that are under way are given up, and so is the work on them.
    fn cancel_all_of(&mut self, subject: Subject, queue: &mut EventQueue<Event>) {
        let (Some(erasure), Some(calls)) = (&self.erasure, &self.calls) else {
            return;
        };
        let of = |name| erasure.subject_of(name) == Some(subject);
        let found = calls.slab.live_slots();
        let found = found.filter(|slot| of(calls.slab.at(*slot).prefix.own_name()));
        let found: Vec<u32> = found.collect();
        for call in found {
            let live = match &self.calls {
                Some(calls) => calls.slab.at(call).live.clone(),
                None => return,
            };
            for slot in live {
                self.give_up(slot, queue);
                self.cancel(slot, queue);
            }
            self.close(call, Status::Cancelled, None, queue);
            if let Some(erasure) = &mut self.erasure {
                erasure.meters.cancelled += 1;
            }
        }
    }

    /// All prefix caches rid themselves of what a subject has in them, or of the blocks of a name.
    fn forget_kv(
        &mut self,
        case: u64,
        subject: Subject,
        name: Option<u64>,
        queue: &mut EventQueue<Event>,
    ) {
        let Some(erasure) = self.erasure.take() else {
            return;
        };
        let stamp = erasure.stamp_of(case).unwrap_or(SimTime::ZERO);
        let of = |other: u64| erasure.subject_of(other) == Some(subject);
        let held = match name {
            Some(name) => self.forget_blocks(&|other| other == name, queue),
            None if erasure.resets_kv() => self.forget_blocks(&|_| true, queue),
            None => self.forget_blocks(&of, queue),
        };
        let names = match name {
            Some(name) => self.names_from_before(stamp, |other| other == name),
            None => self.names_from_before(stamp, of),
        };
        // What requests of its own hold goes with their names.
        let all = erasure.resets_kv();
        let others = |other: u64| (all || of(other)) && !names.contains(&other);
        let held: Vec<u32> = match name {
            Some(_) => held,
            None => (0_u32..)
                .zip(&self.replicas)
                .filter(|(_, replica)| replica.holds_doomed_blocks(&others))
                .map(|(id, _)| id)
                .collect(),
        };
        self.erasure = Some(erasure);
        self.with_erasure(queue, |erasure, now, _| match name {
            Some(name) => erasure.kv_told_of(case, name, now, &held, !names.is_empty()),
            None => erasure.kv_told(case, now, held, names),
        });
    }

    /// All prefix caches forget the blocks of some names; the replicas at which requests hold some.
    fn forget_blocks(
        &mut self,
        whose: &dyn Fn(u64) -> bool,
        queue: &mut EventQueue<Event>,
    ) -> Vec<u32> {
        // What was stored before is told before.
        self.tell_all_blocks(queue);
        let mut held = Vec::new();
        for (id, replica) in (0_u32..).zip(&mut self.replicas) {
            if replica.forget_blocks(whose) {
                held.push(id);
            }
        }
        self.tell_all_blocks(queue);
        // It knows no owners, and requests under way write to it until they are gone.
        if let Some(store) = &mut self.store {
            store.clear();
        }
        held
    }

    fn tell_all_blocks(&mut self, queue: &mut EventQueue<Event>) {
        if self.plan.tells_blocks() || self.store.is_some() {
            for id in 0..self.replicas.len() as u32 {
                self.tell_blocks(ReplicaId(id), queue);
            }
        }
    }

    /// Names of calls and tries that began by an instant and are under way.
    fn names_from_before(&self, stamp: SimTime, of: impl Fn(u64) -> bool) -> Vec<u64> {
        let tries = self.requests.live();
        let tries = tries.map(|request| (request.arrival, request.prefix.own_name()));
        let calls = self.calls.iter().flat_map(|calls| calls.slab.live());
        let calls = calls.map(|call| (call.arrival, call.prefix.own_name()));
        let all = tries.chain(calls).filter(|(arrival, _)| *arrival <= stamp);
        let mut names: Vec<u64> = all.map(|(_, name)| name).filter(|name| of(*name)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// A request of that name has gone: blocks that are to go may have gone with it.
    #[inline]
    pub(super) fn kv_gone(&mut self, name: u64, queue: &mut EventQueue<Event>) {
        let waits = self.erasure.as_ref();
        if !waits.is_some_and(|erasure| erasure.waits_for_kv()) {
            return;
        }
        let Some(mut erasure) = self.erasure.take() else {
            return;
        };
        let holds = |replica: u32, whose: &dyn Fn(u64) -> bool| {
            let there = self.replicas.get(replica as usize);
            there.is_some_and(|there| there.holds_doomed_blocks(whose))
        };
        erasure.kv_gone(name, queue.now(), &holds);
        self.erasure = Some(erasure);
        self.with_erasure(queue, |_, _, _| {});
    }

    /// A request has begun.
    #[inline]
    pub(super) fn erasure_began(&mut self, name: u64) {
        if let Some(erasure) = &mut self.erasure {
            erasure.began(name);
        }
    }

    /// A request has ended.
    #[inline]
    pub(super) fn erasure_ended(&mut self, served: &Served, queue: &mut EventQueue<Event>) {
        if self.erasure.is_some() {
            self.with_erasure(queue, |erasure, now, _| erasure.ended(served, now));
        }
    }

    /// What stores keep of a request.
    pub(super) fn served(&self, request: &Request, ending: &Ending, answered: bool) -> Served {
        Served {
            name: request.prefix.own_name(),
            arrival: ending.arrival,
            answered,
            tokens: u64::from(request.prompt_tokens) + u64::from(request.output_tokens),
            region: self.gateways.region(request.gateway_replica),
            replica: (request.replica.0 != NONE).then_some(request.replica.0),
        }
    }

    /// An answer has come to its gateway: where its record is to be written first, it waits for that. True
    /// where it does.
    pub(super) fn waits_for_log(&mut self, slot: u32, queue: &mut EventQueue<Event>) -> bool {
        if !self.writes_before_answer {
            return false;
        }
        let request = self.requests.at(slot);
        let Some(calls) = &self.calls else {
            return false;
        };
        let attempt = calls.attempt(slot);
        // Nobody waits for it, but it is served all the same.
        let arrival = match attempt.is_given_up() {
            true => request.arrival,
            false => calls.slab.at(attempt.call).arrival,
        };
        let ending = Ending {
            arrival,
            ..Ending::of(request)
        };
        let served = self.served(request, &ending, true);
        let mut wait = SimDuration::ZERO;
        self.with_erasure(queue, |erasure, now, _| {
            wait = erasure.written_before(&served, now);
        });
        if wait == SimDuration::ZERO {
            return false;
        }
        if let Some(calls) = &mut self.calls {
            calls.attempt_mut(slot).logged = wait;
        }
        let id = self.requests.id(slot);
        queue.schedule(queue.now() + wait, Event::Logged(id));
        true
    }

    /// The record of an answer is on disk.
    pub(super) fn logged(&mut self, id: RequestId, queue: &mut EventQueue<Event>) {
        if let Some(slot) = self.requests.live_slot(id) {
            self.end(slot, Status::Completed, queue);
        }
    }

    /// Conditions between regions have changed; `before` they did, logs had to take in what had come.
    pub(super) fn erasure_conditions(&mut self, before: bool, queue: &mut EventQueue<Event>) {
        if self.erasure.is_some() {
            self.with_erasure(queue, |erasure, now, reach| match before {
                true => erasure.settle(now),
                false => erasure.conditions(now, reach),
            });
        }
    }
}
