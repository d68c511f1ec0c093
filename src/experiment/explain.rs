//! Where a figure comes from, and what would change it: counterfactual runs with parts made ideal,
//! on the same random numbers.
//!
//! Each part is taken out alone and together with every set of the others. What it is responsible for
//! is its Shapley value: what taking it out brings, averaged over all orders in which the parts can be
//! taken out (Shapley 1953). The shares of the parts and what is left without any of them add up to
//! the figure. Remedies are then runs of their own.

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
use self::shapley::{Shares, orders, shares};
use super::metric::Metric;
use super::runner::{Control, Outcome, RunError, run_plan};
use super::variants::before_it_begins;
use crate::engine::Streams;
use crate::measure::Interval;
use crate::measure::interval::t_quantile;
use crate::scenario::Document;
use crate::scenario::resolve::{Plan, resolve};

/// Parts up to which all sets of them are run: 128 counterfactuals.
const ALL_SETS: usize = 7;
/// Pairs of an order and its reverse that are drawn where there are more parts.
const PAIRS: usize = 12;

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
    /// The metric as it is, a mean over replications.
    pub figure: Known,
    /// What is left of it with all parts ideal.
    pub left: Known,
    /// The parts, the one responsible for most first.
    pub parts: Vec<Share>,
    /// Counterfactuals that were run for the shares.
    pub counterfactuals: usize,
    /// Whether all sets of parts were run; else orders of them were drawn.
    pub all_sets: bool,
    /// Remedies, the best first.
    pub remedies: Vec<Tried>,
    /// Where the time goes around the 99th percentile, as the run itself measured it: milliseconds.
    pub budget: Vec<(String, f64)>,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The metric has no value in a run.
    #[error("{context}: {reason}")]
    Metric {
        /// Which run.
        context: String,
        /// What is wrong.
        reason: String,
    },
    /// There is nothing that could be made ideal.
    #[error("nothing of this scenario can be made ideal: it has {0}")]
    Nothing(&'static str),
}

/// What the metric was in each replication.
type Values = Vec<f64>;

/// Explains a metric of a scenario. `tell` is told how many runs there will be and of each.
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
            context: plan.scenario.name.clone(),
            reason: error.to_string(),
        });
    }
    let parts: Vec<Part> = Part::ALL
        .into_iter()
        .filter(|part| part.applies(&plan))
        .collect();
    if parts.is_empty() {
        return Err(ExplainError::Nothing(
            "no window, hops, faults, limits, randomness or neighbours to take away",
        ));
    }
    let all_sets = parts.len() <= ALL_SETS;
    let streams = Streams {
        seed: plan.scenario.run.seed,
        replication: 0,
    };
    let orders = orders(
        parts.len(),
        all_sets,
        PAIRS,
        &mut streams.stream("explain", 0, "orders"),
    );
    let sets = orders.sets();
    let tried = remedies(&plan);
    let case = Case {
        document,
        base_dir,
        plan: &plan,
        parts: &parts,
        metric,
        control,
    };
    if let Some(tell) = control.simulations {
        let runs = sets.len() + tried.len();
        tell(runs as u64 * u64::from(plan.scenario.run.replications));
    }
    // Every counterfactual is made and checked before the first is run.
    let plans: Result<Vec<(u32, Plan)>, ExplainError> = sets
        .iter()
        .map(|set| Ok((*set, case.without(*set)?)))
        .collect();
    let changed: Result<Vec<(Remedy, Plan)>, ExplainError> =
        tried.into_iter().map(|remedy| case.with(remedy)).collect();
    let changed = changed?;
    let values: Result<BTreeMap<u32, (Values, Outcome)>, ExplainError> = plans?
        .into_par_iter()
        .map(|(set, plan)| Ok((set, case.run(plan)?)))
        .collect();
    let values = values?;
    let Some((base, outcome)) = values.get(&0) else {
        return Err(ExplainError::Nothing("no runs"));
    };
    let remedies: Result<Vec<Tried>, ExplainError> = changed
        .into_par_iter()
        .map(|(remedy, plan)| case.tried(remedy, plan, base, outcome))
        .collect();
    let mut remedies = remedies?;
    remedies.sort_by(|a, b| a.value.total_cmp(&b.value));
    let figures = |set: u32| values.get(&set).map(|it| it.0.clone()).unwrap_or_default();
    let all = (1_u32 << parts.len()) - 1;
    let shares = shares(&orders, parts.len(), base.len(), &|set, run| {
        figures(set)[run]
    });
    let mut rows: Vec<Share> = parts
        .iter()
        .enumerate()
        .map(|(index, part)| Share {
            part: *part,
            text: part.text(&plan),
            share: case.share(&shares, index),
            alone: case.known(&minus(&figures(1 << index), base)),
        })
        .collect();
    rows.sort_by(|a, b| b.share.value.total_cmp(&a.share.value));
    Ok(Explanation {
        scenario: plan.scenario.name.clone(),
        metric: metric.text().to_owned(),
        replications: base.len(),
        confidence: plan.scenario.run.confidence,
        figure: case.known(base),
        left: case.known(&figures(all)),
        parts: rows,
        counterfactuals: values.len(),
        all_sets,
        remedies,
        budget: budget(&outcome.document),
    })
}

fn minus(a: &[f64], b: &[f64]) -> Values {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
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
    parts: &'a [Part],
    metric: &'a Metric,
    control: Control<'c>,
}

impl Case<'_, '_> {
    /// The scenario without a set of its parts.
    fn without(&self, set: u32) -> Result<Plan, ExplainError> {
        let of = |index: &usize| set & (1 << index) != 0;
        let out: Vec<Part> = (0..self.parts.len())
            .filter(of)
            .map(|index| self.parts[index])
            .collect();
        let mut document = self.document.clone();
        for part in &out {
            part.edit(&mut document, self.plan)
                .map_err(RunError::from)?;
        }
        let mut plan = resolve(&document, self.base_dir).map_err(RunError::from)?;
        for part in &out {
            part.free(&mut plan);
        }
        Ok(plan)
    }

    /// The scenario with a remedy.
    fn with(&self, remedy: Remedy) -> Result<(Remedy, Plan), ExplainError> {
        let mut document = self.document.clone();
        for (path, value) in &remedy.set {
            document.set(path, value).map_err(RunError::from)?;
        }
        let plan = resolve(&document, self.base_dir).map_err(RunError::from)?;
        Ok((remedy, plan))
    }

    fn run(&self, plan: Plan) -> Result<(Values, Outcome), ExplainError> {
        let quiet = Control {
            rows: None,
            simulations: None,
            ..self.control
        };
        let outcome = run_plan(plan, quiet)?;
        let values = outcome
            .replications
            .iter()
            .map(|run| self.metric.evaluate(run));
        let values: Result<Values, _> = values.collect();
        match values {
            Ok(values) => Ok((values, outcome)),
            Err(error) => Err(ExplainError::Metric {
                context: self.plan.scenario.name.clone(),
                reason: error.to_string(),
            }),
        }
    }

    fn tried(
        &self,
        remedy: Remedy,
        plan: Plan,
        base: &[f64],
        outcome: &Outcome,
    ) -> Result<Tried, ExplainError> {
        let (values, with) = self.run(plan)?;
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

    /// A mean over replications with its interval.
    fn known(&self, values: &[f64]) -> Known {
        let interval = Interval::from_replications(values, self.plan.scenario.run.confidence);
        Known {
            value: mean(values),
            low: interval.map(|it| it.low),
            high: interval.map(|it| it.high),
        }
    }

    /// A share with its interval: over replications, and over the orders where those were drawn.
    fn share(&self, shares: &Shares, part: usize) -> Known {
        let known = self.known(&shares.by_replication[part]);
        let pairs = &shares.by_pair[part];
        let (Some(low), true) = (known.low, pairs.len() > 1) else {
            return known;
        };
        let count = pairs.len() as f64;
        let centre = mean(pairs);
        let squares: f64 = pairs.iter().map(|value| (value - centre).powi(2)).sum();
        let error = (squares / (count - 1.0) / count).sqrt();
        let quantile = t_quantile(0.5 + self.plan.scenario.run.confidence / 2.0, count - 1.0);
        let half = ((known.value - low).powi(2) + (quantile * error).powi(2)).sqrt();
        Known {
            value: known.value,
            low: Some(known.value - half),
            high: Some(known.value + half),
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
