//! From a sizing file to designs that are ready to be run: everything is read and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;

use super::entry::entry;
use super::error::SizeError;
use super::journal::Header;
use super::schema::{Case, Constraint, SizingFile};
use crate::experiment::estimate::nodes_by_theory;
use crate::experiment::metric::Metric;
use crate::experiment::runner::RunError;
use crate::experiment::sweep::axis::{Axis, Setting};
use crate::experiment::sweep::identity::{hashes, sha256};
use crate::experiment::variants::{Overrides, apply, before_it_begins};
use crate::inputs::recorded;
use crate::scenario::resolve::{Plan, resolve};
use crate::scenario::{Document, Problems, ScenarioError, SourceText};

/// A sizing with its scenario.
#[derive(Debug)]
pub struct Setup {
    /// The sizing.
    pub sizing: SizingFile,
    /// Its file, as shown to the user.
    file: String,
    /// It as a document, for where things stand.
    document: Document,
    /// The folder that paths of the scenario are relative to.
    folder: PathBuf,
    /// Combinations of the knobs that are not looked for by halves.
    pub kinds: Vec<Vec<Setting>>,
    /// Values of the knob that is, the least first; one of nothing where there is none.
    pub levels: Vec<Setting>,
    /// The cases.
    pub cases: Vec<Ready>,
    /// What is to be the least.
    pub objective: Metric,
    /// The files that designs read.
    files: BTreeSet<PathBuf>,
}

/// A case that is ready to be sized.
#[derive(Debug)]
pub struct Ready {
    /// The case; none for the scenario itself.
    pub case: Option<Case>,
    /// Fleets like it.
    pub parts: u32,
    /// The scenario with all that is set for its designs.
    base: Document,
    /// The fields that the command line sets, as `--set` does.
    overridden: BTreeSet<String>,
    /// What must be met.
    pub constraints: Vec<Constraint>,
    /// Their metrics.
    pub metrics: Vec<Metric>,
    /// How sure it is to be.
    pub confidence: f64,
}

impl Ready {
    /// Its name; empty for the scenario itself.
    pub fn name(&self) -> &str {
        self.case.as_ref().map_or("", |case| case.name.as_str())
    }
}

/// One design: a combination of the other knobs, and a value of the one looked for by halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Place in [`Setup::kinds`].
    pub kind: usize,
    /// Place in [`Setup::levels`].
    pub level: usize,
}

impl Setup {
    /// Reads a sizing and its scenario, and checks every case at both ends of every knob.
    ///
    /// # Errors
    /// [`SizeError`] of the first thing that is not as it should be.
    pub fn load(path: &Path, overrides: &[(String, String)]) -> Result<Setup, SizeError> {
        let document = Document::parse(SourceText::load(path)?)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Setup::of(&document, folder, &path.display().to_string(), overrides)
    }

    /// The same of a sizing that was read; `folder` is the one that its scenario's path is relative to,
    /// and `overrides` change the scenario as `--set` does.
    ///
    /// # Errors
    /// As of [`Setup::load`].
    pub fn of(
        document: &Document,
        folder: &Path,
        file: &str,
        overrides: &[(String, String)],
    ) -> Result<Setup, SizeError> {
        let sizing = SizingFile::read(document)?;
        let path = folder.join(&sizing.scenario);
        let mut base = Document::parse(SourceText::load(&path)?)?;
        // They are of the scenario as it stands.
        for section in ["claims", "variants"] {
            if !base.locate(section).is_default() {
                base.unset(section)?;
            }
        }
        let entry = |path: &str| entry(path, document, &sizing, None);
        let base = apply(&base, &sizing.set).map_err(|error| error.with_entries(&entry))?;
        check_paths(&sizing, document, &base)?;
        let ladder = sizing.ladder();
        let levels = ladder.and_then(|index| sizing.knobs[index].levels());
        let mut setup = Setup {
            kinds: kinds(&sizing.knobs, ladder),
            levels: levels.unwrap_or_else(|| vec![Vec::new()]),
            objective: parsed(&sizing.objective)?,
            cases: Vec::new(),
            file: file.to_owned(),
            document: document.clone(),
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            files: BTreeSet::new(),
            sizing,
        };
        let whole = setup.sizing.cases.iter().cloned().map(Some);
        let mut cases: Vec<Option<Case>> = whole.collect();
        if cases.is_empty() {
            cases.push(None);
        }
        for case in cases {
            let ready = setup.ready(&base, case, overrides)?;
            setup.cases.push(ready);
        }
        setup.check()?;
        Ok(setup)
    }

    fn ready(
        &self,
        base: &Document,
        case: Option<Case>,
        overrides: &[(String, String)],
    ) -> Result<Ready, SizeError> {
        let own = case.as_ref();
        let mut ready = Ready {
            parts: own.and_then(|it| it.parts).unwrap_or(self.sizing.parts),
            base: match own {
                Some(case) => apply(base, &case.set).map_err(|error| {
                    let entry = |path: &str| entry(path, &self.document, &self.sizing, own);
                    error.with_entries(&entry)
                })?,
                None => base.clone(),
            },
            case,
            overridden: overrides.iter().map(|(path, _)| path.clone()).collect(),
            constraints: self.sizing.constraints.clone(),
            metrics: Vec::new(),
            confidence: 0.0,
        };
        // What is said last holds.
        for (path, value) in overrides {
            ready.base.set(path, value)?;
        }
        let last = At {
            kind: 0,
            level: self.levels.len() - 1,
        };
        let plan = self.plan(&ready, last, 1)?;
        let confidence = self.sizing.confidence;
        ready.confidence = confidence.unwrap_or(plan.scenario.run.confidence);
        if ready.constraints.is_empty() {
            let before = before_it_begins(&plan);
            let before = before.map_err(|error| self.failed(&ready, last, error))?;
            ready.constraints = objectives(&before);
        }
        if ready.constraints.is_empty() {
            return Err(SizeError::Unbound {
                file: self.file.clone(),
            });
        }
        let metrics = ready.constraints.iter().map(|row| parsed(&row.metric));
        ready.metrics = metrics.collect::<Result<_, _>>()?;
        Ok(ready)
    }

    /// Checks every kind of design at its least and its most: that it is a valid scenario, and that its
    /// result has the metrics.
    fn check(&mut self) -> Result<(), SizeError> {
        let last = self.levels.len() - 1;
        let ends: Vec<(&Ready, At)> = self
            .cases
            .iter()
            .flat_map(|ready| {
                (0..self.kinds.len()).flat_map(move |kind| {
                    let ends = if last == 0 { vec![0] } else { vec![0, last] };
                    ends.into_iter()
                        .map(move |level| (ready, At { kind, level }))
                })
            })
            .collect();
        let looked: Vec<Result<BTreeSet<PathBuf>, SizeError>> = ends
            .par_iter()
            .map(|(ready, at)| {
                let (plan, files) = recorded(|| self.plan(ready, *at, self.most_replications()));
                self.check_metrics(ready, *at, &plan?)?;
                Ok(files)
            })
            .collect();
        let mut files = BTreeSet::new();
        for found in looked {
            files.extend(found?);
        }
        self.files = files;
        Ok(())
    }

    fn check_metrics(&self, ready: &Ready, at: At, plan: &Plan) -> Result<(), SizeError> {
        let before = before_it_begins(plan).map_err(|error| self.failed(ready, at, error))?;
        let rows = ready.constraints.iter().zip(&ready.metrics);
        let rows = rows.map(|(row, metric)| (format!("constraints.{}", row.name), metric));
        for (field, metric) in rows.chain([("objective".to_owned(), &self.objective)]) {
            if let Err(error) = metric.check_fields(&before) {
                return Err(SizeError::Metric {
                    place: format!("{}: {field}: ", self.file),
                    field,
                    reason: error.to_string(),
                    case: prefix(ready),
                    words: self.words(at),
                });
            }
        }
        Ok(())
    }

    fn most_replications(&self) -> u32 {
        self.sizing.replications.most
    }

    /// Paths and the values that a design sets.
    pub fn settings(&self, at: At) -> Overrides {
        let ladder = self.sizing.ladder();
        let mut others = self.kinds[at.kind].iter();
        let mut set = Overrides::new();
        for (index, knob) in self.sizing.knobs.iter().enumerate() {
            let setting = match Some(index) == ladder {
                true => Some(&self.levels[at.level]),
                false => others.next(),
            };
            let pairs = knob.paths().into_iter().zip(setting.into_iter().flatten());
            set.extend(pairs.map(|(path, value)| (path.to_owned(), value.clone())));
        }
        set
    }

    /// The path by which a knob sets the field of a path, if one does.
    pub fn set_by_knob(&self, path: &str) -> Option<&str> {
        let base = &self.cases.first()?.base;
        let own = base.pretty_path(path);
        let mut paths = self.sizing.knobs.iter().flat_map(Axis::paths);
        paths.find(|it| base.pretty_path(it) == own)
    }

    /// The number of the knob looked for by halves, where it is one number.
    pub fn level(&self, at: At) -> Option<f64> {
        match &self.levels[at.level][..] {
            [value] => value.as_f64(),
            _ => None,
        }
    }

    /// What a design sets, in words.
    pub fn words(&self, at: At) -> String {
        let pairs = self.settings(at).into_iter();
        let pairs = pairs.map(|(path, value)| format!("{path}={value}"));
        pairs.collect::<Vec<_>>().join(" ")
    }

    /// The plan of a design.
    ///
    /// # Errors
    /// [`SizeError::Design`].
    pub fn plan(&self, ready: &Ready, at: At, replications: u32) -> Result<Plan, SizeError> {
        let plan = || -> Result<Plan, ScenarioError> {
            let mut document = apply(&ready.base, &self.settings(at))?;
            let replications = toml::Value::Integer(i64::from(replications));
            document.set_value("run.replications", replications)?;
            resolve(&document, &self.folder)
        };
        plan().map_err(|error| {
            let case = ready.case.as_ref();
            // What is said last holds: it is what was wrong.
            let entry = |path: &str| match ready.overridden.contains(path) {
                true => None,
                false => entry(path, &self.document, &self.sizing, case),
            };
            self.failed(ready, at, RunError::from(error.with_entries(&entry)))
        })
    }

    /// What is said of a design that failed.
    pub(super) fn failed(&self, ready: &Ready, at: At, source: RunError) -> SizeError {
        SizeError::Design {
            case: prefix(ready),
            words: self.words(at),
            source: Box::new(source),
        }
    }

    /// What is said of an objective without a value.
    pub(super) fn no_objective(&self, ready: &Ready, reason: String) -> SizeError {
        SizeError::NoObjective {
            file: self.file.clone(),
            objective: self.sizing.objective.clone(),
            case: prefix(ready),
            reason,
        }
    }

    /// What a journal of this sizing is of.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn header(&self) -> Result<Header, SizeError> {
        let cases = self.cases.iter();
        let scenarios: String = cases.map(|ready| ready.base.effective_toml()).collect();
        let constraints = self.cases.iter().map(|ready| &ready.constraints);
        let metrics: Vec<&str> = constraints
            .flatten()
            .map(|row| row.metric.as_str())
            .collect();
        Ok(Header::new(
            (self.sizing.scenario.clone(), sha256(scenarios.as_bytes())),
            (self.sizing.objective.clone(), metrics.join("; ")),
            hashes(&self.files)?,
        ))
    }
}

fn prefix(ready: &Ready) -> String {
    match &ready.case {
        Some(case) => format!("{}: ", case.name),
        None => String::new(),
    }
}

fn parsed(text: &str) -> Result<Metric, SizeError> {
    // Reading the sizing has refused what cannot be parsed.
    Metric::parse(text).map_err(|error| SizeError::Metric {
        place: String::new(),
        field: text.to_owned(),
        reason: error.to_string(),
        case: String::new(),
        words: String::new(),
    })
}

/// Refuses two knobs that set one field by two names of it, and what is set for designs beside a knob.
fn check_paths(sizing: &SizingFile, document: &Document, base: &Document) -> Result<(), SizeError> {
    let mut problems = Problems::new(document);
    let mut seen = BTreeSet::new();
    let of_cases = sizing.cases.iter().flat_map(|case| {
        let by = format!("by the case {}", case.name);
        case.set.keys().map(move |path| (path, by.clone()))
    });
    let of_all = sizing.set.keys().map(|path| (path, "by [set]".to_owned()));
    let set: BTreeMap<String, String> = of_cases
        .chain(of_all)
        .map(|(path, by)| (base.pretty_path(path), by))
        .collect();
    for (index, knob) in sizing.knobs.iter().enumerate() {
        for path in knob.paths() {
            if let Some(by) = set.get(&base.pretty_path(path)) {
                let allowed = format!("is set {by}, too");
                let remedy = "take one of the two away";
                problems.push(&format!("knobs.{index}"), path, &allowed, remedy);
            }
            if !seen.insert(base.pretty_path(path)) {
                let allowed = "is set by another knob, too";
                problems.push(
                    &format!("knobs.{index}"),
                    path,
                    allowed,
                    "let one knob set it",
                );
            }
        }
    }
    Ok(problems.finish()?)
}

/// All combinations, the last knob changing fastest.
fn kinds(knobs: &[Axis], ladder: Option<usize>) -> Vec<Vec<Setting>> {
    let mut kinds = vec![Vec::new()];
    for (index, knob) in knobs.iter().enumerate() {
        if Some(index) == ladder {
            continue;
        }
        let levels = knob.levels().unwrap_or_default();
        let longer = |kind: &Vec<Setting>| -> Vec<Vec<Setting>> {
            let one = |level: &Setting| [&kind[..], std::slice::from_ref(level)].concat();
            levels.iter().map(one).collect()
        };
        kinds = kinds.iter().flat_map(longer).collect();
    }
    kinds
}

/// The objectives of a scenario's tiers as constraints.
fn objectives(before: &Value) -> Vec<Constraint> {
    let rows = before["slo"].as_array().into_iter().flatten();
    rows.flat_map(|row| {
        let tier = row["tier"].as_str().unwrap_or_default().to_owned();
        let share = |field: &str, words: &str, least: &Value| {
            Some(Constraint {
                name: format!("{tier} {words}"),
                metric: format!("slo.{tier}.{field}"),
                at_most: None,
                at_least: Some(least.as_f64()?),
            })
        };
        let in_time = share("attained", "in time", &row["target"]);
        let answered = share("answered", "answered", &row["availability"]);
        in_time.into_iter().chain(answered)
    })
    .collect()
}

/// The only pool of a scenario, and how many replicas of it are many: four times what is stated or what
/// closed forms ask for, and sixteen. None where there are several pools, or nodes come and go.
///
/// # Errors
/// When the scenario is not valid.
pub fn only_pool(
    document: &Document,
    folder: &Path,
) -> Result<Option<(String, u64)>, ScenarioError> {
    let plan = resolve(document, folder)?;
    let [pool] = &plan.scenario.pools[..] else {
        return Ok(None);
    };
    if plan.fleet.capacity.is_some() {
        return Ok(None);
    }
    let asked = nodes_by_theory(&plan).unwrap_or(0);
    let most = u64::from(pool.replicas()).max(asked).saturating_mul(4) + 16;
    Ok(Some((pool.name().to_owned(), most)))
}
