//! All that is shipped to be run is run: experiments, sweeps, sizings, the commands of the README, and the
//! Python package, which waits for others more than it works.

#[path = "../sweeps/mod.rs"]
mod sweeps;

mod once;

mod experiments_repeat_byte_for_byte;
mod readme_commands_work;
mod sizes_shipped_run;
mod sweeps_shipped_run;
mod the_python_package_finds_the_same;
