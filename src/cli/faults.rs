//! `seatrial faults`: imports what broke in a cluster, and lists what breaks in a scenario.

mod import;
mod list;
mod timeline;
mod told;

use super::{Failure, Finished};

/// What to do with faults.
#[derive(Debug, clap::Subcommand)]
pub enum FaultsCommand {
    /// Makes the file that `faults.file` of a scenario names, of what a cluster recorded
    Import(import::ImportArgs),
    /// Lists the faults of a scenario and of its file, stated and random
    List(list::ListArgs),
}

pub fn faults(command: &FaultsCommand) -> Result<Finished, Failure> {
    match command {
        FaultsCommand::Import(args) => import::import(args),
        FaultsCommand::List(args) => list::list(args),
    }
}
