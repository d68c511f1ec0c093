//! `seatrial estimate`: closed forms only.

use super::{Failure, Finished, ScenarioArgs, json_text};
use crate::experiment::estimate::{Sheets, sheets};
use crate::experiment::variants::named_variants;
use crate::report::sheets as report;
use crate::scenario::resolve::resolve;

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
    let plan = resolve(&document, &folder).map_err(Failure::of)?;
    let mut all = vec![Sheets {
        variant: None,
        sheets: sheets(&plan),
    }];
    for (name, variant) in named_variants(&document, &folder, &plan).map_err(Failure::of)? {
        all.push(Sheets {
            variant: Some(name),
            sheets: sheets(&variant),
        });
    }
    let name = &plan.scenario.name;
    let text = match args.json {
        true => json_text(&report::to_json(name, &all)),
        false => report::render(name, &all),
    };
    Ok(Finished::fine(text))
}
