//! Why a night cannot be replayed.

use crate::observed::ObservedError;
use crate::scenario::ScenarioError;

/// Why a night cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The scenario, or a change to it, is not valid.
    #[error("{context}{source}")]
    Scenario {
        /// Empty, or which change is at fault.
        context: String,
        /// What is wrong.
        source: Box<ScenarioError>,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ObservedError),
    /// An option is not what it must be.
    #[error("{option} {value}: {allowed}; {remedy}")]
    Option {
        /// The option as it is written on the command line.
        option: String,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: String,
        /// What to do.
        remedy: String,
    },
    /// A simulation failed.
    #[error("the simulation of {what} failed: {reason}")]
    Simulation {
        /// Of what.
        what: String,
        /// Why.
        reason: String,
    },
}

impl ReplayError {
    /// An option that is not what it must be.
    pub fn option(
        option: &str,
        value: impl std::fmt::Display,
        allowed: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ReplayError {
        ReplayError::Option {
            option: option.to_owned(),
            value: value.to_string(),
            allowed: allowed.into(),
            remedy: remedy.into(),
        }
    }
}

impl From<ScenarioError> for ReplayError {
    fn from(source: ScenarioError) -> ReplayError {
        ReplayError::Scenario {
            context: String::new(),
            source: Box::new(source),
        }
    }
}
