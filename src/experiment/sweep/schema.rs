//! What a user writes: an experiment file.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::axis::Axis;
use super::design::Design;
use crate::experiment::metric::Metric;
use crate::scenario::{Document, Problems, ScenarioError};

/// Most axes of an experiment: the Sobol sequence has 256 dimensions, and Saltelli's design takes
/// two for each.
pub const MOST_AXES: usize = 64;
/// Most points of an experiment.
pub const MOST_POINTS: u64 = 1_000_000;
/// Columns that results have of every point or replication, whatever is asked for.
const OWN_COLUMNS: [&str; 6] = [
    "point",
    "replication",
    "feasible",
    "on_front",
    "partial",
    "digest",
];
/// Most metrics of an experiment.
const MOST_METRICS: usize = 64;

/// An experiment: one TOML file that names a scenario and what is changed in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Short name, for reports and folders.
    pub name: String,
    /// What it is about, for people.
    #[serde(default)]
    pub description: String,
    /// The scenario, a path relative to this file. Its claims and variants are left out.
    pub scenario: String,
    /// Seed of what is random in the design itself, 0 to 2^32 - 1; the seed of the simulations is the
    /// scenario's. Default 1.
    #[serde(default = "one")]
    pub seed: u64,
    /// Independent replications of each point, on the same random numbers at all points. Default:
    /// as the scenario has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replications: Option<u32>,
    /// Overrides that hold at all points: path to value. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Value>,
    /// Which points there are. Default: all combinations of the axes' values.
    #[serde(default)]
    pub design: Design,
    /// What is changed.
    pub axes: Vec<Axis>,
    /// What is kept of each point.
    pub metrics: Vec<MetricRow>,
}

/// `[[metrics]]`: a figure of each point's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricRow {
    /// Its name, unique: a column of the results.
    pub name: String,
    /// A field of the result by its path, or an expression over such fields, as in claims. What is made of
    /// counts (`requests.completed`) is of one replication, the mean of their own.
    pub metric: String,
    /// Whether less or more of it is better: metrics with a goal span the Pareto front.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
    /// A point is feasible only where it is at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// A point is feasible only where it is at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
}

/// What is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Less.
    Min,
    /// More.
    Max,
}

impl Experiment {
    /// Reads an experiment and checks it as a whole, but for what only the scenario can tell.
    ///
    /// # Errors
    /// [`ScenarioError`] with everything that is wrong.
    pub fn read(document: &Document) -> Result<Experiment, ScenarioError> {
        let experiment: Experiment = document.parse_as()?;
        let mut problems = Problems::new(document);
        problems.name("name", &experiment.name);
        problems.int_in_range("seed", experiment.seed, 0, u64::from(u32::MAX));
        if let Some(replications) = experiment.replications {
            problems.int_in_range("replications", u64::from(replications), 1, 100_000);
        }
        experiment.check_axes(&mut problems);
        experiment.check_metrics(&mut problems);
        if problems.is_empty() {
            experiment.design.check(&experiment.axes, &mut problems);
        }
        problems.finish()?;
        Ok(experiment)
    }

    fn check_axes(&self, problems: &mut Problems<'_>) {
        if !(1..=MOST_AXES).contains(&self.axes.len()) {
            let allowed = format!("must be 1 to {MOST_AXES} axes");
            problems.push(
                "axes",
                self.axes.len(),
                &allowed,
                "add [[axes]], or take some away",
            );
        }
        for (index, axis) in self.axes.iter().enumerate() {
            axis.check(&format!("axes.{index}"), problems);
        }
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, axis) in self.axes.iter().enumerate() {
            for path in axis.paths() {
                if ["run.seed", "run.replications"].contains(&path) {
                    let allowed =
                        "is luck and no design: all points are on the same random numbers";
                    let remedy = "state `replications` of the experiment for more of them";
                    problems.push(&format!("axes.{index}"), path, allowed, remedy);
                }
                let clash = seen.iter().find(|(other, _)| within(path, other));
                if let Some((other, earlier)) = clash {
                    let allowed = format!("is set by axes.{earlier} (`{other}`) already");
                    let remedy = "let one axis set it, by `zip` where two fields go together";
                    problems.push(&format!("axes.{index}"), path, &allowed, remedy);
                }
                if let Some(other) = self.set.keys().find(|other| within(path, other)) {
                    let allowed = format!("is set for all points by [set] (`{other}`) already");
                    let remedy = "take one of the two away";
                    problems.push(&format!("axes.{index}"), path, &allowed, remedy);
                }
                seen.insert(path, index);
            }
        }
        let mut names = BTreeSet::new();
        for (index, axis) in self.axes.iter().enumerate() {
            if !names.insert(axis.label()) {
                let path = format!("axes.{index}.name");
                problems.push(
                    &path,
                    axis.label(),
                    "is the name of another axis",
                    "rename it",
                );
            }
        }
    }

    fn check_metrics(&self, problems: &mut Problems<'_>) {
        if !(1..=MOST_METRICS).contains(&self.metrics.len()) {
            let allowed = format!("must be 1 to {MOST_METRICS} metrics");
            problems.push(
                "metrics",
                self.metrics.len(),
                &allowed,
                "add [[metrics]], or take some away",
            );
        }
        if problems.unique("metrics", self.metrics.iter().map(|row| row.name.as_str())) {
            let mut lower = BTreeSet::new();
            for (index, row) in self.metrics.iter().enumerate() {
                if !lower.insert(row.name.to_lowercase()) {
                    let at = format!("metrics.{index}.name");
                    let allowed = "differs from another in case alone, which many readers of tables take \
                                   for one column";
                    problems.push(&at, &row.name, allowed, "rename one of them");
                }
            }
            self.check_columns(problems);
        }
        for (index, row) in self.metrics.iter().enumerate() {
            let at = |field: &str| format!("metrics.{index}.{field}");
            problems.name(&at("name"), &row.name);
            let metric = Metric::parse(&row.metric);
            if let Err(error) = metric.and_then(|metric| metric.check_constant()) {
                problems.push(&at("metric"), &row.metric, &error.to_string(), "");
            }
            for (field, bound) in [("at_most", row.at_most), ("at_least", row.at_least)] {
                if let Some(bound) = bound.filter(|bound| !bound.is_finite()) {
                    problems.push(&at(field), bound, "must be finite", "give a finite number");
                }
            }
            if let (Some(least), Some(most)) = (row.at_least, row.at_most)
                && least > most
            {
                let allowed = format!("must be at most `at_most`, which is {most}");
                problems.push(&at("at_least"), least, &allowed, "change one of them");
            }
        }
    }

    /// Refuses names that a column of the results has already.
    fn check_columns(&self, problems: &mut Problems<'_>) {
        let own = OWN_COLUMNS.into_iter();
        let mut taken: BTreeMap<String, String> = own
            .map(|name| (name.to_owned(), "results have of every point".to_owned()))
            .collect();
        for (index, axis) in self.axes.iter().enumerate() {
            let field = if axis.name.is_some() { "name" } else { "path" };
            for column in axis.columns() {
                let path = format!("axes.{index}.{field}");
                check_column(
                    column,
                    &format!("of `axes.{index}`"),
                    &path,
                    &mut taken,
                    problems,
                );
            }
        }
        for (index, row) in self.metrics.iter().enumerate() {
            let path = format!("metrics.{index}.name");
            let whose = format!("of the metric `{}`", row.name);
            for column in metric_columns(&row.name) {
                if !check_column(column, &whose, &path, &mut taken, problems) {
                    break;
                }
            }
        }
    }

    /// The metrics, ready to be evaluated.
    ///
    /// # Errors
    /// What [`Experiment::read`] refuses.
    pub fn parsed_metrics(&self) -> Result<Vec<Metric>, crate::experiment::metric::MetricError> {
        let metrics = self.metrics.iter();
        metrics.map(|row| Metric::parse(&row.metric)).collect()
    }
}

/// Notes a column that is there already, and by whom; else it is there from now on.
fn check_column(
    column: String,
    whose: &str,
    at: &str,
    taken: &mut BTreeMap<String, String>,
    problems: &mut Problems<'_>,
) -> bool {
    if let Some(by) = taken.get(&column) {
        let allowed =
            format!("makes a second column `{column}` of the results, beside the one {by}");
        problems.push(at, "", &allowed, "rename one of them");
        return false;
    }
    taken.insert(column, whose.to_owned());
    true
}

/// The columns that results have of a metric: its value, the ends of its interval, and its doubt.
pub fn metric_columns(name: &str) -> [String; 4] {
    ["", "_low", "_high", "_doubt"].map(|end| format!("{name}{end}"))
}

/// Whether two paths are the same or one lies within the other.
pub(in crate::experiment) fn within(a: &str, b: &str) -> bool {
    let inside = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    inside(a, b) || inside(b, a)
}

fn one() -> u64 {
    1
}
