//! Turning requests away by the success rate seen lately.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::problems::Problems;

/// Admission control with the semantics and defaults of Envoy's filter
/// (`admission_control.proto`): of `n` requests in the window of which `ok` succeeded, the next is
/// rejected with probability `((n - ok / threshold) / (n + 1))^(1 / aggression)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdmissionControl {
    /// The window, whole seconds, 1 to 3,600. Default 30.
    pub window_s: u32,
    /// Nothing is rejected at this success rate or above; percent, 1 to 100. Default 95.
    pub sr_threshold_pct: f64,
    /// How fast rejection grows as the success rate falls, 1 (linear) to 1,000. Default 1.
    pub aggression: f64,
    /// Nothing is rejected below this many requests per second, on average over the window.
    /// Default 0.
    pub rps_threshold: u32,
    /// Highest probability of rejection, percent, 0 to 100. Default 80.
    pub max_rejection_probability_pct: f64,
}

impl Default for AdmissionControl {
    fn default() -> Self {
        AdmissionControl {
            window_s: 30,
            sr_threshold_pct: 95.0,
            aggression: 1.0,
            rps_threshold: 0,
            max_rejection_probability_pct: 80.0,
        }
    }
}

impl AdmissionControl {
    /// Notes what is out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        problems.int_in_range(&path("window_s"), u64::from(self.window_s), 1, 3_600);
        problems.in_range(&path("sr_threshold_pct"), self.sr_threshold_pct, 1.0, 100.0);
        problems.in_range(&path("aggression"), self.aggression, 1.0, 1_000.0);
        let most = self.max_rejection_probability_pct;
        problems.in_range(&path("max_rejection_probability_pct"), most, 0.0, 100.0);
    }
}
