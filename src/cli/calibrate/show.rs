//! `seatrial calibrate show`: a calibration as a table, and as a picture.

use std::path::{Path, PathBuf};

use crate::calibrate::gpu::operation::Operation;
use crate::calibrate::gpu::picture::draw;
use crate::calibrate::gpu::plan::card_of;
use crate::calibrate::gpu::record::Calibration;
use crate::calibrate::gpu::table::render;
use crate::cli::{Failure, Finished};
use crate::perf::AcceleratorCard;

/// Arguments of `calibrate show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The calibration file, or an engine profile (.toml)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Shows this operation only, by its name in the file
    #[arg(long, value_name = "OPERATION")]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(Operation::NAMES))]
    operation: Option<String>,
    /// Accelerator card whose peaks the rows are held against [default: the device's own]
    #[arg(long, value_name = "CARD")]
    accelerator: Option<String>,
    /// Draws the rates of the operation to this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Prints one JSON document: the calibration with the rows that are shown
    #[arg(long)]
    json: bool,
}

pub fn show(args: &ShowArgs) -> Result<Finished, Failure> {
    if args.file.extension().is_some_and(|end| end == "toml") {
        return profile(args);
    }
    if args.svg.is_some() && args.operation.is_none() {
        return Err(Failure::of(format!(
            "--svg: a picture is of one operation; name it by --operation, one of {}",
            Operation::NAMES.join(", ")
        )));
    }
    let mut calibration = Calibration::load(&args.file).map_err(Failure::of)?;
    let card = card(args.accelerator.as_deref(), &calibration)?;
    let name = args.operation.as_deref();
    if let Some(name) = name {
        calibration.rows.retain(|row| row.operation.name() == name);
        let failures = &mut calibration.failures;
        failures.retain(|failure| failure.operation.name() == name);
    }
    let mut written = String::new();
    if let (Some(path), Some(name)) = (&args.svg, name) {
        let title = format!("{name} on {}", calibration.device.name);
        let picture = draw(&title, &calibration.rows, card.as_ref()).map_err(Failure::of)?;
        std::fs::write(path, picture).map_err(|error| {
            let path = path.display();
            Failure::of(format!(
                "{path}: cannot be written ({error}); check the folder"
            ))
        })?;
        written = format!("{}: written\n", path.display());
    }
    if args.json {
        return Ok(Finished::fine(calibration.to_text()));
    }
    Ok(Finished::fine(
        render(&calibration, card.as_ref()) + &written,
    ))
}

/// An engine profile has no operations: what would do nothing is refused.
fn profile(args: &ShowArgs) -> Result<Finished, Failure> {
    for (given, option) in [
        (args.svg.is_some(), "--svg"),
        (args.operation.is_some(), "--operation"),
        (args.accelerator.is_some(), "--accelerator"),
    ] {
        if given {
            let file = args.file.display();
            return Err(Failure::of(format!(
                "{option}: {file} is an engine profile, which has no rows of kernels; leave it out \
                 (`calibrate fit --svg` draws a fit)"
            )));
        }
    }
    super::profile_page::show(&args.file, args.json)
}

/// The card that is named, or that the device is.
fn card(
    named: Option<&str>,
    calibration: &Calibration,
) -> Result<Option<AcceleratorCard>, Failure> {
    let name = named.or_else(|| card_of(&calibration.device.name));
    let card = name.map(|name| AcceleratorCard::load(name, Path::new("")));
    card.transpose().map_err(Failure::of)
}
