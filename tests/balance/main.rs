//! What routers and balancers promise.

#[path = "../common/mod.rs"]
mod common;

mod balance_settings_are_checked;
mod hashing_moves_few_keys;
mod prefix_index_matches_a_naive_model;
mod priorities_follow_envoy;
mod routers_choose;
mod routers_go_by_worth;
mod spread_replicas;
mod stale_signals;
mod weighted_choices_follow_weights;
