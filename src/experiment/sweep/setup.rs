//! From an experiment file to points that are ready to be run: everything is read and checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::design::{Point, points};
use super::error::SweepError;
use super::identity::{FileHash, Header, SCHEMA, SOURCES, hashes, sha256};
use super::point::Found;
use super::schema::Experiment;
use crate::experiment::metric::Metric;
use crate::experiment::runner::{Control, RunError, run_plan};
use crate::experiment::variants::{apply, before_it_begins};
use crate::inputs::recorded;
use crate::scenario::resolve::{Plan, resolve};
use crate::scenario::{Document, Problems, ScenarioError, SourceText};

/// An experiment with its scenario.
#[derive(Debug)]
pub struct Setup {
    /// The experiment.
    pub experiment: Experiment,
    /// The experiment as a document, for where things stand.
    document: Document,
    /// The file of the experiment.
    file: PathBuf,
    /// The file of the scenario.
    scenario: PathBuf,
    /// The scenario with what is set at all points.
    base: Document,
    /// The folder that its paths are relative to.
    folder: PathBuf,
    /// The points.
    pub points: Vec<Point>,
    /// The metrics.
    pub metrics: Vec<Metric>,
}

/// What checking all points found.
#[derive(Debug)]
pub struct Checked {
    /// What the sweep is of.
    pub header: Header,
    /// Replications of each point.
    pub replications: Vec<u32>,
    /// The files that points read.
    files: BTreeSet<PathBuf>,
}

impl Checked {
    /// The files as they were when they were checked are still there.
    ///
    /// # Errors
    /// [`SweepError::Changed`] with the first that is not.
    pub fn still_so(&self) -> Result<(), SweepError> {
        let now = hashes(&self.files)?;
        let differs = |file: &&FileHash| !now.contains(file);
        match self.header.files.iter().find(differs) {
            None => Ok(()),
            Some(changed) => Err(SweepError::Changed {
                file: changed.file.clone(),
            }),
        }
    }
}

/// What checking a point found.
struct Looked {
    replications: u32,
    confidence: f64,
    scenario: String,
    files: BTreeSet<PathBuf>,
}

impl Setup {
    /// Reads an experiment and its scenario.
    ///
    /// # Errors
    /// [`SweepError::Scenario`].
    pub fn load(path: &Path) -> Result<Setup, SweepError> {
        let document = Document::parse(SourceText::load(path)?)?;
        let experiment = Experiment::read(&document)?;
        let beside = path.parent().unwrap_or(Path::new(""));
        let scenario = beside.join(&experiment.scenario);
        let mut base = Document::parse(SourceText::load(&scenario)?)?;
        // They are of the scenario as it stands: a sweep asks for figures of its own.
        for section in ["claims", "variants"] {
            if !base.locate(section).is_default() {
                base.unset(section)?;
            }
        }
        if let Some(replications) = experiment.replications {
            let replications = toml::Value::Integer(i64::from(replications));
            base.set_value("run.replications", replications)?;
        }
        let placed = |error| placed(error, &document, &experiment);
        let base = apply(&base, &experiment.set).map_err(placed)?;
        let metrics = experiment.parsed_metrics().unwrap_or_default();
        let setup = Setup {
            points: points(&experiment),
            metrics,
            document,
            file: path.to_owned(),
            base,
            folder: scenario.parent().unwrap_or(Path::new("")).to_owned(),
            scenario,
            experiment,
        };
        setup.check_paths()?;
        Ok(setup)
    }

    /// Refuses two axes, or an axis and [set], that set one field by two names of it.
    fn check_paths(&self) -> Result<(), SweepError> {
        let mut problems = Problems::new(&self.document);
        let mut seen = BTreeSet::new();
        let set = self.experiment.set.keys();
        let set: BTreeSet<String> = set.map(|path| self.base.pretty_path(path)).collect();
        for (index, axis) in self.experiment.axes.iter().enumerate() {
            for path in axis.paths() {
                if set.contains(&self.base.pretty_path(path)) {
                    let allowed = "is set for all points by [set], too";
                    let remedy = "take one of the two away";
                    problems.push(&format!("axes.{index}"), path, allowed, remedy);
                }
                if !seen.insert(self.base.pretty_path(path)) {
                    let remedy = "let one axis set it";
                    let allowed = "is set by another axis, too";
                    problems.push(&format!("axes.{index}"), path, allowed, remedy);
                }
            }
        }
        Ok(problems.finish()?)
    }

    /// The scenario at a point.
    ///
    /// # Errors
    /// A path that leads nowhere.
    pub fn scenario_at(&self, point: &Point) -> Result<Document, ScenarioError> {
        let overrides = point.overrides(&self.experiment.axes);
        let overrides = overrides.map(|(path, value)| (path.to_owned(), value.clone()));
        apply(&self.base, &overrides.collect())
    }

    /// The plan of a point.
    ///
    /// # Errors
    /// [`SweepError::Point`].
    pub fn plan_at(&self, point: &Point) -> Result<Plan, SweepError> {
        let document = self.scenario_at(point);
        let plan = document.and_then(|document| resolve(&document, &self.folder));
        plan.map_err(|error| {
            let error = placed(error, &self.document, &self.experiment);
            self.failed(point, RunError::from(error))
        })
    }

    /// Runs the plan of a point.
    ///
    /// # Errors
    /// [`SweepError::Point`].
    pub fn find(
        &self,
        point: &Point,
        plan: Plan,
        control: Control<'_>,
    ) -> Result<Found, SweepError> {
        let outcome = run_plan(plan, control).map_err(|error| self.failed(point, error))?;
        Ok(Found::of(&outcome, &self.metrics))
    }

    /// Every file that the sweep is made of: the experiment, its scenario, and what points read.
    pub fn files(&self, checked: &Checked) -> Vec<PathBuf> {
        let own = [&self.file, &self.scenario].into_iter();
        own.chain(&checked.files).cloned().collect()
    }

    /// What is said of a point that failed.
    pub(super) fn failed(&self, point: &Point, source: RunError) -> SweepError {
        SweepError::Point {
            point: point.index,
            words: point.words(&self.experiment.axes),
            source: Box::new(source),
        }
    }

    /// Checks every point: that it is a valid scenario, that its result has the metrics, and which
    /// files it reads. `tell` is told of each.
    ///
    /// # Errors
    /// Of the first point that is not as it should be.
    pub fn check(&self, tell: &(dyn Fn() + Sync)) -> Result<Checked, SweepError> {
        let looked: Vec<Result<Looked, SweepError>> = self
            .points
            .par_iter()
            .map(|point| {
                let looked = self.look(point);
                tell();
                looked
            })
            .collect();
        let looked = looked
            .into_iter()
            .collect::<Result<Vec<Looked>, SweepError>>()?;
        let files: BTreeSet<PathBuf> = looked.iter().flat_map(|it| it.files.clone()).collect();
        let first = looked.first();
        let header = Header {
            scenario: first.map(|it| it.scenario.clone()).unwrap_or_default(),
            files: hashes(&files)?,
            confidence: first.map_or(0.95, |it| it.confidence),
            ..self.header()
        };
        Ok(Checked {
            header,
            replications: looked.iter().map(|it| it.replications).collect(),
            files,
        })
    }

    /// The head of its journal as far as it is known before its points are checked.
    pub(super) fn header(&self) -> Header {
        Header {
            schema: SCHEMA,
            seatrial: env!("CARGO_PKG_VERSION").to_owned(),
            sources: SOURCES.to_owned(),
            experiment: self.experiment.clone(),
            scenario: String::new(),
            scenario_sha256: sha256(self.base.effective_toml().as_bytes()),
            files: Vec::new(),
            points: self.points.len() as u64,
            confidence: 0.95,
            shard: None,
        }
    }

    fn look(&self, point: &Point) -> Result<Looked, SweepError> {
        let (plan, files) = recorded(|| self.plan_at(point));
        let plan = plan?;
        let before = before_it_begins(&plan).map_err(|error| self.failed(point, error))?;
        for (row, metric) in self.experiment.metrics.iter().zip(&self.metrics) {
            if let Err(error) = metric.check_fields(&before) {
                return Err(SweepError::Metric {
                    file: self.file.display().to_string(),
                    name: row.name.clone(),
                    reason: error.to_string(),
                    point: point.index,
                    words: point.words(&self.experiment.axes),
                });
            }
        }
        Ok(Looked {
            replications: plan.scenario.run.replications,
            confidence: plan.scenario.run.confidence,
            scenario: plan.scenario.name,
            files,
        })
    }
}

/// An error of what an experiment sets, with the entry of it that does.
fn placed(error: ScenarioError, document: &Document, experiment: &Experiment) -> ScenarioError {
    let entry = |path: &str| -> Option<String> {
        let mut axes = experiment.axes.iter();
        let (entry, field) = match axes.position(|axis| axis.paths().contains(&path)) {
            Some(index) => match experiment.axes[index].path {
                Some(_) => (format!("axes.{index}"), format!("axes.{index}.path")),
                None => (
                    format!("axes.{index}"),
                    format!("axes.{index}.zip.{path:?}"),
                ),
            },
            None if experiment.set.contains_key(path) => {
                ("set".to_owned(), format!("set.{path:?}"))
            }
            None if path == "run.replications" => {
                ("replications".to_owned(), "replications".to_owned())
            }
            None => return None,
        };
        let (place, entry) = (document.locate(&field), document.pretty_path(&entry));
        Some(format!("{place}: {entry}"))
    };
    error.with_entries(&entry)
}
