//! What a user writes, checked as a whole before anything runs.

pub mod fleet;
pub mod schema;
pub mod workload;
