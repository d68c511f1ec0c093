//! Where a figure comes from, and what would change it: counterfactual runs with parts made ideal,
//! on the same random numbers.
//!
//! What a part is responsible for is its Shapley value: what taking it out brings, averaged over all
//! orders in which the parts can be taken out (Shapley 1953). First come the parts that could be built
//! otherwise (windows, hops, routing); capacity and the unevenness of traffic come when all of these
//! are out, since plenty of capacity hides what is wrong with the rest. The shares and what is left
//! without any part add up to the figure. Remedies are then runs of their own.

pub mod parts;
pub mod remedies;
pub mod shapley;

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;

use self::parts::Part;
use self::remedies::{Remedy, remedies};
use self::shapley::Stages;
use super::claims::{figure_of, no_evidence};
use super::metric::{Metric, MetricError};
use super::runner::{Control, Outcome, RunError, run_plan};
use super::variants::before_it_begins;
use crate::measure::Interval;
use crate::scenario::Document;
use crate::scenario::fleet::Pool;
use crate::scenario::resolve::{Plan, resolve};

/// A number with its interval; none where there is one replication of what is random.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Known {
    /// The number.
    pub value: f64,
    /// The lower end.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

/// What one part is responsible for.
#[derive(Debug, Clone, Serialize)]
pub struct Share {
    /// The part.
    pub part: Part,
    /// In words.
    pub text: String,
    /// What it is responsible for, in the unit of the metric: above 0 where it makes it greater.
    pub share: Known,
    /// What taking it out alone changes.
    pub alone: Known,
    /// What taking it out of one pool alone changes, where there are several and it is of pools; the pool
    /// that it helps most first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<InPool>,
}

/// What a part does in one pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InPool {
    /// The pool.
    pub pool: String,
    /// What taking it out there alone changes.
    pub alone: Known,
}

/// What a remedy would do.
#[derive(Debug, Clone, Serialize)]
pub struct Tried {
    /// The remedy.
    pub remedy: Remedy,
    /// The metric with it.
    pub value: f64,
    /// The change of the metric.
    pub change: Known,
    /// The change of the yearly cost, US dollars, where there are prices.
    pub usd_per_year: Option<f64>,
}

/// Where a figure comes from.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Name of the scenario.
    pub scenario: String,
    /// The metric.
    pub metric: String,
    /// Replications of each run.
    pub replications: usize,
    /// Confidence of each interval.
    pub confidence: f64,
    /// The metric as it is, of all replications together; without an interval where it is the most of
    /// something.
    pub figure: Known,
    /// What is left of it with all parts ideal.
    pub left: Known,
    /// The parts, the one responsible for most first.
    pub parts: Vec<Share>,
    /// What could not be looked at, since the scenario would not be valid, and why.
    pub left_out: Vec<(String, String)>,
    /// Whether nothing in the scenario is random.
    pub exact: bool,
    /// Runs that are no evidence for the metric, and why.
    pub doubts: Vec<String>,
    /// Counterfactuals that were run for the shares.
    pub counterfactuals: usize,
    /// Remedies, the best first.
    pub remedies: Vec<Tried>,
    /// Where the time goes around the 99th percentile, as the run itself measured it: milliseconds.
    pub budget: Vec<(String, f64)>,
    /// Whether all pools are abstract, whose work reports call service.
    #[serde(skip)]
    pub all_abstract: bool,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The metric is none of this scenario.
    #[error("{context}: {reason}")]
    Metric {
        /// The scenario.
        context: String,
        /// What is wrong.
        reason: String,
    },
    /// The metric has no value in a run, though it could.
    #[error("{words}: {reason}")]
    Valueless {
        /// Which run, in words: `as it is`, or without what.
        words: String,
        /// What is wrong.
        reason: String,
    },
    /// There is nothing that could be made ideal.
    #[error("nothing of this scenario can be made ideal: it has {0}")]
    Nothing(&'static str),
}

/// Share of a figure below which a difference is rounding.
const NOISE: f64 = 1e-9;

/// What the metric was in each replication, moved so that their mean is that of all of them together.
type Values = Vec<f64>;

/// Explains a metric of a scenario.
///
/// # Errors
/// [`ExplainError`].
pub fn explain(
    document: &Document,
    base_dir: &Path,
    metric: &Metric,
    control: Control<'_>,
) -> Result<Explanation, ExplainError> {
    let plan = resolve(document, base_dir).map_err(RunError::from)?;
    let before = before_it_begins(&plan)?;
    if let Err(error) = metric.check_fields(&before) {
        return Err(ExplainError::Metric {
            context: plan.scenario.name,
            reason: error.to_string(),
        });
    }
    let mut case = Case {
        document,
        base_dir,
        plan: &plan,
        parts: Vec::new(),
        left_out: Vec::new(),
        metric,
        control,
    };
    case.find_parts()?;
    let changed = case.changed();
    let within = case.within_pools()?;
    let stages = case.stages();
    // Every counterfactual is made and checked before the first is run.
    let sets = stages.sets().into_iter();
    let plans = sets.map(|set| Ok((set, case.without(&case.of(set), None)?)));
    let plans = plans.collect::<Result<Vec<(u32, Plan)>, ExplainError>>()?;
    if let Some(tell) = control.simulations {
        let runs = plans.len() + changed.len() + within.len();
        tell(runs as u64 * u64::from(plan.scenario.run.replications));
    }
    let found: Result<BTreeMap<u32, (Values, Outcome)>, ExplainError> = plans
        .into_par_iter()
        .map(|(set, plan)| Ok((set, case.run(plan, &|| case.words(set))?)))
        .collect();
    let found = found?;
    let Some((base, outcome)) = found.get(&0) else {
        return Err(ExplainError::Nothing("no runs"));
    };
    let tried: Vec<(String, Result<Tried, ExplainError>)> = changed
        .into_par_iter()
        .map(|(remedy, plan)| {
            let text = remedy.text.clone();
            (text, case.tried(remedy, plan, base, outcome))
        })
        .collect();
    let mut remedies = Vec::new();
    for (text, tried) in tried {
        match tried {
            Ok(tried) => remedies.push(tried),
            // That a metric has no value with it says that it cannot be compared.
            Err(ExplainError::Valueless { reason, .. }) => case.left_out.push((text, reason)),
            Err(error) => return Err(error),
        }
    }
    remedies.sort_by(|a, b| a.value.total_cmp(&b.value));
    let within: Result<Vec<(Part, InPool)>, ExplainError> = within
        .into_par_iter()
        .map(|(part, pool, plan)| {
            let words = || format!("without {} in pool {pool} alone", part.text(case.plan));
            let (values, _) = case.run(plan, &words)?;
            let alone = case.known(&minus(&values, base));
            Ok((part, InPool { pool, alone }))
        })
        .collect();
    let within = within?;
    let counterfactuals = found.len() + within.len();
    let budget = budget(&outcome.document);
    let doubts = found.iter().filter_map(|(set, (_, run))| {
        let why = no_evidence(&run.document, metric)?;
        Some(format!("{}: {why}", case.words(*set)))
    });
    let doubts = doubts.collect();
    let values = found.into_iter().map(|(set, (values, _))| (set, values));
    let mut explained = case.explained(stages, &values.collect());
    for share in &mut explained.parts {
        let pools = within.iter().filter(|(part, _)| *part == share.part);
        share.pools = pools.map(|(_, pool)| pool.clone()).collect();
        let by_gain = |a: &InPool, b: &InPool| a.alone.value.total_cmp(&b.alone.value);
        share.pools.sort_by(by_gain);
    }
    Ok(Explanation {
        counterfactuals,
        remedies,
        budget,
        doubts,
        ..explained
    })
}

fn minus(a: &[f64], b: &[f64]) -> Values {
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| without_noise(a - b, *b)).collect()
}

/// What is left of a difference of sums where rounding alone explains it: nothing.
fn without_noise(difference: f64, whole: f64) -> f64 {
    match difference.abs() <= NOISE * whole.abs() {
        true => 0.0,
        false => difference,
    }
}

fn budget(document: &Value) -> Vec<(String, f64)> {
    let rows = document.get("budget").and_then(Value::as_array);
    let rows = rows.into_iter().flatten().filter_map(|row| {
        let name = row.get("part")?.as_str()?.to_owned();
        Some((name, row.get("at_p99_ms")?.as_f64()?))
    });
    rows.filter(|(_, ms)| *ms > 0.0).collect()
}

/// A scenario with the parts that are taken out of it.
struct Case<'a, 'c> {
    document: &'a Document,
    base_dir: &'a Path,
    plan: &'a Plan,
    parts: Vec<Part>,
    /// What could not be looked at, and why.
    left_out: Vec<(String, String)>,
    metric: &'a Metric,
    control: Control<'c>,
}

impl Case<'_, '_> {
    /// Finds the parts that the scenario has and is valid without.
    fn find_parts(&mut self) -> Result<(), ExplainError> {
        for part in Part::ALL.into_iter().filter(|part| part.applies(self.plan)) {
            // Ten times the replicas would be told as what makes it so.
            if part == Part::Contention && self.counts_the_fleet() {
                let why = "it is told by ten times as many replicas, which this metric counts";
                self.left_out.push((part.text(self.plan), why.to_owned()));
                continue;
            }
            match self.without(&[part], None) {
                Ok(_) => self.parts.push(part),
                Err(error) => self
                    .left_out
                    .push((part.text(self.plan), error.to_string())),
            }
        }
        match self.parts.is_empty() {
            false => Ok(()),
            true => Err(ExplainError::Nothing(
                "no window, hops, faults, limits, randomness or neighbours to take away",
            )),
        }
    }

    /// Whether the metric is of the fleet and not of what requests see.
    fn counts_the_fleet(&self) -> bool {
        let of_fleet = ["cost", "energy", "pools", "scenario", "capacity"];
        let mut paths = self.metric.paths().iter();
        paths.any(|path| of_fleet.contains(&path.split('.').next().unwrap_or_default()))
    }

    /// The remedies that make a valid scenario, with their plans.
    fn changed(&mut self) -> Vec<(Remedy, Plan)> {
        let mut changed = Vec::new();
        for remedy in remedies(self.plan) {
            match self.with(&remedy) {
                Ok(plan) => changed.push((remedy, plan)),
                Err(error) => self.left_out.push((remedy.text, error.to_string())),
            }
        }
        changed
    }

    /// Parts that are of pools, made ideal in one pool at a time, where there are several.
    fn within_pools(&self) -> Result<Vec<(Part, String, Plan)>, ExplainError> {
        let pools = self.plan.scenario.pools.iter().enumerate();
        let pools: Vec<(usize, &str)> = pools.map(|(index, pool)| (index, pool.name())).collect();
        let parts = self.parts.iter().filter(|part| part.is_of_pools());
        let several = parts.filter(|_| pools.len() > 1);
        let each = several.flat_map(|part| pools.iter().map(|pool| (*part, *pool)));
        let each = each.filter(|(part, (index, _))| part.is_in(self.plan, *index));
        each.map(|(part, (index, name))| {
            let plan = self.without(&[part], Some(index))?;
            Ok((part, name.to_owned(), plan))
        })
        .collect()
    }

    fn stages(&self) -> Stages {
        let bits = |first: bool| {
            let parts = self.parts.iter().enumerate();
            let within = parts.filter(|(_, part)| part.can_be_built_otherwise() == first);
            within.fold(0, |set, (index, _)| set | 1 << index)
        };
        Stages {
            first: bits(true),
            second: bits(false),
        }
    }

    /// The parts of a set.
    fn of(&self, set: u32) -> Vec<Part> {
        let parts = self.parts.iter().enumerate();
        let within = parts.filter(|(index, _)| set & (1 << index) != 0);
        within.map(|(_, part)| *part).collect()
    }

    /// A run without a set, in words.
    fn words(&self, set: u32) -> String {
        let out: Vec<String> = self.of(set).iter().map(|it| it.text(self.plan)).collect();
        match out.is_empty() {
            true => "as it is".to_owned(),
            false => format!("without {}", out.join(", ")),
        }
    }

    /// The shares of the parts, from the values of all sets.
    fn explained(&self, stages: Stages, values: &BTreeMap<u32, Values>) -> Explanation {
        let none = Values::new();
        let figures = |set: u32| values.get(&set).unwrap_or(&none);
        let base = figures(0);
        let share = |part: usize| -> Values {
            let value = |set: u32, run: usize| figures(set).get(run).copied().unwrap_or(f64::NAN);
            let runs = 0..base.len();
            runs.map(|run| {
                let share = stages.share(part as u32, &|set| value(set, run));
                without_noise(share, value(0, run))
            })
            .collect()
        };
        let mut pools = self.plan.scenario.pools.iter();
        let parts = self.parts.iter().enumerate().map(|(index, part)| Share {
            part: *part,
            text: part.text(self.plan),
            share: self.known(&share(index)),
            alone: self.known(&minus(figures(1 << index), base)),
            pools: Vec::new(),
        });
        let mut parts: Vec<Share> = parts.collect();
        parts.sort_by(|a, b| b.share.value.total_cmp(&a.share.value));
        Explanation {
            scenario: self.plan.scenario.name.clone(),
            metric: self.metric.text().to_owned(),
            replications: base.len(),
            confidence: self.plan.scenario.run.confidence,
            figure: self.whole(base),
            left: self.whole(figures(stages.all())),
            parts,
            left_out: self.left_out.clone(),
            counterfactuals: values.len(),
            remedies: Vec::new(),
            budget: Vec::new(),
            all_abstract: pools.all(|pool| matches!(pool, Pool::Abstract(_))),
            exact: self.plan.is_certain(),
            doubts: Vec::new(),
        }
    }

    /// The scenario without some of its parts; in one pool only, where that is told.
    fn without(&self, out: &[Part], only: Option<usize>) -> Result<Plan, ExplainError> {
        let mut document = self.document.clone();
        for part in out {
            part.edit(&mut document, self.plan, only)
                .map_err(RunError::from)?;
        }
        let mut plan = resolve(&document, self.base_dir).map_err(RunError::from)?;
        for part in out {
            part.free(&mut plan, only);
        }
        Ok(plan)
    }

    /// The scenario with a remedy.
    fn with(&self, remedy: &Remedy) -> Result<Plan, ExplainError> {
        let mut document = self.document.clone();
        for (path, value) in &remedy.set {
            document.set(path, value).map_err(RunError::from)?;
        }
        Ok(resolve(&document, self.base_dir).map_err(RunError::from)?)
    }

    /// Runs a plan; `words` say which it is, should the metric have no value there.
    fn run(
        &self,
        plan: Plan,
        words: &dyn Fn() -> String,
    ) -> Result<(Values, Outcome), ExplainError> {
        let quiet = Control {
            rows: None,
            observer: None,
            simulations: None,
            ..self.control
        };
        let outcome = run_plan(plan, quiet)?;
        match self.values(&outcome) {
            Ok(values) => Ok((values, outcome)),
            Err(error) => Err(ExplainError::Valueless {
                words: words(),
                reason: error.to_string(),
            }),
        }
    }

    fn values(&self, outcome: &Outcome) -> Result<Values, MetricError> {
        let whole = figure_of(self.metric, outcome)?;
        let each = outcome.replications.iter();
        let each = each.map(|run| self.metric.evaluate(run));
        let each = each.collect::<Result<Vec<f64>, _>>()?;
        let by = whole - mean(&each);
        Ok(each.into_iter().map(|value| value + by).collect())
    }

    fn tried(
        &self,
        remedy: Remedy,
        plan: Plan,
        base: &[f64],
        outcome: &Outcome,
    ) -> Result<Tried, ExplainError> {
        let (values, with) = self.run(plan, &|| remedy.text.clone())?;
        let cost = |outcome: &Outcome| outcome.document.get("cost")?.get("usd_per_year")?.as_f64();
        Ok(Tried {
            remedy,
            value: mean(&values),
            change: self.known(&minus(&values, base)),
            usd_per_year: cost(&with)
                .zip(cost(outcome))
                .map(|(with, without)| with - without),
        })
    }

    /// What the metric is.
    fn whole(&self, values: &[f64]) -> Known {
        let known = self.known(values);
        let (least, most) = self.metric.possible();
        Known {
            low: known.low.map(|it| it.max(least).min(known.value)),
            high: known.high.map(|it| it.min(most).max(known.value)),
            ..known
        }
    }

    /// What all replications say, with its interval where it can have one.
    fn known(&self, values: &[f64]) -> Known {
        let interval = Interval::from_replications(values, self.plan.scenario.run.confidence);
        // The most of several runs is no mean of theirs.
        let interval = interval.filter(|_| !self.metric.is_of_extremes());
        Known {
            value: mean(values),
            low: interval.map(|it| it.low),
            high: interval.map(|it| it.high),
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
