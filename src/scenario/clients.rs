//! How clients (and a gateway that retries for them) repeat what failed: backoff and budgets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problems::Problems;
use super::validate::MOST_MS;

/// How long to wait before a retry: exponential, with a random part.
///
/// The ceiling of retry `n` (1 for the first) is `min(base_ms * multiplier^(n - 1), max_ms)`; what
/// `jitter` makes of it is the delay. The defaults are Envoy's (`RetryPolicy.RetryBackOff` and
/// `backoff_strategy.cc`: 25 ms, at most 10 times as much, fully jittered).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backoff {
    /// Ceiling of the first retry, milliseconds. Default 25.
    pub base_ms: f64,
    /// Factor from one ceiling to the next. Not used by `decorrelated`. Default 2.
    pub multiplier: f64,
    /// Highest ceiling, milliseconds, at least `base_ms`. Default: 10 times `base_ms`.
    pub max_ms: Option<f64>,
    /// The random part. Default `full`.
    pub jitter: Jitter,
}

/// The random part of a backoff.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// The ceiling itself.
    None,
    /// Uniform from 0 to the ceiling (Envoy; "full jitter" of the AWS Architecture Blog, 2015).
    #[default]
    Full,
    /// Half the ceiling, and uniform from 0 to the other half ("equal jitter", ibid.).
    Equal,
    /// Uniform from `base_ms` to 3 times the delay before, at most `max_ms` ("decorrelated
    /// jitter", ibid.); the first retry counts `base_ms` as the delay before.
    Decorrelated,
    /// The ceiling times a uniform factor from 0.8 to 1.2 (gRPC proposal A6), so up to 1.2 times
    /// `max_ms`.
    Grpc,
    /// Exponential with the ceiling as its mean, so that a delay may be much longer than `max_ms`:
    /// the retrial times of queueing theory, which forget how long a client has waited.
    Exponential,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff {
            base_ms: 25.0,
            multiplier: 2.0,
            max_ms: None,
            jitter: Jitter::Full,
        }
    }
}

impl Backoff {
    /// The highest ceiling, milliseconds, as stated or by default.
    pub fn max_ms(&self) -> f64 {
        self.max_ms.unwrap_or(10.0 * self.base_ms)
    }

    /// Notes what is out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let base = problems.positive(&format!("{at}.base_ms"), self.base_ms, MOST_MS);
        problems.positive(&format!("{at}.multiplier"), self.multiplier, 100.0);
        if let Some(max_ms) = self.max_ms
            && problems.positive(&format!("{at}.max_ms"), max_ms, MOST_MS)
            && base
            && max_ms < self.base_ms
        {
            problems.push(
                &format!("{at}.max_ms"),
                max_ms,
                "must be at least base_ms",
                "raise max_ms, lower base_ms, or leave max_ms out for 10 times base_ms",
            );
        }
    }
}

/// What bounds retries (and hedges) over all requests of one client or cluster.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "snake_case", deny_unknown_fields)]
pub enum RetryBudget {
    /// No bound.
    None {},
    /// Envoy's `retry_budget`: retries outstanding stay below the greater of
    /// `min_retry_concurrency` and a share of the requests active and pending, retries among them.
    Envoy {
        /// Share of the requests active and pending, percent, 0 to 100. Default 20.
        #[serde(default = "twenty")]
        budget_pct: f64,
        /// Retries outstanding that are always allowed. Default 3.
        #[serde(default = "three")]
        min_retry_concurrency: u32,
    },
    /// Envoy's `max_retries` threshold: a fixed number of retries outstanding.
    MaxRetries {
        /// Retries outstanding at most. Default 3.
        #[serde(default = "three")]
        limit: u32,
    },
    /// The throttling of gRPC (proposal A6): a failure takes one token, a success gives
    /// `token_ratio`; no retry and no hedge while half of `max_tokens` or less are left. The
    /// proposal has no defaults; its example is 10 and 0.1.
    Grpc {
        /// Most tokens, 1 to 1,000; the count starts there.
        max_tokens: u32,
        /// Tokens given by a success, 0.001 to 1,000; digits after the third are cut off.
        token_ratio: f64,
    },
    /// A token budget as Finagle's `RetryBudget`: each request deposits `ratio` of a retry, each
    /// retry withdraws one; both are forgotten after `ttl_s`.
    Ratio {
        /// Retries earned by a request, 0 or 0.001 to 1,000. Default 0.2.
        #[serde(default = "default_ratio")]
        ratio: f64,
        /// Retries per second that are allowed whatever the deposits: a reserve of this times
        /// `ttl_s` in each `ttl_s`. 0 to 1,000,000. Default 10.
        #[serde(default = "ten")]
        min_retries_per_s: u32,
        /// Seconds until a deposit or withdrawal is forgotten, 1 to 60. Default 10.
        #[serde(default = "ten")]
        ttl_s: u32,
    },
}

impl Default for RetryBudget {
    /// What Envoy does when nothing is stated.
    fn default() -> Self {
        RetryBudget::MaxRetries { limit: 3 }
    }
}

impl RetryBudget {
    /// Notes what is out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        match *self {
            RetryBudget::None {} | RetryBudget::MaxRetries { .. } => {}
            RetryBudget::Envoy { budget_pct, .. } => {
                problems.in_range(&path("budget_pct"), budget_pct, 0.0, 100.0);
            }
            RetryBudget::Grpc {
                max_tokens,
                token_ratio,
            } => {
                problems.int_in_range(&path("max_tokens"), u64::from(max_tokens), 1, 1_000);
                problems.in_range(&path("token_ratio"), token_ratio, 0.001, 1_000.0);
            }
            RetryBudget::Ratio {
                ratio,
                min_retries_per_s,
                ttl_s,
            } => {
                if ratio != 0.0 {
                    problems.in_range(&path("ratio"), ratio, 0.001, 1_000.0);
                }
                let reserve = u64::from(min_retries_per_s);
                problems.int_in_range(&path("min_retries_per_s"), reserve, 0, 1_000_000);
                problems.int_in_range(&path("ttl_s"), u64::from(ttl_s), 1, 60);
            }
        }
    }
}

fn three() -> u32 {
    3
}
fn ten() -> u32 {
    10
}
fn twenty() -> f64 {
    20.0
}
fn default_ratio() -> f64 {
    0.2
}
