//! What closed forms ask for, beside what simulation found.

use serde::Serialize;

use super::schema::Constraint;
use crate::experiment::estimate::{Wanted, demand};
use crate::scenario::resolve::Plan;

/// What closed forms ask for, so that a constraint is met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Asked {
    /// The constraint.
    pub constraint: String,
    /// How many.
    pub count: u64,
    /// Of what: `servers` or `nodes`.
    pub unit: &'static str,
    /// The formula, and what it takes the fleet to be.
    pub basis: &'static str,
}

/// What closed forms ask for by constraint, where they apply.
pub fn asked(plan: &Plan, constraints: &[Constraint], servers: bool) -> Vec<Asked> {
    let rows = constraints.iter().filter_map(|constraint| {
        let demand = demand(plan, &wanted(plan, constraint)?)?;
        Some(Asked {
            constraint: constraint.name.clone(),
            count: if servers {
                demand.servers
            } else {
                demand.nodes
            },
            unit: if servers { "servers" } else { "nodes" },
            basis: demand.basis,
        })
    });
    rows.collect()
}

/// A constraint as the bound on a response time or a wait that closed forms know.
fn wanted(plan: &Plan, constraint: &Constraint) -> Option<Wanted> {
    if let Some(tier) = constraint.metric.strip_prefix("slo.") {
        let tier = tier.strip_suffix(".attained")?;
        let mut tiers = plan.fleet.tiers.iter();
        let slo = tiers.find(|it| it.name == tier)?.slo?;
        return Some(Wanted::Response {
            ms: slo.e2e_ms?,
            level: constraint.at_least?,
        });
    }
    let (what, statistic) = constraint
        .metric
        .strip_prefix("latency.")?
        .split_once('.')?;
    let level = match statistic {
        "p50" => 0.5,
        "p90" => 0.9,
        "p95" => 0.95,
        "p99" => 0.99,
        "p999" => 0.999,
        _ => return None,
    };
    let ms = constraint.at_most?;
    match what {
        "e2e_ms" => Some(Wanted::Response { ms, level }),
        "queue_ms" => Some(Wanted::Wait { ms, level }),
        _ => None,
    }
}
