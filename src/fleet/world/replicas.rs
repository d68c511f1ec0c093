//! The way to a replica, and its work there.

use crate::engine::{EventQueue, SimDuration, SimRng, SimTime};
use crate::fleet::context::Context;
use crate::fleet::event::Event;
use crate::fleet::ids::{PoolId, ReplicaId, RequestId};
use crate::fleet::plan::{EnginePlan, FleetPlan, ServicePlan};
use crate::fleet::replica::ReplicaEngine;
use crate::fleet::request::Status;
use crate::fleet::servers::Batching;
use crate::scenario::roles::Role;

use super::faults::Way;
use super::{World, handover};

impl World {
    pub(super) fn route(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        if self.plain {
            return self.route_plainly(slot, queue);
        }
        let gateway = self.requests.at(slot).gateway_replica;
        let chosen = match self.plan.health {
            None => {
                let chosen = self.choose(slot, gateway, queue.now());
                chosen.ok_or(Status::FailedNoReplica)
            }
            Some(_) => self.choose_replica(slot, gateway, queue),
        };
        let replica = match chosen {
            Ok(replica) => replica,
            Err(status) => return self.end(slot, status, queue),
        };
        self.send(slot, replica, queue);
    }

    /// The same where nobody has anything to say but the router.
    fn route_plainly(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let request = self.requests.at_mut(slot);
        let gateway = request.gateway_replica;
        let router = self.gateways.plain_router(gateway, Role::Mixed);
        let Some(replica) = router.send_plainly(request.prompt_tokens) else {
            return self.end(slot, Status::FailedNoReplica, queue);
        };
        request.gateway = queue.now();
        request.replica = replica;
        let pool = self.replicas[replica.0 as usize].pool.0 as usize;
        let (lane, hop) = self.lanes.to_replica[pool];
        if hop == SimDuration::ZERO {
            self.deliver(slot, queue);
        } else {
            let id = self.requests.id(slot);
            queue.schedule_in_lane(lane, Event::Delivered(id));
        }
    }

    /// A request sets out from its gateway for a replica.
    fn send(&mut self, slot: u32, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        let pool = self.replicas[replica.0 as usize].pool.0 as usize;
        let to = self.plan.pools[pool].region;
        let request = self.requests.at_mut(slot);
        let gateway = request.gateway_replica;
        // One that comes from another node has made its first token, and its stamps say how.
        if request.first_token == SimTime::NEVER {
            request.gateway = queue.now();
        }
        request.replica = replica;
        let prompt_tokens = request.prompt_tokens;
        let there = (Role::Mixed, to);
        self.gateways.note_choice(gateway, replica, queue.now());
        self.gateways
            .each_router(gateway, there, replica, |router| {
                router.sent(replica, prompt_tokens);
            });
        if self.plan.remembers_prompts() {
            self.remember(slot, there);
        }
        if let Some(calls) = &mut self.calls {
            let id = self.requests.id(slot);
            let attempt = calls.attempt_mut(slot);
            attempt.counted = true;
            if let Some(lane) = self.lanes.gateway_due {
                let timer = queue.schedule_timer_in_lane(lane, Event::GatewayDue(id));
                attempt.timers[2] = Some(timer);
            }
        }
        if self.faults.is_some() {
            return self.send_if_it_can(slot, queue);
        }
        let region = self.gateways.region(gateway);
        let (lane, hop) = self.lanes.to_replica(region, pool);
        if hop == SimDuration::ZERO {
            self.deliver(slot, queue);
        } else {
            let id = self.requests.id(slot);
            queue.schedule_in_lane(lane, Event::Delivered(id));
        }
    }

    /// The same where deployments, ways and messages may fail.
    fn send_if_it_can(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let gateway = self.requests.at(slot).gateway_replica;
        let region = self.gateways.region(gateway);
        let mut replica = self.requests.at(slot).replica;
        if let Some(hit) = self.is_misdeployed(slot, queue.now()) {
            let instead = hit.and_then(|pool| self.any_of(pool));
            let Some(instead) = instead else {
                let pool = self.replicas[replica.0 as usize].pool.0 as usize;
                let both = self.plan.hop_to(region, pool) + self.plan.hop_back(region, pool);
                return self.fail_after(slot, Status::FailedDeploy, both, queue);
            };
            self.misroute(slot, instead, queue);
            replica = instead;
        }
        let pool = self.replicas[replica.0 as usize].pool.0 as usize;
        let way = Way::Replicas(region, self.plan.pools[pool].region);
        if self.is_cut_off(way) {
            let timeout = self.plan.connect_timeout;
            return self.fail_after(slot, Status::FailedNetwork, timeout, queue);
        }
        let hop = self.plan.hop_to(region, pool) + self.delay_of_losses(replica);
        if hop == SimDuration::ZERO {
            return self.deliver(slot, queue);
        }
        let id = self.requests.id(slot);
        queue.schedule(queue.now() + hop, Event::Delivered(id));
    }

    fn is_misdeployed(&mut self, slot: u32, now: SimTime) -> Option<Option<PoolId>> {
        let calls = self.calls.as_ref()?;
        let attempt = calls.attempt(slot);
        let who = match attempt.is_given_up() {
            true => return None,
            false => calls.slab.at(attempt.call).who,
        };
        let user = u64::from(attempt.population) << 32 | u64::from(who);
        let replica = self.requests.at(slot).replica;
        let hit = self.misdeployed(replica, user, now)?;
        self.meters.timeline.try_hit(user_bit(&self.plan, user));
        Some(hit)
    }

    /// A request goes to another replica than its router chose.
    fn misroute(&mut self, slot: u32, instead: ReplicaId, queue: &mut EventQueue<Event>) {
        self.is_not_asked(slot, queue);
        let request = self.requests.at(slot);
        let (gateway, replica) = (request.gateway_replica, request.replica);
        let prompt_tokens = request.prompt_tokens;
        let pool = self.replicas[replica.0 as usize].pool.0 as usize;
        let region = self.plan.pools[pool].region;
        let there = (Role::Mixed, region);
        self.gateways
            .each_router(gateway, there, replica, |router| {
                router.returned(replica, prompt_tokens, false);
            });
        self.requests.at_mut(slot).replica = instead;
        if let Some(calls) = &mut self.calls {
            calls.attempt_mut(slot).counted = false;
        }
    }

    pub(super) fn deliver(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let now = queue.now();
        if self.faults.is_some() && !self.is_alive(self.requests.at(slot).replica) {
            return self.lost_at_replica(slot, queue);
        }
        let request = self.requests.at_mut(slot);
        let brings_kv = request.work.computed > 0;
        if request.first_token == SimTime::NEVER {
            request.delivered = now;
        }
        request.work.present = true;
        let (id, prompt_tokens) = (request.replica, request.prompt_tokens);
        if !self.plain {
            self.note_present(id, prompt_tokens, true, queue);
        }
        let replica = &mut self.replicas[id.0 as usize];
        let pool = &mut self.pools[replica.pool.0 as usize];
        pool.meter.came(now);
        let by_batch = matches!(replica.engine, ReplicaEngine::Batches(_));
        // Windows hold back prompts, not answers.
        if !by_batch && (brings_kv || self.plan.window.passes_through()) {
            if let Err(status) = self.join(slot, id, queue) {
                self.end(slot, status, queue);
            }
            return;
        }
        let plan = &*self.plan;
        let mut ctx = Context {
            now,
            queue,
            requests: &mut self.requests,
            meter: &mut pool.meter,
            done: &mut self.done,
            firsts: self.tells_firsts.then_some(&mut self.firsts),
            store: self.store.as_deref(),
            region: plan.pools[replica.pool.0 as usize].region,
        };
        if let ReplicaEngine::Batches(servers) = &mut replica.engine {
            if let Some(mut batching) = batching(plan, replica.pool, id, &mut pool.rng)
                && !servers.offer(slot, &mut batching, &mut ctx)
            {
                self.end(slot, Status::RejectedQueueFull, queue);
            }
            return;
        }
        let released = &mut self.released;
        replica
            .window
            .offer(slot, &plan.window, id, &mut ctx, released);
        self.join_released(id, queue);
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
        if request.first_token == SimTime::NEVER {
            request.queued = queue.now();
        }
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
            firsts: self.tells_firsts.then_some(&mut self.firsts),
            store: self.store.as_deref(),
            region: self.plan.pools[pool_index].region,
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
        if !self.plain && self.is_held(id, event) {
            return;
        }
        let plan = &*self.plan;
        let replica = &mut self.replicas[id.0 as usize];
        let pool = &mut self.pools[replica.pool.0 as usize];
        let mut ctx = Context {
            now: queue.now(),
            queue,
            requests: &mut self.requests,
            meter: &mut pool.meter,
            done: &mut self.done,
            firsts: self.tells_firsts.then_some(&mut self.firsts),
            store: self.store.as_deref(),
            region: self.plan.pools[replica.pool.0 as usize].region,
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
                if let Some(mut batching) = batching(plan, replica.pool, id, &mut pool.rng) {
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
        if !self.plain {
            self.tell(id, queue);
        }
        if !self.done.is_empty() {
            self.send_done(queue);
        }
        if !self.released.is_empty() {
            self.join_released(id, queue);
        }
    }

    /// Tells routers and stores what has happened at a replica.
    fn tell(&mut self, id: ReplicaId, queue: &mut EventQueue<Event>) {
        if self.tells_firsts {
            self.tell_first_tokens();
        }
        if self.plan.tells_blocks() || self.store.is_some() {
            self.tell_blocks(id, queue);
        }
    }

    /// Sends the answers of requests that have just made their last token.
    pub(super) fn send_done(&mut self, queue: &mut EventQueue<Event>) {
        if let [only] = self.done[..] {
            self.done.clear();
            return self.send_answer(only, queue);
        }
        let mut done = std::mem::take(&mut self.done);
        for slot in done.drain(..) {
            self.send_answer(slot, queue);
        }
        self.done = done;
    }

    fn send_answer(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        if self.handover.is_some() && self.goes_on_elsewhere(slot) {
            return self.hand_over_if_wanted(slot, queue);
        }
        if self.plain {
            return self.send_plain_answer(slot, queue);
        }
        if self.calls.is_some() && self.was_dropped(slot) {
            return self.end_dropped(slot, queue);
        }
        let id = self.requests.id(slot);
        self.requests.at_mut(slot).last_token = queue.now();
        self.leave_replica(slot, queue);
        let request = self.requests.at(slot);
        let (replica, gateway) = (request.replica, request.gateway_replica);
        let pool = self.replicas[replica.0 as usize].pool.0 as usize;
        let region = self.gateways.region(gateway);
        let (lane, hop) = self.lanes.back_from(region, pool);
        if self.faults.is_some() {
            self.send_back(id, replica, (region, pool), queue);
        } else if hop == SimDuration::ZERO {
            self.respond(id, queue);
        } else {
            queue.schedule_in_lane(lane, Event::Responded(id));
        }
    }

    /// The same where nobody has anything to say but the router.
    #[inline]
    fn send_plain_answer(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let request = self.requests.at_mut(slot);
        request.last_token = queue.now();
        request.work.present = false;
        let pool = usize::from(self.replicas[request.replica.0 as usize].pool.0);
        self.pools[pool].meter.left(queue.now());
        let (lane, hop) = self.lanes.from_replica[pool];
        if hop == SimDuration::ZERO {
            self.end(slot, Status::Completed, queue);
        } else {
            let id = self.requests.id(slot);
            queue.schedule_in_lane(lane, Event::Responded(id));
        }
    }

    /// An answer sets out for its gateway where ways and messages may fail.
    fn send_back(
        &mut self,
        id: RequestId,
        replica: ReplicaId,
        (region, pool): (u16, usize),
        queue: &mut EventQueue<Event>,
    ) {
        let way = Way::Replicas(region, self.plan.pools[pool].region);
        let hop = self.plan.hop_back(region, pool);
        if self.is_cut_off(way) {
            return self.hold(way, hop, Event::Responded(id));
        }
        let hop = hop + self.delay_of_losses(replica);
        match hop {
            SimDuration::ZERO => self.respond(id, queue),
            hop => queue.schedule(queue.now() + hop, Event::Responded(id)),
        }
    }

    pub(super) fn leave_replica(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let request = self.requests.at_mut(slot);
        request.work.present = false;
        let (id, prompt_tokens) = (request.replica, request.prompt_tokens);
        let pool = self.replicas[id.0 as usize].pool;
        self.pools[pool.0 as usize].meter.left(queue.now());
        if !self.plain {
            self.note_present(id, prompt_tokens, false, queue);
        }
    }

    pub(super) fn respond(&mut self, id: RequestId, queue: &mut EventQueue<Event>) {
        if let Some(slot) = self.requests.live_slot(id)
            && !self.waits_for_log(slot, queue)
        {
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

/// The number of a user over all populations.
pub(super) fn user_bit(plan: &FleetPlan, user: u64) -> u64 {
    let (population, who) = ((user >> 32) as usize, user & u64::from(u32::MAX));
    let before = plan.topology.populations[..population].iter();
    before
        .map(|population| u64::from(population.users))
        .sum::<u64>()
        + who
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
