//! Why there is no card.

use crate::experiment::runner::RunError;
use crate::scenario::{Location, ScenarioError};

/// Why there is no card.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The scenario or the criteria are not valid.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A criterion is of something that no result or scenario has.
    #[error("{place}: criteria.{id}.{field}: {reason}")]
    Criterion {
        /// Where it is written.
        place: Location,
        /// Its name.
        id: String,
        /// `metric`, `probe` or `probe.set`.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// It was interrupted: a card of half of the runs would say nothing.
    #[error("stopped; there is no card of a part of its runs")]
    Interrupted,
}
