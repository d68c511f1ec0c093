//! `seatrial review`: the design card.

use std::path::PathBuf;

use super::progress::Progress;
use super::run::stop_flag;
use super::{
    DOES_NOT_HOLD, FINE, Failure, Finished, Repeats, ScenarioArgs, json_text, use_threads,
};
use crate::experiment::review::criteria::SHIPPED;
use crate::experiment::review::{Criteria, review as judge};
use crate::experiment::runner::Control;
use crate::report::terminal::review::render;
use crate::scenario::{Document, ScenarioError, SourceText};

/// Arguments of `review`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Runs the scenario as written and under probes: more traffic, a node, rack or region \
                  lost, parts left out; and looks for the most traffic it carries and for the cheapest \
                  fleet like it. Its claims and variants are left out. Exit code 1: an objective is not \
                  shown to be met as written; 2: stopped (Ctrl-C) or failed."
)]
pub struct ReviewArgs {
    #[command(flatten)]
    scenario: Box<OptionalScenario>,
    /// The criteria, their cuts and weights, a TOML file [default: the shipped ones]
    #[arg(long, value_name = "FILE")]
    criteria: Option<PathBuf>,
    /// Prints the shipped criteria, to be changed and given with --criteria
    #[arg(long, exclusive = true)]
    print_criteria: bool,
    #[command(flatten)]
    repeats: Repeats,
}

/// The scenario, which `--print-criteria` does without.
#[derive(Debug, clap::Args)]
pub struct OptionalScenario {
    /// The scenario, a TOML file
    #[arg(required_unless_present = "print_criteria")]
    scenario: Option<PathBuf>,
    /// Overrides a field by its path, such as pools.nodes.replicas=8 (may be repeated)
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Seed of every random stream (run.seed)
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
}

pub fn review(args: &ReviewArgs) -> Result<Finished, Failure> {
    let asked = &args.scenario;
    let Some(path) = asked.scenario.clone().filter(|_| !args.print_criteria) else {
        return Ok(Finished::fine(SHIPPED.to_owned()));
    };
    use_threads(args.repeats.threads);
    let scenario = ScenarioArgs {
        scenario: path,
        set: asked.set.clone(),
        seed: asked.seed,
    };
    let criteria = criteria(args).map_err(Failure::of)?;
    let (document, folder) = args.repeats.load(&scenario)?;
    let progress = Progress::new("reviewing");
    let stop = stop_flag();
    let control = Control {
        stop: Some(&stop),
        simulations: Some(&|simulations| progress.expect(simulations)),
        progress: Some(&|share| progress.advance(share)),
        ..Control::default()
    };
    let card = judge(&document, &folder, &criteria, control);
    progress.finish();
    let card = card.map_err(Failure::of)?;
    let text = match args.repeats.json {
        true => json_text(&serde_json::to_value(&card).map_err(Failure::of)?),
        false => render(&card),
    };
    let fails = card.objectives_met == Some(false) || card.objectives_shown == Some(false);
    let code = if fails { DOES_NOT_HOLD } else { FINE };
    Ok(Finished { text, code })
}

fn criteria(args: &ReviewArgs) -> Result<Criteria, ScenarioError> {
    match &args.criteria {
        Some(path) => Criteria::read(&Document::parse(SourceText::load(path)?)?),
        None => Criteria::shipped(),
    }
}
