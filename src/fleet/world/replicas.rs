//! The way to a replica, and its work there.

use std::sync::Arc;

use crate::engine::{EventQueue, SimDuration, SimRng, SimTime};
use crate::fleet::context::Context;
use crate::fleet::event::Event;
use crate::fleet::ids::{PoolId, ReplicaId, RequestId};
use crate::fleet::plan::{EnginePlan, FleetPlan, ServicePlan};
use crate::fleet::replica::ReplicaEngine;
use crate::fleet::request::Status;
use crate::fleet::servers::Batching;
use crate::scenario::roles::Role;

use super::{World, handover};

impl World {
    pub(super) fn route(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let request = self.requests.at_mut(slot);
        let router = self.gateways.router(request.gateway_replica, Role::Mixed);
        let Some(replica) = router.choose() else {
            return self.end(slot, Status::FailedNoReplica, queue);
        };
        router.sent(replica, request.prompt_tokens);
        request.gateway = queue.now();
        request.replica = replica;
        let pool = self.replicas[replica.0 as usize].pool.0 as usize;
        if self.plan.hop_to(pool) == SimDuration::ZERO {
            self.deliver(slot, queue);
        } else {
            let id = self.requests.id(slot);
            queue.schedule_in_lane(self.lanes.to_replica[pool], Event::Delivered(id));
        }
    }

    pub(super) fn deliver(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let plan = Arc::clone(&self.plan);
        let now = queue.now();
        let request = self.requests.at_mut(slot);
        request.delivered = now;
        request.work.present = true;
        let (id, prompt_tokens) = (request.replica, request.prompt_tokens);
        self.note_present(id, prompt_tokens, true, queue);
        let replica = &mut self.replicas[id.0 as usize];
        let pool = &mut self.pools[replica.pool.0 as usize];
        pool.meter.came(now);
        let mut ctx = Context {
            now,
            queue,
            requests: &mut self.requests,
            meter: &mut pool.meter,
            done: &mut self.done,
        };
        if let ReplicaEngine::Batches(servers) = &mut replica.engine {
            if let Some(mut batching) = batching(&plan, replica.pool, id, &mut pool.rng)
                && !servers.offer(slot, &mut batching, &mut ctx)
            {
                self.end(slot, Status::RejectedQueueFull, queue);
            }
        } else if plan.window.passes_through() {
            self.released.push(slot);
            self.join_released(id, queue);
        } else {
            let released = &mut self.released;
            replica
                .window
                .offer(slot, &plan.window, id, &mut ctx, released);
            self.join_released(id, queue);
        }
    }

    /// Passes what the window let go to the engine.
    fn join_released(&mut self, id: ReplicaId, queue: &mut EventQueue<Event>) {
        let mut released = std::mem::take(&mut self.released);
        for slot in released.drain(..) {
            if let Err(status) = self.join(slot, id, queue) {
                self.end(slot, status, queue);
            }
        }
        self.released = released;
    }

    fn join(
        &mut self,
        slot: u32,
        id: ReplicaId,
        queue: &mut EventQueue<Event>,
    ) -> Result<(), Status> {
        let replica = &mut self.replicas[id.0 as usize];
        let pool_index = replica.pool.0 as usize;
        let pool = &mut self.pools[pool_index];
        let plan = &self.plan.pools[pool_index].engine;
        let request = self.requests.at_mut(slot);
        request.queued = queue.now();
        if let EnginePlan::Abstract {
            service: ServicePlan::Single(law) | ServicePlan::Shared(law),
            ..
        } = plan
        {
            request.work.mark = law.sample(&mut pool.rng).0;
        }
        let (prompt, output) = (request.prompt_tokens, request.output_tokens);
        let mut ctx = Context {
            now: queue.now(),
            queue,
            requests: &mut self.requests,
            meter: &mut pool.meter,
            done: &mut self.done,
        };
        let accepted = match (&mut replica.engine, plan) {
            (ReplicaEngine::Servers(servers), _) => servers.offer(slot, &mut ctx),
            (ReplicaEngine::Sharing(sharing), _) => sharing.offer(slot, id, &mut ctx),
            (ReplicaEngine::Llm(engine), EnginePlan::Llm { rules, .. }) => {
                if !handover::fits(&self.plan, pool_index, prompt, output) {
                    return Err(Status::RejectedTooLong);
                }
                engine.offer(slot, rules, &mut ctx);
                true
            }
            (ReplicaEngine::Ranks(ranks), _) => {
                if !handover::fits(&self.plan, pool_index, prompt, output) {
                    return Err(Status::RejectedTooLong);
                }
                ranks.offer(slot, &mut ctx);
                true
            }
            _ => true,
        };
        accepted.then_some(()).ok_or(Status::RejectedQueueFull)
    }

    /// Lets a replica handle one of its own events, then sends off what it has finished.
    pub(super) fn at_replica(
        &mut self,
        id: ReplicaId,
        event: Event,
        queue: &mut EventQueue<Event>,
    ) {
        let plan = Arc::clone(&self.plan);
        let replica = &mut self.replicas[id.0 as usize];
        let pool = &mut self.pools[replica.pool.0 as usize];
        let mut ctx = Context {
            now: queue.now(),
            queue,
            requests: &mut self.requests,
            meter: &mut pool.meter,
            done: &mut self.done,
        };
        let engine_plan = &plan.pools[replica.pool.0 as usize].engine;
        match (&mut replica.engine, event, engine_plan) {
            (ReplicaEngine::Llm(engine), Event::Step(_, lane), EnginePlan::Llm { rules, step }) => {
                engine.step(lane, rules, step.as_ref(), &mut ctx);
            }
            (ReplicaEngine::Ranks(ranks), Event::Step(..), EnginePlan::Llm { rules, step }) => {
                ranks.step(rules, step.as_ref(), &mut ctx);
            }
            (ReplicaEngine::Servers(servers), Event::ServiceDone(request), _) => {
                servers.served(request.slot, &mut ctx);
            }
            (ReplicaEngine::Sharing(sharing), Event::ShareDone(_), _) => {
                sharing.share_done(id, &mut ctx);
            }
            (ReplicaEngine::Batches(servers), _, _) => {
                if let Some(mut batching) = batching(&plan, replica.pool, id, &mut pool.rng) {
                    match event {
                        Event::ServiceDone(leader) => {
                            servers.served(leader.slot, &mut batching, &mut ctx);
                        }
                        _ => servers.window_due(&mut batching, &mut ctx),
                    }
                }
            }
            (_, Event::WindowDue(_), _) => {
                let released = &mut self.released;
                replica
                    .window
                    .window_due(&plan.window, id, &mut ctx, released);
            }
            _ => debug_assert!(false, "{event:?} came to a replica of another kind"),
        }
        self.send_done(queue);
        self.join_released(id, queue);
    }

    /// Sends the answers of requests that have just made their last token.
    pub(super) fn send_done(&mut self, queue: &mut EventQueue<Event>) {
        let mut done = std::mem::take(&mut self.done);
        for slot in done.drain(..) {
            if self.calls.is_some() && self.was_dropped(slot) {
                self.end_dropped(slot, queue);
                continue;
            }
            if self.goes_on_elsewhere(slot) {
                self.hand_over(slot, queue);
                continue;
            }
            let id = self.requests.id(slot);
            self.requests.at_mut(slot).last_token = queue.now();
            self.leave_replica(slot, queue);
            let replica = self.requests.at(slot).replica;
            let pool = self.replicas[replica.0 as usize].pool.0 as usize;
            if self.plan.hop_back(pool) == SimDuration::ZERO {
                self.respond(id, queue);
            } else {
                queue.schedule_in_lane(self.lanes.from_replica[pool], Event::Responded(id));
            }
        }
        self.done = done;
    }

    pub(super) fn leave_replica(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let request = self.requests.at_mut(slot);
        request.work.present = false;
        let (id, prompt_tokens) = (request.replica, request.prompt_tokens);
        let pool = self.replicas[id.0 as usize].pool;
        self.pools[pool.0 as usize].meter.left(queue.now());
        self.note_present(id, prompt_tokens, false, queue);
    }

    pub(super) fn respond(&mut self, id: RequestId, queue: &mut EventQueue<Event>) {
        if let Some(slot) = self.requests.live_slot(id) {
            self.end(slot, Status::Completed, queue);
        }
    }

    pub(super) fn completed_at(&mut self, slot: u32, pool: usize, now: SimTime) {
        let meter = &mut self.pools[pool].meter;
        if !meter.measures(now) {
            return;
        }
        meter.completed += 1;
        let request = self.requests.at(slot);
        meter.wait_ns += u128::from(match self.plan.pools[pool].role {
            Role::Mixed => 0,
            Role::Prefill => (request.scheduled - request.queued).0,
            Role::Decode => (request.resumed - request.kv_arrived).0,
        });
        // What was cached was not computed.
        let computed = request.prompt_tokens - request.cached_tokens;
        let output = request.output_tokens;
        if let Some(ceiling) = handover::ceiling(&self.plan, pool, computed, output) {
            meter.completed_on(&ceiling);
        }
    }
}

fn batching<'a>(
    plan: &'a FleetPlan,
    pool: PoolId,
    replica: ReplicaId,
    rng: &'a mut SimRng,
) -> Option<Batching<'a>> {
    match &plan.pools[pool.0 as usize].engine {
        EnginePlan::Abstract {
            service: ServicePlan::Batch(time),
            ..
        } => Some(Batching {
            replica,
            rule: &plan.window,
            time,
            rng,
        }),
        _ => None,
    }
}
