//! Active health: hosts are probed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::problems::Problems;
use crate::scenario::validate::MOST_S;

/// Active health checks with the semantics of Envoy (`health_check.proto`), but for its slower
/// pace of clusters that never had traffic (`no_traffic_interval`).
///
/// Envoy has no defaults for interval, timeout and the two thresholds; the thresholds given here
/// are those commonly configured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActiveCheck {
    /// From the end of a check to the next of its host, seconds.
    pub interval_s: f64,
    /// A check without an answer has failed after this, seconds.
    pub timeout_s: f64,
    /// Checks in a row without an answer (timeout or connection refused) that make a host
    /// unhealthy, 1 to 1,000; a wrong answer does so at once. Default 3.
    #[serde(default = "three")]
    pub unhealthy_threshold: u32,
    /// Checks passed in a row that make a host healthy, 1 to 1,000; the first check of a host does
    /// so at once. Default 2.
    #[serde(default = "two")]
    pub healthy_threshold: u32,
    /// Most that is added at random to the start of the first check, seconds. Default 0.
    #[serde(default)]
    pub initial_jitter_s: f64,
    /// Most that is added at random to an interval, seconds. Default 0.
    #[serde(default)]
    pub interval_jitter_s: f64,
    /// Most that is added at random to an interval, as a share of it, percent. Default 0.
    #[serde(default)]
    pub interval_jitter_pct: u32,
    /// Interval after a failed check, seconds. Default: `interval_s`.
    pub unhealthy_interval_s: Option<f64>,
    /// Interval after a failed check of a host that still counts as healthy, seconds. Default:
    /// `unhealthy_interval_s`.
    pub unhealthy_edge_interval_s: Option<f64>,
    /// Interval after a passed check of a host that still counts as unhealthy, seconds. Default:
    /// `interval_s`.
    pub healthy_edge_interval_s: Option<f64>,
}

impl ActiveCheck {
    /// Notes what is out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        let times = [
            ("interval_s", Some(self.interval_s)),
            ("timeout_s", Some(self.timeout_s)),
            ("unhealthy_interval_s", self.unhealthy_interval_s),
            ("unhealthy_edge_interval_s", self.unhealthy_edge_interval_s),
            ("healthy_edge_interval_s", self.healthy_edge_interval_s),
        ];
        for (field, time) in times {
            if let Some(time) = time {
                // Envoy's timers have milliseconds, and none is shorter than one: checks without
                // time between them would never end.
                problems.in_range(&path(field), time, 0.001, MOST_S);
            }
        }
        let thresholds = [
            ("unhealthy_threshold", self.unhealthy_threshold),
            ("healthy_threshold", self.healthy_threshold),
        ];
        for (field, threshold) in thresholds {
            problems.int_in_range(&path(field), u64::from(threshold), 1, 1_000);
        }
        problems.non_negative(&path("initial_jitter_s"), self.initial_jitter_s, MOST_S);
        problems.non_negative(&path("interval_jitter_s"), self.interval_jitter_s, MOST_S);
        let share = u64::from(self.interval_jitter_pct);
        problems.int_in_range(&path("interval_jitter_pct"), share, 0, 1_000);
    }
}

fn two() -> u32 {
    2
}
fn three() -> u32 {
    3
}
