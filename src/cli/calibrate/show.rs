//! `seatrial calibrate show`: a calibration as a table, and as a picture.

use std::path::{Path, PathBuf};

use crate::calibrate::gpu::operation::Operation;
use crate::calibrate::gpu::picture::draw;
use crate::calibrate::gpu::plan::card_of;
use crate::calibrate::gpu::record::{Calibration, Unmeasured};
use crate::calibrate::gpu::table::render;
use crate::cli::spare::spare;
use crate::cli::{Failure, Finished};
use crate::perf::AcceleratorCard;

/// Rows of a drawn table: as many as a slide has room for.
const SVG_ROWS: u16 = 24;

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
    /// Draws a table of rows to this file, and with --operation their rates beside it
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Rows of the drawn table at most: about as many of each operation and number type, from the
    /// least work to the most [default: 24]
    #[arg(long, value_name = "N", requires = "svg")]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=5000))]
    svg_rows: Option<u16>,
    /// Prints one JSON document: the calibration with the rows that are shown
    #[arg(long)]
    json: bool,
}

pub fn show(args: &ShowArgs) -> Result<Finished, Failure> {
    if args.file.extension().is_some_and(|end| end == "toml") {
        return profile(args);
    }
    spare(&[&args.file], &[("--svg", args.svg.as_deref())])?;
    let mut calibration = Calibration::load(&args.file).map_err(Failure::of)?;
    let card = card(args.accelerator.as_deref(), &calibration)?;
    let name = args.operation.as_deref();
    if let Some(name) = name {
        keep(name, &args.file, &mut calibration)?;
    }
    let mut written = String::new();
    if let Some(path) = &args.svg {
        let most_rows = args.svg_rows.unwrap_or(SVG_ROWS).into();
        let picture = draw(&calibration, card.as_ref(), most_rows).map_err(Failure::of)?;
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

/// Keeps the rows of one operation, and what of it could not be measured.
///
/// # Errors
/// There is neither.
fn keep(name: &str, file: &Path, calibration: &mut Calibration) -> Result<(), Failure> {
    let mut there: Vec<&str> = (calibration.rows.iter())
        .map(|row| row.operation.name())
        .collect();
    there.sort_unstable();
    there.dedup();
    let failed = |failure: &Unmeasured| failure.operation.name() == name;
    if !there.contains(&name) && !calibration.failures.iter().any(failed) {
        let there = match there.is_empty() {
            true => "it has no rows at all".to_owned(),
            false => format!("give one of those it has: {}", there.join(", ")),
        };
        return Err(Failure::of(format!(
            "--operation {name}: {} has no row of it; {there}",
            file.display()
        )));
    }
    calibration.rows.retain(|row| row.operation.name() == name);
    calibration.failures.retain(failed);
    Ok(())
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
