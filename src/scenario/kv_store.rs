//! `[kv_store]`: KV that replicas share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problems::Problems;
use super::validate::MOST_MS;

/// A store of KV blocks that all replicas write to and load from (LMCache, Mooncake's store): what
/// one has computed others need not compute again. Needs pools of one model with `prefix_caching`.
/// Writing goes on beside everything else and costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KvStore {
    /// Its size, 1e9 bytes; above 0. That of each region's, where none finds what others wrote.
    pub capacity_gb: f64,
    /// Rate at which a replica loads from it, 1e9 bytes per second; above 0.
    pub bandwidth_gb_per_s: f64,
    /// Time before the first block comes, milliseconds. Default 1, assumed.
    #[serde(default = "one")]
    pub latency_ms: f64,
    /// From a block being computed until other replicas of the region find it, milliseconds.
    /// Default 0.
    #[serde(default)]
    pub lag_ms: f64,
    /// The same for replicas of other regions, milliseconds. Default: they never find it.
    pub region_lag_ms: Option<f64>,
}

impl KvStore {
    /// Notes what is wrong with it.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        problems.positive(&path("capacity_gb"), self.capacity_gb, 1e9);
        problems.positive(&path("bandwidth_gb_per_s"), self.bandwidth_gb_per_s, 1e6);
        problems.non_negative(&path("latency_ms"), self.latency_ms, MOST_MS);
        problems.non_negative(&path("lag_ms"), self.lag_ms, MOST_MS);
        if let Some(lag) = self.region_lag_ms {
            problems.in_range(&path("region_lag_ms"), lag, self.lag_ms, MOST_MS);
        }
    }
}

fn one() -> f64 {
    1.0
}
