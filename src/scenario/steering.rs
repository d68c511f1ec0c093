//! `[steering]`: how clients find a region, and how long they keep to it.

mod check;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How clients find a region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "via", rename_all = "snake_case", deny_unknown_fields)]
pub enum Steering {
    /// By name: resolvers ask a global load balancer (GSLB) and cache its answer.
    Dns(Dns),
    /// By one address that all regions announce: the network takes clients to the nearest that
    /// does.
    Anycast(Anycast),
}

impl Default for Steering {
    fn default() -> Self {
        Steering::Dns(Dns::default())
    }
}

/// Steering by DNS. A population of clients has `resolvers` resolvers, each asked at all times (by
/// clients beside those simulated, too), so that it asks again the moment an answer expires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// How long an answer may be kept, seconds, 0.001 to 1e7. Default 60.
    pub ttl_s: f64,
    /// Resolvers of each population of clients, 1 to 100,000; clients are spread over them by
    /// their key. Default 1,000.
    pub resolvers: u32,
    /// Share of resolvers that keep answers for `ignored_ttl_s` instead, 0 to 1. Default 0.
    pub ignore_ttl_share: f64,
    /// How long those keep them, seconds, at least `ttl_s`, at most 1e7. Default 3,600, an
    /// assumption.
    pub ignored_ttl_s: f64,
    /// Share of resolvers (or clients with connections and caches of their own) that never ask
    /// again within a run, 0 to 1. Default 0.
    pub never_refresh_share: f64,
    /// How long resolvers serve an expired answer while they get no other, seconds, 0 to 1e7.
    /// Default 0. RFC 8767 suggests one to three days.
    pub serve_stale_s: f64,
    /// How health is known.
    pub health: HealthChecks,
    /// Which region an answer names.
    pub answer: AnswerPolicy,
}

impl Default for Dns {
    fn default() -> Self {
        Dns {
            ttl_s: 60.0,
            resolvers: 1_000,
            ignore_ttl_share: 0.0,
            ignored_ttl_s: 3_600.0,
            never_refresh_share: 0.0,
            serve_stale_s: 0.0,
            health: HealthChecks::default(),
            answer: AnswerPolicy::default(),
        }
    }
}

/// Steering by anycast: all clients of a region move at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Anycast {
    /// From the withdrawal (or return) of a route until the network has taken it up, seconds, 0
    /// to 1e6. Default 30, an assumption.
    pub convergence_s: f64,
    /// How a region finds that it must withdraw its route.
    pub health: HealthChecks,
}

impl Default for Anycast {
    fn default() -> Self {
        Anycast {
            convergence_s: 30.0,
            health: HealthChecks::default(),
        }
    }
}

/// Health checks of regions. A region counts as down once `failures` checks in a row have failed,
/// `interval_s x failures` after it went down; one that returns before is never noticed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthChecks {
    /// Time between checks, seconds, 0 to 1e6. Default 30, as Route 53's checks are commonly set.
    pub interval_s: f64,
    /// Failures in a row that make a region count as down, 1 to 1,000. Default 3.
    pub failures: u32,
    /// Successes in a row that make it count as up, 1 to 1,000. Default 3.
    pub successes: u32,
    /// How long it must have counted as up before traffic returns, seconds, 0 to 1e7. Default 0.
    pub fail_back_after_s: f64,
}

impl Default for HealthChecks {
    fn default() -> Self {
        HealthChecks {
            interval_s: 30.0,
            failures: 3,
            successes: 3,
            fail_back_after_s: 0.0,
        }
    }
}

impl HealthChecks {
    /// From a region's going down until it counts as down, seconds.
    pub fn detection_s(&self) -> f64 {
        self.interval_s * f64::from(self.failures)
    }

    /// From a region's return until traffic may return, seconds.
    pub fn return_s(&self) -> f64 {
        self.interval_s * f64::from(self.successes) + self.fail_back_after_s
    }
}

/// Which region an answer names, of those that count as up; of all of them where none does, since
/// an answer that may be wrong is better than none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "snake_case", deny_unknown_fields)]
pub enum AnswerPolicy {
    /// The nearest to the clients by round-trip time.
    Nearest {},
    /// At random, by weight.
    Weighted {
        /// Weights by region, 0 or more; a region that is not named has none.
        weights: BTreeMap<String, f64>,
    },
    /// The nearest that is not saturated; the nearest where all are. The load of a region is the
    /// number of requests at its replicas, waiting ones included, by how many those that live work
    /// on at once (`servers`, or `max_num_seqs`). The balancer asks for it every
    /// `health.interval_s`.
    SpillOver {
        /// Load from which a region counts as saturated. Default 0.9.
        #[serde(default = "ninety_pct")]
        full_at: f64,
        /// Load below which it no longer does, at most `full_at`. Default 0.7.
        #[serde(default = "seventy_pct")]
        free_below: f64,
    },
    /// The first of an order: a primary and its standbys, which get no traffic while it is up.
    Standby {
        /// All regions, the primary first.
        order: Vec<String>,
    },
}

impl Default for AnswerPolicy {
    fn default() -> Self {
        AnswerPolicy::Nearest {}
    }
}

fn ninety_pct() -> f64 {
    0.9
}
fn seventy_pct() -> f64 {
    0.7
}
