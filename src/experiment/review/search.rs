//! What takes several runs to find: how much traffic is carried, and what the cheapest fleet costs.

use std::collections::BTreeMap;

use crate::experiment::claims::interval_of;
use crate::experiment::metric::Metric;
use crate::experiment::runner::Outcome;
use crate::experiment::sizing::least;
use crate::scenario::resolve::Plan;
use crate::scenario::workload::Arrivals;

use super::error::ReviewError;
use super::probe::{Missing, with_traffic};
use super::run::Bench;

/// Why what is judged by objectives has no figure.
pub const NO_OBJECTIVE: &str = "the scenario states no objective";

/// The ratio of neighbouring factors of traffic that are looked at.
const STEP: f64 = 1.05;
/// Where 1 is among them, and how many there are: from 1/23 to 8.
const GRID: (u32, u32) = (65, 108);
/// How much larger than as written a fleet may be.
const LARGER: u32 = 4;

/// Whether a run meets all objectives that are stated; none where there are none.
pub fn carried(outcome: &Outcome) -> Option<bool> {
    let stated = || outcome.result.slo.iter().filter(|row| row.target.is_some());
    stated().next()?;
    // What grows until the end of a run shows nothing of the long run.
    let sound = outcome.result.partial.is_none() && outcome.unsettled.is_none();
    Some(sound && stated().all(|row| row.met == Some(true)))
}

/// Whether the run itself met all objectives, as `run` says; none where there are none.
pub fn met_as_written(outcome: &Outcome) -> Option<bool> {
    let mut stated = outcome.result.slo.iter().filter(|row| row.target.is_some());
    let first = stated.next()?.met == Some(true);
    Some(outcome.result.partial.is_none() && first && stated.all(|row| row.met == Some(true)))
}

/// Whether replications show that all objectives are met: the share in time is at its target or above over
/// the whole of its interval. None where there are none, or one replication of what is random.
pub fn shown_as_written(outcome: &Outcome) -> Option<bool> {
    let met = met_as_written(outcome)?;
    if outcome.plan.is_certain() {
        return Some(met);
    }
    if outcome.replications.len() < 2 {
        return None;
    }
    let mut stated = outcome.result.slo.iter();
    let shown = stated.all(|row| {
        let Some(target) = row.target else {
            return true;
        };
        let metric = Metric::parse(&format!("slo.{}.attained", row.tier)).ok();
        let interval = metric.and_then(|metric| interval_of(&metric, outcome));
        interval.is_some_and(|it| it.low >= target)
    });
    Some(met && shown)
}

/// The most traffic that is carried.
#[derive(Debug, Clone, PartialEq)]
pub struct Headroom {
    /// In times of what is stated, to 5 %; 0 where not even the least that was tried is.
    pub factor: f64,
    /// Whether that is the most that was tried.
    pub at_least: bool,
    /// Why more could not be tried, if so.
    pub bounded_by: Option<String>,
}

impl Headroom {
    /// How well it is known.
    pub fn words(&self) -> String {
        match (&self.bounded_by, self.at_least) {
            (Some(why), _) => format!("the most that could be tried: {why}"),
            (None, true) => "the most that was tried".to_owned(),
            (None, false) => "to 5 %".to_owned(),
        }
    }
}

/// A factor of traffic.
fn factor(index: u32) -> f64 {
    STEP.powf(f64::from(index) - f64::from(GRID.0))
}

/// Finds it. More traffic is taken to never do good.
///
/// # Errors
/// When a run fails. Within: why it cannot be found.
pub fn headroom(bench: &Bench<'_, '_>) -> Result<Result<Headroom, Missing>, ReviewError> {
    let plan = bench.plan;
    if carried(bench.base).is_none() {
        return Ok(Err(NO_OBJECTIVE.to_owned()));
    }
    let mut refused: BTreeMap<u32, String> = BTreeMap::new();
    let mut failing = |index: u32| -> Result<bool, ReviewError> {
        if index > GRID.1 {
            return Ok(true);
        }
        if index == GRID.0 {
            return Ok(carried(bench.base) == Some(false));
        }
        let document = with_traffic(bench.document, &plan.scenario, factor(index))?;
        if let Err(error) = bench.resolved(&document) {
            refused.insert(index, error.to_string());
            return Ok(true);
        }
        let outcome = bench.run(&document)?;
        Ok(carried(&outcome) != Some(true))
    };
    let found = least((GRID.0 + 1, 4), GRID.1 + 1, &mut failing)?;
    let fails = found.unwrap_or(GRID.1 + 1);
    let most = if fails == 1 { 0.0 } else { factor(fails - 1) };
    Ok(Ok(Headroom {
        factor: match &plan.scenario.workload.arrivals {
            // Users are whole.
            Arrivals::ClosedLoop { users, .. } => {
                (f64::from(*users) * most).round() / f64::from(*users)
            }
            _ => most,
        },
        at_least: fails > GRID.1,
        bounded_by: refused.remove(&fails),
    }))
}

/// The cheapest fleet of the same pools.
#[derive(Debug, Clone, PartialEq)]
pub struct Cheapest {
    /// What it costs a year, US dollars; accelerators where nothing has a price.
    pub cost: f64,
    /// What the scenario costs as written.
    pub as_written: f64,
    /// Whether the two are dollars.
    pub priced: bool,
    /// Replicas by pool.
    pub replicas: Vec<(String, u32)>,
}

/// Finds it: of each pool in turn the fewest replicas with which all objectives are met, the one with
/// most accelerators first. More replicas are taken to never do harm.
///
/// # Errors
/// When a run fails. Within: why it cannot be found.
pub fn cheapest(bench: &Bench<'_, '_>) -> Result<Result<Cheapest, Missing>, ReviewError> {
    let plan = bench.plan;
    if carried(bench.base).is_none() {
        return Ok(Err(NO_OBJECTIVE.to_owned()));
    }
    if !plan.scenario.capacity.groups.is_empty() {
        return Ok(Err(
            "its nodes come and go, so that replicas are no knob: `seatrial size` finds the cheapest"
                .to_owned(),
        ));
    }
    let mut fleets = Fleets {
        bench,
        known: BTreeMap::new(),
        refused: None,
    };
    let written: Vec<u32> = plan.fleet.pools.iter().map(|pool| pool.at_start).collect();
    let Some(mut fleet) = fleets.enough(&written)? else {
        return Ok(Err(format!(
            "no fleet of the same pools up to {LARGER} times as large meets the objectives"
        )));
    };
    let mut order: Vec<usize> = (0..fleet.len()).collect();
    let size = |index: &usize| accelerators(plan, *index, written[*index]);
    order.sort_by_key(|index| std::cmp::Reverse(size(index)));
    for index in order {
        let now = fleet[index];
        let mut enough = |replicas: u32| {
            let mut fewer = fleet.clone();
            fewer[index] = replicas;
            fleets.meet(&fewer)
        };
        let start = now.saturating_sub(1).max(1);
        fleet[index] = least((start, 1), now, &mut enough)?.unwrap_or(now);
    }
    if let Some(why) = fleets.refused {
        return Ok(Err(format!(
            "a smaller fleet that was to be tried is no valid scenario, so that the cheapest is not known \
             ({why}); `seatrial size` takes knobs of your own"
        )));
    }
    let names = plan.fleet.pools.iter().map(|pool| pool.name.clone());
    let priced = usd(bench.base).is_some();
    let cost = |fleet: &[u32]| -> Option<f64> {
        match priced {
            true => fleets.known.get(fleet)?.1,
            false => {
                let each = fleet.iter().enumerate();
                Some(
                    each.map(|(index, n)| accelerators(plan, index, *n))
                        .sum::<u64>() as f64,
                )
            }
        }
    };
    let (Some(as_written), Some(least_cost)) = (cost(&written), cost(&fleet)) else {
        return Ok(Err("a run of it has no cost".to_owned()));
    };
    Ok(Ok(Cheapest {
        cost: least_cost,
        as_written,
        priced,
        replicas: names.zip(fleet).collect(),
    }))
}

fn accelerators(plan: &Plan, pool: usize, replicas: u32) -> u64 {
    u64::from(plan.fleet.pools[pool].accelerators_per_replica.max(1)) * u64::from(replicas)
}

fn usd(outcome: &Outcome) -> Option<f64> {
    outcome.document.get("cost")?.get("usd_per_year")?.as_f64()
}

/// Fleets that were run: whether they meet all objectives, and what they cost a year.
struct Fleets<'a, 'b, 'c> {
    bench: &'a Bench<'b, 'c>,
    known: BTreeMap<Vec<u32>, (bool, Option<f64>)>,
    /// Why a fleet is no valid scenario, if one is not.
    refused: Option<String>,
}

impl Fleets<'_, '_, '_> {
    fn meet(&mut self, fleet: &[u32]) -> Result<bool, ReviewError> {
        if let Some((met, _)) = self.known.get(fleet) {
            return Ok(*met);
        }
        let written = self.bench.plan.fleet.pools.iter().map(|pool| pool.at_start);
        let found = if written.eq(fleet.iter().copied()) {
            let base = self.bench.base;
            (carried(base) == Some(true), usd(base))
        } else {
            self.run(fleet)?
        };
        self.known.insert(fleet.to_vec(), found);
        Ok(found.0)
    }

    fn run(&mut self, fleet: &[u32]) -> Result<(bool, Option<f64>), ReviewError> {
        let mut document = self.bench.document.clone();
        for (index, replicas) in fleet.iter().enumerate() {
            let value = toml::Value::Integer(i64::from(*replicas));
            document.set_value(&format!("pools.{index}.replicas"), value)?;
        }
        // A fault may be of a node that is not there.
        if let Err(error) = self.bench.resolved(&document) {
            self.refused.get_or_insert(error.to_string());
            return Ok((false, None));
        }
        let outcome = self.bench.run(&document)?;
        Ok((carried(&outcome) == Some(true), usd(&outcome)))
    }

    /// The fleet as written, or one that is as much larger as it takes.
    fn enough(&mut self, written: &[u32]) -> Result<Option<Vec<u32>>, ReviewError> {
        let larger = |tenths: u32| -> Vec<u32> {
            let each = written.iter();
            each.map(|it| it.saturating_mul(tenths).div_ceil(10))
                .collect()
        };
        let mut met = |tenths: u32| self.meet(&larger(tenths));
        if met(10)? {
            return Ok(Some(written.to_vec()));
        }
        let most = LARGER * 10;
        let found = least((20, 10), most, &mut |tenths| match tenths <= 10 {
            true => Ok(false),
            false => met(tenths),
        });
        Ok(found?.map(larger))
    }
}
