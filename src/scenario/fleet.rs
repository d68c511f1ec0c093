//! `[network] [gateway] [router] [batching] [[pools]]`: the serving fleet.

mod llm;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::llm::{
    KvTier, LlmPool, PromptBlocks, Scheduler, SchedulingPolicy, Speculative, StepModelChoice,
};
use super::balance::{Maglev, PrefixIndex, RingHash, Scorers};
use super::regions::RoundTrips;
use super::roles::Role;
use super::routing::KeyOf;
use super::workload::Law;

/// `[network]`: fixed hops inside a region, round-trip times between regions, and what becomes of
/// what is lost on the way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// One way from the gateway to a replica, milliseconds. Default 0.
    pub to_replica_ms: f64,
    /// One way back, milliseconds, paid by every token. Default 0.
    pub from_replica_ms: f64,
    /// Round-trip times between regions (or places of populations), milliseconds, the same both
    /// ways: `"a/b" = 80`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rtt_ms: BTreeMap<String, f64>,
    /// A shipped table for the pairs that `rtt_ms` does not state: `"aws-2017"`, which is old.
    /// Default: none; a pair that is missing is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_table: Option<String>,
    /// Round-trip time within a region, from its clients to its gateways, milliseconds. Default 1,
    /// an assumption; measurements between availability zones give 0.25 to 3.4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inter_az_rtt_ms: Option<f64>,
    /// How long a client or a gateway tries to connect to what does not answer, milliseconds,
    /// before the try has failed. Default 5,000, as Envoy's `connect_timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout_ms: Option<f64>,
    /// How long a lost message waits until it is sent again, milliseconds; twice as long each
    /// further time. Default 200, the least of Linux's TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retransmit_ms: Option<f64>,
}

impl Network {
    /// The round-trip times.
    pub fn round_trips(&self) -> RoundTrips {
        RoundTrips {
            rtt_ms: self.rtt_ms.clone(),
            rtt_table: self.rtt_table.clone(),
            inter_az_rtt_ms: self.inter_az_rtt_ms,
        }
    }

    /// As stated, or by default.
    pub fn connect_timeout_ms(&self) -> f64 {
        self.connect_timeout_ms.unwrap_or(5_000.0)
    }

    /// As stated, or by default.
    pub fn retransmit_ms(&self) -> f64 {
        self.retransmit_ms.unwrap_or(200.0)
    }
}

/// `[gateway]`: the front door.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// Fixed cost of a request (TLS, authentication, routing decision), milliseconds. Default 0.
    pub cost_ms: f64,
    /// A token bucket; requests beyond it are rejected. Default: none.
    pub rate_limit: Option<RateLimit>,
    /// How long the gateway waits for a replica's whole answer, milliseconds, before it tells its
    /// client that the try has failed and counts that against the replica (Envoy's route timeout,
    /// 15,000 there). Default: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<f64>,
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
            timeout_ms: None,
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
        /// Where pools' weights differ, how much a request outstanding takes from one: replicas take
        /// turns by `weight / (outstanding + 1)^active_request_bias`, as in Envoy. 0 to 100.
        /// Default 1.
        #[serde(default = "one")]
        active_request_bias: f64,
    },
    /// The one with the fewest tokens outstanding, of all replicas. A request counts its prompt
    /// tokens and `expected_output_tokens`, since a router cannot know how long an answer gets.
    LeastTokens {
        /// Output tokens assumed for each request outstanding. Default 128.
        #[serde(default = "default_expected_output_tokens")]
        expected_output_tokens: u32,
    },
    /// Each in turn, as often as its pool's weight says.
    Weighted {},
    /// By consistent hashing on a ring: requests with the same key go to the same replica, and few
    /// keys move when a replica goes.
    RingHash {
        /// What the hash is of. Default `session`.
        #[serde(default)]
        hash_on: KeyOf,
        /// The ring.
        #[serde(default)]
        ring: RingHash,
    },
    /// By a Maglev table: the same, more even and with more keys that move.
    Maglev {
        /// What the hash is of. Default `session`.
        #[serde(default)]
        hash_on: KeyOf,
        /// The table.
        #[serde(default)]
        maglev: Maglev,
    },
    /// The replica where a request costs least, of those that will do: that have a seat free, or
    /// where it is expected to take `within_ms` at most. Where none will, the one that is expected
    /// to be fastest. Costs are those of a request of mean lengths on a replica with all seats taken.
    Cheapest {
        /// How long a request may be expected to take, the way there and back included,
        /// milliseconds. Default: it finds a seat free.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within_ms: Option<f64>,
    },
    /// The replica that is expected to be fastest: by the time that a request of mean lengths takes
    /// there beside what is outstanding, and the way there and back. Of equals the cheapest.
    Fastest {},
    /// The best of all replicas by scores: queues, KV caches, prefixes, tokens outstanding. Looks at
    /// every replica for every request.
    Scored {
        /// What counts, and how much.
        scorers: Scorers,
        /// What the router knows of the prefixes that replicas hold. Default: nothing.
        prefix_index: Option<PrefixIndex>,
        /// Output tokens assumed for each request outstanding, for `token_cost`. Default 128.
        #[serde(default = "default_expected_output_tokens")]
        expected_output_tokens: u32,
    },
}

impl Router {
    /// What hashes go by, where it hashes.
    pub fn hash_on(&self) -> Option<KeyOf> {
        match self {
            Router::RingHash { hash_on, .. } | Router::Maglev { hash_on, .. } => Some(*hash_on),
            _ => None,
        }
    }
}

impl Default for Router {
    fn default() -> Self {
        Router::LeastRequest {
            choices: 2,
            active_request_bias: 1.0,
        }
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

    /// Its replicas' weight.
    pub fn weight(&self) -> u32 {
        match self {
            Pool::Abstract(pool) => pool.weight,
            Pool::Llm(pool) => pool.weight,
        }
    }

    /// Names of what it serves; of all tiers where there are none.
    pub fn serves(&self) -> &[String] {
        match self {
            Pool::Abstract(pool) => &pool.serves,
            Pool::Llm(pool) => &pool.serves,
        }
    }

    /// The accelerator, where it says so.
    pub fn accelerator(&self) -> Option<&str> {
        match self {
            Pool::Abstract(pool) => pool.accelerator.as_deref(),
            Pool::Llm(pool) => Some(&pool.accelerator),
        }
    }

    /// The region it is in, where it says so.
    pub fn region(&self) -> Option<&str> {
        match self {
            Pool::Abstract(pool) => pool.region.as_deref(),
            Pool::Llm(pool) => pool.region.as_deref(),
        }
    }

    /// Accelerators of one replica.
    pub fn accelerators_per_replica(&self) -> u32 {
        match self {
            Pool::Abstract(pool) => pool.accelerators_per_replica,
            Pool::Llm(pool) => pool.tp * pool.pp * pool.dp,
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
    /// What they are: a name of any kind, for prices, tiers' `hardware` and the table of parts; the
    /// power of one is that of the card of that name, if there is one. Default: not stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<String>,
    /// The region it is in. Must be stated where there are several. Default: the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Weight of each replica, for routers that go by weights, 1 to 1,000. Default 1.
    #[serde(default = "one_u32", skip_serializing_if = "is_one_u32")]
    pub weight: u32,
    /// Names of what it serves, which tiers ask for by `model`. Default: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serves: Vec<String>,
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

fn is_one_u32(value: &u32) -> bool {
    *value == 1
}
fn one_u32() -> u32 {
    1
}
fn one() -> f64 {
    1.0
}
fn two() -> u32 {
    2
}
fn default_expected_output_tokens() -> u32 {
    128
}
