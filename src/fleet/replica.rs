//! One replica: a batching window and an engine of one of the kinds.

use crate::engine::{SimTime, Streams};
use crate::scenario::roles::Role;

use super::balance::Signals;
use super::context::Context;
use super::ids::{PoolId, ReplicaId};
use super::llm::{Engine, Ranks};
use super::plan::{EnginePlan, ServicePlan};
use super::request::Requests;
use super::servers::{BatchServers, Servers};
use super::sharing::Sharing;
use super::window::Window;

/// One replica of a pool: little more than where its parts are, so that those of thousands stay in
/// the cache.
#[derive(Debug, Clone)]
pub struct Replica {
    /// The pool it belongs to.
    pub pool: PoolId,
    /// Holds requests back before the engine (unused by [`ReplicaEngine::Batches`], which forms
    /// its batches itself).
    pub window: Box<Window>,
    /// What does the work.
    pub engine: ReplicaEngine,
}

/// What does the work.
#[derive(Debug, Clone)]
pub enum ReplicaEngine {
    /// Servers that take one request each.
    Servers(Box<Servers>),
    /// Servers that take batches.
    Batches(Box<BatchServers>),
    /// Processor sharing.
    Sharing(Box<Sharing>),
    /// Continuous batching of a language model.
    Llm(Box<Engine>),
    /// The same by ranks that share the experts.
    Ranks(Box<Ranks>),
}

impl ReplicaEngine {
    /// The idle engine of a replica of that plan and role.
    pub fn new(plan: &EnginePlan, role: Role, id: ReplicaId, streams: Streams) -> ReplicaEngine {
        match plan {
            EnginePlan::Llm { rules, .. } if rules.data_parallel > 1 => {
                let ranks = Ranks::new(id, rules, streams);
                ReplicaEngine::Ranks(Box::new(match role {
                    Role::Prefill => ranks.handing_over(),
                    Role::Mixed | Role::Decode => ranks,
                }))
            }
            EnginePlan::Llm { rules, .. } => {
                let engine = Engine::new(id, rules, streams);
                ReplicaEngine::Llm(Box::new(match role {
                    Role::Prefill => engine.handing_over(),
                    Role::Mixed | Role::Decode => engine,
                }))
            }
            EnginePlan::Abstract {
                servers,
                capacity,
                service,
            } => match service {
                ServicePlan::Single(_) => {
                    ReplicaEngine::Servers(Box::new(Servers::new(*servers, *capacity)))
                }
                ServicePlan::Shared(_) => {
                    ReplicaEngine::Sharing(Box::new(Sharing::new(*servers, *capacity)))
                }
                ServicePlan::Batch(_) => {
                    ReplicaEngine::Batches(Box::new(BatchServers::new(*servers, *capacity)))
                }
            },
        }
    }
}

impl Replica {
    /// What it says of itself when it is asked.
    pub fn signals(&self, requests: &Requests, now: SimTime) -> Signals {
        match &self.engine {
            ReplicaEngine::Servers(servers) => servers.signals(),
            ReplicaEngine::Batches(servers) => servers.signals(),
            ReplicaEngine::Sharing(sharing) => sharing.signals(),
            ReplicaEngine::Llm(engine) => engine.signals(requests, now),
            ReplicaEngine::Ranks(ranks) => ranks.signals(requests, now),
        }
    }

    /// Requests that wait there: in the window, and for the engine.
    pub fn waiting(&self) -> u32 {
        let queued = match &self.engine {
            ReplicaEngine::Servers(servers) => servers.signals().waiting,
            ReplicaEngine::Batches(servers) => servers.signals().waiting,
            ReplicaEngine::Sharing(_) => 0,
            ReplicaEngine::Llm(engine) => engine.waiting(),
            ReplicaEngine::Ranks(ranks) => ranks.waiting(),
        };
        queued + self.window.len()
    }

    /// Keeps whose the blocks of its prefix cache are.
    pub fn keep_owners(&mut self) {
        match &mut self.engine {
            ReplicaEngine::Llm(engine) => engine.keep_owners(),
            ReplicaEngine::Ranks(ranks) => ranks.keep_owners(),
            _ => {}
        }
    }

    /// Rids its prefix cache of the blocks of some owners; whether requests still hold some.
    pub fn forget_blocks(&mut self, whose: &dyn Fn(u64) -> bool) -> bool {
        match &mut self.engine {
            ReplicaEngine::Llm(engine) => engine.forget_blocks(whose),
            ReplicaEngine::Ranks(ranks) => ranks.forget_blocks(whose),
            _ => {}
        }
        self.holds_doomed_blocks(whose)
    }

    /// Whether requests hold blocks of some owners that are to go.
    pub fn holds_doomed_blocks(&self, whose: &dyn Fn(u64) -> bool) -> bool {
        match &self.engine {
            ReplicaEngine::Llm(engine) => engine.holds_doomed_blocks(whose),
            ReplicaEngine::Ranks(ranks) => ranks.holds_doomed_blocks(whose),
            _ => false,
        }
    }

    /// Keeps what its prefix cache stores and evicts until somebody asks.
    pub fn keep_news(&mut self) {
        match &mut self.engine {
            ReplicaEngine::Llm(engine) => engine.keep_news(),
            ReplicaEngine::Ranks(ranks) => ranks.keep_news(),
            _ => {}
        }
    }

    /// What its prefix cache has stored (true) and evicted since it was last asked.
    pub fn drain_blocks(&mut self, each: impl FnMut(u64, bool)) {
        match &mut self.engine {
            ReplicaEngine::Llm(engine) => engine.drain_blocks(each),
            ReplicaEngine::Ranks(ranks) => ranks.drain_blocks(each),
            _ => {}
        }
    }

    /// Drops a request that is present. False where that has to wait for the work under way: the
    /// request is then reported as done.
    pub fn abort(
        &mut self,
        slot: u32,
        id: ReplicaId,
        plan: &EnginePlan,
        ctx: &mut Context<'_>,
    ) -> bool {
        let in_window = ctx.requests.at(slot).queued == SimTime::NEVER;
        match (&mut self.engine, plan) {
            (ReplicaEngine::Batches(servers), _) => return servers.abort(slot, ctx),
            _ if in_window => self.window.abort(slot, ctx),
            (ReplicaEngine::Servers(servers), _) => servers.abort(slot, ctx),
            (ReplicaEngine::Sharing(sharing), _) => sharing.abort(slot, id, ctx),
            (ReplicaEngine::Llm(engine), EnginePlan::Llm { rules, .. }) => {
                return engine.abort(slot, rules, ctx);
            }
            (ReplicaEngine::Ranks(ranks), EnginePlan::Llm { rules, .. }) => {
                return ranks.abort(slot, rules, ctx);
            }
            _ => debug_assert!(false, "an engine of another kind than its plan"),
        }
        true
    }

    /// Dies with all that is in it, and is as new.
    pub fn crash(&mut self, id: ReplicaId, plan: &EnginePlan, ctx: &mut Context<'_>) {
        *self.window = Window::default();
        match (&mut self.engine, plan) {
            (ReplicaEngine::Servers(servers), _) => servers.crash(ctx),
            (ReplicaEngine::Batches(servers), _) => servers.crash(ctx),
            (ReplicaEngine::Sharing(sharing), _) => sharing.crash(id, ctx),
            (ReplicaEngine::Llm(engine), EnginePlan::Llm { rules, .. }) => engine.crash(rules, ctx),
            (ReplicaEngine::Ranks(ranks), EnginePlan::Llm { rules, .. }) => ranks.crash(rules, ctx),
            _ => debug_assert!(false, "an engine of another kind than its plan"),
        }
    }

    /// Takes `factor` (1 or more) times as long for everything from now on.
    pub fn slow_down(&mut self, factor: f64, id: ReplicaId, ctx: &mut Context<'_>) {
        match &mut self.engine {
            ReplicaEngine::Servers(servers) => servers.slow_down(factor),
            ReplicaEngine::Batches(servers) => servers.slow_down(factor),
            ReplicaEngine::Sharing(sharing) => sharing.slow_down(factor, id, ctx),
            ReplicaEngine::Llm(engine) => engine.slow_down(factor, ctx),
            ReplicaEngine::Ranks(ranks) => ranks.slow_down(factor),
        }
    }

    /// It makes no progress for a while: the ends of what is under way will come late.
    pub fn stall(&mut self, id: ReplicaId, ctx: &mut Context<'_>) {
        match &mut self.engine {
            ReplicaEngine::Llm(engine) => engine.stall(ctx),
            ReplicaEngine::Sharing(sharing) => sharing.stall(id, ctx),
            ReplicaEngine::Servers(servers) => servers.stall(ctx.now),
            ReplicaEngine::Batches(servers) => servers.stall(ctx.now),
            // The ends of iterations are held back.
            ReplicaEngine::Ranks(_) => {}
        }
    }

    /// It goes on.
    pub fn resume(&mut self, id: ReplicaId, ctx: &mut Context<'_>) {
        match &mut self.engine {
            ReplicaEngine::Sharing(sharing) => sharing.resume(id, ctx),
            ReplicaEngine::Servers(servers) => servers.resume(ctx.now),
            ReplicaEngine::Batches(servers) => servers.resume(ctx.now),
            ReplicaEngine::Llm(engine) => engine.go_on(),
            ReplicaEngine::Ranks(_) => {}
        }
    }
}
