//! What is found at a point.

use serde::{Deserialize, Serialize};

use super::schema::MetricRow;
use crate::experiment::claims::{figure_of, interval_of, no_evidence};
use crate::experiment::metric::{Metric, MetricError};
use crate::experiment::runner::Outcome;

/// A metric at a point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Valued {
    /// Over all replications; none where there is no such number.
    pub value: Option<f64>,
    /// The lower end of its interval; none where it has none.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// By replication.
    pub replications: Vec<Option<f64>>,
    /// Why it is no evidence, or not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

/// What was found at a point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Of the event streams.
    pub digest: String,
    /// Whether nothing in its runs is random.
    pub exact: bool,
    /// Why its runs were cut short, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// By metric.
    pub metrics: Vec<Valued>,
}

impl Found {
    /// What an outcome says of the metrics.
    pub fn of(outcome: &Outcome, metrics: &[Metric]) -> Found {
        Found {
            digest: outcome.result.digest.clone(),
            exact: outcome.plan.is_certain(),
            partial: outcome.result.partial.clone(),
            metrics: metrics
                .iter()
                .map(|metric| valued(metric, outcome))
                .collect(),
        }
    }

    /// Whether a metric is within its bounds: none where that is not known well enough.
    pub fn meets(&self, row: &MetricRow, index: usize) -> Option<bool> {
        let (least, most) = (row.at_least, row.at_most);
        let (low, high) = (
            least.unwrap_or(f64::NEG_INFINITY),
            most.unwrap_or(f64::INFINITY),
        );
        if least.is_none() && most.is_none() {
            return Some(true);
        }
        let found = self.metrics.get(index)?;
        let value = found.value?;
        if self.partial.is_some() || found.doubt.is_some() {
            return None;
        }
        let is_most = Metric::parse(&row.metric).is_ok_and(|it| it.is_of_extremes());
        let (from, to) = match (found.low, found.high) {
            // The most of all replications has no interval: it is judged as it is.
            _ if self.exact || is_most => (value, value),
            (Some(from), Some(to)) => (from.min(value), to.max(value)),
            _ => return None,
        };
        match (from >= low && to <= high, to < low || from > high) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }
}

fn valued(metric: &Metric, outcome: &Outcome) -> Valued {
    let value = figure_of(metric, outcome);
    let interval = interval_of(metric, outcome);
    let replications = outcome
        .replications
        .iter()
        .map(|run| metric.evaluate(run).ok());
    let replications: Vec<Option<f64>> = replications.collect();
    let doubt = match &value {
        Err(MetricError::NoNumber { path, found }) => Some(format!("{path}: {found}")),
        Err(error) => Some(error.to_string()),
        Ok(_) => no_evidence(&outcome.document, metric),
    };
    Valued {
        value: value.ok(),
        low: interval.map(|it| it.low),
        high: interval.map(|it| it.high),
        replications,
        doubt,
    }
}
