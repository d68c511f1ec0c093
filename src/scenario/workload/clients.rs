//! Traffic as the sum of many clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Many clients, each a renewal process of its own whose rate and burstiness change from window to
/// window (Xiang et al., "ServeGen", 2025). Clients differ in size as `shares` says. A gap obeys the
/// law of the window in which it begins; numbers of requests are not forced to a window's mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientMix {
    /// Mean rate of all clients together, requests per second.
    pub rate_per_s: f64,
    /// How many clients, 1 to 100,000.
    pub clients: u32,
    /// `[n, share]` pairs, both rising: what share of the requests the n largest clients make, the
    /// first with n = 1. Between two pairs the k-th client gets its part in proportion to
    /// ln k - ln (k - 1), nearly 1/k; those after the last pair have the rest likewise. Default:
    /// all alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<(u32, f64)>,
    /// Coefficient of variation of the gaps of one client in one window: `[probability, cv]` knots,
    /// straight between them, cv 0.05 to 200. Default: 1 for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cv: Vec<(f64, f64)>,
    /// Share of windows with Weibull gaps, 0 to 1; the others have Gamma gaps. Default 0.
    #[serde(default)]
    pub weibull_share: f64,
    /// Length of a window, seconds. Default 600.
    #[serde(default = "ten_minutes")]
    pub window_s: f64,
    /// Standard deviation over mean of one client's rate from window to window (lognormal,
    /// independent), 0 to 10. Default 0.
    #[serde(default)]
    pub window_rate_cv: f64,
    /// Share of the spread of prompt lengths (as variance of normal scores) that lies between
    /// clients rather than between requests of one, 0 to 1. The law of all requests together stays
    /// `workload.prompt_tokens`. Default 0.
    #[serde(default)]
    pub prompt_client_share: f64,
    /// The same of output lengths. Default 0.
    #[serde(default)]
    pub output_client_share: f64,
}

fn ten_minutes() -> f64 {
    600.0
}
