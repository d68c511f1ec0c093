//! Predictive scaling: replicas for the highest demand forecast for the time that new ones need
//! to get ready.
//!
//! The caller counts demand in buckets of [`PredictiveRule::bucket_s`], hands each over as it ends
//! ([`Predictive::end_bucket`]), and asks for replicas whenever it likes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{SimDuration, SimTime};
use crate::fleet::scaling::forecast::{ForecastRule, Forecaster};
use crate::fleet::scaling::metric;

/// How demand is forecast and what a replica can take of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PredictiveRule {
    /// How to forecast; its steps are buckets.
    pub forecaster: ForecastRule,
    /// Length of a bucket, seconds, above 0. Default 60, an assumption.
    #[serde(default = "default_bucket_s")]
    pub bucket_s: f64,
    /// How far ahead to look, seconds, 0 or more, at most 100,000 buckets: the time from when a
    /// replica is asked for to when it serves.
    pub lead_s: f64,
    /// Demand that one replica serves, in the unit of the demand per second, above 0, at most
    /// 9.2e15. Where it is out of range no demand asks for anything.
    pub per_replica_per_s: f64,
    /// What to have beyond the forecast, as a share of it, 0 or more. Default 0.1, an assumption.
    #[serde(default = "default_headroom")]
    pub headroom: f64,
    /// Fewest replicas, 0 or more. Default 1.
    #[serde(default = "default_min")]
    pub min: u32,
    /// Most replicas, at least `min` (where it is below, it holds and `min` does not).
    pub max: u32,
    /// For how long fewer replicas must have been enough before any go, seconds, 0 or more; the
    /// most that was wanted in that time is kept. Default 300, as the autoscaler of Kubernetes.
    #[serde(default = "default_scale_down_delay_s")]
    pub scale_down_delay_s: f64,
}

fn default_bucket_s() -> f64 {
    60.0
}

fn default_headroom() -> f64 {
    0.1
}

fn default_min() -> u32 {
    1
}

fn default_scale_down_delay_s() -> f64 {
    300.0
}

/// The most buckets that are looked ahead, so that no rule makes a decision endless.
const MOST_BUCKETS: u64 = 100_000;

/// A predictive scaler at work. Time must not go backwards from one call to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictive {
    rule: PredictiveRule,
    forecaster: Forecaster,
    bucket_ended: Option<SimTime>,
    fewer: Option<Fewer>,
}

/// Fewer replicas than run have been enough.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fewer {
    since: SimTime,
    /// The most that was wanted meanwhile.
    most: u32,
}

impl Predictive {
    /// A scaler that has seen no demand yet.
    pub fn new(rule: PredictiveRule) -> Predictive {
        Predictive {
            forecaster: Forecaster::new(&rule.forecaster),
            rule,
            bucket_ended: None,
            fewer: None,
        }
    }

    /// The rule that it follows.
    pub fn rule(&self) -> &PredictiveRule {
        &self.rule
    }

    /// What is forecast for so many buckets ahead, demand per second; none before enough was seen.
    pub fn forecast(&self, steps_ahead: u32) -> Option<f64> {
        self.forecaster.predict(steps_ahead)
    }

    /// Takes the mean demand per second of the bucket that ends at `now`. Buckets must follow
    /// each other without a gap. A demand that is NaN, infinite, negative or above 9.2e15 is
    /// missing.
    pub fn end_bucket(&mut self, now: SimTime, demand_per_s: f64) {
        let demand = metric::usable(demand_per_s);
        self.forecaster.observe(demand.unwrap_or(f64::NAN));
        self.bucket_ended = Some(now);
    }

    /// The replicas to run from `now` on, out of `current`. While there is no forecast nothing
    /// changes but to get within `min` and `max`.
    pub fn recommend(&mut self, now: SimTime, current: u32) -> u32 {
        let held = self.bounded(current);
        let Some(wanted) = self.proposal(now).map(|wanted| self.bounded(wanted)) else {
            return held;
        };
        if wanted >= held {
            self.fewer = None;
            return wanted;
        }
        let fewer = match self.fewer {
            Some(Fewer { since, most }) => Fewer {
                since,
                most: most.max(wanted),
            },
            None => Fewer {
                since: now,
                most: wanted,
            },
        };
        let delay = SimDuration::from_secs_f64(self.rule.scale_down_delay_s);
        if now.since(fewer.since) < delay {
            self.fewer = Some(fewer);
            return held;
        }
        self.fewer = None;
        // What runs may have been reduced by others meanwhile.
        fewer.most.min(held)
    }

    /// What the forecasts ask for, before anything holds it back; `None` while there are none.
    pub fn proposal(&self, now: SimTime) -> Option<u32> {
        let capacity_per_s = metric::usable_divisor(self.rule.per_replica_per_s)?;
        let headroom = metric::usable(self.rule.headroom).unwrap_or(0.0);
        let peak_per_s = self.peak_per_s(now)?;
        let amount = peak_per_s * (1.0 + headroom) / capacity_per_s;
        Some(metric::replicas_for(amount))
    }

    /// The highest demand per second forecast for any time from `now` to the lead later, both
    /// included: a replica asked for now serves from the end of that time on. 0 or more; `None`
    /// while there is no forecast.
    pub fn peak_per_s(&self, now: SimTime) -> Option<f64> {
        let bucket = SimDuration::from_secs_f64(self.rule.bucket_s);
        let lead = SimDuration::from_secs_f64(self.rule.lead_s);
        let ended = self.bucket_ended?;
        // The bucket that follows the last one seen is one step ahead.
        let first = now.since(ended).0.checked_div(bucket.0)?.saturating_add(1);
        let end = now.saturating_add(lead).since(ended);
        let last = end.0.checked_div(bucket.0)?.saturating_add(1);
        let last = last.min(first.saturating_add(MOST_BUCKETS));
        (first..=last)
            .filter_map(|steps| self.forecaster.predict(u32::try_from(steps).ok()?))
            .reduce(f64::max)
            .map(|peak| peak.max(0.0))
    }

    fn bounded(&self, replicas: u32) -> u32 {
        metric::within(replicas, self.rule.min, self.rule.max)
    }
}
