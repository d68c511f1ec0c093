//! How many requests may be past the gateway at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A limit on requests in flight, and how it is found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "snake_case", deny_unknown_fields)]
pub enum ConcurrencyLimit {
    /// Always the same.
    Fixed {
        /// Most requests in flight, at least 1.
        limit: u32,
    },
    /// One more after each request that met at least half the limit in flight; less, by
    /// `backoff_ratio`, after each that was dropped or took longer than `timeout_ms` (Netflix
    /// concurrency-limits, `AIMDLimit`).
    Aimd {
        /// At first. Default 20 (Netflix).
        #[serde(default = "twenty")]
        initial: u32,
        /// Never below this. Default 20 (Netflix).
        #[serde(default = "twenty")]
        min: u32,
        /// Never above this. Default 200 (Netflix).
        #[serde(default = "two_hundred")]
        max: u32,
        /// Factor of a decrease, 0.5 to below 1; the result is rounded down. Default 0.9 (Netflix).
        #[serde(default = "default_backoff")]
        backoff_ratio: f64,
        /// A request that takes longer counts as dropped, milliseconds. Default 5,000 (Netflix).
        #[serde(default = "default_timeout")]
        timeout_ms: f64,
    },
    /// The latency of an idle fleet over that of the last window, times the limit, plus its square
    /// root (Envoy, `adaptive_concurrency`, gradient controller). Every `min_rtt_interval_s` the
    /// limit falls to `min_concurrency` until `min_rtt_requests` have measured the idle latency.
    Gradient {
        /// Latencies are gathered over this long before each new limit, milliseconds. Envoy has no
        /// default.
        update_interval_ms: f64,
        /// Time between two measurements of the idle latency, seconds. Envoy has no default.
        min_rtt_interval_s: f64,
        /// Requests that measure the idle latency. Default 50 (Envoy).
        #[serde(default = "fifty")]
        min_rtt_requests: u32,
        /// Up to this share of `min_rtt_interval_s` is added at random, percent. Default 15 (Envoy).
        #[serde(default = "fifteen")]
        min_rtt_jitter_pct: f64,
        /// The idle latency is taken to be this much longer than measured, percent. Default 25
        /// (Envoy).
        #[serde(default = "twenty_five")]
        min_rtt_buffer_pct: f64,
        /// The limit at first, while the idle latency is measured, and at least. Default 3 (Envoy).
        #[serde(default = "three")]
        min_concurrency: u32,
        /// Never above this. Default 1,000 (Envoy).
        #[serde(default = "thousand")]
        max_limit: u32,
        /// The percentile that stands for the latencies of a window. Default 50 (Envoy).
        #[serde(default = "fifty_pct")]
        percentile: f64,
    },
    /// More while the requests in excess of latency x throughput are few, less when they are many
    /// (Netflix concurrency-limits, `VegasLimit`).
    Vegas {
        /// At first. Default 20 (Netflix).
        #[serde(default = "twenty")]
        initial: u32,
        /// Never above this. Default 1,000 (Netflix).
        #[serde(default = "thousand")]
        max: u32,
        /// Weight of a new limit against the old one, above 0 and at most 1. Default 1 (Netflix).
        #[serde(default = "super::one_f64")]
        smoothing: f64,
        /// The idle latency is forgotten after half to the whole of this times the limit requests.
        /// Default 30 (Netflix).
        #[serde(default = "thirty")]
        probe_multiplier: u32,
    },
}

fn three() -> u32 {
    3
}
fn twenty() -> u32 {
    20
}
fn thirty() -> u32 {
    30
}
fn fifty() -> u32 {
    50
}
fn two_hundred() -> u32 {
    200
}
fn thousand() -> u32 {
    1_000
}
fn fifteen() -> f64 {
    15.0
}
fn twenty_five() -> f64 {
    25.0
}
fn fifty_pct() -> f64 {
    50.0
}
fn default_backoff() -> f64 {
    0.9
}
fn default_timeout() -> f64 {
    5_000.0
}
