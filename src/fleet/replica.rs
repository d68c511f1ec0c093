//! One replica: a batching window and an engine of one of the kinds.

use crate::engine::Streams;
use crate::scenario::roles::Role;

use super::ids::{PoolId, ReplicaId};
use super::llm::{Engine, Ranks};
use super::plan::{EnginePlan, ServicePlan};
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
