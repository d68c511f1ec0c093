//! `seatrial bench`: how fast the simulator is on this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde_json::json;

use super::progress::Progress;
use super::{Failure, Finished, json_text};
use crate::experiment::speed::{SHIPPED, Speed, hold_ns, time};
use crate::report::number::{WIDTH, count, significant, wrap};
use crate::scenario::resolve::resolve;
use crate::scenario::{Document, SourceText};

/// Events pending in the hold model.
const PENDING: [u32; 3] = [100, 10_000, 1_000_000];

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Scenarios to time; without any, M/M/8 and language-model fleets of 1 to 1,024 replicas
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<PathBuf>,
    /// Runs of each, of which the fastest counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: u32,
    /// Prints one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

pub fn bench(args: &BenchArgs) -> Result<Finished, Failure> {
    let progress = Progress::new("bench");
    progress.expect(count_of(args) + PENDING.len() as u64);
    let mut speeds = Vec::new();
    for (document, folder) in documents(args)? {
        let plan = resolve(&document, &folder).map_err(Failure::of)?;
        let fleet = Arc::new(plan.fleet);
        speeds.push(time(&plan.scenario.name, &fleet, args.runs).map_err(Failure::of)?);
        progress.advance(1.0);
    }
    let mut holds = Vec::new();
    for pending in PENDING {
        holds.push((pending, hold_ns(pending, args.runs)));
        progress.advance(1.0);
    }
    progress.finish();
    Ok(Finished::fine(match args.json {
        true => json_text(&json!({
            "schema": 1,
            "runs": args.runs,
            "scenarios": speeds,
            "hold_model": holds
                .iter()
                .map(|(pending, ns)| json!({ "pending": pending, "ns": ns }))
                .collect::<Vec<_>>(),
        })),
        false => page(&speeds, &holds, args.runs),
    }))
}

fn count_of(args: &BenchArgs) -> u64 {
    match args.scenarios.len() {
        0 => SHIPPED.len() as u64,
        some => some as u64,
    }
}

/// The scenarios to time, each with the folder that its paths are relative to.
fn documents(args: &BenchArgs) -> Result<Vec<(Document, PathBuf)>, Failure> {
    if args.scenarios.is_empty() {
        let shipped = SHIPPED.iter().map(|(name, text)| {
            let source = SourceText::new(format!("{name}.toml"), *text);
            Ok((Document::parse(source)?, PathBuf::new()))
        });
        let all: Result<Vec<_>, crate::scenario::ScenarioError> = shipped.collect();
        return all.map_err(Failure::of);
    }
    let given = args.scenarios.iter().map(|path| {
        let document = SourceText::load(path).and_then(Document::parse);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok((document.map_err(Failure::of)?, folder))
    });
    given.collect()
}

fn page(speeds: &[Speed], holds: &[(u32, f64)], runs: u32) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH as u16);
    table.set_header([
        "scenario",
        "events",
        "requests",
        "CPU s",
        "requests/CPU-s",
        "events/CPU-s",
        "ns/event",
        "peak MB",
    ]);
    for speed in speeds {
        table.add_row([
            speed.scenario.clone(),
            count(speed.events),
            count(speed.requests),
            significant(Some(speed.cpu_s)),
            count(speed.requests_per_cpu_s as u64),
            count(speed.events_per_cpu_s as u64),
            significant(Some(speed.ns_per_event)),
            significant(speed.peak_rss_mb),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    let held: Vec<String> = holds
        .iter()
        .map(|(pending, ns)| {
            let pending = count(u64::from(*pending));
            format!("{} ns with {pending} pending", significant(Some(*ns)))
        })
        .collect();
    let floor = format!(
        "the floor, a pop and a push of the event queue alone: {}",
        held.join(", ")
    );
    out.push_str(&format!("{}\n", wrap(&floor, WIDTH, 2)));
    let how = format!(
        "processor time of one thread, the best of {runs}; the building of the fleet is in it, the \
         reading of the scenario is not"
    );
    out.push_str(&format!("{}\n", wrap(&how, WIDTH, 2)));
    out
}
