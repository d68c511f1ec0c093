//! Why a sizing has no answer.

use crate::experiment::runner::RunError;
use crate::experiment::sweep::error::SweepError;
use crate::scenario::ScenarioError;

/// Why a sizing has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SizeError {
    /// The sizing or its scenario is not valid.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A design is not a valid scenario, or its run failed.
    #[error("{case}{words}: {source}")]
    Design {
        /// Empty, or the case and a colon.
        case: String,
        /// What is set.
        words: String,
        /// What is wrong.
        source: Box<RunError>,
    },
    /// A metric names what results have not.
    #[error("{place}{reason} ({case}{words})")]
    Metric {
        /// Where it is written, and a colon.
        place: String,
        /// The constraint, or the objective.
        field: String,
        /// What is wrong.
        reason: String,
        /// Empty, or the case and a colon.
        case: String,
        /// What is set.
        words: String,
    },
    /// There is nothing that designs must meet.
    #[error(
        "{file}: constraints: there is none, and the scenario states no objective; add [[constraints]], \
         or a bound to its [slo]"
    )]
    Unbound {
        /// The sizing.
        file: String,
    },
    /// No design that was looked at has a figure of what is to be the least.
    #[error(
        "{file}: objective: {objective} has no value at any design that was looked at ({case}{reason}); \
         give one that has"
    )]
    NoObjective {
        /// The sizing.
        file: String,
        /// What was to be the least.
        objective: String,
        /// Empty, or the case and a colon.
        case: String,
        /// Why it has none.
        reason: String,
    },
    /// A journal cannot be read, written or gone on with.
    #[error(transparent)]
    Journal(#[from] SweepError),
    /// Asked to stop.
    #[error("stopped; {}", match .kept {
        true => "the same command goes on from here",
        false => "nothing is kept without --out DIR",
    })]
    Stopped {
        /// Whether a journal has what was looked at.
        kept: bool,
    },
}
