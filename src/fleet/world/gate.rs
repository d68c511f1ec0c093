//! The way through a gateway's admission.

use crate::engine::EventQueue;
use crate::fleet::admission::Outcome as Ends;
use crate::fleet::event::Event;
use crate::fleet::gate::{Answer, Asks, Next};
use crate::fleet::ids::NONE;
use crate::fleet::request::{Outcome, Status};

use super::World;

impl World {
    /// Asks at the gate of its gateway for a request.
    pub(super) fn ask_gate(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let now = queue.now();
        let gateway = self.requests.at(slot).gateway_replica;
        let Some(asks) = self.asks_of(slot) else {
            return self.pass_gate(slot, queue);
        };
        let every = self.plan.signals.map_or(0, |rule| rule.interval.0);
        let gate = &mut self.gates[usize::from(gateway)];
        if gate.wants_load(now, every) {
            let known = self.gateways.known_loads(gateway, now);
            gate.note_load(known, now);
        }
        match gate.admit(slot, &asks, now) {
            Answer::In(permits) => {
                if let Some(calls) = &mut self.calls {
                    calls.attempt_mut(slot).permits = permits;
                }
                self.pass_gate(slot, queue);
            }
            Answer::Waits => {
                if let Some(calls) = &mut self.calls {
                    calls.attempt_mut(slot).waits = true;
                }
                // It may be the first of those whom the limits let in.
                self.let_in(gateway, queue);
            }
            Answer::Refused(status) => self.end(slot, status, queue),
        }
    }

    fn asks_of(&self, slot: u32) -> Option<Asks> {
        let plan = self.plan.gate.as_ref()?;
        let request = self.requests.at(slot);
        let attempt = self.calls.as_ref()?.attempt(slot);
        let tier = &self.plan.tiers[usize::from(request.tier)];
        let expected = u64::from(plan.admission.expected_output_tokens);
        Some(Asks {
            tier: request.tier,
            priority: tier.priority,
            tenant: attempt.tenant,
            tokens: u64::from(request.prompt_tokens) + expected,
            deadline: attempt.deadline,
        })
    }

    /// Somebody in the waiting room may go in, or waits no longer, at some time.
    fn wake_gate(&mut self, gateway: u16, queue: &mut EventQueue<Event>) {
        let Some(at) = self.gates[usize::from(gateway)].wakes_at(queue.now()) else {
            return;
        };
        let at = at.max(queue.now());
        let pending = &mut self.gate_wakes[usize::from(gateway)];
        if pending.is_none_or(|other| other > at || other < queue.now()) {
            *pending = Some(at);
            queue.schedule(at, Event::LetIn(gateway));
        }
    }

    /// Lets in who may go in, and sheds who waited too long.
    pub(super) fn let_in(&mut self, gateway: u16, queue: &mut EventQueue<Event>) {
        let now = queue.now();
        let pending = &mut self.gate_wakes[usize::from(gateway)];
        if pending.is_some_and(|at| at <= now) {
            *pending = None;
        }
        loop {
            match self.gates[usize::from(gateway)].next(now) {
                Next::In(slot, permits) => {
                    if let Some(calls) = &mut self.calls {
                        let attempt = calls.attempt_mut(slot);
                        attempt.waits = false;
                        attempt.permits = permits;
                    }
                    self.pass_gate(slot, queue);
                }
                Next::Shed(slot) => {
                    if let Some(calls) = &mut self.calls {
                        calls.attempt_mut(slot).waits = false;
                    }
                    self.end(slot, Status::ShedDelay, queue);
                }
                Next::Nobody => break,
            }
        }
        self.wake_gate(gateway, queue);
    }

    /// A request leaves its gateway, or its waiting room, for good.
    pub(super) fn leave_gate(&mut self, slot: u32, status: Status, queue: &mut EventQueue<Event>) {
        let now = queue.now();
        let Some(asks) = self.asks_of(slot) else {
            return;
        };
        let request = self.requests.at(slot);
        let (gateway, output) = (request.gateway_replica, request.output_tokens);
        let (prompt, came) = (request.prompt_tokens, request.arrival);
        let Some(calls) = &mut self.calls else { return };
        let attempt = calls.attempt_mut(slot);
        let gate = &mut self.gates[usize::from(gateway)];
        if std::mem::take(&mut attempt.waits) {
            gate.forget(slot, now);
            return;
        }
        let permits = std::mem::take(&mut attempt.permits);
        if !permits.is_inside() {
            return;
        }
        let given_up = attempt.call == NONE;
        let ends = match status.outcome() {
            Outcome::Completed => Ends::Answered,
            Outcome::Cancelled => Ends::Ignored,
            Outcome::Rejected if status == Status::RejectedTooLong => Ends::Ignored,
            _ if given_up => Ends::Ignored,
            _ => Ends::Dropped,
        };
        if status == Status::Completed {
            let actual = u64::from(prompt) + u64::from(output);
            gate.correct_tokens(asks.tier, asks.tenant, came, now, (asks.tokens, actual));
        }
        if gate.release(asks.tier, permits, ends, now) {
            let pending = &mut self.gate_wakes[usize::from(gateway)];
            if pending.is_none_or(|at| at > now) {
                *pending = Some(now);
                queue.schedule(now, Event::LetIn(gateway));
            }
        }
    }
}
