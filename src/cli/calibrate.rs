//! `seatrial calibrate`: measures what simulations rest on.

mod check;
mod claim;
mod diff;
mod endpoint;
mod fit;
mod fit_page;
mod gpu;
mod import;
mod lsm;
mod profile_page;
mod show;

use super::{Failure, Finished};

/// What to calibrate.
#[derive(Debug, clap::Subcommand)]
pub enum CalibrateCommand {
    /// Measures the kernels of a model on this machine's GPU
    Gpu(gpu::GpuArgs),
    /// Measures a log-structured store on this machine's disk
    Lsm(lsm::LsmArgs),
    /// Reads measurements of other tools into a calibration
    Import(import::ImportArgs),
    /// Leaves out each measurement of a calibration, and reads it from the others
    Check(check::CheckArgs),
    /// Holds two calibrations against each other, operation by operation
    Diff(diff::DiffArgs),
    /// Measures a live OpenAI-compatible server, and fits its engine's overheads
    Endpoint(Box<endpoint::EndpointArgs>),
    /// Fits an engine's overheads to measured latencies of its servers
    Fit(fit::FitArgs),
    /// Shows a calibration or an engine profile as a table, and draws the former
    Show(show::ShowArgs),
}

pub fn calibrate(command: &CalibrateCommand) -> Result<Finished, Failure> {
    match command {
        CalibrateCommand::Gpu(args) => gpu::gpu(args),
        CalibrateCommand::Lsm(args) => lsm::lsm(args),
        CalibrateCommand::Import(args) => import::import(args),
        CalibrateCommand::Check(args) => check::check(args),
        CalibrateCommand::Diff(args) => diff::diff(args),
        CalibrateCommand::Endpoint(args) => endpoint::endpoint(args),
        CalibrateCommand::Fit(args) => fit::fit(args),
        CalibrateCommand::Show(args) => show::show(args),
    }
}
