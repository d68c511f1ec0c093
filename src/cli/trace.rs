//! `seatrial trace`: reads, describes and converts traces of requests.

use std::path::PathBuf;
use std::str::FromStr;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::{Failure, Finished, json_text};
use crate::trace::{TraceFormat, TraceSource, stats};

mod export;
mod import;
mod lengths;
mod page;

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
    }
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
