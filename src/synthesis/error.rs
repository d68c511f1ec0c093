//! Why no generator or no trace can be made.

use crate::scenario::ScenarioError;
use crate::trace::TraceError;

/// Why no generator or no trace can be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields are what the messages below say
pub enum SynthesisError {
    /// The trace cannot be read or written.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The generator cannot be used.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// No rate can be told.
    #[error(
        "trace `{path}`: its {requests} requests all come at one instant, so no rate can be told; at least 2 distinct stamps are needed: give a longer trace"
    )]
    OneInstant { path: String, requests: u64 },
    /// The workload is not one that requests can be drawn from alone.
    #[error(
        "{file}: workload {what} cannot be written as a trace: {why}; give a workload of open arrivals drawn from a process"
    )]
    NotDrawn {
        file: String,
        what: &'static str,
        why: &'static str,
    },
    /// An option that is not allowed.
    #[error("{option} = {value} is not allowed; allowed: {allowed}")]
    Option {
        option: &'static str,
        value: String,
        allowed: &'static str,
    },
    /// No such preset or file.
    #[error(
        "`{name}` is neither a file nor a preset; presets are {known}; check the path or the name"
    )]
    Unknown { name: String, known: String },
    /// Nothing came.
    #[error("{file}: no request comes within {span}; ask for a longer trace or a higher rate")]
    Nothing { file: String, span: String },
}
