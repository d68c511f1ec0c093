//! `seatrial diagram`: the fleet of a scenario as a picture.

use std::path::PathBuf;

use super::progress::Progress;
use super::run::stop_flag;
use super::{Failure, Finished, ScenarioArgs, use_threads};
use crate::cli::ending::ends;
use crate::cli::spare::spare;
use crate::experiment::result::RunResult;
use crate::experiment::runner::{Control, run_plan};
use crate::report::diagram::{graph, mermaid, svg, text};
use crate::scenario::resolve::{Plan, resolve};

/// Arguments of `diagram`.
#[derive(Debug, clap::Args)]
pub struct DiagramArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// What to draw it as [default: by the extension of --out (.svg, .mmd, .txt), else text]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Writes the picture to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Runs the scenario (without its variants and claims) and shows what was measured: rates, how
    /// busy pools were, nodes that were ready
    #[arg(long)]
    simulate: bool,
    /// Threads to use; the result does not depend on it [default: all]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
}

/// What a picture is drawn as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    // For slides and pages.
    Svg,
    // For pages that draw Mermaid themselves.
    Mermaid,
    // For terminals.
    Text,
}

impl DiagramArgs {
    fn format(&self) -> Format {
        let extension = self.out.as_ref().and_then(|out| out.extension());
        match (self.format, extension.and_then(|it| it.to_str())) {
            (Some(format), _) => format,
            (None, Some("svg")) => Format::Svg,
            (None, Some("mmd" | "mermaid")) => Format::Mermaid,
            (None, _) => Format::Text,
        }
    }
}

pub fn diagram(args: &DiagramArgs) -> Result<Finished, Failure> {
    spare(
        &[&args.scenario.scenario],
        &[("--out", args.out.as_deref())],
    )?;
    if args.format.is_none() {
        let all = [".svg", ".mmd", ".mermaid", ".txt"];
        ends("--out", args.out.as_deref(), &all)?;
    }
    let (document, folder) = args.scenario.load()?;
    let plan = resolve(&document, &folder).map_err(Failure::of)?;
    let result = match args.simulate {
        true => Some(simulate(args, &plan)?),
        false => None,
    };
    let graph = graph(&plan, result.as_ref());
    let picture = match args.format() {
        Format::Svg => svg(&graph),
        Format::Mermaid => mermaid(&graph),
        Format::Text => text(&graph),
    };
    let Some(out) = &args.out else {
        return Ok(Finished::fine(picture));
    };
    std::fs::write(out, picture).map_err(|error| {
        Failure::of(format!(
            "--out {}: cannot write: {error}; check the folder and the space left",
            out.display()
        ))
    })?;
    Ok(Finished::fine(format!("{}: written\n", out.display())))
}

fn simulate(args: &DiagramArgs, plan: &Plan) -> Result<RunResult, Failure> {
    use_threads(args.threads);
    let progress = Progress::new("simulating");
    progress.expect(u64::from(plan.scenario.run.replications));
    let stop = stop_flag();
    let control = Control {
        stop: Some(&stop),
        progress: Some(&|share| progress.advance(share)),
        ..Control::default()
    };
    let outcome = run_plan(plan.clone(), control).map_err(Failure::of);
    progress.finish();
    Ok(outcome?.result)
}
