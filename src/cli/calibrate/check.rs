//! `seatrial calibrate check`: how far what steps read lies from what was measured.

use crate::calibrate::check::{Check, render};
use crate::cli::{Failure, Finished, json_text};

/// Arguments of `calibrate check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Leaves out each measurement in turn and reads it from the others by the code that \
                  composes steps."
)]
pub struct CheckArgs {
    /// A calibration, captured or imported, or `tables:SYSTEM/BACKEND` for the kernel tables that
    /// come with the program (tables:h100_sxm/vllm), or `tables:all` for all of them together
    #[arg(value_name = "FILE")]
    file: String,
    /// Accelerator card by whose peaks products are read [default: the device's own]
    #[arg(long, value_name = "CARD")]
    accelerator: Option<String>,
    /// Prints one JSON document
    #[arg(long)]
    json: bool,
}

pub fn check(args: &CheckArgs) -> Result<Finished, Failure> {
    let check = Check::of(&args.file, args.accelerator.as_deref()).map_err(Failure::of)?;
    if args.json {
        let page = serde_json::to_value(&check).map_err(Failure::of)?;
        return Ok(Finished::fine(json_text(&page)));
    }
    Ok(Finished::fine(render(&check)))
}
