//! Experiments on scenarios: replications, claims with counterfactuals, estimates.

pub mod claims;
pub mod metric;
pub mod physics;
pub mod runner;
