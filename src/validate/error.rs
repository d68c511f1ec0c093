//! What can be wrong with a measured run, and what to do about it.

use crate::scenario::ScenarioError;
use crate::trace::TraceError;

/// Why a measured run could not be read or simulated.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// A file or folder could not be read.
    #[error("{file}: cannot be read ({cause}); {remedy}")]
    Read {
        /// The file or folder.
        file: String,
        /// What the operating system said.
        cause: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The content is of no known format.
    #[error("{file}: {found}; allowed: {allowed}; {remedy}")]
    Unknown {
        /// The file or folder.
        file: String,
        /// What is there.
        found: String,
        /// The formats that are read.
        allowed: &'static str,
        /// What to do.
        remedy: String,
    },
    /// A value is missing or not allowed.
    #[error("{file}, {place}: {problem}; allowed: {allowed}; {remedy}")]
    Value {
        /// The file.
        file: String,
        /// The line and column, or the field.
        place: String,
        /// What is wrong, naming the value.
        problem: String,
        /// What is allowed.
        allowed: String,
        /// What to do.
        remedy: String,
    },
    /// The scenario of the run is not valid.
    #[error("{context}: {source}")]
    Scenario {
        /// Which run.
        context: String,
        /// What is wrong.
        source: Box<ScenarioError>,
    },
    /// The simulation failed.
    #[error("{context}: {reason}; the run cannot be compared")]
    Simulation {
        /// Which run.
        context: String,
        /// Why.
        reason: String,
    },
}

impl ValidateError {
    /// A value that is missing or not allowed.
    pub(crate) fn value(
        file: &str,
        place: impl Into<String>,
        problem: impl Into<String>,
        allowed: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ValidateError {
        ValidateError::Value {
            file: file.to_owned(),
            place: place.into(),
            problem: problem.into(),
            allowed: allowed.into(),
            remedy: remedy.into(),
        }
    }

    /// A scenario that is not valid.
    pub(crate) fn scenario(context: &str, source: ScenarioError) -> ValidateError {
        ValidateError::Scenario {
            context: context.to_owned(),
            source: Box::new(source),
        }
    }

    /// A trace that failed.
    pub(crate) fn trace(context: &str, source: &TraceError) -> ValidateError {
        ValidateError::Simulation {
            context: context.to_owned(),
            reason: source.to_string(),
        }
    }
}
