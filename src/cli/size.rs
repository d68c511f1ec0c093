//! `seatrial size`: the cheapest design that meets its objectives.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::progress::Progress;
use super::run::stop_flag;
use super::{DOES_NOT_HOLD, FINE, Failure, Finished, json_text, use_threads};
use crate::experiment::runner::RunError;
use crate::experiment::size::bench::Bench;
use crate::experiment::size::error::SizeError;
use crate::experiment::size::journal::Journal;
use crate::experiment::size::look::Look;
use crate::experiment::size::schema::{EVENTS_PER_CPU_S, SizingFile};
use crate::experiment::size::search::search;
use crate::experiment::size::setup::{Setup, only_pool};
use crate::measure::CpuClock;
use crate::report::number::{plural, significant};
use crate::report::terminal::size::render;
use crate::scenario::{Document, Location, Problem, ScenarioError, SourceText};

/// What the flags are called where a file would be.
const FLAGS: &str = "(command line)";

/// Arguments of `size`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A design is said to meet a constraint only where the whole confidence interval is \
                  within its bound. The budget counts simulated events, so that the answer does not \
                  depend on the machine or the threads. Exit code 1: no design was shown to \
                  do; 2: stopped (Ctrl-C) or failed."
)]
pub struct SizeArgs {
    /// A sizing file, or a scenario with the flags below
    file: PathBuf,
    /// Of a scenario: what may be chosen, as PATH=FROM..TO (whole numbers) or PATH=VALUE,VALUE (may be
    /// repeated) [default: the replicas of its only pool]
    #[arg(long, value_name = "PATH=VALUES")]
    knob: Vec<String>,
    /// Of a scenario: a bound on a metric (may be repeated) [default: its objectives]
    #[arg(long, value_name = "METRIC=VALUE")]
    at_most: Vec<String>,
    /// Of a scenario: a bound on a metric from below (may be repeated)
    #[arg(long, value_name = "METRIC=VALUE")]
    at_least: Vec<String>,
    /// The metric of which the least is wanted [default: cost.usd_per_year]
    #[arg(long, value_name = "METRIC")]
    objective: Option<String>,
    /// How sure it is to be, such as 0.99
    #[arg(long)]
    confidence: Option<f64>,
    /// How much may be simulated for each case, in seconds of three million events
    #[arg(long, value_name = "SECONDS")]
    budget_cpu_s: Option<f64>,
    /// Replications of a design at most
    #[arg(long, value_name = "NUMBER")]
    replications: Option<u32>,
    /// Overrides a field of the scenario by its path (may be repeated)
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Keeps every look in this folder at once, so that the same command goes on where it was stopped,
    /// and writes the answer there, too
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Prints one JSON document instead of the page
    #[arg(long)]
    json: bool,
    /// Threads to use; the result does not depend on it [default: all]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
}

#[allow(clippy::print_stderr)]
pub fn size(args: &SizeArgs) -> Result<Finished, Failure> {
    use_threads(args.threads);
    let clock = CpuClock::start_process();
    let setup = load(args)?;
    let journal = match &args.out {
        Some(out) => Some(open(&setup, out)?),
        None => None,
    };
    let (journal, looks) = journal.map_or((None, BTreeMap::new()), |(a, b)| (Some(a), b));
    let progress = Progress::new("sizing");
    let budget = setup.sizing.budget_cpu_s * EVENTS_PER_CPU_S;
    progress.expect(setup.cases.len() as u64);
    let tell = |events: u64| progress.advance(events as f64 / budget);
    let stop = stop_flag();
    let bench = Bench::new(&setup, (journal, looks), &stop, &tell);
    let found = search(&bench);
    progress.finish();
    let outcome = found.map_err(|error| by_flags(args, error))?;
    eprintln!(
        "{} run, {} CPU-seconds on this machine",
        plural(bench.ran(), "look"),
        significant(Some(clock.elapsed_s()))
    );
    let page = render(&outcome);
    let document = json_text(&outcome.to_json());
    if let Some(out) = &args.out {
        for (name, text) in [("size.json", &document), ("size.txt", &page)] {
            let path = out.join(name);
            std::fs::write(&path, text).map_err(|error| {
                Failure::of(format!("{}: cannot be written: {error}", path.display()))
            })?;
        }
    }
    Ok(Finished {
        text: if args.json { document } else { page },
        code: if outcome.all_found() {
            FINE
        } else {
            DOES_NOT_HOLD
        },
    })
}

fn open(setup: &Setup, out: &Path) -> Result<(Journal, BTreeMap<String, Look>), Failure> {
    std::fs::create_dir_all(out).map_err(|error| {
        Failure::of(format!(
            "{}: cannot be made: {error}; check the folder given with --out",
            out.display()
        ))
    })?;
    let header = setup.header().map_err(Failure::of)?;
    Journal::open(&Journal::path_in(out), &header).map_err(Failure::of)
}

fn load(args: &SizeArgs) -> Result<Setup, Failure> {
    let read =
        || -> Result<Document, ScenarioError> { Document::parse(SourceText::load(&args.file)?) };
    let mut document = read().map_err(Failure::of)?;
    let overrides = args.set.iter().map(|change| pair("--set", change));
    let overrides: Vec<(String, String)> = overrides.collect::<Result<_, _>>()?;
    let shown = args.file.display().to_string();
    let folder = args.file.parent().unwrap_or(Path::new(""));
    if !SizingFile::is_one(&document) {
        let document = from_flags(args, &document, folder, &overrides)?;
        let setup = Setup::of(&document, folder, FLAGS, &overrides);
        let setup = setup.map_err(|error| by_flags(args, error))?;
        // What is set of the knob that is taken where none is given says how far it goes.
        return match args.knob.is_empty() {
            true => Ok(setup),
            false => by_knobs(setup, &overrides),
        };
    }
    let of_scenarios = [
        ("--knob", !args.knob.is_empty()),
        ("--at-most", !args.at_most.is_empty()),
        ("--at-least", !args.at_least.is_empty()),
    ];
    if let Some((flag, _)) = of_scenarios.iter().find(|(_, given)| *given) {
        return Err(Failure::of(format!(
            "{flag}: is for scenarios, and {shown} is a sizing file; write it in there"
        )));
    }
    change(args, &mut document)?;
    let setup = Setup::of(&document, folder, &shown, &overrides);
    by_knobs(setup.map_err(|error| by_flags(args, error))?, &overrides)
}

/// Refuses what is set of a field that a knob sets, which would not be heard.
fn by_knobs(setup: Setup, overrides: &[(String, String)]) -> Result<Setup, Failure> {
    for (path, value) in overrides {
        if let Some(knob) = setup.set_by_knob(path) {
            return Err(Failure::of(format!(
                "--set {path}={value}: the knob {knob} sets this field; take one of the two away"
            )));
        }
    }
    Ok(setup)
}

/// Flags that change any sizing: the flag, the field that it stands for, and its value if it was given.
fn changes(args: &SizeArgs) -> [(&'static str, &'static str, Option<String>); 4] {
    let quoted = |text: &String| json!(text).to_string();
    let number = |it: f64| it.to_string();
    let most = args.replications.map(|it| it.to_string());
    [
        (
            "--objective",
            "objective",
            args.objective.as_ref().map(quoted),
        ),
        ("--confidence", "confidence", args.confidence.map(number)),
        (
            "--budget-cpu-s",
            "budget_cpu_s",
            args.budget_cpu_s.map(number),
        ),
        ("--replications", "replications.most", most),
    ]
}

fn change(args: &SizeArgs, document: &mut Document) -> Result<(), Failure> {
    for (flag, path, value) in changes(args) {
        let Some(value) = value else { continue };
        if ["NaN", "inf", "-inf"].contains(&value.as_str()) {
            return Err(no_number(&format!("{flag} {value}"), &value));
        }
        document.set(path, &value).map_err(Failure::of)?;
    }
    Ok(())
}

/// What is said of a number that is none.
fn no_number(flag: &str, value: &str) -> Failure {
    Failure::of(format!("{flag}: {value} is no finite number; give one"))
}

/// An error of a sizing, with the flag where it is of what a flag says.
fn by_flags(args: &SizeArgs, error: SizeError) -> Failure {
    let flagged = |problem: Problem| flagged(args, problem);
    Failure::of(match error {
        SizeError::Scenario(error) => SizeError::Scenario(error.with_problems(&flagged)),
        SizeError::Design {
            case,
            words,
            source,
        } => SizeError::Design {
            case,
            words,
            source: Box::new(match *source {
                RunError::Scenario { context, source } => RunError::Scenario {
                    context,
                    source: Box::new(source.with_problems(&flagged)),
                },
                other => other,
            }),
        },
        SizeError::Metric {
            place,
            field,
            reason,
            case,
            words,
        } => SizeError::Metric {
            place: flag_of(args, &field).map_or(place, |flag| format!("{flag}: ")),
            field,
            reason,
            case,
            words,
        },
        other => other,
    })
}

/// The flag that has the objective or a constraint, if one has.
fn flag_of(args: &SizeArgs, field: &str) -> Option<String> {
    if let (Some(objective), "objective") = (&args.objective, field) {
        return Some(format!("--objective {objective}"));
    }
    let name = field.strip_prefix("constraints.")?;
    let of_flag = |flag: &str, rows: &[String]| {
        let mut rows = rows.iter();
        let is_it = |metric: &str| name == metric || name == format!("{metric} {}", &flag[2..]);
        let row = rows.find(|row| row.split_once('=').is_some_and(|it| is_it(it.0.trim())))?;
        Some(format!("{flag} {row}"))
    };
    of_flag("--at-most", &args.at_most).or_else(|| of_flag("--at-least", &args.at_least))
}

fn flagged(args: &SizeArgs, mut problem: Problem) -> Problem {
    let knob = |text: &str| format!("--knob {text}");
    if let Some(path) = problem.location.override_path() {
        let mut changes = changes(args).into_iter();
        let change = changes.find(|(_, field, value)| *field == path && value.is_some());
        let of_path = |text: &&String| text.split_once('=').is_some_and(|it| it.0.trim() == path);
        if let Some((flag, _, _)) = change {
            problem.location = Location::file(flag);
        } else if let Some(text) = args.knob.iter().find(of_path) {
            problem.location = problem.location.from_entry(&knob(text));
        }
    } else if let Some(rest) = problem.field.strip_prefix("constraints.") {
        // A constraint is named after its metric, in quotes for the dots.
        let quoted = rest.strip_prefix('"').and_then(|it| it.split_once('"'));
        let (name, field) = quoted
            .or_else(|| rest.split_once('.'))
            .unwrap_or((rest, ""));
        if let Some(flag) = flag_of(args, &format!("constraints.{name}")) {
            let field = field.trim_start_matches('.').to_owned();
            (problem.location, problem.field) = (Location::file(flag), field);
        }
    } else if let Some(rest) = problem.field.strip_prefix("knobs.") {
        // The sizing has the knobs in the order of the flags.
        let (index, field) = rest.split_once('.').unwrap_or((rest, "values"));
        let text = index
            .parse()
            .ok()
            .and_then(|index: usize| args.knob.get(index));
        if let Some(text) = text {
            (problem.location, problem.field) = (Location::file(knob(text)), field.to_owned());
            if problem.remedy.contains("more_helps") {
                problem.remedy =
                    "put numbers in order; a sizing file can have text, and name the knob of \
                                  which more helps (`seatrial schema --of sizing`)"
                        .to_owned();
            }
        }
    }
    problem
}

/// The sizing that flags describe.
fn from_flags(
    args: &SizeArgs,
    scenario: &Document,
    folder: &Path,
    overrides: &[(String, String)],
) -> Result<Document, Failure> {
    let mut paths = BTreeSet::new();
    for text in &args.knob {
        if !paths.insert(pair("--knob", text)?.0) {
            return Err(Failure::of(format!(
                "--knob {text}: its path is that of another --knob; give each path once, with all of its \
                 values"
            )));
        }
    }
    let knobs: Vec<serde_json::Value> = match args.knob.is_empty() {
        false => args
            .knob
            .iter()
            .map(|it| knob(it))
            .collect::<Result<_, _>>()?,
        true => vec![replicas(scenario, folder, overrides)?],
    };
    let mut constraints = Vec::new();
    for (flag, field, rows) in [
        ("--at-most", "at_most", &args.at_most),
        ("--at-least", "at_least", &args.at_least),
    ] {
        for row in rows {
            let (metric, bound) = pair(flag, row)?;
            let Ok(number) = bound.parse::<f64>() else {
                let message =
                    format!("{flag} {row}: {bound:?} is not a number; give METRIC=NUMBER");
                return Err(Failure::of(message));
            };
            if !number.is_finite() {
                return Err(no_number(&format!("{flag} {row}"), &bound));
            }
            let of_metric = |it: &&serde_json::Value| it["metric"] == metric;
            let mut own = constraints.iter().filter(of_metric);
            if own.any(|it| it.get(field).is_some()) {
                return Err(Failure::of(format!(
                    "{flag} {row}: {metric} has such a bound by another {flag}; give one"
                )));
            }
            // A band has two bounds of one metric.
            let is_other =
                |it: &serde_json::Value| it["metric"] == metric && it.get(field).is_none();
            let is_second = constraints.iter().any(is_other);
            let name = match is_second {
                true => format!("{metric} {}", &flag[2..]),
                false => metric.clone(),
            };
            constraints.push(json!({ "name": name, "metric": metric, field: number }));
        }
    }
    let file = args.file.file_name().unwrap_or_default().to_string_lossy();
    let name = scenario.to_json();
    let name = name
        .get("name")
        .and_then(|it| it.as_str())
        .unwrap_or("scenario");
    let sizing = json!({
        "name": name,
        "scenario": file,
        "knobs": knobs,
        "constraints": constraints,
    });
    let text = toml::to_string(&sizing).map_err(Failure::of)?;
    let mut document = Document::parse(SourceText::new(FLAGS, text)).map_err(Failure::of)?;
    change(args, &mut document)?;
    // No file has this text: a line of it would lead nowhere.
    Ok(document.without_lines())
}

fn pair(flag: &str, text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((path, value)) => Ok((path.trim().to_owned(), value.trim().to_owned())),
        None => Err(Failure::of(format!(
            "{flag} {text}: must have a `=` between its path and its value"
        ))),
    }
}

/// A knob as a flag has it.
fn knob(text: &str) -> Result<serde_json::Value, Failure> {
    let (path, values) = pair("--knob", text)?;
    if let Some((from, to)) = values.split_once("..") {
        let whole = |it: &str| it.trim().parse::<u32>().ok();
        let (Some(from), Some(to)) = (whole(from), whole(to)) else {
            return Err(Failure::of(format!(
                "--knob {text}: must be PATH=FROM..TO with two whole numbers up to {}, such as \
                 pools.nodes.replicas=1..40",
                u32::MAX
            )));
        };
        return match from.cmp(&to) {
            Ordering::Less => {
                Ok(json!({ "path": path, "range": { "from": from, "to": to, "step": 1 } }))
            }
            Ordering::Equal => Ok(json!({ "path": path, "values": [from] })),
            Ordering::Greater => Err(Failure::of(format!(
                "--knob {text}: must rise: write {path}={to}..{from}"
            ))),
        };
    }
    let one = |value: &str| -> Result<serde_json::Value, Failure> {
        if value.is_empty() {
            return Err(Failure::of(format!(
                "--knob {text}: has a value that is empty; give PATH=FROM..TO or PATH=VALUE,VALUE"
            )));
        }
        // As `--set` has it: what is no TOML value is a text.
        let parsed = format!("v = {value}").parse::<toml::Table>();
        let parsed = parsed.ok().and_then(|mut table| table.remove("v"));
        match parsed {
            Some(toml::Value::Float(number)) if !number.is_finite() => {
                Err(no_number(&format!("--knob {text}"), value))
            }
            Some(other) => Ok(json!(other)),
            None => Ok(json!(value)),
        }
    };
    let values = values.split(',').map(|it| one(it.trim()));
    let values: Vec<serde_json::Value> = values.collect::<Result<_, _>>()?;
    Ok(json!({ "path": path, "values": values }))
}

/// The replicas of the only pool, from 1 to well beyond what is stated and what closed forms ask for.
fn replicas(
    scenario: &Document,
    folder: &Path,
    overrides: &[(String, String)],
) -> Result<serde_json::Value, Failure> {
    let mut changed = scenario.clone();
    for (path, value) in overrides {
        changed.set(path, value).map_err(Failure::of)?;
    }
    match only_pool(&changed, folder).map_err(Failure::of)? {
        Some((name, most)) => {
            let path = format!("pools.{name}.replicas");
            Ok(json!({ "path": path, "range": { "from": 1, "to": most, "step": 1 } }))
        }
        None => Err(Failure::of(
            "size: the scenario has several pools, or nodes that come and go; say with --knob what may \
             be chosen, such as --knob pools.0.replicas=1..40",
        )),
    }
}
