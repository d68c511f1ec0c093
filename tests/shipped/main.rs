//! All that is shipped to be run is run: experiments, sweeps, sizings, and the commands of the README.

#[path = "../sweeps/mod.rs"]
mod sweeps;

mod once;

mod experiments_repeat_byte_for_byte;
mod readme_commands_work;
mod sizes_shipped_run;
mod sweeps_shipped_run;
