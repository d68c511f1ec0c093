//! A row an interval, part of the fleet and metric: what `run --series` writes. States are those at the
//! end of each interval.

use std::collections::{BTreeMap, BTreeSet};

use super::table::Row;
use super::{Level, LevelSample};
use crate::observed::error::ObservedError;

/// The columns, all of which must be there.
pub(super) const COLUMNS: [&str; 6] = ["t_s", "interval_s", "scope", "name", "metric", "value"];

/// Metrics of a pool, in the order in which they are kept.
const OF_POOL: [&str; 4] = ["replicas_up", "waiting", "running", "kv_usage"];

/// The latest instant, seconds: some three centuries.
const LATEST_S: f64 = 1e10;
/// The most that there can be of anything.
const MOST: f64 = 1e12;

/// What a pool was found to do, in the order of [`OF_POOL`].
type Pool = [Option<f64>; OF_POOL.len()];

/// Rows as they come.
#[derive(Debug, Default)]
pub(super) struct Intervals {
    waiting: BTreeMap<u64, f64>,
    pools: BTreeMap<u64, BTreeMap<String, Pool>>,
}

impl Intervals {
    pub(super) fn take(&mut self, row: &Row<'_>) -> Result<(), ObservedError> {
        let (scope, metric) = (row.text("scope"), row.text("metric"));
        let of_pool = OF_POOL.iter().position(|it| *it == metric);
        let is_told = match scope {
            "fleet" => metric == "waiting",
            "pool" => of_pool.is_some(),
            _ => false,
        };
        if !is_told {
            return Ok(());
        }
        let must = |name: &str, found: Option<f64>| {
            found.ok_or_else(|| {
                row.refuse(
                    &format!("{name}: is empty"),
                    "give a number, or leave the row out",
                )
            })
        };
        let time = |name: &str| must(name, row.number(name, (0.0, LATEST_S))?);
        let end_s = time("t_s")? + time("interval_s")?;
        let most = if metric == "kv_usage" { 1.0 } else { MOST };
        let value = must("value", row.number("value", (0.0, most))?)?;
        // Within what a u64 holds: both are at most LATEST_S.
        let end_ns = (end_s * 1e9).round() as u64;
        let before = match of_pool.filter(|_| scope == "pool") {
            Some(place) => {
                let pools = self.pools.entry(end_ns).or_default();
                let pool = pools.entry(row.text("name").to_owned()).or_default();
                pool[place].replace(value)
            }
            None => self.waiting.insert(end_ns, value),
        };
        match before {
            None => Ok(()),
            Some(_) => Err(row.refuse(
                &format!(
                    "{scope} {} has {metric} at {end_s} s already",
                    row.text("name")
                ),
                "give one run",
            )),
        }
    }

    pub(super) fn finish(self) -> BTreeMap<Level, Vec<LevelSample>> {
        let sums = |place: usize| -> Vec<LevelSample> {
            let rows = self.pools.iter().filter_map(|(at_ns, pools)| {
                let known = pools.values().filter_map(|pool| pool[place]);
                let sum = known.reduce(|sum, value| sum + value)?;
                Some(instant(*at_ns, sum))
            });
            rows.collect()
        };
        let waiting = self.waiting.iter();
        BTreeMap::from([
            (Level::Replicas, sums(0)),
            (
                Level::Waiting,
                waiting
                    .map(|(at_ns, value)| instant(*at_ns, *value))
                    .collect(),
            ),
            (Level::Queue, sums(1)),
            (Level::Running, sums(2)),
            (Level::KvUsage, self.kv_usage()),
        ])
    }

    /// The mean over replicas. Pools that never used any have no KV.
    fn kv_usage(&self) -> Vec<LevelSample> {
        let of_all = self.pools.values().flatten();
        let with_kv = of_all.filter(|(_, pool)| pool[3].is_some_and(|usage| usage > 0.0));
        let names: BTreeSet<&String> = with_kv.map(|(name, _)| name).collect();
        let rows = self.pools.iter().filter_map(|(at_ns, pools)| {
            let known = names.iter().filter_map(|name| pools.get(*name));
            let known = known.filter_map(|pool| Some((pool[0]?, pool[3]?)));
            let (up, used) = known.fold((0.0, 0.0), |sum, (up, usage)| {
                (sum.0 + up, sum.1 + up * usage)
            });
            (up > 0.0).then(|| instant(*at_ns, used / up))
        });
        rows.collect()
    }
}

fn instant(at_ns: u64, value: f64) -> LevelSample {
    LevelSample {
        from_ns: at_ns,
        to_ns: at_ns,
        value,
    }
}
