//! `seatrial calibrate diff`: holds two calibrations against each other.

use crate::calibrate::diff::{Comparison, Source, render};
use crate::cli::{Failure, Finished, json_text};

/// Arguments of `calibrate diff`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A side is a calibration file, or `tables:SYSTEM/BACKEND` for the kernel tables \
                        that come with the program (tables:h100_sxm/vllm). One must be a file."
)]
pub struct DiffArgs {
    /// The first side
    #[arg(value_name = "A")]
    a: String,
    /// The second side, whose times are divided by the first's
    #[arg(value_name = "B")]
    b: String,
    /// Prints one JSON document
    #[arg(long)]
    json: bool,
}

pub fn diff(args: &DiffArgs) -> Result<Finished, Failure> {
    let [a, b] = [&args.a, &args.b].map(|side| Source::load(side));
    let (a, b) = (a.map_err(Failure::of)?, b.map_err(Failure::of)?);
    let comparison = Comparison::of(&a, &b).map_err(Failure::of)?;
    if args.json {
        let page = serde_json::to_value(&comparison).map_err(Failure::of)?;
        return Ok(Finished::fine(json_text(&page)));
    }
    Ok(Finished::fine(render(&comparison)))
}
