//! A circuit breaker that is closed, open or half-open.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::problems::Problems;
use crate::scenario::validate::MOST_S;

/// A circuit breaker with the semantics and defaults of resilience4j's (`CircuitBreakerConfig`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CircuitBreaker {
    /// It opens when this share of the calls in the window failed, or more; percent, above 0 to
    /// 100. Default 50.
    pub failure_rate_threshold_pct: f64,
    /// It opens when this share of the calls in the window was slow, or more; percent, above 0 to
    /// 100. Default 100.
    pub slow_call_rate_threshold_pct: f64,
    /// A call that takes longer than this is slow, seconds. Default 60.
    pub slow_call_duration_s: f64,
    /// Open for this long before calls are tried again, seconds. Default 60.
    pub wait_in_open_s: f64,
    /// Calls let through while half-open, 1 to 1,000,000. Default 10.
    pub permitted_calls_in_half_open: u32,
    /// Nothing is judged before this many calls are in the window; with a window that counts calls
    /// (and while half-open) at most its size. At least 1. Default 100.
    pub minimum_calls: u32,
    /// What the window spans. Default `count_based`.
    pub window: SlidingWindow,
    /// Calls (`count_based`) or seconds (`time_based`) in the window, 1 to 1,000,000. Default 100.
    pub window_size: u32,
    /// Whether it becomes half-open by itself when the wait is over; otherwise the first call
    /// after that does it. Default false.
    pub automatic_half_open: bool,
    /// Longest time half-open, seconds; 0 for no limit. Default 0.
    pub max_wait_in_half_open_s: f64,
    /// What follows when that time is over. Default `open`.
    pub after_max_wait: AfterWait,
}

/// What a sliding window spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlidingWindow {
    /// The last `window_size` calls.
    #[default]
    CountBased,
    /// The calls that ended in this second and the `window_size - 1` seconds before.
    TimeBased,
}

/// What follows a half-open state that came to no verdict in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AfterWait {
    /// Open again.
    #[default]
    Open,
    /// Closed.
    Closed,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        CircuitBreaker {
            failure_rate_threshold_pct: 50.0,
            slow_call_rate_threshold_pct: 100.0,
            slow_call_duration_s: 60.0,
            wait_in_open_s: 60.0,
            permitted_calls_in_half_open: 10,
            minimum_calls: 100,
            window: SlidingWindow::CountBased,
            window_size: 100,
            automatic_half_open: false,
            max_wait_in_half_open_s: 0.0,
            after_max_wait: AfterWait::Open,
        }
    }
}

impl CircuitBreaker {
    /// Notes what is out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        let shares = [
            (
                "failure_rate_threshold_pct",
                self.failure_rate_threshold_pct,
            ),
            (
                "slow_call_rate_threshold_pct",
                self.slow_call_rate_threshold_pct,
            ),
        ];
        for (field, share) in shares {
            problems.positive(&path(field), share, 100.0);
        }
        problems.positive(
            &path("slow_call_duration_s"),
            self.slow_call_duration_s,
            MOST_S,
        );
        problems.positive(&path("wait_in_open_s"), self.wait_in_open_s, MOST_S);
        let counts = [
            (
                "permitted_calls_in_half_open",
                self.permitted_calls_in_half_open,
            ),
            ("minimum_calls", self.minimum_calls),
            ("window_size", self.window_size),
        ];
        for (field, count) in counts {
            problems.int_in_range(&path(field), u64::from(count), 1, 1_000_000);
        }
        let wait = self.max_wait_in_half_open_s;
        problems.non_negative(&path("max_wait_in_half_open_s"), wait, MOST_S);
    }
}
