//! What the core promises: queue, generator, measures, theory.

#[path = "../common/mod.rs"]
mod common;

mod costs_add_up;
mod kernel_queue_matches_model;
mod kernel_rng_is_pinned;
mod kernel_run_loop;
mod measures_coverage;
mod measures_merge;
mod metamorphic_latency;
mod off_means_off;
mod simulation_arrivals_have_their_moments;
mod simulation_conserves;
mod simulation_matches_queueing_reference;
mod simulation_moves_staffing;
mod simulation_reproduces_lindley;
mod theory_matches_reference;
