//! `seatrial compare`: two scenarios or results side by side.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::progress::Progress;
use super::{Failure, Finished, Repeats, ScenarioArgs, json_text, use_threads};
use crate::experiment::compare::compare as put_side_by_side;
use crate::experiment::compare::figures::{Figure, check};
use crate::experiment::compare::side::Side;
use crate::experiment::runner::{Control, run_plan};
use crate::report::terminal::compare::render;
use crate::scenario::resolve::{Plan, resolve};

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A and B are scenarios (TOML files), which are run, or folders that `run --out` wrote. \
                  One scenario twice with --set-b asks what a change would do."
)]
pub struct CompareArgs {
    /// What is compared with: a scenario, or a folder of a run
    a: PathBuf,
    /// What is judged: a scenario, or a folder of a run
    b: PathBuf,
    /// Overrides a field of both scenarios by its path (may be repeated)
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Overrides a field of B alone (may be repeated)
    #[arg(long, value_name = "PATH=VALUE")]
    set_b: Vec<String>,
    /// Compares by this metric, as in claims, rather than by the usual ones; `less:` or `more:` before
    /// it says which way is better (may be repeated)
    #[arg(long, value_name = "METRIC")]
    metric: Vec<String>,
    #[command(flatten)]
    repeats: Repeats,
}

/// A scenario ready to run, or a folder.
enum Source {
    Plan(Box<Plan>),
    Read(Box<Side>),
}

pub fn compare(args: &CompareArgs) -> Result<Finished, Failure> {
    use_threads(args.repeats.threads);
    let asked = args.metric.iter().map(|text| Figure::parse(text));
    let asked: Vec<Figure> = asked.collect::<Result<_, _>>().map_err(Failure::of)?;
    let mut texts = BTreeSet::new();
    if let Some(twice) = asked.iter().find(|it| !texts.insert(it.metric.text())) {
        return Err(Failure::of(format!(
            "--metric {}: is asked for twice; ask once",
            twice.metric.text()
        )));
    }
    once("--set", &args.set)?;
    once("--set-b", &args.set_b)?;
    // Of B its own holds.
    let of_b = args.set_b.iter().map(|change| path_of(change));
    let of_b: BTreeSet<&str> = of_b.collect();
    let shared = args.set.iter();
    let shared = shared.filter(|change| !of_b.contains(path_of(change)));
    let both: Vec<String> = shared.chain(&args.set_b).cloned().collect();
    // Both are read and checked before either is run.
    let sources = [
        open(args, &args.a, &args.set)?,
        open(args, &args.b, &both).map_err(|failure| by_flag(args, failure))?,
    ];
    for source in &sources {
        if let Source::Plan(plan) = source {
            check(&asked, plan).map_err(|error| Failure::of(format!("--metric: {error}")))?;
        }
    }
    let labels = [label(&args.a, &args.set), label(&args.b, &both)];
    let progress = Progress::new("comparing");
    let runs = sources.iter().map(|source| match source {
        Source::Plan(plan) => u64::from(plan.scenario.run.replications),
        Source::Read(_) => 0,
    });
    progress.expect(runs.sum());
    let mut sides = Vec::new();
    for (source, label) in sources.into_iter().zip(labels) {
        sides.push(match source {
            Source::Read(side) => *side,
            Source::Plan(plan) => {
                let control = Control {
                    progress: Some(&|share| progress.advance(share)),
                    ..Control::default()
                };
                Side::of(label, run_plan(*plan, control).map_err(Failure::of)?)
            }
        });
    }
    progress.finish();
    let comparison = put_side_by_side(&sides[0], &sides[1], &asked).map_err(Failure::of)?;
    if !args.repeats.json {
        return Ok(Finished::fine(render(&sides[0], &sides[1], &comparison)));
    }
    let side = |side: &Side| -> Value {
        json!({
            "label": side.label,
            "scenario": side.scenario(),
            "seed": side.seed(),
            "replications": side.replications.len(),
            "digest": side.digest(),
        })
    };
    let mut document = json!({"schema": 1, "a": side(&sides[0]), "b": side(&sides[1])});
    if let (Value::Object(document), Ok(Value::Object(fields))) =
        (&mut document, serde_json::to_value(&comparison))
    {
        document.extend(fields);
    }
    Ok(Finished::fine(json_text(&document)))
}

/// What is wrong with B, with the flag of B's own overrides.
fn by_flag(args: &CompareArgs, failure: Failure) -> Failure {
    let paths = args.set_b.iter().map(|change| path_of(change));
    let text = paths.fold(failure.0, |text, path| {
        text.replace(&format!("--set {path}"), &format!("--set-b {path}"))
    });
    Failure(text)
}

/// The path of a change.
fn path_of(change: &str) -> &str {
    change.split('=').next().unwrap_or_default().trim()
}

/// Refuses a field that is set twice: which of the two holds, a reader of the page could not tell.
fn once(flag: &str, changes: &[String]) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    match changes.iter().find(|change| !seen.insert(path_of(change))) {
        None => Ok(()),
        Some(twice) => Err(Failure::of(format!(
            "{flag} {twice}: its field is set by another {flag}, too; give one"
        ))),
    }
}

fn label(path: &Path, set: &[String]) -> String {
    match set.is_empty() {
        true => path.display().to_string(),
        false => format!("{} with {}", path.display(), set.join(", ")),
    }
}

fn open(args: &CompareArgs, path: &Path, set: &[String]) -> Result<Source, Failure> {
    if path.is_dir() {
        if !set.is_empty() || args.repeats.replications.is_some() {
            return Err(Failure::of(format!(
                "{}: is a result, which cannot be changed by --set, --set-b or --replications; give its \
                 scenario instead ({})",
                path.display(),
                path.join("scenario.toml").display()
            )));
        }
        let side = Side::read(path).map_err(Failure::of)?;
        return Ok(Source::Read(Box::new(side)));
    }
    if path.extension().is_some_and(|end| end == "json") {
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        return Err(Failure::of(format!(
            "{}: is a file of a result, not a scenario; give its folder ({})",
            path.display(),
            folder.unwrap_or(Path::new(".")).display()
        )));
    }
    let scenario = ScenarioArgs {
        scenario: path.to_owned(),
        set: set.to_vec(),
        seed: None,
    };
    let (document, folder) = args.repeats.load(&scenario)?;
    let plan = resolve(&document, &folder).map_err(Failure::of)?;
    Ok(Source::Plan(Box::new(plan)))
}
