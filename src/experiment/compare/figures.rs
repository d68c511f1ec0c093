//! Figures that two results are compared by.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::side::Side;
use crate::experiment::metric::{Metric, MetricError};
use crate::experiment::runner::RunError;
use crate::experiment::variants::before_it_begins;
use crate::scenario::resolve::Plan;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less of it.
    Less,
    /// More of it.
    More,
    /// It says nothing of good or bad.
    Neither,
}

/// A figure with its name.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Its name, for people.
    pub name: String,
    /// The metric.
    pub metric: Metric,
    /// Which way is better.
    pub better: Better,
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Figure", 3)?;
        fields.serialize_field("name", &self.name)?;
        fields.serialize_field("metric", self.metric.text())?;
        fields.serialize_field("better", &self.better)?;
        fields.end()
    }
}

/// What a figure of these paths is judged by when nothing else is said.
pub(crate) fn usual(metric: &Metric) -> Better {
    let path = metric.path().unwrap_or("");
    let starts = |begins: &[&str]| begins.iter().any(|it| path.starts_with(it));
    if starts(&["latency.", "cost.", "budget."]) {
        return Better::Less;
    }
    match starts(&["slo.", "throughput."]) {
        true => Better::More,
        false => Better::Neither,
    }
}

impl Figure {
    /// A metric that a user asks for: `EXPRESSION`, or `less:EXPRESSION` and `more:EXPRESSION` where
    /// one way is better.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn parse(text: &str) -> Result<Figure, MetricError> {
        let (better, expression) = match text.split_once(':') {
            Some(("less", rest)) => (Some(Better::Less), rest),
            Some(("more", rest)) => (Some(Better::More), rest),
            Some((word, rest)) if !word.trim().contains([' ', '/', '*', '+', '(']) => {
                return Err(MetricError::NoWay {
                    word: word.to_owned(),
                    expression: rest.to_owned(),
                });
            }
            _ => (None, text),
        };
        if let (Some(_), Some((word, rest))) = (better, expression.split_once(':')) {
            let first = text.split(':').next().unwrap_or_default();
            return Err(MetricError::NoWay {
                word: format!("{first}:{word}"),
                expression: rest.to_owned(),
            });
        }
        let metric = Metric::parse(expression)?;
        Ok(Figure {
            name: metric.text().to_owned(),
            better: better.unwrap_or_else(|| usual(&metric)),
            metric,
        })
    }
}

/// Figures that are looked at when a user asks for none; a tier's name stands for `*`.
const USUAL: [(&str, &str, Better); 13] = [
    ("TTFT mean, ms", "latency.ttft_ms.mean", Better::Less),
    ("TTFT p99, ms", "latency.ttft_ms.p99", Better::Less),
    ("TPOT mean, ms", "latency.tpot_ms.mean", Better::Less),
    ("TPOT p99, ms", "latency.tpot_ms.p99", Better::Less),
    ("E2E mean, ms", "latency.e2e_ms.mean", Better::Less),
    ("E2E p99, ms", "latency.e2e_ms.p99", Better::Less),
    ("queue mean, ms", "latency.queue_ms.mean", Better::Less),
    ("in time, *", "slo.*.attained", Better::More),
    ("goodput/s, *", "slo.*.goodput_rps", Better::More),
    ("completed/s", "throughput.requests_per_s", Better::More),
    (
        "not answered",
        "(requests.rejected + requests.shed + requests.timed_out + requests.failed + requests.cancelled) \
         / requests.arrived",
        Better::Less,
    ),
    ("cost, $ a year", "cost.usd_per_year", Better::Less),
    (
        "cost, $ a million requests",
        "cost.usd_per_million_requests",
        Better::Less,
    ),
];

/// The usual figures that both results have.
pub fn default_figures(a: &Side, b: &Side) -> Vec<Figure> {
    let rows = a.document.get("slo").and_then(Value::as_array);
    let tiers = rows
        .into_iter()
        .flatten()
        .filter_map(|row| row.get("tier")?.as_str());
    let tiers: Vec<&str> = tiers.collect();
    let named = USUAL.iter().flat_map(|(name, metric, better)| {
        let filled: Vec<(String, String)> = match metric.contains('*') {
            true => {
                let fill = |tier: &&str| (name.replace('*', tier), metric.replace('*', tier));
                tiers.iter().map(fill).collect()
            }
            false => vec![((*name).to_owned(), (*metric).to_owned())],
        };
        filled
            .into_iter()
            .map(move |(name, metric)| (name, metric, *better))
    });
    let has = |metric: &Metric, side: &Side| metric.evaluate(&side.document).is_ok();
    let has_tokens =
        Metric::parse("latency.tpot_ms.mean").is_ok_and(|it| has(&it, a) || has(&it, b));
    let figures = named.filter_map(|(name, metric, better)| {
        // Where answers come whole, their first token is their last.
        if metric.starts_with("latency.ttft_ms.") && !has_tokens {
            return None;
        }
        let metric = Metric::parse(&metric).ok()?;
        (has(&metric, a) && has(&metric, b)).then_some(Figure {
            name,
            metric,
            better,
        })
    });
    figures.collect()
}

/// Refuses figures that no run of a plan can have, before it is run.
///
/// # Errors
/// [`RunError::Metric`] for the first of them.
pub fn check(figures: &[Figure], plan: &Plan) -> Result<(), RunError> {
    if figures.is_empty() {
        return Ok(());
    }
    let before = before_it_begins(plan)?;
    let mut checks = figures
        .iter()
        .map(|figure| figure.metric.check_fields(&before));
    match checks.find_map(Result::err) {
        None => Ok(()),
        Some(error) => Err(RunError::Metric(error)),
    }
}
