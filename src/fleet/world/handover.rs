//! From the replica that computed a prompt to the one that makes the answer.
//!
//! ```text
//! router -> prefill replica -> link (KV) -> second router -> decode replica -> (hop) -> gateway
//! ```
//!
//! The router sends requests to `mixed` and `prefill` replicas alike. A prefill replica makes the
//! first token; the KV of the prompt then waits for its link and is sent, and keeps its blocks
//! until it has come. Only then the second router, of the same policy over the `decode` replicas,
//! chooses one by what is outstanding there, and the request joins the queue of its engine at once:
//! batching windows hold back prompts, not answers.

use crate::engine::{EventQueue, SimTime};
use crate::fleet::context::Context;
use crate::fleet::event::Event;
use crate::fleet::ids::{NONE, ReplicaId};
use crate::fleet::plan::{EnginePlan, FleetPlan};
use crate::fleet::replica::ReplicaEngine;
use crate::fleet::request::Status;
use crate::fleet::transfer::Links;
use crate::perf::NodeCeiling;
use crate::scenario::roles::Role;

use super::World;

/// What a fleet with prefill and decode pools has beside the others.
#[derive(Debug, Clone)]
pub(super) struct Handover {
    links: Links,
}

impl Handover {
    /// None where no pool has a role.
    pub fn new(plan: &FleetPlan) -> Option<Handover> {
        let transfer = plan.transfer?;
        Some(Handover {
            links: Links::new(transfer, plan),
        })
    }
}

/// Whether a request can be served by a fleet whose router sent it to a pool with that plan.
pub(super) fn fits(plan: &FleetPlan, pool: usize, prompt: u32, output: u32) -> bool {
    let fits_in = |pool: &EnginePlan, output: u32| match pool {
        EnginePlan::Llm { rules, .. } => rules.fits(prompt, output),
        EnginePlan::Abstract { .. } => true,
    };
    let pool = &plan.pools[pool];
    if pool.role != Role::Prefill {
        return fits_in(&pool.engine, output);
    }
    // The second router does not look at lengths either, so that it must fit wherever it may go.
    let mut decode = plan.pools_of(Role::Decode);
    fits_in(&pool.engine, output.min(1))
        && (output <= 1 || decode.all(|pool| fits_in(&pool.engine, output)))
}

/// What one replica of a pool can do of requests of those lengths at most, as far as they are the
/// pool's to compute.
pub fn ceiling(plan: &FleetPlan, pool: usize, prompt: u32, output: u32) -> Option<NodeCeiling> {
    let pool = &plan.pools[pool];
    let EnginePlan::Llm { step, .. } = &pool.engine else {
        return None;
    };
    match pool.role {
        Role::Mixed => step.max_requests_per_s(prompt, output),
        Role::Prefill => step.max_requests_per_s(prompt, 1),
        Role::Decode => {
            let all = step.max_requests_per_s(prompt, output)?;
            let first = step.max_requests_per_s(prompt, 1)?;
            Some(NodeCeiling {
                by_compute_rps: (all.by_compute_rps.recip() - first.by_compute_rps.recip()).recip(),
                by_bandwidth_rps: all.by_bandwidth_rps,
            })
        }
    }
}

impl World {
    /// Whether a request whose prompt was computed where it is is answered elsewhere.
    pub(super) fn goes_on_elsewhere(&self, slot: u32) -> bool {
        let request = self.requests.at(slot);
        request.output_tokens > 1
            && self.plan.pools[pool_of(&self.replicas, request.replica)].role == Role::Prefill
    }

    /// The same, unless it was to be dropped.
    pub(super) fn hand_over_if_wanted(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        match self.calls.is_some() && self.was_dropped(slot) {
            true => self.end_dropped(slot, queue),
            false => self.hand_over(slot, queue),
        }
    }

    /// The first token was made: gives the KV to the link.
    pub(super) fn hand_over(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let now = queue.now();
        let id = self.requests.id(slot);
        let request = self.requests.at(slot);
        let (replica, tokens) = (request.replica, request.prompt_tokens);
        let meter = &mut self.pools[pool_of(&self.replicas, replica)].meter;
        if let Some(handover) = &mut self.handover {
            let at = handover.links.send(replica, tokens, now, meter);
            queue.schedule(at, Event::KvArrived(id));
        }
    }

    /// The KV has come: frees it where it was, and chooses who goes on.
    pub(super) fn take_over(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let now = queue.now();
        let request = self.requests.at_mut(slot);
        let (from, prompt) = (request.replica, request.prompt_tokens);
        request.kv_arrived = now;
        request.prefill_replica = from;
        self.with_engine(slot, from, now, queue, Task::Sent);
        let pool = pool_of(&self.replicas, from);
        self.completed_at(slot, pool, now);
        self.leave_replica(slot, queue);
        self.left_node(from, queue);
        let gateway = self.requests.at(slot).gateway_replica;
        let region = self.plan.pools[pool].region;
        self.uncount(slot);
        self.prompt_is_done(slot, queue);
        let to = loop {
            match self.choose_decode(slot, region, now) {
                Some(to) if !self.may_go_to(slot, to, queue) => {}
                to => break to,
            }
        };
        self.requests.at_mut(slot).replica = to.unwrap_or(ReplicaId(NONE));
        let Some(to) = to else {
            return self.end(slot, Status::FailedNoReplica, queue);
        };
        let there = (Role::Decode, region);
        self.gateways.note_choice(gateway, to, now);
        self.gateways.each_router(gateway, there, to, |router| {
            router.sent(to, prompt);
        });
        if let Some(calls) = &mut self.calls {
            calls.attempt_mut(slot).counted = true;
        }
        if self.faults.is_some() && !self.is_alive(to) {
            return self.lost_at_replica(slot, queue);
        }
        self.note_present(to, prompt, true, queue);
        let request = self.requests.at_mut(slot);
        request.work.present = true;
        self.pools[pool_of(&self.replicas, to)].meter.came(now);
        self.with_engine(slot, to, now, queue, Task::Offer);
    }

    pub(super) fn with_engine(
        &mut self,
        slot: u32,
        id: ReplicaId,
        now: SimTime,
        queue: &mut EventQueue<Event>,
        task: Task,
    ) {
        let pool = pool_of(&self.replicas, id);
        let mut ctx = Context {
            now,
            queue,
            requests: &mut self.requests,
            meter: &mut self.pools[pool].meter,
            done: &mut self.done,
            firsts: self.tells_firsts.then_some(&mut self.firsts),
            store: self.store.as_deref(),
            region: self.plan.pools[pool].region,
        };
        let engine = &mut self.replicas[id.0 as usize].engine;
        match (engine, &self.plan.pools[pool].engine, task) {
            (ReplicaEngine::Llm(engine), _, Task::Sent) => engine.sent(slot, &mut ctx),
            (ReplicaEngine::Llm(engine), EnginePlan::Llm { rules, .. }, Task::Offer) => {
                engine.offer(slot, rules, &mut ctx);
            }
            (ReplicaEngine::Ranks(ranks), _, Task::Sent) => ranks.sent(slot, &mut ctx),
            (ReplicaEngine::Ranks(ranks), _, Task::Offer) => ranks.offer(slot, &mut ctx),
            _ => debug_assert!(false, "KV came from or to a replica of another kind"),
        }
    }
}

/// What an engine is told of a request that moves.
#[derive(Debug, Clone, Copy)]
pub(super) enum Task {
    Sent,
    Offer,
}

fn pool_of(replicas: &[super::Replica], id: ReplicaId) -> usize {
    replicas[id.0 as usize].pool.0 as usize
}
