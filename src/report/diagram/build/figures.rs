//! The figures on a diagram: before a run from closed forms, after one as measured.

use serde_json::Value;

use super::traffic::Traffic;
use crate::experiment::result::RunResult;
use crate::fleet::world::handover::ceiling;
use crate::report::number::{percent, significant};
use crate::scenario::resolve::Plan;
use crate::scenario::resolve::worth::speed_of;

/// Figures of a plan, and of its result where it was run.
pub(super) struct Figures<'a> {
    plan: &'a Plan,
    result: Option<&'a RunResult>,
}

/// `3 requests/s`.
pub(super) fn per_second(rate: f64) -> String {
    format!("{} requests/s", significant(Some(rate)))
}

impl<'a> Figures<'a> {
    pub(super) fn new(plan: &'a Plan, result: Option<&'a RunResult>) -> Figures<'a> {
        Figures { plan, result }
    }

    /// Whether a run measured anything.
    pub(super) fn is_measured(&self) -> bool {
        self.result.is_some()
    }

    /// Requests a second that the replicas of a pool that are there at the start do with all seats
    /// taken by requests of mean lengths.
    pub(super) fn capacity(&self, pool: usize) -> Option<f64> {
        let plan = &self.plan.fleet.pools[pool];
        let (seats, _, full_ns) = speed_of(self.plan, plan);
        let each = f64::from(seats) / full_ns * 1e9;
        Some(each * f64::from(plan.at_start)).filter(|rate| rate.is_finite() && *rate > 0.0)
    }

    /// The most that hardware allows them; none for abstract pools.
    pub(super) fn bound(&self, pool: usize) -> Option<f64> {
        let (prompt, output) = self.plan.mean_tokens()?;
        let (prompt, output) = (prompt.round().max(1.0), output.round().max(1.0));
        let bound = ceiling(&self.plan.fleet, pool, prompt as u32, output as u32)?;
        let replicas = f64::from(self.plan.fleet.pools[pool].at_start);
        Some(bound.most() * replicas).filter(|rate| rate.is_finite() && *rate > 0.0)
    }

    fn pool(&self, pool: usize, key: &str) -> Option<f64> {
        self.result?.pools.get(pool)?.get(key)?.as_f64()
    }

    /// Requests a second that a pool completed.
    pub(super) fn done(&self, pool: usize) -> Option<f64> {
        self.pool(pool, "requests_per_s")
    }

    /// Which part of the time a pool was at work.
    pub(super) fn utilization(&self, pool: usize) -> Option<f64> {
        self.pool(pool, "utilization")
    }

    /// Which part of the KV blocks was taken at most at one replica.
    pub(super) fn kv_peak(&self, pool: usize) -> Option<f64> {
        self.pool(pool, "kv_peak_share")
    }

    /// Which part of prompt tokens was found in caches.
    pub(super) fn cached_share(&self, pool: usize) -> Option<f64> {
        self.pool(pool, "cached_share").filter(|share| *share > 0.0)
    }

    /// How busy the links between prefill and decode pools were.
    pub(super) fn link_busy(&self) -> Option<f64> {
        self.result?
            .disaggregation
            .get("link_utilization")?
            .as_f64()
    }

    /// Simulated seconds until arrivals stopped, over all replications.
    fn offered_s(&self) -> Option<f64> {
        let result = self.result?;
        Some(result.sim.horizon_s * f64::from(result.replications)).filter(|span| *span > 0.0)
    }

    /// Requests a second that came from a population.
    pub(super) fn rate_of_population(&self, population: usize) -> Option<f64> {
        let result = self.result?;
        let made = match result.populations.get(population) {
            Some(row) => row.get("requests")?.get("made")?.as_f64()?,
            None => result.requests.arrived as f64,
        };
        Some(made / self.offered_s()?)
    }

    /// Tries a second that set out for a region; requests a second, where each is one try.
    pub(super) fn rate_to_region(&self, region: usize) -> Option<f64> {
        let result = self.result?;
        let row = result.regions.get(region)?;
        let made = match row.get("tries") {
            Some(tries) => tries.get("made")?.as_f64()?,
            None => result.requests.arrived as f64,
        };
        Some(made / self.offered_s()?)
    }

    /// Nodes of a group that were ready on average, and how many were lost.
    pub(super) fn nodes(&self, group: usize) -> Option<(f64, u64)> {
        let row = self.result?.capacity.get("groups")?.get(group)?;
        Some((row.get("mean_ready")?.as_f64()?, row.get("lost")?.as_u64()?))
    }

    /// A field of a store that holds data of subjects.
    pub(super) fn store(&self, name: &str, key: &str) -> Option<f64> {
        let stores = self.result?.erasure.get("stores")?.as_array()?;
        let row = stores
            .iter()
            .find(|row| row.get("name").and_then(Value::as_str) == Some(name))?;
        row.get(key)?.as_f64()
    }

    /// A field of erasures as a whole.
    pub(super) fn erasure(&self, key: &str) -> Option<f64> {
        self.result?.erasure.get(key)?.as_f64()
    }

    /// Per second of the run, over all replications.
    pub(super) fn a_second(&self, count: f64) -> Option<f64> {
        Some(count / self.offered_s()?)
    }

    /// What the figures are.
    pub(super) fn notes(&self, traffic: &Traffic) -> Vec<String> {
        let mut notes = Vec::new();
        match self.result {
            None => {
                notes.push("Before a run. Rates are those offered on average.".to_owned());
                notes.push(
                    "What a pool does is estimated: all seats taken by requests of mean lengths, \
                     without queueing, caches or drafts. By hardware: the bound at peak FLOP/s and \
                     bandwidth."
                        .to_owned(),
                );
                if traffic.split_is_rough {
                    notes.push(
                        "Several pools of a region are taken to share its requests by replicas and \
                         weight; what the router does a run tells (--simulate)."
                            .to_owned(),
                    );
                }
            }
            Some(result) => {
                notes.push(format!(
                    "Measured in a run (seed {}, digest {}): rates from clients are of the whole \
                     time of arrivals; those of a pool are what it completed after the warm-up, \
                     whoever sent it.",
                    result.seed, result.digest
                ));
                if let Some(why) = &result.partial {
                    notes.push(format!("The run was CUT SHORT: {why}."));
                }
                notes.extend(self.objectives(result));
            }
        }
        notes
    }

    fn objectives(&self, result: &RunResult) -> Option<String> {
        let stated = result.slo.iter().filter(|row| row.target.is_some());
        let told: Vec<String> = stated
            .map(|row| format!("{} {}", row.tier, percent(row.attained)))
            .collect();
        (!told.is_empty()).then(|| format!("Within the objective: {}.", told.join(", ")))
    }
}
