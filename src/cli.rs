//! The command line: one file per subcommand, raw text in, a validated plan out.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::scenario::{Document, ScenarioError, SourceText};

mod bench;
mod calibrate;
mod closed_loop;
mod compare;
mod diagram;
mod ending;
mod estimate;
mod explain;
mod faults;
mod model;
mod onlookers;
mod progress;
mod replay;
mod report;
mod review;
mod run;
mod schema;
mod size;
mod spare;
mod sweep;
mod trace;
mod validate;

/// Everything went as it should.
pub const FINE: u8 = 0;
/// A claim or an objective does not hold.
pub const DOES_NOT_HOLD: u8 = 1;
/// Bad input, or a failure.
pub const FAILURE: u8 = 2;

/// A deterministic simulator of a whole LLM serving fleet.
#[derive(Debug, Parser)]
#[command(name = "seatrial", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 fine, 1 a claim or objective does not hold (or could not be \
                        tested), 2 bad input or failure."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Simulates a scenario, and judges its claims
    Run(run::RunArgs),
    /// Runs a scenario at many points: the Pareto front, and what each axis does
    Sweep(sweep::SweepArgs),
    /// Puts the parts of a sweep together that `sweep --shard` ran
    Merge(sweep::MergeArgs),
    /// Finds the cheapest design that meets its objectives, with stated confidence
    Size(size::SizeArgs),
    /// Holds a scenario or result against another, with paired intervals and a verdict
    Compare(compare::CompareArgs),
    /// Says where a figure comes from and what would change it, by runs without each part
    Explain(explain::ExplainArgs),
    /// The design card: capacity, data flow, reliability, privacy and cost, scored by what runs show
    Review(review::ReviewArgs),
    /// Makes one page for a browser, and pictures for slides, of what runs and sweeps found
    Report(report::ReportArgs),
    /// Simulates an observed night beside its log, and what a change would have done
    Replay(replay::ReplayArgs),
    /// Closed forms only: each formula that applies, with the numbers put in
    Estimate(estimate::EstimateArgs),
    /// Draws the fleet: gateways, routers, pools, regions, stores, with rates and capacities
    Diagram(diagram::DiagramArgs),
    /// Holds simulated runs against measured ones, request by request
    Validate(validate::ValidateArgs),
    /// Times the simulator on this machine, beside the bare event queue
    Bench(bench::BenchArgs),
    /// Measures GPUs, servers and disks, and reads, fits and shows such measurements
    #[command(subcommand)]
    Calibrate(calibrate::CalibrateCommand),
    /// Makes model cards
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Prints the JSON Schema of scenarios, experiments, sizings, criteria or calibrations
    Schema(schema::SchemaArgs),
    /// Reads, describes and converts traces of requests
    #[command(subcommand)]
    Trace(trace::TraceCommand),
    /// Imports what broke in a cluster, and lists what breaks in a scenario
    #[command(subcommand)]
    Faults(faults::FaultsCommand),
}

/// Text for standard output, and how the program is to end.
#[derive(Debug, Clone)]
pub struct Finished {
    /// What goes to standard output.
    pub text: String,
    /// Exit code.
    pub code: u8,
}

impl Finished {
    fn fine(text: String) -> Finished {
        Finished { text, code: FINE }
    }
}

/// Why a command failed, in words for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl Failure {
    fn of(error: impl Display) -> Failure {
        Failure(error.to_string())
    }
}

/// Does what the command line asks for.
///
/// # Errors
/// [`Failure`], to be shown on standard error.
pub fn execute(cli: &Cli) -> Result<Finished, Failure> {
    match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Sweep(args) => sweep::sweep(args),
        Command::Merge(args) => sweep::merge(args),
        Command::Size(args) => size::size(args),
        Command::Compare(args) => compare::compare(args),
        Command::Explain(args) => explain::explain(args),
        Command::Review(args) => review::review(args),
        Command::Report(args) => report::report(args),
        Command::Replay(args) => replay::replay(args),
        Command::Estimate(args) => estimate::estimate(args),
        Command::Diagram(args) => diagram::diagram(args),
        Command::Validate(args) => validate::validate(args),
        Command::Bench(args) => bench::bench(args),
        Command::Calibrate(command) => calibrate::calibrate(command),
        Command::Model(command) => model::model(command),
        Command::Schema(args) => schema::schema(args),
        Command::Trace(command) => trace::trace(command),
        Command::Faults(command) => faults::faults(command),
    }
}

/// The arguments that name a scenario and change it.
#[derive(Debug, clap::Args)]
struct ScenarioArgs {
    /// The scenario, a TOML file
    scenario: PathBuf,
    /// Overrides a field by its path, such as pools.nodes.replicas=8 (may be repeated)
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Seed of every random stream (run.seed)
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
}

impl ScenarioArgs {
    /// The scenario with its overrides, and the folder that its paths are relative to.
    fn load(&self) -> Result<(Document, PathBuf), Failure> {
        let document = self.document().map_err(Failure::of)?;
        let folder = self.scenario.parent().unwrap_or(Path::new(""));
        Ok((document, folder.to_owned()))
    }

    fn document(&self) -> Result<Document, ScenarioError> {
        let mut document = Document::parse(SourceText::load(&self.scenario)?)?;
        for change in &self.set {
            let Some((path, value)) = change.split_once('=') else {
                return Err(ScenarioError::NotReadable {
                    file: format!("--set {change}"),
                    reason: "must be PATH=VALUE, such as pools.nodes.replicas=8".to_owned(),
                });
            };
            document.set(path.trim(), value.trim())?;
        }
        if let Some(seed) = self.seed {
            document.set("run.seed", &seed.to_string())?;
        }
        Ok(document)
    }
}

/// How often each scenario of a command is run, on how many threads, and how it answers.
#[derive(Debug, clap::Args)]
struct Repeats {
    /// Independent replications of each run (run.replications)
    #[arg(long)]
    replications: Option<u32>,
    /// Prints one JSON document instead of the page
    #[arg(long)]
    json: bool,
    /// Threads to use; the result does not depend on it [default: all]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
}

impl Repeats {
    /// Loads a scenario, with as many replications as were asked for.
    fn load(&self, scenario: &ScenarioArgs) -> Result<(Document, PathBuf), Failure> {
        let (mut document, folder) = scenario.load()?;
        if let Some(replications) = self.replications {
            let value = replications.to_string();
            document
                .set("run.replications", &value)
                .map_err(Failure::of)?;
        }
        Ok((document, folder))
    }
}

/// Has the simulations use so many threads (all, when nothing is said) and returns how many those are.
fn use_threads(threads: Option<u16>) -> usize {
    if let Some(threads) = threads {
        // Fails only if the pool exists already; no result depends on it.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads));
        let _ = pool.build_global();
    }
    rayon::current_num_threads()
}

/// A JSON document as text, its last line ended.
fn json_text(value: &serde_json::Value) -> String {
    // A tree of plain values always serialises.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
