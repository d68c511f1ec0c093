//! Limits on what is under way at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::problems::Problems;

/// Envoy's `circuit_breakers` thresholds of one cluster: limits on what is under way at once, not
/// a breaker that opens. Connections are not modelled. 0 lets nothing through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CircuitLimits {
    /// Requests that wait for a place at a host. Default 1024.
    pub max_pending_requests: u32,
    /// Requests at hosts. Default 1024.
    pub max_requests: u32,
    /// Retries outstanding. Not used where a retry budget is stated. Default 3.
    pub max_retries: u32,
}

impl Default for CircuitLimits {
    fn default() -> Self {
        CircuitLimits {
            max_pending_requests: 1_024,
            max_requests: 1_024,
            max_retries: 3,
        }
    }
}

impl CircuitLimits {
    /// Notes what is out of range: nothing is, all counts are allowed.
    pub fn check(&self, _at: &str, _problems: &mut Problems<'_>) {}
}
