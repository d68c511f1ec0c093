//! Admission at the gateway: who is let in, who waits, who is turned away.

mod checks;
mod limit;
mod waiting;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::health::AdmissionControl;

pub use self::limit::ConcurrencyLimit;
pub use self::waiting::{FairCost, QueueBound, QueueControl, QueueOrder, TierBound, WaitingRoom};

/// Admission at the gateway: each gateway replica by itself. Each part is off unless it is stated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admission {
    /// Token buckets over all requests. Default: none.
    pub rate: Option<RateLimits>,
    /// Most requests that may be past the gateway at once. Default: no limit.
    pub concurrency: Option<ConcurrencyLimit>,
    /// Where requests wait that the limits hold back. Default: none; they are turned away.
    pub waiting_room: Option<WaitingRoom>,
    /// Whom to turn away under load. Default: nobody.
    pub shedding: Option<Shedding>,
    /// Turns requests away at the gateway while too few of those let in succeed (Envoy,
    /// `admission_control`). Default: none.
    pub by_success: Option<AdmissionControl>,
    /// Output tokens that a request is counted for before it is answered; what it took is put right
    /// then. 0 to 10,000,000. Default 128.
    pub expected_output_tokens: u32,
    /// Who the requests belong to. Default: nobody in particular.
    pub tenants: Vec<Tenant>,
}

impl Default for Admission {
    fn default() -> Self {
        Admission {
            rate: None,
            concurrency: None,
            waiting_room: None,
            shedding: None,
            by_success: None,
            expected_output_tokens: 128,
            tenants: Vec::new(),
        }
    }
}

/// Token buckets of the gateway: a request must find enough in each that is stated, and takes
/// from all of them or from none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// A bucket of requests. Default: none.
    pub requests: Option<Bucket>,
    /// A bucket of tokens: prompt tokens and the output tokens that are expected. Default: none.
    pub tokens: Option<Bucket>,
}

/// A token bucket; it starts full.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Units that flow in, per second.
    pub per_s: f64,
    /// Most units the bucket holds, at least 1. What asks for more is never let in.
    pub burst: f64,
}

/// One of those the requests belong to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Name, unique.
    pub name: String,
    /// Share of the users, and so of the requests; shares are scaled to sum to 1. Each user of a
    /// population (`populations.users`) is with one tenant. Default 1.
    #[serde(default = "one_f64")]
    pub share: f64,
    /// Share of what a fair waiting room lets out, beside the other tenants' weights. Default 1.
    #[serde(default = "one_f64")]
    pub weight: f64,
    /// What the tenant may use of the service. A request must be within every one. Default: all.
    #[serde(default)]
    pub quotas: Vec<Quota>,
}

/// So many units in any, or in each, window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// What is counted.
    pub of: QuotaUnit,
    /// Most units in a window, at least 1.
    pub amount: u64,
    /// Length of the window, seconds: 60 for a quota per minute, 86,400 for one per day.
    pub window_s: f64,
    /// How the window moves. Default `refill`.
    #[serde(default)]
    pub window: QuotaWindow,
}

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuotaUnit {
    /// Requests.
    Requests,
    /// Prompt tokens and output tokens that are expected.
    Tokens,
}

/// How the window of a quota moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum QuotaWindow {
    /// A token bucket of `amount` units that fills up in `window_s`. Anthropic's API documents
    /// this: capacity is replenished continuously rather than at fixed times.
    Refill {},
    /// Windows one after the other from the start of the simulation; each starts anew. Twice the
    /// amount may pass around the turn of a window.
    Fixed {},
    /// At most `amount` in any stretch of `window_s`. Time is counted in cells, and units count
    /// until the last of their cell has left the window: up to one cell too long.
    Sliding {
        /// Cells of a window, 1 to 10,000. Default 60.
        #[serde(default = "sixty")]
        cells: u32,
    },
}

impl Default for QuotaWindow {
    fn default() -> Self {
        QuotaWindow::Refill {}
    }
}

/// Whom to turn away under load, before they wait for anything.
///
/// The signal is 0 at rest and 1 at full use, and may go above.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "snake_case", deny_unknown_fields)]
pub enum Shedding {
    /// Each tier from a load of its own on.
    ByTier {
        /// What is looked at. Default `saturation`.
        #[serde(default)]
        signal: LoadSignal,
        /// The tiers that are shed; one that is not listed is never shed.
        tiers: Vec<ShedTier>,
    },
    /// Requests of a negative priority with probability `min(signal ^ exponent * factor, 1)`
    /// (llm-d, `probabilistic-admitter`); a tier's priority counts upwards here: -1 is sheddable.
    Probabilistic {
        /// What is looked at. Default `saturation`.
        #[serde(default)]
        signal: LoadSignal,
        /// Power of the signal, above 0. Default 5 (llm-d).
        #[serde(default = "default_exponent")]
        exponent: f64,
        /// Factor, above 0. Default 300 (llm-d): all are shed from a signal of 0.32 on.
        #[serde(default = "default_factor")]
        factor: f64,
    },
}

/// From which load on a tier is shed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShedTier {
    /// Name of the tier.
    pub tier: String,
    /// Nothing is shed at this signal or below it.
    pub above: f64,
    /// All of the tier is shed from this signal on; in between the probability grows evenly.
    /// Default: `above`, so that all is shed above it.
    pub all_from: Option<f64>,
}

/// A number that tells how loaded the replicas are, over all of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "of", rename_all = "snake_case", deny_unknown_fields)]
pub enum LoadSignal {
    /// Mean over replicas of the larger of requests waiting over `queue_depth` and share of the
    /// KV cache in use over `kv` (llm-d, `utilization-detector`).
    Saturation {
        /// Requests waiting at a replica that make it saturated, above 0. Default 5 (llm-d).
        #[serde(default = "default_queue_depth")]
        queue_depth: f64,
        /// Share of the KV cache in use that makes a replica saturated, above 0 and at most 1.
        /// Default 0.8 (llm-d).
        #[serde(default = "default_kv")]
        kv: f64,
    },
    /// Mean share of the KV cache in use.
    KvUse {},
    /// Mean of requests waiting at a replica over `limit`.
    Queue {
        /// Requests waiting that count as full use, above 0.
        limit: f64,
    },
}

impl Default for LoadSignal {
    fn default() -> Self {
        LoadSignal::Saturation {
            queue_depth: default_queue_depth(),
            kv: default_kv(),
        }
    }
}

fn one_f64() -> f64 {
    1.0
}
fn sixty() -> u32 {
    60
}
fn default_exponent() -> f64 {
    5.0
}
fn default_factor() -> f64 {
    300.0
}
fn default_queue_depth() -> f64 {
    5.0
}
fn default_kv() -> f64 {
    0.8
}
