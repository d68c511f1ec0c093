//! Claims: statements of a scenario, tested on its result and on counterfactuals of it.

mod weigh;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::measure::Interval;
use crate::scenario::schema::{Bound, Claim, Compare};

use self::weigh::{Certainty, beyond, is_thin, own_interval, weigh};
use super::metric::{Metric, MetricError};
use super::runner::Outcome;
use super::variants::{Overrides, key, overrides};

/// Tolerance of `equals` when a claim states none, percent.
const DEFAULT_TOLERANCE_PCT: f64 = 1.0;

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was observed.
    Holds,
    /// The contrary was observed.
    Fails,
    /// A physical bound forbids it.
    Impossible,
    /// Nothing was observed that could decide it.
    Untested,
}

impl Verdict {
    /// The word used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Fails => "fails",
            Verdict::Impossible => "impossible",
            Verdict::Untested => "untested",
        }
    }
}

/// A claim, judged.
#[derive(Debug, Clone, Serialize)]
pub struct Judgement {
    /// Its identifier.
    pub id: String,
    /// Its words.
    pub text: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What was observed: the metric, or its comparison with the counterfactual.
    pub observed: Option<f64>,
    /// The bound, as a number.
    pub expected: Option<f64>,
    /// `at_most`, `at_least` or `equals`.
    pub relation: &'static str,
    /// With `equals`: within so many percent of `expected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance_pct: Option<f64>,
    /// The metric, and how it was compared.
    pub metric: String,
    /// The variant it is about; none for the scenario itself.
    pub variant: Option<String>,
    /// The metric of the counterfactual, with `versus`.
    pub counterfactual: Option<f64>,
    /// The interval of what was observed.
    pub interval: Option<Interval>,
    /// Why the verdict is what it is.
    pub why: String,
}

/// How the observed value must lie to the bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Relation {
    AtMost,
    AtLeast,
    /// Within so many percent.
    Equals(f64),
}

impl Relation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Relation::AtMost => "at_most",
            Relation::AtLeast => "at_least",
            Relation::Equals(_) => "equals",
        }
    }

    /// The least and the greatest value that is fine.
    fn range(self, expected: f64) -> (f64, f64) {
        match self {
            Relation::AtMost => (f64::NEG_INFINITY, expected),
            Relation::AtLeast => (expected, f64::INFINITY),
            Relation::Equals(percent) => {
                let slack = expected.abs() * percent / 100.0;
                (expected - slack, expected + slack)
            }
        }
    }
}

/// The relation and the bound that a claim states.
pub(super) fn relation(claim: &Claim) -> (Relation, Option<&Bound>) {
    let tolerance = claim.tolerance_pct.unwrap_or(DEFAULT_TOLERANCE_PCT);
    match (&claim.at_most, &claim.at_least, &claim.equals) {
        (Some(bound), _, _) => (Relation::AtMost, Some(bound)),
        (_, Some(bound), _) => (Relation::AtLeast, Some(bound)),
        (_, _, bound) => (Relation::Equals(tolerance), bound.as_ref()),
    }
}

/// Judges a claim on the result of its scenario and the runs of [`super::variants`].
pub fn judge(claim: &Claim, base: &Outcome, runs: &BTreeMap<String, Outcome>) -> Judgement {
    let (relation, bound) = relation(claim);
    let mut judgement = Judgement {
        id: claim.id.clone(),
        text: claim.text.clone(),
        verdict: Verdict::Untested,
        observed: None,
        expected: None,
        relation: relation.name(),
        tolerance_pct: match relation {
            Relation::Equals(percent) => Some(percent),
            _ => None,
        },
        metric: described(claim),
        variant: claim.variant.clone(),
        counterfactual: None,
        interval: None,
        why: String::new(),
    };
    let find = |overrides: &Overrides| match key(overrides) {
        None => Some(base),
        Some(key) => runs.get(&key),
    };
    let (with, versus) = overrides(claim, &base.plan.scenario);
    let other = versus.as_ref().map(find);
    let (Some(run), Some(bound), None | Some(Some(_))) = (find(&with), bound, other) else {
        judgement.why = "its counterfactual was not run".to_owned();
        return judgement;
    };
    let case = Case {
        claim,
        run,
        other: other.flatten(),
        relation,
        bound,
    };
    if let Err(error) = case.decide(&mut judgement) {
        judgement.why = error.to_string();
    }
    judgement
}

fn described(claim: &Claim) -> String {
    let Some(versus) = &claim.versus else {
        return claim.metric.clone();
    };
    let changed: Vec<String> = versus
        .iter()
        .map(|(path, value)| format!("{path} = {value}"))
        .collect();
    let how = match claim.compare.unwrap_or(Compare::PercentChange) {
        Compare::PercentChange => "percent change of",
        Compare::Ratio => "ratio of",
        Compare::Difference => "difference of",
    };
    format!("{how} {} against {}", claim.metric, changed.join(", "))
}

/// A claim with the runs that decide it.
struct Case<'a> {
    claim: &'a Claim,
    run: &'a Outcome,
    other: Option<&'a Outcome>,
    relation: Relation,
    bound: &'a Bound,
}

impl Case<'_> {
    fn decide(&self, judgement: &mut Judgement) -> Result<(), MetricError> {
        let metric = Metric::parse(&self.claim.metric)?;
        let expected = match self.bound {
            Bound::Number(value) => *value,
            Bound::Expression(text) => figure_of(&Metric::parse(text)?, self.run)?,
        };
        judgement.expected = Some(expected);
        let observed = self.observe(&metric, judgement);
        judgement.observed = observed.as_ref().ok().copied();
        // What cannot be needs no observation.
        let (low, high) = self.relation.range(expected);
        let contradicted = observed.as_ref().is_ok_and(|x| (low..=high).contains(x));
        if let Some(reason) = self.forbidden(&metric, expected)
            && !contradicted
        {
            judgement.verdict = Verdict::Impossible;
            judgement.why = reason;
            judgement.interval = self.interval(&metric);
            return Ok(());
        }
        if let Some(why) = self.never_well(&metric, high) {
            match self.no_evidence(&metric) {
                Some(reason) => judgement.why = reason,
                None => (judgement.verdict, judgement.why) = (Verdict::Fails, why),
            }
            return Ok(());
        }
        let observed = observed?;
        if let Some(reason) = self.no_evidence(&metric) {
            judgement.why = reason;
            return Ok(());
        }
        judgement.interval = self.interval(&metric);
        // A value and its interval are to be of the same thing.
        let observed = match judgement.interval {
            Some(interval) if self.run.replications.len() > 1 => interval.estimate,
            _ => observed,
        };
        judgement.observed = Some(observed);
        let certainty = self.certainty(&metric, judgement.interval);
        let (verdict, why) = weigh(observed, &certainty, low, high);
        judgement.verdict = verdict;
        judgement.why = why;
        Ok(())
    }

    /// Why a bound from above on the time of recovery is broken where there was none to measure: a
    /// fleet that never was well again took longer than any bound, in however few replications.
    fn never_well(&self, metric: &Metric, high: f64) -> Option<String> {
        let summary = metric.path()?.strip_suffix("recovery_s")?;
        if self.other.is_some() || !high.is_finite() {
            return None;
        }
        let recovered = Metric::parse(&format!("{summary}recovered")).ok()?;
        let never = |run: &Value| recovered.evaluate(run) == Ok(0.0);
        let runs = &self.run.replications;
        let (never, all) = (runs.iter().filter(|run| never(run)).count(), runs.len());
        (never > 0).then(|| match all {
            1 => "the fleet was not well again".to_owned(),
            _ => format!("the fleet was not well again in {never} of {all} replications"),
        })
    }

    /// What is known of the value of a metric.
    fn certainty(&self, metric: &Metric, interval: Option<Interval>) -> Certainty {
        let runs = [Some(self.run), self.other];
        if runs.into_iter().flatten().all(|run| run.plan.is_certain()) {
            return Certainty::Exact(interval);
        }
        let latency = |path: &String| path.starts_with("latency.");
        match interval {
            Some(interval) => Certainty::Within(interval),
            None if metric.is_of_extremes() => Certainty::Most(self.run.replications.len()),
            None if self.other.is_none() && metric.paths().iter().any(latency) => {
                Certainty::Unbounded
            }
            None => Certainty::Single,
        }
    }

    fn observe(&self, metric: &Metric, judgement: &mut Judgement) -> Result<f64, MetricError> {
        let value = figure_of(metric, self.run)?;
        let Some(other) = self.other else {
            return Ok(value);
        };
        let against = figure_of(metric, other)?;
        judgement.counterfactual = Some(against);
        self.compared(metric, value, against)
    }

    fn compared(&self, metric: &Metric, value: f64, against: f64) -> Result<f64, MetricError> {
        let compared = match self.claim.compare.unwrap_or(Compare::PercentChange) {
            Compare::Difference => value - against,
            Compare::Ratio => value / against,
            Compare::PercentChange => 100.0 * (value - against) / against,
        };
        if compared.is_finite() {
            return Ok(compared);
        }
        Err(MetricError::NotFinite {
            expression: metric.text().to_owned(),
            value: format!("{value} against {against}"),
        })
    }

    /// The interval of what was observed: over replications, or the run's own.
    fn interval(&self, metric: &Metric) -> Option<Interval> {
        let Some(other) = self.other else {
            return interval_of(metric, self.run);
        };
        if metric.is_of_extremes() || self.run.replications.len() < 2 {
            return None;
        }
        let pairs = self.run.replications.iter().zip(&other.replications);
        let values = pairs.filter_map(|(run, against)| {
            let (value, against) = (metric.evaluate(run).ok()?, metric.evaluate(against).ok()?);
            self.compared(metric, value, against).ok()
        });
        let values: Vec<f64> = values.collect();
        let value = figure_of(metric, self.run).ok()?;
        let against = figure_of(metric, other).ok()?;
        let whole = self.compared(metric, value, against).ok()?;
        Interval::of_whole(whole, &values, self.run.plan.scenario.run.confidence)
    }

    /// Why the bound cannot be met whatever the design, if a physical bound forbids it.
    fn forbidden(&self, metric: &Metric, expected: f64) -> Option<String> {
        if self.other.is_some() {
            return None;
        }
        let path = metric.path()?;
        let bounds = self
            .run
            .document
            .get("physics")?
            .get("bounds")?
            .as_array()?;
        let (low, high) = self.relation.range(expected);
        bounds
            .iter()
            .filter(|bound| bound.get("metric").and_then(Value::as_str) == Some(path))
            .find_map(|bound| {
                let number = |key: &str| bound.get(key).and_then(Value::as_f64);
                let because = bound.get("because").and_then(Value::as_str).unwrap_or("");
                let least = number("at_least").filter(|least| high < *least);
                let most = number("at_most").filter(|most| low > *most);
                match (least, most) {
                    (Some(least), _) => Some(format!(
                        "physics asks for at least {}: {because}",
                        short(least)
                    )),
                    (_, Some(most)) => {
                        Some(format!("physics allows at most {}: {because}", short(most)))
                    }
                    _ => None,
                }
            })
    }

    /// Why the runs are no evidence, if they are none.
    fn no_evidence(&self, metric: &Metric) -> Option<String> {
        let mut outcomes = [Some(self.run), self.other].into_iter().flatten();
        outcomes.find_map(|outcome| no_evidence(&outcome.document, metric))
    }
}

/// Why the result of a run is no evidence for a metric, if it is none.
pub(super) fn no_evidence(result: &Value, metric: &Metric) -> Option<String> {
    if let Some(reason) = unfinished(result, metric) {
        return Some(reason);
    }
    let mut paths = metric.paths().iter();
    let thin = paths.find(|path| is_thin(result, path));
    thin.map(|path| format!("{path} rests on fewer than ten requests beyond it: run for longer"))
}

/// Why a run left a metric open, however many requests it has, if it did.
pub(super) fn unfinished(result: &Value, metric: &Metric) -> Option<String> {
    if let Some(partial) = result.get("partial").and_then(Value::as_str) {
        return Some(format!("the run is partial: {partial}"));
    }
    undecided(result, metric)
}

/// The interval of a metric: by replications, or the run's own.
pub(super) fn interval_of(metric: &Metric, run: &Outcome) -> Option<Interval> {
    if metric.is_of_extremes() {
        return None;
    }
    if run.replications.len() < 2 {
        return own_interval(&run.document, metric.path()?);
    }
    let values = run.replications.iter();
    let values: Vec<f64> = values.filter_map(|run| metric.evaluate(run).ok()).collect();
    let whole = figure_of(metric, run).ok()?;
    let found = Interval::of_whole(whole, &values, run.plan.scenario.run.confidence)?;
    Some(found.within(metric.possible()))
}

/// What a metric is of all replications of a run together.
pub(super) fn figure_of(metric: &Metric, run: &Outcome) -> Result<f64, MetricError> {
    metric.of_all(&run.document, &run.replications)
}

/// Why requests that are still in flight leave a metric open, if they do: their latencies are not
/// known, and those that completed are the quick ones.
fn undecided(result: &Value, metric: &Metric) -> Option<String> {
    let counted = |field: &str| result.get("requests")?.get(field)?.as_u64();
    let open = counted("measured_in_flight").unwrap_or(0);
    let measured = counted("measured").unwrap_or(0).max(1);
    let share = open as f64 / measured as f64;
    let telling = |path: &String| {
        let Some(statistic) = path
            .strip_prefix("latency.")
            .and_then(|p| p.rsplit('.').next())
        else {
            // The report's own column counts those in flight for and against.
            return path.starts_with("slo.") && share > 0.0;
        };
        // A tenth of what lies beyond a quantile moves it by next to nothing.
        share > 0.1 * beyond(statistic)
    };
    metric.paths().iter().any(telling).then(|| {
        format!(
            "{open} of {measured} measured requests were still in flight at the end, and how long \
             they take is not known: raise run.drain_limit_s, or give the fleet what it needs to \
             keep up"
        )
    })
}

/// A number with four significant digits.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !(1e-4..1e7).contains(&size) {
        format!("{value:.3e}")
    } else {
        let decimals = (3 - size.log10().floor() as i32).clamp(0, 7) as usize;
        let text = format!("{value:.decimals$}");
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        }
    }
}
