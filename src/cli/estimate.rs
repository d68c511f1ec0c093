//! `seatrial estimate`: closed forms only.

use super::{Failure, Finished, ScenarioArgs, json_text};
use crate::experiment::estimate::all_sheets;
use crate::report::sheets as report;

/// Arguments of `estimate`.
#[derive(Debug, clap::Args)]
pub struct EstimateArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Prints one JSON document instead of text
    #[arg(long)]
    json: bool,
}

pub fn estimate(args: &EstimateArgs) -> Result<Finished, Failure> {
    let (document, folder) = args.scenario.load()?;
    let (name, all) = all_sheets(&document, &folder).map_err(Failure::of)?;
    let text = match args.json {
        true => json_text(&report::to_json(&name, &all)),
        false => report::render(&name, &all),
    };
    Ok(Finished::fine(text))
}
