//! One replica: a batching window and an engine of one of the kinds.

use super::ids::PoolId;
use super::llm::Engine;
use super::servers::{BatchServers, Servers};
use super::sharing::Sharing;
use super::window::Window;

/// One replica of a pool.
#[derive(Debug, Clone)]
pub struct Replica {
    /// The pool it belongs to.
    pub pool: PoolId,
    /// Holds requests back before the engine (unused by [`ReplicaEngine::Batches`], which forms
    /// its batches itself).
    pub window: Window,
    /// What does the work.
    pub engine: ReplicaEngine,
}

/// What does the work.
#[derive(Debug, Clone)]
pub enum ReplicaEngine {
    /// Servers that take one request each.
    Servers(Servers),
    /// Servers that take batches.
    Batches(BatchServers),
    /// Processor sharing.
    Sharing(Sharing),
    /// Continuous batching of a language model.
    Llm(Box<Engine>),
}
