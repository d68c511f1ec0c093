//! `[network] [gateway] [router] [batching] [[pools]]`: the serving fleet.

mod llm;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::llm::{
    KvTier, LlmPool, PromptBlocks, Scheduler, SchedulingPolicy, Speculative, StepModelChoice,
};
use super::roles::Role;
use super::workload::Law;

/// `[network]`: fixed hops inside the region.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// One way from the gateway to a replica, milliseconds. Default 0.
    pub to_replica_ms: f64,
    /// One way back, milliseconds, paid by every token. Default 0.
    pub from_replica_ms: f64,
}

/// `[gateway]`: the front door.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// Fixed cost of a request (TLS, authentication, routing decision), milliseconds. Default 0.
    pub cost_ms: f64,
    /// A token bucket; requests beyond it are rejected. Default: none.
    pub rate_limit: Option<RateLimit>,
    /// Gateway replicas, 1 to 1,000: a request comes to any of them, and each routes on what it
    /// knows itself. The rate limit is one for all. Default 1.
    #[serde(skip_serializing_if = "is_one")]
    pub replicas: u16,
}

impl Default for Gateway {
    fn default() -> Self {
        Gateway {
            cost_ms: 0.0,
            rate_limit: None,
            replicas: 1,
        }
    }
}

fn is_one(value: &u16) -> bool {
    *value == 1
}

/// A token bucket: it starts full, a request takes one token.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Tokens that flow in, per second.
    pub requests_per_s: f64,
    /// Most tokens the bucket holds, at least 1.
    pub burst: f64,
}

/// `[router]`: which replica serves a request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "snake_case", deny_unknown_fields)]
pub enum Router {
    /// Each replica in turn.
    RoundRobin {},
    /// Any replica, uniformly.
    Random {},
    /// The one with the fewest requests outstanding among some sampled at random (with
    /// replacement, as Envoy does), or among all.
    LeastRequest {
        /// Replicas sampled; 0 looks at all of them. Default 2.
        #[serde(default = "two")]
        choices: u32,
    },
    /// The one with the fewest tokens outstanding, of all replicas. A request counts its prompt
    /// tokens and `expected_output_tokens`, since a router cannot know how long an answer gets.
    LeastTokens {
        /// Output tokens assumed for each request outstanding. Default 128.
        #[serde(default = "default_expected_output_tokens")]
        expected_output_tokens: u32,
    },
}

impl Default for Router {
    fn default() -> Self {
        Router::LeastRequest { choices: 2 }
    }
}

/// `[batching]`: a dynamic-batching window before each replica, with Triton's semantics.
///
/// A full batch, or one of a preferred size, goes at once; otherwise what is queued goes when the
/// *oldest* queued request has waited `window_ms`. A pool with `batch_service` also needs a free
/// server; other engines take what the window releases into their own queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batching {
    /// Longest wait of the oldest request, milliseconds. Default 0: no window.
    pub window_ms: f64,
    /// Most requests in a batch, 1 to 65,536. Default 64.
    pub max_batch: u32,
    /// Batch sizes worth sending at once, rising, each at most `max_batch`. Default: none.
    pub preferred_batches: Vec<u32>,
}

impl Default for Batching {
    fn default() -> Self {
        Batching {
            window_ms: 0.0,
            max_batch: 64,
            preferred_batches: Vec::new(),
        }
    }
}

/// One pool: like replicas on like hardware.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "engine", rename_all = "snake_case")]
pub enum Pool {
    /// Servers and a service-time law: what queueing theory can check exactly.
    Abstract(AbstractPool),
    /// A language-model engine with continuous batching.
    Llm(Box<LlmPool>),
}

impl Pool {
    /// The pool's name.
    pub fn name(&self) -> &str {
        match self {
            Pool::Abstract(pool) => &pool.name,
            Pool::Llm(pool) => &pool.name,
        }
    }

    /// Which part of a request it computes.
    pub fn role(&self) -> Role {
        match self {
            Pool::Abstract(_) => Role::Mixed,
            Pool::Llm(pool) => pool.role,
        }
    }

    /// The number of replicas.
    pub fn replicas(&self) -> u32 {
        match self {
            Pool::Abstract(pool) => pool.replicas,
            Pool::Llm(pool) => pool.replicas,
        }
    }
}

/// A pool of servers with a service-time law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AbstractPool {
    /// Name, unique, of letters, digits, `_` and `-`.
    pub name: String,
    /// Replicas (nodes), each with its own queue. Default 1.
    #[serde(default = "one_u32")]
    pub replicas: u32,
    /// Servers of one replica behind its one queue. Default 1.
    #[serde(default = "one_u32")]
    pub servers: u32,
    /// Who is served first. Default `fcfs`.
    #[serde(default)]
    pub discipline: Discipline,
    /// Time one server takes for one request. Give this or `batch_service`.
    pub service: Option<Law>,
    /// Time one server takes for one batch. Give this or `service`.
    pub batch_service: Option<BatchService>,
    /// Requests that may wait at one replica (those in service not counted); more are rejected.
    /// Default: no limit.
    pub queue_capacity: Option<u32>,
    /// Accelerators of one replica, for costs. Default 1.
    #[serde(default = "one_u32")]
    pub accelerators_per_replica: u32,
}

/// Order of service in an abstract pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Discipline {
    /// First come, first served.
    #[default]
    Fcfs,
    /// Processor sharing: all present share the servers equally, each at most one server's speed.
    ProcessorSharing,
}

/// Service of whole batches: `t(b) = fixed_ms + per_item_ms * b`, times an optional random factor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchService {
    /// Time of any batch, milliseconds.
    pub fixed_ms: f64,
    /// Time each request adds, milliseconds.
    pub per_item_ms: f64,
    /// A random factor on the whole, given as a law of any mean (the mean is divided out).
    /// Default: none, the time is exact.
    pub variability: Option<Law>,
}

fn one_u32() -> u32 {
    1
}
fn two() -> u32 {
    2
}
fn default_expected_output_tokens() -> u32 {
    128
}
