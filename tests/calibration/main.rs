//! What measuring, importing and fitting kernel times promise.

#[path = "../common/mod.rs"]
mod common;
#[path = "../loopback/mod.rs"]
mod loopback;
#[path = "../stubs/mod.rs"]
mod stubs;
#[path = "../wheels/mod.rs"]
mod wheels;

mod calibrations_are_compared_and_shown;
mod endpoints_are_fitted;
mod endpoints_are_measured;
mod endpoints_that_fail_are_told;
mod estimates_step_as_runs_do;
mod fits_recover_what_was_planted;
mod fits_settle_on_the_best;
mod fits_use_repeated_rows;
mod gpu_calibrations_are_read_back;
mod gpu_captures_on_an_emulated_device;
mod gpu_kernels_compile;
mod gpu_kernels_follow_their_formulas;
mod gpu_libraries_may_be_missing;
mod held_out_kernels_are_read;
mod imports_are_read;
mod model_import;
mod numbers_beyond_range_are_refused;
mod own_kernels_drive_the_simulator;
mod perf_cards;
mod perf_step;
mod perf_tables;
mod pictures_have_tables;
mod wheel_makes_the_shipped_tables;
