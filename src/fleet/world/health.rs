//! What gateways make of what they see: probes, ejections, breakers.

use crate::engine::{EventQueue, SimDuration, SimTime};
use crate::fleet::event::Event;
use crate::fleet::health::watch::Reason;
use crate::fleet::health::{Change, Health, HostResult, Resource, State, Transition};
use crate::fleet::ids::{NONE, ReplicaId, RequestId};
use crate::fleet::request::{Outcome, Status};
use crate::fleet::timeline::Note;

use super::World;

impl World {
    /// Chooses a replica for a request at a gateway, among those whose breakers let it through.
    pub(super) fn choose_replica(
        &mut self,
        slot: u32,
        gateway: u16,
        queue: &mut EventQueue<Event>,
    ) -> Result<ReplicaId, Status> {
        if let Some(watch) = self.gateways.watch(gateway)
            && let Some(limits) = &mut watch.limits
            && !limits.try_take(Resource::Request)
        {
            return Err(Status::ShedLimit);
        }
        if let Some(calls) = &mut self.calls {
            calls.attempt_mut(slot).has_place = true;
        }
        loop {
            let chosen = self.choose(slot, gateway, queue.now());
            let replica = chosen.ok_or(Status::FailedNoReplica)?;
            if self.may_go_to(slot, replica, queue) {
                return Ok(replica);
            }
        }
    }

    /// Whether the breaker of a replica lets a request through: then its gateway is to hear how it
    /// ended there. Always so where nobody looks.
    pub(super) fn may_go_to(
        &mut self,
        slot: u32,
        replica: ReplicaId,
        queue: &mut EventQueue<Event>,
    ) -> bool {
        if self.plan.health.is_none() {
            return true;
        }
        let gateway = self.requests.at(slot).gateway_replica;
        let passes = self.breaker_lets_through(gateway, replica, queue);
        if let Some(calls) = self.calls.as_mut().filter(|_| passes) {
            calls.attempt_mut(slot).asked = replica.0;
        }
        passes
    }

    /// What a replica was asked for went to another: nothing is learnt of either.
    pub(super) fn is_not_asked(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let asked = self.was_asked(slot);
        self.hear(slot, asked, None, SimDuration::ZERO, queue);
    }

    /// The replica that a request was to be heard from, which is forgotten.
    fn was_asked(&mut self, slot: u32) -> Option<ReplicaId> {
        let calls = self.calls.as_mut()?;
        let asked = std::mem::replace(&mut calls.attempt_mut(slot).asked, NONE);
        (asked != NONE).then_some(ReplicaId(asked))
    }

    /// A request that is taken back from its replica holds no place any more.
    pub(super) fn no_place_is_held(&mut self, slot: u32) {
        let gateway = self.requests.at(slot).gateway_replica;
        self.give_place_back(slot, gateway);
    }

    fn give_place_back(&mut self, slot: u32, gateway: u16) {
        let Some(calls) = &mut self.calls else { return };
        if std::mem::take(&mut calls.attempt_mut(slot).has_place)
            && let Some(watch) = self.gateways.watch(gateway)
            && let Some(limits) = &mut watch.limits
        {
            limits.give_back(Resource::Request);
        }
    }

    fn breaker_lets_through(
        &mut self,
        gateway: u16,
        replica: ReplicaId,
        queue: &mut EventQueue<Event>,
    ) -> bool {
        let Some(watch) = self.gateways.watch(gateway) else {
            return true;
        };
        let Some((index, breaker)) = watch.breaker(replica) else {
            return true;
        };
        let acquired = breaker.try_acquire(queue.now());
        if let Some(transition) = acquired.transition {
            self.breaker_turned(gateway, index, &transition, queue);
        }
        if !acquired.permitted {
            self.set_breaker(gateway, index, true, queue);
        }
        acquired.permitted
    }

    /// A request has come back to its gateway, or was lost on its way.
    pub(super) fn note_result(&mut self, slot: u32, status: Status, queue: &mut EventQueue<Event>) {
        let request = self.requests.at(slot);
        let (gateway, came) = (request.gateway_replica, request.gateway);
        // A decode replica has it from when its prompt had come.
        let since = match request.kv_arrived {
            SimTime::NEVER => came,
            arrived => arrived,
        };
        self.give_place_back(slot, gateway);
        let Some(asked) = self.was_asked(slot) else {
            return;
        };
        let result = match status.outcome() {
            Outcome::Completed => Some(HostResult::Success),
            // Refused connections, resets, and queues that are full: 503.
            Outcome::Failed => Some(HostResult::GatewayError),
            Outcome::Rejected if status == Status::RejectedQueueFull => {
                Some(HostResult::GatewayError)
            }
            // Given up, or the fault of the request: nothing is learnt of the replica.
            _ => None,
        };
        let took = queue.now().since(since);
        self.hear(slot, Some(asked), result, took, queue);
    }

    /// A prompt has been computed, and its KV sent on: so much is heard of its replica.
    pub(super) fn prompt_is_done(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let took = queue.now().since(self.requests.at(slot).gateway);
        let asked = self.was_asked(slot);
        self.hear(slot, asked, Some(HostResult::Success), took, queue);
    }

    /// A gateway hears how what it asked of a replica ended, or that it is not to be known.
    fn hear(
        &mut self,
        slot: u32,
        asked: Option<ReplicaId>,
        result: Option<HostResult>,
        took: SimDuration,
        queue: &mut EventQueue<Event>,
    ) {
        let gateway = self.requests.at(slot).gateway_replica;
        let (Some(replica), Some(watch)) = (asked, self.gateways.watch(gateway)) else {
            return;
        };
        let breaker = watch.breaker(replica).map(|(index, breaker)| {
            let turned = match result {
                Some(HostResult::Success) => breaker.on_success(queue.now(), took),
                Some(_) => breaker.on_error(queue.now(), took),
                None => {
                    breaker.release();
                    None
                }
            };
            (index, turned, breaker.state())
        });
        let counted = result.map(|result| watch.count_result(replica, result, queue.now()));
        if let Some((index, turned, state)) = breaker {
            match turned {
                Some(transition) => self.breaker_turned(gateway, index, &transition, queue),
                // A place among the trial calls may be free again.
                None if state == State::HalfOpen => self.set_breaker(gateway, index, false, queue),
                None => {}
            }
        }
        if let Some((change, sweep)) = counted {
            if let Some(at) = sweep {
                queue.schedule(at, Event::Sweep(gateway));
            }
            if let Some(change) = change {
                self.ejection_changed(gateway, change, queue);
            }
        }
    }

    /// A gateway has waited long enough for a replica: its client is told, and the replica works on
    /// unless it is told, too.
    pub(super) fn gateway_due(&mut self, id: RequestId, queue: &mut EventQueue<Event>) {
        let Some(slot) = self.requests.live_slot(id) else {
            return;
        };
        let Some(calls) = &mut self.calls else { return };
        let attempt = calls.attempt_mut(slot);
        attempt.timers[2] = None;
        if attempt.is_given_up() || attempt.ended.is_some() || attempt.failed.is_some() {
            return;
        }
        let call = attempt.call;
        if self.plan.health.is_some() {
            self.note_result(slot, Status::FailedTimeout, queue);
        }
        self.uncount(slot);
        if !self.gates.is_empty() {
            self.leave_gate(slot, Status::FailedTimeout, queue);
        }
        if let Some(calls) = &mut self.calls {
            calls.attempt_mut(slot).counted = false;
        }
        self.give_up(slot, queue);
        self.try_failed(call, Status::FailedTimeout, slot, queue);
        self.drop_try(slot, queue);
    }

    fn breaker_turned(
        &mut self,
        gateway: u16,
        index: u32,
        transition: &Transition,
        queue: &mut EventQueue<Event>,
    ) {
        self.meters.timeline.breaker(transition);
        self.note(queue.now(), Note::Breaker(gateway, index, transition.to));
        let due = match self.gateways.watch(gateway) {
            Some(watch) => watch
                .breaker_at(index)
                .and_then(|breaker| breaker.wakes_at()),
            None => None,
        };
        if let Some(due) = due {
            queue.schedule(due, Event::BreakerDue(gateway, index));
        }
        self.set_breaker(gateway, index, transition.to == State::Open, queue);
    }

    /// The wait of an open breaker is over, or that of one that is half-open.
    pub(super) fn breaker_due(&mut self, gateway: u16, index: u32, queue: &mut EventQueue<Event>) {
        let Some(watch) = self.gateways.watch(gateway) else {
            return;
        };
        let Some(breaker) = watch.breaker_at(index) else {
            return;
        };
        // One of a state that it has left since.
        if breaker.wakes_at().is_none_or(|at| at > queue.now()) {
            return;
        }
        match breaker.on_timer(queue.now()) {
            Some(transition) => self.breaker_turned(gateway, index, &transition, queue),
            // It waits for a call, which must be able to come.
            None => self.set_breaker(gateway, index, false, queue),
        }
    }

    fn set_breaker(
        &mut self,
        gateway: u16,
        index: u32,
        broken: bool,
        queue: &mut EventQueue<Event>,
    ) {
        let Some(watch) = self.gateways.watch(gateway) else {
            return;
        };
        let members: Vec<ReplicaId> = watch.members_of(index).collect();
        for replica in members {
            self.set_reason(gateway, replica, Reason::Broken, broken, queue);
        }
    }

    fn ejection_changed(&mut self, gateway: u16, change: Change, queue: &mut EventQueue<Event>) {
        let (host, ejected) = match change {
            Change::Ejected { host, .. } => (ReplicaId(host), true),
            Change::Returned { host } => (ReplicaId(host), false),
        };
        self.note(queue.now(), Note::Ejection(gateway, host, ejected));
        self.set_reason(gateway, host, Reason::Ejected, ejected, queue);
    }

    /// The sweep of a gateway's outlier detection.
    pub(super) fn sweep(&mut self, gateway: u16, queue: &mut EventQueue<Event>) {
        let busy = !self.requests.is_empty();
        let mut changes = std::mem::take(&mut self.ejections);
        let next = match self.gateways.watch(gateway) {
            Some(watch) => watch.sweep(queue.now(), busy, |change| changes.push(change)),
            None => None,
        };
        for change in changes.drain(..) {
            self.ejection_changed(gateway, change, queue);
        }
        self.ejections = changes;
        if let Some(at) = next {
            queue.schedule(at, Event::Sweep(gateway));
        }
    }

    /// Whether a reason speaks against a replica, as a gateway sees it. Where its control plane is
    /// lost it goes on with what it knew.
    pub(super) fn set_reason(
        &mut self,
        gateway: u16,
        replica: ReplicaId,
        reason: Reason,
        holds: bool,
        queue: &mut EventQueue<Event>,
    ) {
        let from_outside = matches!(reason, Reason::Draining | Reason::Unhealthy);
        let told = !(from_outside && self.control_plane_is_lost(self.gateways.region(gateway)));
        let Some(watch) = self.gateways.watch(gateway) else {
            return;
        };
        if watch.set(replica, reason, holds, told) {
            self.gateways.heed(gateway, replica, queue.now());
            for (gateway, region, panics) in self.gateways.take_panics() {
                self.note(queue.now(), Note::Panic(gateway, region, panics));
            }
        }
    }

    /// A replica has changed: gateways that probe it will find out.
    pub(super) fn probe_in_time(&mut self, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        let rule = self.plan.health.and_then(|health| health.active);
        let Some(rule) = rule else { return };
        let interval = SimDuration::from_secs_f64(rule.interval_s);
        for gateway in 0..self.gateways.count() {
            let Some(watch) = self.gateways.watch(gateway) else {
                return;
            };
            if let Some(at) = watch.look_at(replica, interval, queue.now()) {
                queue.schedule(at, Event::Probe(gateway, replica));
            }
        }
    }

    /// A probe begins: its answer comes at once, or never.
    pub(super) fn probe(
        &mut self,
        gateway: u16,
        replica: ReplicaId,
        queue: &mut EventQueue<Event>,
    ) {
        if self.answers_probe(gateway, replica) {
            return self.probe_over(gateway, replica, true, queue);
        }
        let timeout = self
            .gateways
            .watch(gateway)
            .map(|watch| watch.probe_timeout());
        // A dead process refuses the connection; what hangs or is cut off says nothing.
        let refused = !self.is_alive(replica);
        match timeout.filter(|_| !refused) {
            Some(timeout) => {
                queue.schedule(queue.now() + timeout, Event::ProbeLost(gateway, replica));
            }
            None => self.probe_over(gateway, replica, false, queue),
        }
    }

    /// What probes say is news only where the gateway is told.
    fn note_health(&mut self, gateway: u16, replica: ReplicaId, well: bool, now: SimTime) {
        if !self.control_plane_is_lost(self.gateways.region(gateway)) {
            self.note(now, Note::Health(gateway, replica, well));
        }
    }

    /// A probe has ended.
    pub(super) fn probe_over(
        &mut self,
        gateway: u16,
        replica: ReplicaId,
        answered: bool,
        queue: &mut EventQueue<Event>,
    ) {
        let now = queue.now();
        let Some(watch) = self.gateways.watch(gateway) else {
            return;
        };
        let (change, next) = watch.probed(replica, answered, now);
        if let Some(at) = next {
            queue.schedule(at, Event::Probe(gateway, replica));
        }
        match change {
            Some(Health::Unhealthy) => {
                self.note_health(gateway, replica, false, now);
                self.set_reason(gateway, replica, Reason::Unhealthy, true, queue);
            }
            Some(Health::Healthy) => {
                self.note_health(gateway, replica, true, now);
                self.set_reason(gateway, replica, Reason::Unhealthy, false, queue);
                let back = self
                    .gateways
                    .watch(gateway)
                    .and_then(|watch| watch.bring_back(replica, now));
                if let Some(change) = back {
                    self.ejection_changed(gateway, change, queue);
                }
            }
            None => {}
        }
    }
}
