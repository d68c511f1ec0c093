//! `[clients]`: how long clients wait, and what they do about what fails.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clients::{Backoff, RetryBudget};
use super::problems::Problems;
use super::validate::MOST_MS;
use super::workload::Law;

/// What clients do when an answer does not come. The default is to wait for ever and never to try
/// again.
///
/// A request keeps its number through all its tries, and its latencies count from its first. A try
/// that is given up is worked on all the same unless `propagate_cancel` is true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Clients {
    /// A request is given up as timed out this long after its first try began, milliseconds.
    /// Default: never.
    pub timeout_ms: Option<f64>,
    /// A try is given up as timed out when its last token has not come by then, milliseconds from
    /// its beginning. Default: never.
    pub try_timeout_ms: Option<f64>,
    /// The same for its first token. Default: never.
    pub first_token_timeout_ms: Option<f64>,
    /// Users who leave: their requests count as cancelled. Default: none.
    pub patience: Option<Patience>,
    /// Tries after the first at most, 0 to 10,000, hedges not counted. Default 0.
    pub max_retries: u32,
    /// What is tried again. A request too long for the engine never is. Default: all four.
    pub retry_on: Vec<RetryOn>,
    /// How long it waits before it tries again.
    pub backoff: Backoff,
    /// What bounds retries and hedges of all clients together. Default: nothing.
    pub retry_budget: RetryBudget,
    /// Further tries beside one that is slow. Default: none.
    pub hedge: Option<Hedge>,
    /// Whether replicas learn that a try was given up, and drop it. Default false.
    pub propagate_cancel: bool,
}

impl Default for Clients {
    fn default() -> Self {
        Clients {
            timeout_ms: None,
            try_timeout_ms: None,
            first_token_timeout_ms: None,
            patience: None,
            max_retries: 0,
            retry_on: RetryOn::ALL.to_vec(),
            backoff: Backoff::default(),
            retry_budget: RetryBudget::None {},
            hedge: None,
            propagate_cancel: false,
        }
    }
}

/// Users who leave when nothing has come by then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Patience {
    /// How long a user waits.
    pub after: Law,
    /// What makes the user stay. Default `first_token`.
    #[serde(default)]
    pub unless: Sign,
}

/// What a user waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// The first token has come.
    #[default]
    FirstToken,
    /// Work on it has begun: what queueing theory calls abandonment (Erlang A).
    Scheduled,
}

/// An outcome that is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// Turned away by a limit.
    Rejected,
    /// Dropped to protect the fleet.
    Shed,
    /// The try was given up.
    TimedOut,
    /// Lost to a failure.
    Failed,
}

impl RetryOn {
    /// All of them.
    pub const ALL: [RetryOn; 4] = [
        RetryOn::Rejected,
        RetryOn::Shed,
        RetryOn::TimedOut,
        RetryOn::Failed,
    ];
}

/// Another try beside the first when nothing has come of it, the first to be answered wins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hedge {
    /// How long after the last try began, milliseconds, if no first token has come.
    pub after_ms: f64,
    /// Such tries of one request at most, 1 to 100. Default 1.
    #[serde(default = "one")]
    pub max: u16,
}

impl Clients {
    /// Notes what is wrong with it.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        for (field, value) in [
            ("timeout_ms", self.timeout_ms),
            ("try_timeout_ms", self.try_timeout_ms),
            ("first_token_timeout_ms", self.first_token_timeout_ms),
        ] {
            if let Some(value) = value {
                problems.positive(&path(field), value, MOST_MS);
            }
        }
        let retries = u64::from(self.max_retries);
        problems.int_in_range(&path("max_retries"), retries, 0, 10_000);
        self.backoff.check(&path("backoff"), problems);
        self.retry_budget.check(&path("retry_budget"), problems);
        if let Some(hedge) = &self.hedge {
            problems.positive(&path("hedge.after_ms"), hedge.after_ms, MOST_MS);
            problems.int_in_range(&path("hedge.max"), u64::from(hedge.max), 1, 100);
        }
        if self.max_retries > 0 && self.retry_on.is_empty() {
            problems.push(
                &path("retry_on"),
                "[]",
                "must name what is tried again",
                "leave it out for all, or set max_retries = 0",
            );
        }
        if self.max_retries == 0
            && self.hedge.is_none()
            && self.retry_budget != (RetryBudget::None {})
        {
            problems.push(
                &path("retry_budget"),
                "",
                "bounds nothing: there are neither retries nor hedges",
                "state max_retries or hedge, or take the budget away",
            );
        }
    }
}

fn one() -> u16 {
    1
}
