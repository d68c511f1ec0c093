//! Experiments on scenarios: replications, claims with counterfactuals, sweeps, comparisons,
//! explanations, sizings, reviews, estimates.

pub mod capacity;
pub mod charts;
pub mod claims;
pub mod compare;
pub mod cost;
mod energy;
pub mod erasure;
pub mod estimate;
pub mod explain;
mod idle;
pub mod metric;
pub mod physics;
pub mod provenance;
pub mod result;
pub mod review;
pub mod roles;
pub mod runner;
pub mod size;
pub mod sizing;
pub mod speed;
pub mod sweep;
pub mod tally;
pub mod theory;
pub mod tiers;
pub mod timeline;
pub mod variants;
pub mod warnings;
