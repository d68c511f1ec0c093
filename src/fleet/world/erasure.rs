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
            Wish::ForgetKv { case, subject } => self.forget_kv(case, subject, queue),
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

    /// All prefix caches rid themselves of what a subject has in them.
    fn forget_kv(&mut self, case: u64, subject: Subject, queue: &mut EventQueue<Event>) {
        // What was stored before is told before.
        if self.plan.tells_blocks() || self.store.is_some() {
            for id in 0..self.replicas.len() as u32 {
                self.tell_blocks(ReplicaId(id), queue);
            }
        }
        let Some(erasure) = self.erasure.take() else {
            return;
        };
        let again = erasure.kv_names(case);
        let all = erasure.resets_kv() && again.is_none();
        let of = |name: u64| erasure.subject_of(name) == Some(subject);
        // Later requests of the subject are others' business.
        let whose =
            |name: u64| all || again.map_or_else(|| of(name), |names| names.contains(&name));
        let mut held = Vec::new();
        for (id, replica) in (0_u32..).zip(&mut self.replicas) {
            if replica.forget_blocks(&whose) {
                held.push(id);
            }
        }
        // It knows no owners.
        if let Some(store) = &mut self.store {
            store.clear();
        }
        let stamp = erasure.stamp_of(case).unwrap_or(SimTime::ZERO);
        let mut slots = self.requests.live_slots();
        let live = slots.any(|slot| {
            let request = self.requests.at(slot);
            request.arrival <= stamp && request.replica.0 != NONE && of(request.prefix.own_name())
        });
        let names = match &self.calls {
            Some(calls) => calls.slab.live().map(|it| it.prefix.own_name()).collect(),
            None => Vec::new(),
        };
        let names: Vec<u64> = names;
        let names = names.into_iter().filter(|name| of(*name)).collect();
        self.erasure = Some(erasure);
        if self.plan.tells_blocks() {
            for id in 0..self.replicas.len() as u32 {
                self.tell_blocks(ReplicaId(id), queue);
            }
        }
        self.with_erasure(queue, |erasure, now, _| {
            erasure.kv_told(case, now, (held, live, names));
        });
    }

    /// A request of that name has gone: blocks that are to go may have gone with it.
    #[inline]
    pub(super) fn kv_gone(&mut self, name: u64, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        let waits = self.erasure.as_ref();
        if !waits.is_some_and(|erasure| erasure.waits_for_kv()) {
            return;
        }
        let Some(mut erasure) = self.erasure.take() else {
            return;
        };
        let there = self.replicas.get(replica.0 as usize);
        let holds = |whose: &dyn Fn(u64) -> bool| {
            there.is_some_and(|there| there.holds_doomed_blocks(whose))
        };
        let at = there.map(|_| replica.0);
        erasure.kv_gone(name, at, queue.now(), &holds);
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
