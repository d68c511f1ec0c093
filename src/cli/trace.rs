//! `seatrial trace`: reads, describes and converts traces of requests.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::{Failure, Finished, json_text};
use crate::observed::{ObservedFormat, ReadOptions, detect};
use crate::trace::{TraceError, TraceFormat, TraceSource, stats};

mod export;
mod fit;
mod import;
mod lengths;
mod page;
mod presets;
mod synth;

/// What to do with a trace.
#[derive(Debug, clap::Subcommand)]
pub enum TraceCommand {
    /// Converts logs of a real fleet, or a trace, to seatrial's own CSV (arrival_ns,
    /// prompt_tokens, output_tokens)
    Import(Box<import::ImportArgs>),
    /// Writes the requests of a run as a real fleet would log them
    Export(export::ExportArgs),
    /// Describes a trace: rate, burstiness, lengths
    Stats(StatsArgs),
    /// Finds a generator for a trace, and says how well it keeps each statistic
    Fit(fit::FitArgs),
    /// Makes a trace of any length from a generator or a preset
    Synth(synth::SynthArgs),
    /// Lists the generators that are shipped, and where their figures are from
    Presets(presets::PresetsArgs),
}

/// Arguments of `trace stats`.
#[derive(Debug, clap::Args)]
pub struct StatsArgs {
    /// The trace
    file: PathBuf,
    /// Its format, instead of finding it from the content
    #[arg(long, value_parser = TraceFormat::from_str)]
    format: Option<TraceFormat>,
    /// Spreads requests with the same stamp evenly until the next one
    #[arg(long)]
    dejitter: bool,
    /// Prints one JSON document instead of a table
    #[arg(long)]
    json: bool,
}

pub fn trace(command: &TraceCommand) -> Result<Finished, Failure> {
    match command {
        TraceCommand::Import(args) => import::import(args),
        TraceCommand::Export(args) => export::export(args),
        TraceCommand::Stats(args) => describe(args),
        TraceCommand::Fit(args) => fit::fit_trace(args),
        TraceCommand::Synth(args) => synth::synthesise(args),
        TraceCommand::Presets(args) => presets::list(args),
    }
}

/// Why a file cannot be read as a trace; one that is a log of another kind is told to be that.
fn no_trace(
    path: &Path,
    format: Option<TraceFormat>,
    error: impl std::error::Error + 'static,
) -> Failure {
    let log = detect(path, &ReadOptions::default()).ok();
    let is_other =
        |it: &ObservedFormat| !matches!(it, ObservedFormat::Trace(_) | ObservedFormat::Prometheus);
    match log.filter(|it| format.is_none() && is_other(it)) {
        Some(log) => Failure::of(format!(
            "{}: is no trace, but a log (read as {}); make one of it first: \
             seatrial trace import {} --out trace.csv",
            path.display(),
            log.name(),
            path.display()
        )),
        None => Failure::of(error),
    }
}

fn describe(args: &StatsArgs) -> Result<Finished, Failure> {
    let failed = |error: TraceError| no_trace(&args.file, args.format, error);
    let mut source = TraceSource::open_as(&args.file, args.format).map_err(failed)?;
    source.dejitter = args.dejitter;
    let stats = stats(&source).map_err(failed)?;
    if args.json {
        let value = serde_json::to_value(stats).map_err(Failure::of)?;
        return Ok(Finished::fine(json_text(&value)));
    }
    let mut table = Table::new();
    table.load_preset(NOTHING);
    for (name, value, unit) in stats.rows() {
        table.add_row([name.to_owned(), value, unit.to_owned()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    Ok(Finished::fine(format!("{}\n", lines.join("\n"))))
}
