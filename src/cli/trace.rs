//! `seatrial trace`: reads, describes and converts traces of requests.

use std::path::PathBuf;
use std::str::FromStr;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::{Failure, Finished, json_text};

mod fit;
mod presets;
mod synth;

use crate::report::number::{count, significant};
use crate::trace::{ImportOptions, TraceFormat, TraceSource, import, stats};

/// What to do with a trace.
#[derive(Debug, clap::Subcommand)]
pub enum TraceCommand {
    /// Converts a trace to seatrial's own CSV (arrival_ns, prompt_tokens, output_tokens)
    Import(ImportArgs),
    /// Describes a trace: rate, burstiness, lengths
    Stats(StatsArgs),
    /// Finds a generator for a trace, and says how well it keeps each statistic
    Fit(fit::FitArgs),
    /// Makes a trace of any length from a generator or a preset
    Synth(synth::SynthArgs),
    /// Lists the generators that are shipped, and where their figures are from
    Presets(presets::PresetsArgs),
}

/// Arguments of `trace import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// The trace: Azure 2023 or 2024 CSV, Mooncake JSONL, BurstGPT CSV, Vidur CSV; .gz accepted
    file: PathBuf,
    /// Where to write; a name ending in .gz is compressed
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Its format, instead of finding it from the content
    #[arg(long, value_parser = TraceFormat::from_str)]
    format: Option<TraceFormat>,
    /// Sorts the requests by arrival (holds all of them in memory)
    #[arg(long)]
    sort: bool,
    /// Spreads requests with the same stamp evenly until the next one
    #[arg(long)]
    dejitter: bool,
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
        TraceCommand::Import(args) => import_trace(args),
        TraceCommand::Stats(args) => describe(args),
        TraceCommand::Fit(args) => fit::fit_trace(args),
        TraceCommand::Synth(args) => synth::synthesise(args),
        TraceCommand::Presets(args) => presets::list(args),
    }
}

fn import_trace(args: &ImportArgs) -> Result<Finished, Failure> {
    let options = ImportOptions {
        sort: args.sort,
        dejitter: args.dejitter,
    };
    let report = import(&args.file, args.format, &args.out, options).map_err(Failure::of)?;
    Ok(Finished::fine(format!(
        "{}: {} of {} requests written over {} s (read as {}); {} have no answer and will be \
         skipped by a replay, {} with an empty prompt were left out\n",
        args.out.display(),
        count(report.written),
        count(report.read),
        significant(Some(report.span_s)),
        report.format.name(),
        count(report.no_answer),
        count(report.empty_prompt)
    )))
}

fn describe(args: &StatsArgs) -> Result<Finished, Failure> {
    let mut source = TraceSource::open_as(&args.file, args.format).map_err(Failure::of)?;
    source.dejitter = args.dejitter;
    let stats = stats(&source).map_err(Failure::of)?;
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
