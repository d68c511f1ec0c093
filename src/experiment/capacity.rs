//! What the nodes of a run cost, and what became of them.

use serde_json::{Value, json};

use crate::fleet::capacity::group::GroupCounts;
use crate::fleet::scaling::forecast::Scores;
use crate::fleet::simulation::Simulation;
use crate::money::bill::{Bill, Nanodollars};
use crate::scenario::resolve::Plan;

use super::result::ratio;
use super::tally::Tally;

/// Nanoseconds of an hour.
const NS_PER_HOUR: f64 = 3.6e12;

/// The nodes of one run, or of several together.
#[derive(Debug, Clone)]
pub struct CapacityTally {
    /// What was paid for.
    pub bill: Bill,
    /// By group.
    pub groups: Vec<GroupCounts>,
    /// By scaler: how often it changed what it wants, how often limits gave it something else, and how good its forecasts were in the first
    /// run.
    pub scalers: Vec<(u64, u64, Option<Scores>)>,
}

impl CapacityTally {
    /// What a simulation that has ended bought.
    pub fn of(simulation: &Simulation) -> Option<CapacityTally> {
        let capacity = simulation.world.capacity_at_end()?;
        Some(CapacityTally {
            groups: capacity.groups.iter().map(|group| group.counts).collect(),
            bill: capacity.bill,
            scalers: simulation
                .world
                .scalers()
                .map(|it| (it.changes, it.limited, it.scores()))
                .collect(),
        })
    }

    /// Adds what another replication counted.
    pub fn merge(&mut self, other: &CapacityTally) {
        let merged = self.bill.merge(&other.bill);
        debug_assert!(merged.is_ok(), "{merged:?}");
        for (mine, theirs) in self.groups.iter_mut().zip(&other.groups) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.scalers.iter_mut().zip(&other.scalers) {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
        }
    }
}

/// What became of the nodes, as the result has it; nothing where none were bought.
pub fn capacity_rows(plan: &Plan, tally: &Tally) -> Value {
    let (Some(rules), Some(bought)) = (&plan.fleet.capacity, &tally.capacity) else {
        return Value::Null;
    };
    let horizon_ns = plan.fleet.horizon.0 as f64 * f64::from(tally.replications);
    let groups = rules.groups.iter().zip(&bought.groups).map(|(rule, counts)| {
        json!({
            "name": rule.name,
            "pool": plan.fleet.pools[usize::from(rule.pool)].name,
            "market": rule.market.name(),
            "nodes_at_start": rule.at_start,
            "max_nodes": rule.slots,
            "usd_per_node_hour": rule.price.usd_per_hour_at_start(),
            "price_source": rule.price_source,
            "mean_ready": counts.ready_ns as f64 / horizon_ns,
            "requested": counts.requested,
            "refused": counts.refused,
            "launched": counts.launched,
            "lost": counts.lost,
            "most_lost_at_once": counts.most_lost_at_once,
            "cold_starts": counts.cold_starts,
            "mean_cold_start_s": ratio(counts.cold_start_ns as f64 / 1e9, counts.cold_starts as f64),
            "handed_over": counts.handed_over,
            "migrated": counts.migrated,
            "migrated_tokens": counts.migrated_tokens,
            "nodes_billed": counts.nodes_billed,
            "billed_node_hours": counts.billed_node_ns as f64 / NS_PER_HOUR,
            "usd": Nanodollars(counts.cost).as_usd(),
        })
    });
    let scalers = rules.scalers.iter().zip(&bought.scalers);
    let scalers = scalers.map(|(scaler, (changes, limited, scores))| {
        json!({
            "group": scaler.rule.of(),
            "changes": changes,
            "limited": limited,
            "forecast": scores.as_ref().map(forecast_row),
        })
    });
    json!({
        "groups": groups.collect::<Vec<Value>>(),
        "scalers": scalers.collect::<Vec<Value>>(),
    })
}

fn forecast_row(scores: &Scores) -> Value {
    json!({
        "count": scores.count,
        "bias_per_s": scores.bias,
        "mae_per_s": scores.mae,
        "rmse_per_s": scores.rmse,
        "mape_pct": scores.mape_pct,
        "mase": scores.mase,
    })
}
