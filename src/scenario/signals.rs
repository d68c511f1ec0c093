//! `[signals]`: what a router knows of the replicas' load, and how old that is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problems::Problems;
use super::validate::MOST_MS;

/// Where the loads come from that a router compares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "source", rename_all = "snake_case", deny_unknown_fields)]
pub enum Signals {
    /// Each gateway replica counts what it sent itself and has not got back: exact and at once, but
    /// it sees nothing of what the other gateway replicas send.
    Own {},
    /// Replicas are asked for what is outstanding there, whoever sent it. What is known of a
    /// replica is as old as the last answer that came.
    Reported {
        /// Time between two questions, milliseconds: 0.001 or more. Default 50, as llm-d's endpoint
        /// picker refreshes its metrics.
        #[serde(default = "fifty")]
        interval_ms: f64,
        /// How long an answer takes to come, milliseconds. Default 0.
        #[serde(default)]
        delay_ms: f64,
        /// Probability that an answer is lost, 0 to 1; the next question is asked in time. News of
        /// blocks (a precise prefix index) is numbered and asked for again, so that it is late but
        /// never lost. Default 0.
        #[serde(default)]
        loss: f64,
        /// Whether a gateway adds what it sent itself since a replica's last answer came: without,
        /// all go to the same replica until the next. Default false.
        #[serde(default)]
        count_own: bool,
    },
}

impl Default for Signals {
    fn default() -> Self {
        Signals::Own {}
    }
}

impl Signals {
    /// Whether nothing was stated.
    pub fn is_default(&self) -> bool {
        *self == Signals::default()
    }

    /// Notes what is wrong with it.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        if let Signals::Reported {
            interval_ms,
            delay_ms,
            loss,
            count_own: _,
        } = *self
        {
            problems.in_range(&path("interval_ms"), interval_ms, 0.001, MOST_MS);
            problems.non_negative(&path("delay_ms"), delay_ms, MOST_MS);
            problems.in_range(&path("loss"), loss, 0.0, 1.0);
        }
    }
}

fn fifty() -> f64 {
    50.0
}
