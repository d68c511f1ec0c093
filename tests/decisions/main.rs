//! What claims, comparisons, explanations, sizes, sweeps and reviews promise.

#[path = "../sweeps/mod.rs"]
mod sweeps;

mod claims_are_judged;
mod comparisons_are_judged;
mod explanations_find_planted_causes;
mod reviews_judge_designs;
mod sizes_find_what_is_known;
mod sweeps_find_what_is_known;
mod sweeps_give_the_same_bytes;
mod sweeps_refuse_to_mix;
mod sweeps_spread_over_a_cluster;
mod validate_closed_loop;
mod validate_measured_runs;
mod validate_real_runs;
