//! `seatrial faults list`.

use super::super::{Failure, Finished, ScenarioArgs, json_text};
use crate::report::faults::FaultList;
use crate::scenario::faults::Faults;
use crate::scenario::resolve::resolve;

/// Arguments of `faults list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Prints one JSON document instead of a table
    #[arg(long)]
    json: bool,
}

pub fn list(args: &ListArgs) -> Result<Finished, Failure> {
    let (document, folder) = args.scenario.load()?;
    let plan = resolve(&document, &folder).map_err(Failure::of)?;
    let file = match &plan.scenario.faults.file {
        None => None,
        Some(file) => {
            let (file, _) = Faults::load(&folder.join(file)).map_err(Failure::of)?;
            Some(file)
        }
    };
    let list = FaultList::new(&plan, &document, file.as_ref()).map_err(Failure::of)?;
    Ok(Finished::fine(match args.json {
        true => json_text(&list.to_json()),
        false => list.render(),
    }))
}
