//! seatrial: a deterministic discrete-event simulator of a whole LLM serving fleet.

pub mod cli;
pub mod engine;
pub mod experiment;
pub mod fleet;
pub mod measure;
pub mod perf;
pub mod report;
pub mod scenario;
pub mod theory;
pub mod trace;
pub mod workload;
