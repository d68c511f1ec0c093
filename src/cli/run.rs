//! `seatrial run`: simulates a scenario and judges its claims.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::onlookers::{Onlookers, window_of};
use super::progress::Progress;
use super::{DOES_NOT_HOLD, FINE, Failure, Finished, ScenarioArgs, json_text, use_threads};
use crate::cli::spare::spare;
use crate::experiment::charts;
use crate::experiment::claims::Verdict;
use crate::experiment::compare::side::Replications;
use crate::experiment::result::RunResult;
use crate::experiment::runner::{AuditSink, Control, ObserverSeat, Outcome, RowSink, run_scenario};
use crate::experiment::sizing::{Sizing, by_simulation};
use crate::fleet::erasure::audit::AuditRow;
use crate::fleet::outcome::RequestRow;
use crate::measure::peak_rss_mb;
use crate::report::audit::{AuditError, AuditFile};
use crate::report::number::{count, significant};
use crate::report::perfetto::Window;
use crate::report::requests::{Names, RequestFile, RequestFileError};
use crate::report::terminal;
use crate::scenario::Document;
use crate::scenario::erasure::Store;
use crate::scenario::fleet::Pool;
use crate::scenario::resolve::{Plan, resolve};
use crate::scenario::schema::Scenario;
use crate::scenario::workload::Arrivals;
use crate::workload::source::SourcePlan;

/// Exit code of a program that Ctrl-C ended, by custom 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Independent replications, for intervals (run.replications)
    #[arg(long)]
    replications: Option<u32>,
    /// Prints one JSON document instead of the page
    #[arg(long)]
    json: bool,
    /// Leaves CPU time and memory out of the JSON, so that equal runs give equal bytes
    #[arg(long)]
    omit_timing: bool,
    /// Writes result.json, replications.json, charts.json, report.txt and scenario.toml to this folder,
    /// of which `report` makes a page
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Writes one row per request (.csv, .csv.gz or .parquet by extension)
    #[arg(long, value_name = "FILE")]
    requests: Option<PathBuf>,
    /// Writes what happened in each interval: a row for each interval, part of the fleet and metric
    /// (.csv, .csv.gz or .parquet by extension)
    #[arg(long, value_name = "FILE")]
    pub(super) series: Option<PathBuf>,
    /// How long an interval of --series is [default: so that a run has 1,000 at most]
    #[arg(long, value_name = "SECONDS", requires = "series")]
    pub(super) series_interval: Option<f64>,
    /// Writes a window of the run for Perfetto's viewer (.json or .json.gz)
    #[arg(long, value_name = "FILE", requires = "window")]
    pub(super) perfetto: Option<PathBuf>,
    /// The window of --perfetto, in seconds of simulated time, such as 30..35
    #[arg(long, value_name = "FROM..TO", requires = "perfetto", value_parser = window_of)]
    pub(super) window: Option<Window>,
    /// Writes the audit log of erasures: a line for each erasure and place (.csv or .csv.gz)
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// Looks for the fewest nodes with which a simulation meets the objectives, beside what closed
    /// forms ask for: some ten more runs
    #[arg(long)]
    sizing: bool,
    /// Threads to use; the result does not depend on it [default: all]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
}

pub fn run(args: &RunArgs) -> Result<Finished, Failure> {
    spare(
        &[&args.scenario.scenario],
        &[
            ("--requests", args.requests.as_deref()),
            ("--series", args.series.as_deref()),
            ("--perfetto", args.perfetto.as_deref()),
            ("--audit", args.audit.as_deref()),
        ],
    )?;
    let (mut document, folder) = args.scenario.load()?;
    if let Some(replications) = args.replications {
        let value = replications.to_string();
        document
            .set("run.replications", &value)
            .map_err(Failure::of)?;
    }
    use_threads(args.threads);
    if let Some(out) = &args.out {
        // Before a run that may take long, rather than after it.
        std::fs::create_dir_all(out).map_err(|error| no_folder(out, &error))?;
    }
    if args.sizing {
        check_sizing(&document, &folder)?;
    }
    let mut outcome = simulate(args, &document, &folder)?;
    if args.sizing {
        size(&mut outcome, &document, &folder)?;
    }
    let mut timed = outcome.result.clone();
    let cpu_s = outcome.cpu_s;
    timed.sim.cpu_s = Some(cpu_s);
    let simulated = outcome.simulated;
    timed.sim.requests_per_cpu_s = (cpu_s > 0.0).then(|| simulated as f64 / cpu_s);
    timed.sim.peak_rss_mb = peak_rss_mb();
    let page = terminal::render(&outcome);
    if let Some(out) = &args.out {
        write_folder(out, &outcome, &page, (&document, &folder))?;
    }
    tell_speed(&timed, simulated);
    let text = match (args.json, args.omit_timing) {
        (false, _) => page,
        (true, false) => json_text(&timed.to_json()),
        (true, true) => json_text(&outcome.result.to_json()),
    };
    Ok(Finished {
        text,
        code: exit_code(&outcome.result),
    })
}

/// Puts into the result how far simulation moves what closed forms ask for.
fn size(outcome: &mut Outcome, document: &Document, folder: &Path) -> Result<(), Failure> {
    let progress = Progress::new("looking for the fewest nodes");
    let control = Control {
        simulations: Some(&|simulations| progress.expect(simulations)),
        progress: Some(&|share| progress.advance(share)),
        ..Control::default()
    };
    let found = by_simulation(document, folder, &outcome.plan, control);
    progress.finish();
    outcome.result.sizing = found.map_err(Failure::of)?;
    Ok(())
}

/// Refuses `--sizing` where closed forms say nothing, before anything runs.
fn check_sizing(document: &Document, folder: &Path) -> Result<(), Failure> {
    let plan = resolve(document, folder).map_err(Failure::of)?;
    match Sizing::by_theory(&plan) {
        Some(_) => Ok(()),
        None => Err(Failure::of(
            "--sizing: closed forms size fleets of one pool, first come first served, with open arrivals \
             and an objective on e2e_ms that can be met; this is none: leave --sizing out",
        )),
    }
}

/// The speed goes to standard error: it is of this machine, and the page is not.
#[allow(clippy::print_stderr)]
fn tell_speed(result: &RunResult, simulated: u64) {
    eprintln!(
        "{} requests/CPU-second ({} requests in {} s of CPU time), peak memory {} MB",
        significant(result.sim.requests_per_cpu_s),
        count(simulated),
        significant(result.sim.cpu_s),
        significant(result.sim.peak_rss_mb)
    );
}

fn exit_code(result: &RunResult) -> u8 {
    let claims_hold = result
        .claims
        .iter()
        .all(|claim| claim.verdict == Verdict::Holds);
    // An objective that was stated must be shown to be met; a partial run shows nothing.
    let objectives_hold = result
        .slo
        .iter()
        .all(|row| row.target.is_none() || row.met == Some(true));
    match claims_hold && objectives_hold && result.partial.is_none() {
        true => FINE,
        false => DOES_NOT_HOLD,
    }
}

fn simulate(args: &RunArgs, document: &Document, folder: &Path) -> Result<Outcome, Failure> {
    let progress = Progress::new("simulating");
    let stop = stop_flag();
    let mut file = match &args.requests {
        Some(path) => Some(open_requests(path, document, folder)?),
        None => None,
    };
    let mut audit = match &args.audit {
        Some(path) => Some(open_audit(path, document, folder)?),
        None => None,
    };
    let mut failed: Option<RequestFileError> = None;
    let mut unlogged: Option<AuditError> = None;
    let mut note = |lines: &[AuditRow], places: &[String]| {
        if let (Some(file), None) = (&mut audit, &unlogged)
            && let Err(error) = file.write(lines, places)
        {
            unlogged = Some(error);
        }
    };
    let audit_sink: AuditSink<'_> = Mutex::new(&mut note);
    let mut take = |rows: &[RequestRow]| {
        if let (Some(file), None) = (&mut file, &failed)
            && let Err(error) = file.write(rows)
        {
            failed = Some(error);
        }
    };
    let sink: RowSink<'_> = Mutex::new(&mut take);
    let mut onlookers = Onlookers::open(args, document, folder)?;
    let watches = onlookers.are_any();
    let mut observers = onlookers.observers();
    let seat: ObserverSeat<'_> = Mutex::new(&mut observers);
    let control = Control {
        stop: Some(&stop),
        simulations: Some(&|simulations| progress.expect(simulations)),
        progress: Some(&|share| progress.advance(share)),
        rows: args.requests.is_some().then_some(&sink),
        audit: args.audit.is_some().then_some(&audit_sink),
        observer: watches.then_some(&seat),
        charts: args.out.is_some(),
    };
    let outcome = run_scenario(document, folder, control).map_err(Failure::of);
    progress.finish();
    if let Some(error) = failed {
        return Err(Failure::of(error));
    }
    if let Some(file) = file {
        file.finish().map_err(Failure::of)?;
    }
    if let Some(error) = unlogged {
        return Err(Failure::of(error));
    }
    if let Some(audit) = audit {
        audit.finish().map_err(Failure::of)?;
    }
    if outcome.is_ok() {
        onlookers.finish()?;
    }
    outcome
}

/// A flag that Ctrl-C (or SIGTERM) raises: a run ends within a few thousand events, with a partial
/// report; a sweep finishes the points in flight. A second Ctrl-C ends the program at once.
#[allow(clippy::exit)] // from the handler's own thread there is nothing to return to
pub(super) fn stop_flag() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    // Without a handler Ctrl-C just ends the program, without a partial report.
    let _ = ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
    });
    stop
}

fn open_requests(path: &Path, document: &Document, folder: &Path) -> Result<RequestFile, Failure> {
    let plan: Plan = resolve(document, folder).map_err(Failure::of)?;
    if plan.scenario.run.replications > 1 {
        return Err(Failure::of(format!(
            "--requests {}: needs one replication, but run.replications is {}; set it to 1",
            path.display(),
            plan.scenario.run.replications
        )));
    }
    check_not_the_trace(&plan, "--requests", path)?;
    let names = Names::of(&plan);
    RequestFile::create(path, names).map_err(Failure::of)
}

/// Opening a file empties it: the trace must not be lost.
pub(super) fn check_not_the_trace(plan: &Plan, option: &str, path: &Path) -> Result<(), Failure> {
    if let SourcePlan::Trace { source, .. } = &plan.fleet.source
        && let (Ok(trace), Ok(own)) = (source.path.canonicalize(), path.canonicalize())
        && trace == own
    {
        return Err(Failure::of(format!(
            "{option} {}: is the trace that the scenario replays; give another name",
            path.display()
        )));
    }
    Ok(())
}

fn open_audit(path: &Path, document: &Document, folder: &Path) -> Result<AuditFile, Failure> {
    let plan: Plan = resolve(document, folder).map_err(Failure::of)?;
    if plan.fleet.erasure.is_none() {
        return Err(Failure::of(format!(
            "--audit {}: the scenario has no [erasure], so that there is nothing to log; add one or leave it out",
            path.display()
        )));
    }
    if plan.scenario.run.replications > 1 {
        return Err(Failure::of(format!(
            "--audit {}: needs one replication, but run.replications is {}; set it to 1",
            path.display(),
            plan.scenario.run.replications
        )));
    }
    AuditFile::create(path).map_err(Failure::of)
}

fn no_folder(path: &Path, error: &std::io::Error) -> Failure {
    Failure::of(format!(
        "{}: cannot write: {error}; check the folder given with --out",
        path.display()
    ))
}

/// The scenario with the paths of its trace, its faults, its profiles and cards in full, so that it runs from any folder.
fn with_full_paths(document: &Document, folder: &Path) -> Result<Document, Failure> {
    let mut movable = document.clone();
    let scenario: Scenario = document.parse_as().map_err(Failure::of)?;
    let mut full = |field: String, path: &str| -> Result<(), Failure> {
        let path = std::path::absolute(folder.join(path)).map_err(Failure::of)?;
        let path = toml::Value::String(path.display().to_string());
        movable.set_value(&field, path).map_err(Failure::of)
    };
    if let Arrivals::Trace { path, .. } = &scenario.workload.arrivals {
        full("workload.arrivals.path".to_owned(), path)?;
    }
    if let Some(path) = &scenario.faults.file {
        full("faults.file".to_owned(), path)?;
    }
    let stores = scenario.erasure.iter().flat_map(|erasure| &erasure.stores);
    for (index, store) in stores.enumerate() {
        if let Store::RequestLog(log) = store
            && let Some(path) = log.calibration.as_ref().filter(|it| it.ends_with(".json"))
        {
            full(format!("erasure.stores.{index}.calibration"), path)?;
        }
    }
    for (index, pool) in scenario.pools.iter().enumerate() {
        let Pool::Llm(pool) = pool else { continue };
        if let Some(profile) = &pool.profile {
            full(format!("pools.{index}.profile"), profile)?;
        }
        let drafts = pool.speculative.as_ref();
        let draft = drafts.and_then(|drafts| drafts.draft_model.as_ref());
        let cards = [("model", &pool.model), ("accelerator", &pool.accelerator)];
        let draft = draft.map(|card| ("speculative.draft_model", card));
        for (field, card) in cards.into_iter().chain(draft) {
            if card.contains('/') || card.ends_with(".toml") {
                full(format!("pools.{index}.{field}"), card)?;
            }
        }
    }
    Ok(movable)
}

/// Writes what is the same on every machine, but for the full paths in the scenario.
fn write_folder(
    out: &Path,
    outcome: &Outcome,
    page: &str,
    (document, folder): (&Document, &Path),
) -> Result<(), Failure> {
    let json = json_text(&outcome.result.to_json());
    let movable = with_full_paths(document, folder)?;
    let replications = serde_json::to_value(Replications::of(outcome)).map_err(Failure::of)?;
    let charts = serde_json::to_string(&outcome.charts).map_err(Failure::of)? + "\n";
    for (name, text) in [
        ("result.json", json.as_str()),
        (charts::FILE, charts.as_str()),
        ("replications.json", json_text(&replications).as_str()),
        ("report.txt", page),
        ("scenario.toml", movable.effective_toml().as_str()),
    ] {
        let path = out.join(name);
        std::fs::write(&path, text).map_err(|error| no_folder(&path, &error))?;
    }
    Ok(())
}
