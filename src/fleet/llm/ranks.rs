//! Data-parallel attention: ranks with queues and caches of their own that compute the experts
//! together, and therefore step together.
//!
//! As in vLLM (`--data-parallel-size` of a model with experts) a request goes to the rank with the
//! least of four times the waiting and the running requests, and an iteration of all ranks lasts
//! as long as that of the slowest: a rank with nothing to do goes along with an empty one.
//!
//! **Cost.** Every iteration is an event, and takes time in proportion to the ranks.

use super::plan::ROUNDING;
use super::{Engine, EngineRules, Flight};
use smallvec::SmallVec;

use crate::engine::{SimTime, Streams, Timer};
use crate::fleet::context::Context;
use crate::fleet::event::Event;
use crate::fleet::ids::ReplicaId;
use crate::fleet::meters::PoolMeter;
use crate::fleet::request::Requests;
use crate::perf::{RankWork, StepTimes};

/// What a waiting request weighs against a running one, as in vLLM's client of several engines.
const WAITING_WEIGHT: u32 = 4;

/// The ranks of one replica.
#[derive(Debug, Clone)]
pub struct Ranks {
    replica: ReplicaId,
    pub(super) engines: Vec<Engine>,
    /// Where the search for the least loaded rank begins next.
    next: usize,
    /// The end of the iteration under way, or the instant at which one is planned.
    pub(super) boundary: Option<Timer>,
    /// How many times as long as they should iterations take.
    pub(super) slowdown: f64,
}

impl Ranks {
    /// Idle ranks.
    pub fn new(replica: ReplicaId, rules: &EngineRules, streams: Streams) -> Ranks {
        let rank = |rank| Engine {
            rank,
            ranks: rules.data_parallel,
            ..Engine::new(replica, rules, streams)
        };
        Ranks {
            replica,
            engines: (0..rules.data_parallel).map(rank).collect(),
            next: 0,
            boundary: None,
            slowdown: 1.0,
        }
    }

    /// The same, whose ranks hand over what they have made the first token of.
    pub fn handing_over(mut self) -> Ranks {
        self.engines = self.engines.into_iter().map(Engine::handing_over).collect();
        self
    }

    /// Takes a request in. The caller has asked [`EngineRules::fits`].
    pub fn offer(&mut self, slot: u32, ctx: &mut Context<'_>) {
        let count = self.engines.len();
        let load = |engine: &Engine| WAITING_WEIGHT * engine.waiting.len() + engine.running.len();
        let from = self.next;
        let order = (0..count).map(|step| (from + step) % count);
        let least = order.min_by_key(|&rank| load(&self.engines[rank]));
        let rank = least.unwrap_or(0);
        self.next = (rank + 1) % count;
        ctx.requests.at_mut(slot).work.lane = rank as u16;
        self.engines[rank].waiting.push(ctx.requests, slot);
        self.wake(ctx);
    }

    /// The KV of a sequence has been sent: its blocks are free.
    pub fn sent(&mut self, slot: u32, ctx: &mut Context<'_>) {
        let rank = usize::from(ctx.requests.at(slot).work.lane);
        self.engines[rank].let_go_sent(slot, ctx);
        if !self.engines[rank].waiting.is_empty() {
            self.wake(ctx);
        }
    }

    /// Plans at this very instant, after its ordinary events, if nothing is under way.
    pub(super) fn wake(&mut self, ctx: &mut Context<'_>) {
        if self.boundary.is_none() {
            self.schedule(ctx.now, ctx);
        }
    }

    fn schedule(&mut self, at: SimTime, ctx: &mut Context<'_>) {
        let event = Event::Step(self.replica, 0);
        self.boundary = Some(ctx.queue.schedule_late(at, self.replica.0, event));
    }

    /// The boundary of an iteration of all ranks.
    pub fn step(&mut self, rules: &EngineRules, model: &dyn StepTimes, ctx: &mut Context<'_>) {
        self.boundary = None;
        let mut works = false;
        for engine in &mut self.engines {
            engine.settle(ctx);
            engine.drop_aborted(ctx);
            works |= engine.plan(rules, ctx);
        }
        if !works {
            return;
        }
        let mut loading_ns: f64 = 0.0;
        for engine in &mut self.engines {
            engine.list_prefill(ctx.requests);
            loading_ns = loading_ns.max(std::mem::take(&mut engine.loading_ns));
        }
        // In place up to as many as there usually are.
        let ranks: SmallVec<[RankWork<'_>; 16]> =
            self.engines.iter().map(Engine::rank_work).collect();
        let ns = model.joint_ns(&ranks);
        let floor = model.joint_floor_ns(&ranks);
        drop(ranks);
        ctx.meter.faster_than_physics += u64::from(ns < floor * ROUNDING);
        let ns = (ns * self.slowdown + loading_ns).round() as u64;
        let end = SimTime(ctx.now.0 + ns.max(1));
        for engine in &mut self.engines {
            engine.depart(ctx.now);
        }
        self.schedule(end, ctx);
    }

    /// See [`Engine::block_balance`]: over all ranks.
    pub fn block_balance(&self, requests: &Requests) -> (u64, u64) {
        let balances = self.engines.iter().map(|rank| rank.block_balance(requests));
        balances.fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1))
    }

    /// See [`Engine::busy_under_way_ns`]: over all ranks.
    pub fn busy_under_way_ns(&self, meter: &PoolMeter, now: SimTime) -> u128 {
        let ranks = self.engines.iter();
        ranks.map(|rank| rank.busy_under_way_ns(meter, now)).sum()
    }
}

impl Engine {
    fn rank_work(&self) -> RankWork<'_> {
        RankWork {
            prefill: &self.prefill,
            decodes: self.decodes,
            context: self.context,
            spread: self.spread(),
        }
    }

    /// Goes along with an iteration that begins now.
    fn depart(&mut self, now: SimTime) {
        self.flight_start = now;
        if !self.chunks.is_empty() {
            self.begin(true);
        } else if self.decodes > 0 {
            self.flight = Flight::Mixed { decoding: true };
        } else {
            self.flight = Flight::Idle;
        }
    }
}
