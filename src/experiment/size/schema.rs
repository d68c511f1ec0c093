//! What a user writes: a sizing file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::grows::objective_grows;
use crate::experiment::metric::Metric;
use crate::experiment::sweep::axis::Axis;
use crate::experiment::sweep::schema::within;
use crate::scenario::{Document, Problems, ScenarioError};

/// Most combinations of the knobs that are not looked for by halves.
pub const MOST_KINDS: u64 = 4_096;
/// Most values of the knob that is.
pub const MOST_LEVELS: usize = 1_000_000;
/// Most cases, knobs and constraints.
const MOST: usize = 64;
/// Looks have four times the replications of the look before.
const GROWTH: u32 = 4;

/// A sizing: one TOML file that names a scenario, what may be chosen in it, and what it must meet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SizingFile {
    /// Short name, for reports.
    pub name: String,
    /// What it is about, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The scenario, a path relative to this file. Its claims and variants are left out.
    pub scenario: String,
    /// The knob, by its name, along which more never does harm and costs no less, constraints on use and cost
    /// apart (of which it may be too much): it is looked for by halves, whatever the number of its values.
    /// Default, where the objective is a cost or of servers: the only knob that sets a single `replicas`
    /// or `servers`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_helps: Option<String>,
    /// The metric of which the least is wanted. Default `cost.usd_per_year`.
    #[serde(default = "cost")]
    pub objective: String,
    /// How sure it is to be that the designs shown meet all constraints, 0.5 to 0.9999. It holds for
    /// all looks of a case together. Default: the scenario's `run.confidence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// How much may be simulated for each case, in CPU seconds of a machine that runs
    /// [`EVENTS_PER_CPU_S`] events in each, so that the answer does not depend on this one. Default 600.
    #[serde(default = "ten_minutes")]
    pub budget_cpu_s: f64,
    /// How many fleets like the one simulated there are: the knob that is looked for by halves and the
    /// objective are told for all of them, too. Default 1.
    #[serde(default = "one")]
    pub parts: u32,
    /// How often each design is run.
    #[serde(default)]
    pub replications: Replications,
    /// Which combinations of the other knobs are looked at. Default `every` up to 64 of them, `model`
    /// beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combinations: Option<Combinations>,
    /// Overrides that hold for all designs: path to value. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Value>,
    /// Versions of the scenario that are sized one by one. Default: the scenario itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<Case>,
    /// What may be chosen, written as the axes of a sweep (without `between`).
    pub knobs: Vec<Axis>,
    /// What must be met. Default: all objectives of the scenario's tiers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
}

/// Events in a CPU second of the budget: what `seatrial bench` shows for one core, at the least.
pub const EVENTS_PER_CPU_S: f64 = 3e6;

/// Combinations beyond which not every one is looked at, unless the file says so.
const MANY_KINDS: usize = 64;

/// `combinations`: which of them are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Combinations {
    /// All of them.
    Every,
    /// A few that are far apart, and then those of which a model of the objective (a Gaussian process)
    /// expects that they are 0.5 % better than the best known, until there are none.
    Model,
}

/// `replications`: independent replications of each design, on the same random numbers for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Replications {
    /// At first, 2 or more. Default 4.
    pub first: u32,
    /// At most: where an interval reaches across a bound, there are four times as many until they are
    /// this many. Default 64.
    pub most: u32,
}

impl Default for Replications {
    fn default() -> Replications {
        Replications { first: 4, most: 64 }
    }
}

impl Replications {
    /// The replications of one look after another.
    pub fn looks(self) -> Vec<u32> {
        let mut looks = vec![self.first];
        while let Some(last) = looks.last().copied().filter(|last| *last < self.most) {
            looks.push(last.saturating_mul(GROWTH).min(self.most));
        }
        looks
    }
}

/// `[[cases]]`: a version of the scenario that is sized by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name, unique.
    pub name: String,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// `parts` of this case. Default: those of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
    /// Overrides: path to value; they go before those of the file.
    #[serde(default)]
    pub set: BTreeMap<String, Value>,
}

/// `[[constraints]]`: a bound on a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// Its name, unique.
    pub name: String,
    /// A field of the result by its path, or an expression over such fields, as in claims.
    pub metric: String,
    /// It must be at most this. Give this or `at_least`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// It must be at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
}

impl Constraint {
    /// The bound.
    pub fn bound(&self) -> f64 {
        self.at_most.or(self.at_least).unwrap_or(f64::NAN)
    }

    /// Whether a value is within it.
    pub fn allows(&self, value: f64) -> bool {
        self.at_most.is_none_or(|most| value <= most)
            && self.at_least.is_none_or(|least| value >= least)
    }

    /// How far a value is within the bound; negative beyond it.
    pub fn margin(&self, value: f64) -> f64 {
        match self.at_most {
            Some(most) => most - value,
            None => value - self.bound(),
        }
    }
}

impl SizingFile {
    /// Whether a document is a sizing rather than a scenario: it names one.
    pub fn is_one(document: &Document) -> bool {
        document
            .to_json()
            .get("scenario")
            .is_some_and(Value::is_string)
    }

    /// Reads a sizing and checks it as a whole, but for what only the scenario can tell.
    ///
    /// # Errors
    /// [`ScenarioError`] with everything that is wrong.
    pub fn read(document: &Document) -> Result<SizingFile, ScenarioError> {
        let sizing: SizingFile = document.parse_as()?;
        let mut problems = Problems::new(document);
        problems.name("name", &sizing.name);
        if let Some(confidence) = sizing.confidence {
            problems.in_range("confidence", confidence, 0.5, 0.9999);
        }
        problems.positive("budget_cpu_s", sizing.budget_cpu_s, 1e9);
        problems.int_in_range("parts", u64::from(sizing.parts), 1, 1_000_000);
        let Replications { first, most } = sizing.replications;
        problems.int_in_range("replications.first", u64::from(first), 2, 10_000);
        let least = u64::from(first.min(10_000));
        problems.int_in_range("replications.most", u64::from(most), least, 10_000);
        let objective = Metric::parse(&sizing.objective);
        if let Err(error) = objective.and_then(|metric| metric.check_constant()) {
            problems.push("objective", &sizing.objective, &error.to_string(), "");
        }
        sizing.check_knobs(&mut problems);
        sizing.check_cases(&mut problems);
        sizing.check_constraints(&mut problems);
        if problems.is_empty() {
            sizing.check_more_helps(&mut problems);
        }
        problems.finish()?;
        Ok(sizing)
    }

    fn check_knobs(&self, problems: &mut Problems<'_>) {
        if !(1..=MOST).contains(&self.knobs.len()) {
            let allowed = format!("must be 1 to {MOST} knobs");
            let remedy = "add [[knobs]], or take some away";
            problems.push("knobs", self.knobs.len(), &allowed, remedy);
        }
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, knob) in self.knobs.iter().enumerate() {
            let at = format!("knobs.{index}");
            knob.check(&at, problems);
            if knob.between.is_some() {
                let remedy = "give `values`, `range` or `log_range`";
                let allowed = "is for the designs of sweeps: a knob has values";
                problems.push(&format!("{at}.between"), "", allowed, remedy);
            }
            for path in knob.paths() {
                if let Some((other, earlier)) = seen.iter().find(|(other, _)| within(path, other)) {
                    let allowed = format!("is set by knobs.{earlier} (`{other}`) already");
                    let remedy = "let one knob set it, by `zip` where two fields go together";
                    problems.push(&at, path, &allowed, remedy);
                }
                seen.insert(path, index);
                // What lies within a table that is set for all is set in that table.
                if self.set.contains_key(path) {
                    let allowed = "is set for all designs by [set] already";
                    problems.push(&at, path, allowed, "take one of the two away");
                }
                let case = self.cases.iter().find(|case| case.set.contains_key(path));
                if let Some(case) = case {
                    let allowed = format!("is set by the case {} already", case.name);
                    problems.push(&at, path, &allowed, "take one of the two away");
                }
            }
        }
        let labels: Vec<String> = self.knobs.iter().map(Axis::label).collect();
        problems.unique("knobs", labels.iter().map(String::as_str));
    }

    fn check_cases(&self, problems: &mut Problems<'_>) {
        if self.cases.len() > MOST {
            let allowed = format!("must be at most {MOST} cases");
            problems.push("cases", self.cases.len(), &allowed, "take some away");
        }
        problems.unique("cases", self.cases.iter().map(|case| case.name.as_str()));
        for (index, case) in self.cases.iter().enumerate() {
            problems.name(&format!("cases.{index}.name"), &case.name);
            if let Some(parts) = case.parts {
                let at = format!("cases.{index}.parts");
                problems.int_in_range(&at, u64::from(parts), 1, 1_000_000);
            }
        }
    }

    fn check_constraints(&self, problems: &mut Problems<'_>) {
        if self.constraints.len() > MOST {
            let allowed = format!("must be at most {MOST} constraints");
            let remedy = "take some away";
            problems.push("constraints", self.constraints.len(), &allowed, remedy);
        }
        let names = self.constraints.iter().map(|row| row.name.as_str());
        problems.unique("constraints", names);
        for (index, row) in self.constraints.iter().enumerate() {
            let at = |field: &str| format!("constraints.{index}.{field}");
            problems.title(&at("name"), &row.name);
            let metric = Metric::parse(&row.metric);
            match metric.and_then(|metric| metric.check_constant().map(|()| metric)) {
                Err(error) => problems.push(&at("metric"), &row.metric, &error.to_string(), ""),
                Ok(metric) if metric.paths().iter().any(|path| path.ends_with(".met")) => {
                    let allowed = "is a yes or no of what was seen, which has no interval";
                    let remedy = "bound the share that is meant, such as slo.TIER.attained";
                    problems.push(&at("metric"), &row.metric, allowed, remedy);
                }
                Ok(metric) if metric.is_of_extremes() => {
                    let allowed = "has no interval: the greatest of a run grows with its length";
                    let remedy = "bound a quantile, such as p999";
                    problems.push(&at("metric"), &row.metric, allowed, remedy);
                }
                Ok(_) => {}
            }
            let others = self.constraints[..index].iter();
            let mut others = others.filter(|other| other.metric == row.metric);
            let beyond = others.find(|other| {
                let least = row.at_least.or(other.at_least);
                let most = row.at_most.or(other.at_most);
                least.zip(most).is_some_and(|(least, most)| least > most)
            });
            if let Some(other) = beyond {
                let allowed = format!("cannot be met together with {}", other.name);
                let remedy = "let the least be at most the most";
                problems.push(&at("metric"), &row.metric, &allowed, remedy);
            }
            if row.at_most.is_some() == row.at_least.is_some() {
                let allowed = "must have one of `at_most` and `at_least`";
                let remedy = "give exactly one; two bounds are two constraints";
                problems.push(&format!("constraints.{index}"), &row.name, allowed, remedy);
            }
            for (field, bound) in [("at_most", row.at_most), ("at_least", row.at_least)] {
                if let Some(bound) = bound.filter(|bound| !bound.is_finite()) {
                    problems.push(&at(field), bound, "must be finite", "give a finite number");
                }
            }
        }
    }

    fn check_more_helps(&self, problems: &mut Problems<'_>) {
        let labels = || self.knobs.iter().map(Axis::label).collect::<Vec<_>>();
        if let Some(name) = &self.more_helps
            && !labels().contains(name)
        {
            let allowed = format!("must be the name of a knob: {}", labels().join(", "));
            problems.push("more_helps", name, &allowed, "");
        }
        let ladder = self.ladder();
        let count = |knob: &Axis| knob.levels().map_or(0, |levels| levels.len());
        if let Some(index) = ladder {
            let knob = &self.knobs[index];
            let at = format!("knobs.{index}");
            let numbers: Option<Vec<f64>> = knob
                .levels()
                .unwrap_or_default()
                .iter()
                .map(|setting| setting.first().and_then(Value::as_f64))
                .collect();
            let rises = |values: &[f64]| values.windows(2).all(|pair| pair[0] < pair[1]);
            if knob.zip.is_none() && !numbers.as_deref().is_some_and(rises) {
                let allowed = "must have numbers that rise: more of it is taken to help";
                let remedy = "put them in order, or name another knob with `more_helps`";
                problems.push(&at, knob.label(), allowed, remedy);
            }
            if count(knob) > MOST_LEVELS {
                let allowed = format!("must have at most {MOST_LEVELS} values");
                problems.push(&at, count(knob), &allowed, "take longer steps");
            }
        }
        let others = self.knobs.iter().enumerate();
        let others = others.filter(|(index, _)| Some(*index) != ladder);
        let kinds = others.fold(1_u64, |all, (_, knob)| {
            all.saturating_mul(count(knob) as u64)
        });
        if kinds > MOST_KINDS {
            let allowed = format!(
                "must make at most {MOST_KINDS} combinations, the one looked for by halves apart"
            );
            let remedy =
                "take values away, or name with `more_helps` a knob of which more never harms";
            problems.push("knobs", kinds, &allowed, remedy);
        }
    }

    /// Whether only those of so many combinations are looked at that a model expects something of.
    pub fn goes_by_model(&self, kinds: usize) -> bool {
        match self.combinations {
            Some(combinations) => combinations == Combinations::Model,
            None => kinds > MANY_KINDS,
        }
    }

    /// The knob that is looked for by halves, by its place.
    pub fn ladder(&self) -> Option<usize> {
        if let Some(name) = &self.more_helps {
            return self.knobs.iter().position(|knob| knob.label() == *name);
        }
        if !objective_grows(&self.objective) {
            return None;
        }
        let counts = |knob: &Axis| {
            let path = knob.path.as_deref().unwrap_or("");
            path.ends_with(".replicas") || path.ends_with(".servers")
        };
        let mut found = self.knobs.iter().enumerate();
        let first = found.find(|(_, knob)| counts(knob))?.0;
        found.all(|(_, knob)| !counts(knob)).then_some(first)
    }
}

fn cost() -> String {
    "cost.usd_per_year".to_owned()
}

fn ten_minutes() -> f64 {
    600.0
}

fn one() -> u32 {
    1
}
