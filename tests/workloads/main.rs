//! What traces, generators and sessions promise.

#[path = "../common/mod.rs"]
mod common;

mod figures_of_sessions;
mod generators_are_found;
mod sessions;
mod sessions_are_told;
mod sessions_in_any_fleet;
mod sessions_in_every_engine;
mod trace_refusals;
mod trace_replay;
mod trace_shipped;
mod trace_stats;
mod traces_are_made;
