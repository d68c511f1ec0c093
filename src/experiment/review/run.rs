//! Runs what the criteria ask for, each run once, and fills the card in.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use serde_json::{Value, json};

use super::Card;
use super::check::check;
use super::criteria::{Better, Criteria, Criterion, Probe};
use super::error::ReviewError;
use super::facts::facts;
use super::probe::{Measured, Missing, trials};
use super::score::{Figure, Scored, cost_most, dimensions, whole};
use super::search::{NO_OBJECTIVE, carried, cheapest, headroom, met_as_written, shown_as_written};
use crate::experiment::claims::no_evidence;
use crate::experiment::metric::{Metric, MetricError};
use crate::experiment::runner::{Control, Outcome, run_plan};
use crate::measure::Interval;
use crate::report::diagram::{graph, mermaid, text};
use crate::report::number::significant;
use crate::scenario::resolve::{Plan, resolve};
use crate::scenario::{Document, ScenarioError};

/// Criteria that a card names as those to begin with.
const FIRST: usize = 3;

/// A scenario, its run, and the means to run it otherwise.
pub struct Bench<'a, 'c> {
    /// The scenario.
    pub document: &'a Document,
    /// What it resolves to.
    pub plan: &'a Plan,
    /// Its run.
    pub base: &'a Outcome,
    base_dir: &'a Path,
    control: Control<'c>,
    simulations: &'a AtomicU64,
}

impl Bench<'_, '_> {
    /// What a changed scenario resolves to.
    ///
    /// # Errors
    /// When it is not valid.
    pub fn resolved(&self, document: &Document) -> Result<Plan, ScenarioError> {
        resolve(document, self.base_dir)
    }

    /// Runs a changed scenario.
    ///
    /// # Errors
    /// When it is not valid, a run fails, or it was interrupted.
    pub fn run(&self, document: &Document) -> Result<Outcome, ReviewError> {
        let plan = self.resolved(document)?;
        run(plan, self.control, self.simulations)
    }
}

/// Runs a plan and counts its simulations.
fn run(plan: Plan, control: Control<'_>, simulations: &AtomicU64) -> Result<Outcome, ReviewError> {
    let stopped = || {
        control
            .stop
            .is_some_and(|stop| stop.load(Ordering::Relaxed))
    };
    if stopped() {
        return Err(ReviewError::Interrupted);
    }
    let more = u64::from(plan.scenario.run.replications);
    let all = simulations.fetch_add(more, Ordering::Relaxed) + more;
    if let Some(tell) = control.simulations {
        tell(all);
    }
    let quiet = Control {
        simulations: None,
        rows: None,
        audit: None,
        ..control
    };
    let outcome = run_plan(plan, quiet)?;
    match stopped() {
        true => Err(ReviewError::Interrupted),
        false => Ok(outcome),
    }
}

/// What a probe's run is, ready for metrics.
struct Shown {
    what: String,
    whole: Value,
    replications: Vec<Value>,
}

/// Reviews a scenario.
///
/// # Errors
/// [`ReviewError`].
pub fn review(
    document: &Document,
    base_dir: &Path,
    criteria: &Criteria,
    control: Control<'_>,
) -> Result<Card, ReviewError> {
    let plan = resolve(document, base_dir)?;
    check(criteria, document, base_dir, &plan)?;
    let simulations = AtomicU64::new(0);
    let base = run(plan.clone(), control, &simulations)?;
    let bench = Bench {
        document,
        plan: &plan,
        base: &base,
        base_dir,
        control,
        simulations: &simulations,
    };
    let mut probes: BTreeMap<String, &Probe> = BTreeMap::new();
    for criterion in &criteria.criteria {
        probes.insert(key(&criterion.probe), &criterion.probe);
    }
    type Found = Result<Vec<Shown>, Missing>;
    let found: Result<BTreeMap<String, Found>, ReviewError> = probes
        .into_par_iter()
        .map(|(key, probe)| Ok((key, shown(probe, &bench)?)))
        .collect();
    let found = found?;
    let confidence = plan.scenario.run.confidence;
    let scored = criteria.criteria.iter().map(|criterion| {
        let figure = match found.get(&key(&criterion.probe)) {
            Some(Ok(runs)) => figure(criterion, runs, confidence),
            Some(Err(why)) => Err(why.clone()),
            None => Err("it was not run".to_owned()),
        };
        Scored::of(criterion, figure)
    });
    let scored: Vec<Scored> = scored.collect();
    let simulations = simulations.load(Ordering::Relaxed);
    Ok(card(&bench, criteria, &scored, simulations))
}

fn key(probe: &Probe) -> String {
    json!(probe).to_string()
}

/// What a probe shows.
fn shown(probe: &Probe, bench: &Bench<'_, '_>) -> Result<Result<Vec<Shown>, Missing>, ReviewError> {
    let as_written = |what: String, more: Value| {
        let mut shown = of_outcome(what, bench.base, bench.base);
        let documents = std::iter::once(&mut shown.whole).chain(&mut shown.replications);
        for document in documents {
            if let (Some(card), Value::Object(more)) = (document["card"].as_object_mut(), &more) {
                card.extend(more.clone());
            }
        }
        if more.as_object().is_some_and(|more| !more.is_empty()) {
            // What was found of all replications together is none of each.
            shown.replications.clear();
        }
        Ok(vec![shown])
    };
    // Looking for the most and the least of so many fleets goes by what each run shows.
    let by_figures = |what: String| match bench.plan.is_certain() {
        true => what,
        false => format!("{what}, by the figures of each run and not their intervals"),
    };
    match probe {
        Probe::AsWritten {} => return Ok(as_written("as written".to_owned(), json!({}))),
        Probe::Headroom {} => {
            return Ok(headroom(bench)?.and_then(|found| {
                let what = by_figures(found.words());
                as_written(what, json!({ "headroom": found.factor }))
            }));
        }
        Probe::Cheapest {} => {
            return Ok(cheapest(bench)?.and_then(|found| {
                let (what, ratio) = told(&found, carried(bench.base) == Some(true));
                ratio.map_or(Err(what.clone()), |ratio| {
                    as_written(by_figures(what), json!({ "cost_over_cheapest": ratio }))
                })
            }));
        }
        _ => {}
    }
    let trials = match trials(probe, bench.document, bench.plan, Measured::of(bench.base)) {
        Ok(trials) => trials,
        Err(why) => return Ok(Err(why)),
    };
    let mut runs = Vec::new();
    for trial in trials {
        if let Err(error) = bench.resolved(&trial.document) {
            return Ok(Err(format!("{}: {error}", trial.what)));
        }
        let outcome = bench.run(&trial.document)?;
        runs.push(of_outcome(trial.what, &outcome, bench.base));
    }
    Ok(Ok(runs))
}

/// What the cheapest fleet is in words, and the ratio where there is one.
fn told(found: &super::search::Cheapest, met: bool) -> (String, Option<f64>) {
    let fleet = found.replicas.iter();
    let fleet: Vec<String> = fleet.map(|(pool, n)| format!("{pool} x {n}")).collect();
    let cost = match found.priced {
        true => format!("${} a year", significant(Some(found.cost))),
        false => format!(
            "{} accelerators; nothing has a price",
            significant(Some(found.cost))
        ),
    };
    let fleet = format!("{} ({cost})", fleet.join(", "));
    match met {
        true => (
            format!("cheapest: {fleet}"),
            Some(found.as_written / found.cost),
        ),
        false => (
            format!("it does not meet its objectives; the cheapest whose figures do: {fleet}"),
            None,
        ),
    }
}

fn of_outcome(what: String, outcome: &Outcome, base: &Outcome) -> Shown {
    let with = |document: &Value, as_written: Option<&Value>| {
        let mut document = document.clone();
        let card = facts(&document);
        if let Value::Object(fields) = &mut document {
            fields.insert("card".to_owned(), card);
            if let Some(as_written) = as_written {
                fields.insert("as_written".to_owned(), as_written.clone());
            }
        }
        document
    };
    let replications = outcome.replications.iter().enumerate();
    Shown {
        what,
        whole: with(&outcome.document, Some(&base.document)),
        replications: replications
            .map(|(index, one)| with(one, base.replications.get(index)))
            .collect(),
    }
}

/// The figure of a criterion: of several runs, that of the worst.
fn figure(criterion: &Criterion, runs: &[Shown], confidence: f64) -> Result<Figure, Missing> {
    let metric = Metric::parse(&criterion.metric).map_err(|error| error.to_string())?;
    let figures = runs.iter().map(|run| one(&metric, run, confidence));
    let figures: Vec<Figure> = figures.collect::<Result<_, _>>()?;
    let worst = figures.into_iter().max_by(|a, b| {
        // By the end that is scored.
        let ends = |it: &Figure| it.span.unwrap_or((it.value, it.value));
        match criterion.better {
            Better::Less => ends(a).1.total_cmp(&ends(b).1),
            Better::More => ends(b).0.total_cmp(&ends(a).0),
        }
    });
    worst.ok_or_else(|| "there is nothing of the kind".to_owned())
}

fn one(metric: &Metric, run: &Shown, confidence: f64) -> Result<Figure, Missing> {
    let value = metric.of_all(&run.whole, &run.replications);
    let value = value.map_err(|error| missing(error, &run.whole))?;
    if let Some(why) = no_evidence(&run.whole, metric) {
        return Err(format!("{}: {why}", run.what));
    }
    let each: Vec<f64> = run
        .replications
        .iter()
        .filter_map(|one| metric.evaluate(one).ok())
        .collect();
    let all = each.len() == run.replications.len();
    let interval = Interval::of_whole(value, &each, confidence);
    let interval = interval.filter(|_| all && !metric.is_of_extremes());
    // What is never below 0 is not said to be.
    let floor = if each.iter().all(|it| *it >= 0.0) {
        0.0
    } else {
        f64::NEG_INFINITY
    };
    Ok(Figure {
        value,
        span: interval
            .map(|it| it.within(metric.possible()))
            .map(|it| (it.low.max(floor), it.high)),
        why: run.what.clone(),
    })
}

/// Why a metric has no value, in words.
fn missing(error: MetricError, result: &Value) -> Missing {
    let mut rows = result["slo"].as_array().into_iter().flatten();
    let is_stated = |row: &Value| row["target"].is_number() || row["availability"].is_number();
    match error {
        MetricError::NoNumber { path, .. }
            if path.ends_with("card.error_budget_used") && !rows.any(is_stated) =>
        {
            NO_OBJECTIVE.to_owned()
        }
        MetricError::NoNumber { path, .. } if path.starts_with("card.") => {
            "there is nothing of the kind in this scenario".to_owned()
        }
        other => other.to_string(),
    }
}

fn card(bench: &Bench<'_, '_>, criteria: &Criteria, scored: &[Scored], simulations: u64) -> Card {
    let dimensions = dimensions(criteria, scored);
    let first = cost_most(&dimensions);
    let result = &bench.base.result;
    let mut assumptions = result.assumptions.clone();
    assumptions.push(
        "a score is of the worse end of the interval, where there is one; what the scenario says \
         nothing of scores 1"
            .to_owned(),
    );
    let mut warnings = result.warnings.clone();
    if result.replications == 1 && !bench.plan.is_certain() {
        warnings.push(
            "one replication of what is random: values have no intervals, and scores may be luck; \
             --replications 5 gives intervals"
                .to_owned(),
        );
    }
    let budget = bench.base.document.get("budget").and_then(Value::as_array);
    let drawn = graph(bench.plan, Some(result));
    let sum = |column: &str| {
        let rows = budget.into_iter().flatten();
        let values: Vec<f64> = rows.filter_map(|row| row.get(column)?.as_f64()).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    };
    Card {
        schema: 1,
        scenario: result.scenario.clone(),
        description: bench.plan.scenario.description.clone(),
        seed: result.seed,
        replications: result.replications,
        confidence: bench.plan.scenario.run.confidence,
        criteria: criteria.name.clone(),
        score: whole(&dimensions),
        dimensions,
        first: first.into_iter().take(FIRST).collect(),
        objectives_met: met_as_written(bench.base),
        objectives_shown: shown_as_written(bench.base),
        e2e_ms: [sum("mean_ms"), sum("at_p99_ms")],
        budget: budget.cloned().unwrap_or_default(),
        fleet: result.pools.clone(),
        diagram: text(&drawn),
        mermaid: mermaid(&drawn),
        assumptions,
        warnings,
        simulations,
    }
}
