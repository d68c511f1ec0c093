//! A look at a design: what a run of so many replications says of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::experiment::claims::{figure_of, no_evidence, unfinished};
use crate::experiment::metric::{Metric, MetricError};
use crate::experiment::runner::{Outcome, Unsettled};

/// A figure of a look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Over all replications; none where there is no such number.
    pub value: Option<f64>,
    /// By replication.
    pub replications: Vec<Option<f64>>,
    /// Requests that a share of an objective is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<u64>,
    /// Why it is no evidence, or not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

/// What a run says of a design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// Events simulated, over all replications.
    pub events: u64,
    /// Of the event streams.
    pub digest: String,
    /// Whether nothing in its runs is random.
    pub exact: bool,
    /// Why it shows nothing of the long run, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<Unsettled>,
    /// Why its runs were cut short, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// What is to be the least.
    pub objective: Figure,
    /// By constraint.
    pub constraints: Vec<Figure>,
}

impl Look {
    /// What an outcome says.
    pub fn of(outcome: &Outcome, objective: &Metric, constraints: &[Metric]) -> Look {
        Look {
            events: outcome.result.sim.events,
            digest: outcome.result.digest.clone(),
            exact: outcome.plan.is_certain(),
            unsettled: outcome.unsettled,
            partial: outcome.result.partial.clone(),
            objective: figure(objective, outcome),
            constraints: constraints
                .iter()
                .map(|metric| figure(metric, outcome))
                .collect(),
        }
    }
}

fn figure(metric: &Metric, outcome: &Outcome) -> Figure {
    let value = figure_of(metric, outcome);
    let replications = outcome.replications.iter();
    let doubt = match &value {
        Err(MetricError::NoNumber { path, found }) => Some(format!("{path}: {found}")),
        Err(error) => Some(error.to_string()),
        // A quantile is of all replications together; what one of them leaves open, it leaves open of all.
        Ok(_) => no_evidence(&outcome.document, metric).or_else(|| {
            let mut each = outcome.replications.iter();
            let of_one = each.find_map(|one| unfinished(one, metric))?;
            Some(format!("of a single replication, {of_one}"))
        }),
    };
    let replications: Vec<Option<f64>> =
        replications.map(|one| metric.evaluate(one).ok()).collect();
    Figure {
        value: value.ok(),
        replications,
        counted: counted(metric, &outcome.document),
        doubt,
    }
}

/// Requests that the share of an objective is of, where a metric is one.
fn counted(metric: &Metric, document: &Value) -> Option<u64> {
    let tier = metric.path()?.strip_prefix("slo.")?;
    let (tier, _) = tier.rsplit_once('.')?;
    let rows = document.get("slo")?.as_array()?;
    let row = rows.iter().find(|row| row["tier"] == tier)?;
    row["counted"].as_u64()
}
