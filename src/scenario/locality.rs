//! `[locality]`: whether a region's gateways use the replicas of other regions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problems::Problems;

/// Which regions' replicas a gateway uses, its own always first and the others by distance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "snake_case", deny_unknown_fields)]
pub enum Locality {
    /// Those of its own region.
    Local {},
    /// Those of its own region as long as they are healthy enough; a growing share of the traffic
    /// goes on to the next region as they are not (Envoy's priority levels, `health.priorities`).
    Failover {},
    /// Those of its own region until they are full, then those of the next.
    SpillOver {
        /// A region is full when so many requests (or tokens, as `router.policy` counts) are
        /// outstanding for each of its replicas that may be chosen; above 0.
        full_at: f64,
    },
}

impl Default for Locality {
    fn default() -> Self {
        Locality::Local {}
    }
}

impl Locality {
    /// Whether nothing was stated.
    pub fn is_default(&self) -> bool {
        *self == Locality::default()
    }

    /// Notes what is wrong with it, in a fleet of so many regions.
    pub fn check(&self, at: &str, regions: usize, problems: &mut Problems<'_>) {
        if let Locality::SpillOver { full_at } = self {
            problems.positive(&format!("{at}.full_at"), *full_at, 1e12);
        }
        if !self.is_default() && regions < 2 {
            problems.push(
                &format!("{at}.policy"),
                "",
                "has no effect: there are no other regions",
                "add [[regions]], or take it away",
            );
        }
    }
}
