//! `seatrial replay`: an observed night, simulated beside what was observed of it.

use std::path::{Path, PathBuf};

use super::progress::Progress;
use super::{DOES_NOT_HOLD, FINE, Failure, Finished, ScenarioArgs, json_text, use_threads};
use crate::observed::levels::{ObservedLevels, read_levels};
use crate::observed::{ReadOptions, ReadReport, read_all};
use crate::replay::series::Minutes;
use crate::replay::{Night, Outcome, Settings, Window, replay as simulate};
use crate::report::number::plural;
use crate::report::terminal::replay::render;
use crate::scenario::Document;

/// Bins that scrapes are put into, of each stretch that is compared.
const BINS_OF_MINUTE: f64 = 20.0;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What the scenario does not state of the engine's overhead, of the time at gateways and \
                  of retries is fitted to the calm window alone; --fit says otherwise. The exit code is 1 \
                  where the model does not fit what was observed. Logs of all formats of `trace import` are \
                  read; where one needs options, import it with --observed FILE.csv first, and replay that."
)]
pub struct ReplayArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// The log: what arrived, and what became of it
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// A file of [[faults.timeline]], in place of the scenario's faults.file
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Where all was well: FROM..TO in seconds (s, m, h may be written) or times
    #[arg(long, value_name = "FROM..TO")]
    calm: String,
    /// Where it was not: scored apart
    #[arg(long, value_name = "FROM..TO")]
    incident: Option<String>,
    /// Where time 0 is, that faults count from [default: the log's own zero; its first request where
    /// it has dates]
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// A field that the scenario leaves open, and its bounds (may be repeated) [default: what it does
    /// not state of overheads and retries]
    #[arg(long, value_name = "PATH=LOW..HIGH", conflicts_with = "no_fit")]
    fit: Vec<String>,
    /// Leaves nothing open
    #[arg(long)]
    no_fit: bool,
    /// Replicas and queues as a monitor saw them: scrapes of vLLM's metrics, what `trace import --series`
    /// or `run --series` wrote, or CSV or Parquet with start_ns and replicas, waiting, running or kv_usage
    /// (may be repeated)
    #[arg(long, value_name = "FILE")]
    observed_series: Vec<PathBuf>,
    /// The same night with one field changed: requests saved and lost (may be repeated)
    #[arg(long, value_name = "PATH=VALUE")]
    what_if: Vec<String>,
    /// Nights to simulate, each with its own luck and fitted values
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=100))]
    nights: u16,
    /// Simulations of the search of a fit at most; its last steps and intervals, each with eight kinds of
    /// luck, take some hundreds more for every field
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    budget: u32,
    /// Length of the minutes that series are compared by, seconds [default: 60, less for short logs; as long
    /// as those of --observed-series]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    bin: Option<f64>,
    /// Prints one JSON document instead of the page
    #[arg(long)]
    json: bool,
    /// Writes replay.json, report.txt, series.csv and fitted.toml to this folder, of which `report` makes
    /// a page
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads to use; the result does not depend on it [default: all]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
}

pub fn replay(args: &ReplayArgs) -> Result<Finished, Failure> {
    let (mut document, folder) = args.scenario.load()?;
    use_threads(args.threads);
    if let Some(faults) = &args.faults {
        // Where the command is given, not where the scenario is.
        let path = std::path::absolute(faults).map_err(Failure::of)?;
        let path = toml::Value::String(path.display().to_string());
        document
            .set_value("faults.file", path)
            .map_err(Failure::of)?;
    }
    let (night, report) = read(args)?;
    let settings = settings(args, &night, &report)?;
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).map_err(|error| no_folder(out, &error))?;
    }
    let progress = Progress::new("replaying");
    let found = simulate(&document, &folder, &night, &settings);
    progress.finish();
    let outcome = found.map_err(Failure::of)?;
    let page = render(&outcome);
    if let Some(out) = &args.out {
        write_folder(out, &outcome, &page, &document)?;
    }
    Ok(Finished {
        text: match args.json {
            true => json_text(&outcome.to_json()),
            false => page,
        },
        code: if outcome.fits() { FINE } else { DOES_NOT_HOLD },
    })
}

fn read(args: &ReplayArgs) -> Result<(Night, ReadReport), Failure> {
    let options = ReadOptions::default();
    let (log, report) = read_all(&args.trace, &options).map_err(Failure::of)?;
    let night = Night::of(log, args.start.as_deref()).map_err(Failure::of)?;
    Ok((night, report))
}

fn settings(args: &ReplayArgs, night: &Night, report: &ReadReport) -> Result<Settings, Failure> {
    let window =
        |option: &str, text: &str| Window::parse(option, text, night.zero_ns).map_err(Failure::of);
    if let Some(bin) = args.bin
        && !(bin.is_finite() && (1e-3..=1e6).contains(&bin))
    {
        return Err(Failure::of(format!(
            "--bin {bin}: must be seconds, 0.001 to 1,000,000; leave it out for minutes"
        )));
    }
    let levels = levels(args, night)?;
    let mut notes = notes_of(report);
    let bin_s = args.bin.or_else(|| coarser(&levels, night));
    if let (None, Some(bin_s)) = (args.bin, bin_s) {
        notes.push(format!(
            "compared by {bin_s} s, as replicas and queues were observed"
        ));
    }
    Ok(Settings {
        calm: window("--calm", &args.calm)?,
        incident: match &args.incident {
            Some(text) => Some(window("--incident", text)?),
            None => None,
        },
        open: match (args.no_fit, args.fit.is_empty()) {
            (true, _) => Some(Vec::new()),
            (false, true) => None,
            (false, false) => Some(args.fit.clone()),
        },
        what_if: args.what_if.clone(),
        nights: usize::from(args.nights),
        budget: args.budget as usize,
        bin_s,
        notes,
        levels,
    })
}

/// What a monitor saw, in bins that are short beside the minutes that are compared.
fn levels(args: &ReplayArgs, night: &Night) -> Result<Vec<ObservedLevels>, Failure> {
    let minutes = Minutes::of(night.span_ns() as f64 / 1e9, args.bin);
    let bin_ns = (minutes.bin_s * 1e9 / BINS_OF_MINUTE).round().max(1.0) as u64;
    let files = args.observed_series.iter();
    files
        .map(|file| read_levels(file, bin_ns).map_err(Failure::of))
        .collect()
}

/// The length of what means of a monitor are over, seconds, where that is longer than what is usually compared.
fn coarser(levels: &[ObservedLevels], night: &Night) -> Option<f64> {
    let usual = Minutes::of(night.span_ns() as f64 / 1e9, None);
    let widest_s = levels
        .iter()
        .map(ObservedLevels::widest_s)
        .reduce(f64::max)?;
    (widest_s > usual.bin_s).then_some(widest_s)
}

/// What reading the log found that the page should say.
fn notes_of(report: &ReadReport) -> Vec<String> {
    let mut notes = vec![format!("read as {}", report.format.name())];
    for (what, skips) in [("skipped", &report.skipped), ("left out", &report.left_out)] {
        if skips.total() > 0 {
            notes.push(format!("{what}: {}", skips.told()));
        }
    }
    if report.zone.contains("without a zone") {
        notes.push(report.zone.clone());
    }
    notes.extend(report.notes.iter().cloned());
    if report.joined.retries > 0 {
        notes.push(format!(
            "{} of {} joined to them",
            plural(report.joined.retries, "retry"),
            plural(report.joined.requests, "request")
        ));
    }
    notes
}

fn no_folder(path: &Path, error: &std::io::Error) -> Failure {
    Failure::of(format!(
        "{}: cannot write: {error}; check the folder given with --out",
        path.display()
    ))
}

fn write_folder(
    out: &Path,
    outcome: &Outcome,
    page: &str,
    document: &Document,
) -> Result<(), Failure> {
    let mut fitted = document.clone();
    for (path, value) in outcome.fit.changes() {
        fitted.set(&path, &value).map_err(Failure::of)?;
    }
    for (name, text) in [
        ("replay.json", json_text(&outcome.to_json()).as_str()),
        ("report.txt", page),
        ("series.csv", outcome.csv().as_str()),
        ("fitted.toml", fitted.effective_toml().as_str()),
    ] {
        let path = out.join(name);
        std::fs::write(&path, text).map_err(|error| no_folder(&path, &error))?;
    }
    Ok(())
}
