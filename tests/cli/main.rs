//! What the command line and the files it reads promise.

#[path = "../common/mod.rs"]
mod common;

mod bench_table;
mod cli_contract;
mod cli_faults;
mod cli_logs;
mod cli_pages_snapshots;
mod cli_refuses_bad_input;
mod columns_are_what_they_say;
mod scenario_fields;
mod scenario_overrides;
mod scenario_problems;
mod scenario_text;
mod the_library_runs_its_example;
mod tries_are_told_apart;
mod warnings_are_given;
