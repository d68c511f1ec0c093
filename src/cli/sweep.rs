//! `seatrial sweep` and `seatrial merge`: a scenario at many points.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::progress::Progress;
use super::run::stop_flag;
use super::{FAILURE, FINE, Failure, Finished, json_text, use_threads};
use crate::experiment::sweep::identity::{Header, Shard};
use crate::experiment::sweep::merge::{journals, merge as put_together};
use crate::experiment::sweep::outcome::SweepOutcome;
use crate::experiment::sweep::part::Part;
use crate::experiment::sweep::run::Watch;
use crate::experiment::sweep::setup::{Checked, Setup};
use crate::measure::CpuClock;
use crate::report::number::{WIDTH, count, plural, significant, wrap};
use crate::report::sweep as files;
use crate::report::terminal::sweep::render;

/// Arguments of `sweep`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every finished point is on the disk at once, in DIR/journal.jsonl: the same command \
                  goes on where it was stopped, and refuses points of another experiment, scenario, \
                  input file or version. Ctrl-C finishes the points in flight; a second one ends at once. Exit code 2: \
                  stopped before all points were run, or a failure."
)]
pub struct SweepArgs {
    /// The experiment, a TOML file
    experiment: PathBuf,
    /// Folder of the journal and the results [default: out/NAME, by the experiment's name]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Runs one part of the points, I from 0 to N - 1; `merge` puts the parts together
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Prints one JSON document instead of the page
    #[arg(long)]
    json: bool,
    /// Threads to use; the result does not depend on it [default: all]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
}

/// Arguments of `merge`.
#[derive(Debug, clap::Args)]
pub struct MergeArgs {
    /// Folders that `sweep --shard` wrote to, or journals in them
    #[arg(required = true)]
    from: Vec<PathBuf>,
    /// Folder of the results [default: the first folder named]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Prints one JSON document instead of the page
    #[arg(long)]
    json: bool,
}

pub fn sweep(args: &SweepArgs) -> Result<Finished, Failure> {
    let threads = use_threads(args.threads);
    let setup = Setup::load(&args.experiment).map_err(Failure::of)?;
    let checked = check(&setup)?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None => Path::new("out").join(&setup.experiment.name),
    };
    make_folder(&out)?;
    let part = Part::begin(&setup, &checked, &out, args.shard);
    let mut part = part.map_err(Failure::of)?;
    let whole = run_pending(&setup, &checked, &mut part, threads)?;
    checked.still_so().map_err(Failure::of)?;
    if whole && args.shard.is_none() {
        let outcome = part.outcome().map_err(Failure::of)?;
        return told_whole(args.json, &outcome, &out);
    }
    let done = part.done().map_err(Failure::of)?;
    Ok(told(args, &checked.header, &out, (done, part.all())))
}

fn check(setup: &Setup) -> Result<Checked, Failure> {
    let progress = Progress::new("checking");
    progress.expect(setup.points.len() as u64);
    let checked = setup.check(&|| progress.advance(1.0));
    progress.finish();
    checked.map_err(Failure::of)
}

/// Runs what is not there yet, and tells on standard error what that took on this machine.
#[allow(clippy::print_stderr)]
fn run_pending(
    setup: &Setup,
    checked: &Checked,
    part: &mut Part,
    threads: usize,
) -> Result<bool, Failure> {
    let clock = CpuClock::start_process();
    let progress = Progress::new("sweeping");
    let (to_run, others) = (part.pending().len(), part.pending().others());
    let points = part.pending().points();
    let replications = points.map(|it| u64::from(checked.replications[it]));
    progress.expect(replications.sum());
    let watch = Watch {
        threads,
        stop: &stop_flag(),
        progress: &|share| progress.advance(share),
    };
    let done = part.run(setup, &watch);
    progress.finish();
    let alike = match others {
        0 => String::new(),
        others => format!(", {} that set the same", count(others as u64)),
    };
    eprintln!(
        "{} to run{alike}, {} there already; {} s of CPU time",
        plural(to_run as u64, "point"),
        count((part.all() - to_run - others) as u64),
        significant(Some(clock.elapsed_s()))
    );
    done.map_err(Failure::of)
}

fn told_whole(json: bool, outcome: &SweepOutcome, out: &Path) -> Result<Finished, Failure> {
    files::write(outcome, out).map_err(Failure::of)?;
    if json {
        return Ok(Finished::fine(json_text(&outcome.to_json())));
    }
    let mut text = render(outcome);
    let written = format!("{}: {}", out.display(), files::FILES.join(", "));
    text.push_str(&format!("\n{}\n", wrap(&written, WIDTH, 2)));
    Ok(Finished::fine(text))
}

/// What is said of a sweep that is not whole: a shard, or one that was stopped.
fn told(args: &SweepArgs, header: &Header, out: &Path, (done, all): (usize, usize)) -> Finished {
    let name = &header.experiment.name;
    let code = if done == all { FINE } else { FAILURE };
    if args.json {
        let shard = args.shard.map(|shard| shard.to_string());
        let document = json!({
            "schema": 1,
            "experiment": name,
            "shard": shard,
            "points_done": done,
            "points": all,
            "complete": done == all,
        });
        return Finished {
            text: json_text(&document),
            code,
        };
    }
    let shard = args
        .shard
        .map(|shard| format!(", shard {shard}"))
        .unwrap_or_default();
    let next = match done == all {
        true => format!("when all shards are: seatrial merge {}", out.display()),
        false => "stopped; the same command goes on from here".to_owned(),
    };
    let text = format!(
        "{name}{shard}: {} of {} done; {next}\n",
        count(done as u64),
        plural(all as u64, "point")
    );
    Finished { text, code }
}

pub fn merge(args: &MergeArgs) -> Result<Finished, Failure> {
    let paths = journals(&args.from).map_err(Failure::of)?;
    let out = match (&args.out, args.from.first()) {
        (Some(out), _) => out.clone(),
        (None, Some(first)) if first.is_dir() => first.clone(),
        (None, Some(first)) => first.parent().unwrap_or(Path::new("")).to_owned(),
        (None, None) => PathBuf::new(),
    };
    make_folder(&out)?;
    let outcome = put_together(&paths, &out).map_err(Failure::of)?;
    told_whole(args.json, &outcome, &out)
}

fn make_folder(out: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(out).map_err(|error| {
        Failure::of(format!(
            "{}: cannot be made: {error}; check the folder given with --out",
            out.display()
        ))
    })
}
