//! The spot market of a simulated serving fleet: how many nodes a pool can
//! supply, which held nodes are taken back and when, how much warning comes
//! first, and what the nodes cost meanwhile.
//!
//! Nothing here reads a clock or global state. Every random draw comes from a
//! stream keyed by what is being drawn, so equal seeds give equal losses and
//! adding a node does not move another node's fate.

pub mod availability;
pub mod errors;
mod fields;
pub mod interruption;
mod json;
mod lifetimes;
pub mod lists;
pub mod market;
pub mod notice;
pub mod prices;
pub mod recording;
mod rows;
mod skypilot;
pub mod summary;
