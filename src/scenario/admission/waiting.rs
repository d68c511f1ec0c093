//! Where requests wait at the gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The gateway's waiting room.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WaitingRoom {
    /// Who is let out first. Default `fcfs`.
    pub order: QueueOrder,
    /// Most that may wait; more are turned away. Default: no limit.
    pub bound: QueueBound,
    /// Most that may wait of one tier, within `bound`. Default: no limit of their own.
    pub tiers: Vec<TierBound>,
    /// Whom to shed of those that waited long, of each tier by itself. Default: nobody.
    pub control: Option<QueueControl>,
}

/// Most that may wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueueBound {
    /// Requests. Default: no limit.
    pub requests: Option<u32>,
    /// Tokens: prompt tokens and the output tokens that are expected. Default: no limit.
    pub tokens: Option<u64>,
}

/// Most that may wait of one tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TierBound {
    /// Name of the tier.
    pub tier: String,
    /// Requests. Default: no limit.
    pub requests: Option<u32>,
    /// Tokens. Default: no limit.
    pub tokens: Option<u64>,
}

/// Who is let out of the waiting room first. Whoever came earlier goes first among equals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "snake_case", deny_unknown_fields)]
pub enum QueueOrder {
    /// First come, first served.
    Fcfs {},
    /// The lowest priority number.
    Priority {
        /// A request's number counts one less for each so many seconds that it waited; a request is
        /// then overtaken only by those that come within this times the difference of their
        /// numbers after it. Default: never, so that urgent requests may starve the others.
        aging_s: Option<f64>,
    },
    /// The earliest deadline.
    EarliestDeadline {},
    /// First come, first served while at most so many wait who could be let out (whose tier is not
    /// at a limit of its own); the latest first when there are more
    /// (adaptive LIFO: Maurer, "Fail at Scale", ACM Queue 13(8), 2015).
    AdaptiveLifo {
        /// Requests that may wait before the order turns round.
        lifo_above: u32,
    },
    /// In turn between tenants by their weights, first come, first served within a tenant
    /// (start-time fair queueing: Goyal, Vin and Cheng, SIGCOMM 1996).
    Fair {
        /// What a request costs its tenant. Default `requests`.
        #[serde(default)]
        cost: FairCost,
        /// The lowest priority number first, and fair among the requests of that number (llm-d's
        /// priority bands). Otherwise priorities do not count. Default true.
        #[serde(default = "yes")]
        by_priority: bool,
    },
}

impl Default for QueueOrder {
    fn default() -> Self {
        QueueOrder::Fcfs {}
    }
}

/// What a request costs its tenant in a fair waiting room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FairCost {
    /// One each.
    #[default]
    Requests,
    /// Its prompt tokens and the output tokens that are expected.
    Tokens,
}

/// Whom to shed of those that waited long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "snake_case", deny_unknown_fields)]
pub enum QueueControl {
    /// Once every request of `interval_ms` has waited `target_ms` or more, one is shed as it leaves,
    /// and further ones `interval_ms / sqrt(count)` apart until a request waits less (CoDel, RFC
    /// 8289).
    Codel {
        /// Wait that is fine, milliseconds. Default 5 (RFC 8289).
        #[serde(default = "five")]
        target_ms: f64,
        /// How long all must wait longer before one is shed, milliseconds. Default 100 (RFC 8289).
        #[serde(default = "hundred")]
        interval_ms: f64,
    },
    /// A request may wait `interval_ms`; one that comes when the room has not been empty for that
    /// long may wait `target_ms` only (Maurer, "Fail at Scale", ACM Queue 13(8), 2015). Goes well
    /// with `adaptive_lifo`.
    ControlledDelay {
        /// Longest wait in a room that does not get empty, milliseconds. Default 5 (Maurer: M).
        #[serde(default = "five")]
        target_ms: f64,
        /// Longest wait otherwise, milliseconds. Default 100 (Maurer: N).
        #[serde(default = "hundred")]
        interval_ms: f64,
    },
    /// While the shortest wait of the last interval was above `target_ms`, every request that waited
    /// more than twice that is shed as it leaves (folly, `executors/Codel.cpp`).
    Slough {
        /// Wait that is fine, milliseconds. Default 5 (folly).
        #[serde(default = "five")]
        target_ms: f64,
        /// Length of an interval, milliseconds. Default 100 (folly).
        #[serde(default = "hundred")]
        interval_ms: f64,
    },
}

fn five() -> f64 {
    5.0
}
fn hundred() -> f64 {
    100.0
}
fn yes() -> bool {
    true
}
