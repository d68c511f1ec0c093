//! `[health]`: how gateways judge the replicas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ActiveCheck, CircuitBreaker, CircuitLimits, OutlierDetection, Priorities};
use crate::scenario::balance::SlowStart;
use crate::scenario::problems::Problems;

/// How each gateway replica judges the replicas, by itself. Default: not at all, so that requests
/// go on to a replica that has died until it is back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthRules {
    /// Replicas are probed. Default: they are not.
    pub active: Option<ActiveCheck>,
    /// Replicas unlike the others are ejected. Default: none is.
    pub outlier: Option<OutlierDetection>,
    /// A circuit breaker opens where calls fail or are slow. Default: none.
    pub breaker: Option<CircuitBreaker>,
    /// What has one breaker. Default `replica`.
    pub breaker_scope: BreakerScope,
    /// A limit on what is under way at once. Default: none.
    pub limits: Option<RequestLimit>,
    /// When health is no longer believed, and how regions share traffic where
    /// `locality.policy = "failover"`.
    pub priorities: Priorities,
    /// A replica that comes back is given traffic little by little. Default: at once.
    pub slow_start: Option<SlowStart>,
}

/// A limit on the requests of a gateway replica that are under way at once: what is beyond it is shed
/// (Envoy, `circuit_breakers.thresholds.max_requests`; its limit on retries is
/// `clients.retry_budget`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestLimit {
    /// Requests at replicas, 1 or more. Default 1,024 (Envoy).
    #[serde(default = "default_max_requests")]
    pub max_requests: u32,
}

impl RequestLimit {
    /// The same as limits of Envoy.
    pub fn circuit_limits(self) -> CircuitLimits {
        CircuitLimits {
            max_requests: self.max_requests,
            ..CircuitLimits::default()
        }
    }
}

fn default_max_requests() -> u32 {
    1_024
}

/// What has one breaker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerScope {
    /// Each replica.
    #[default]
    Replica,
    /// All replicas of a pool together.
    Pool,
}

impl HealthRules {
    /// Notes what is wrong with it.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        if let Some(active) = &self.active {
            active.check(&path("active"), problems);
        }
        if let Some(outlier) = &self.outlier {
            outlier.check(&path("outlier"), problems);
        }
        match &self.breaker {
            Some(breaker) => breaker.check(&path("breaker"), problems),
            None if self.breaker_scope != BreakerScope::Replica => problems.push(
                &path("breaker_scope"),
                "\"pool\"",
                "has no effect without a breaker",
                "state health.breaker, or take it away",
            ),
            None => {}
        }
        if let Some(limits) = &self.limits {
            let most = u64::from(limits.max_requests);
            problems.int_in_range(&path("limits.max_requests"), most, 1, u64::from(u32::MAX));
        }
        self.priorities.check(&path("priorities"), problems);
        if let Some(slow_start) = &self.slow_start {
            slow_start.check(&path("slow_start"), problems);
        }
    }
}
