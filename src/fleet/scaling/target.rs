//! Target tracking: as many replicas as keep a metric at its target, with a pause after each
//! change.
//!
//! The defaults of the pauses are those of AWS Application Auto Scaling for services and custom
//! resources (API reference, `TargetTrackingScalingPolicyConfiguration`). It differs in that a
//! still larger step up may cut its pause short; here a pause is a pause.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{SimDuration, SimTime};
use crate::fleet::scaling::metric;

/// How a metric is kept at its target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetRule {
    /// What the metric is.
    pub measure: Measure,
    /// What the metric should be per replica, in its unit, above 0, at most 9.2e15. Where it is
    /// out of range no metric asks for anything.
    pub target: f64,
    /// Time after replicas were added in which no more are, seconds, 0 or more. Default 300.
    #[serde(default = "default_cooldown_s")]
    pub scale_up_cooldown_s: f64,
    /// Time after any change in which no replicas are removed, seconds, 0 or more. Default 300.
    #[serde(default = "default_cooldown_s")]
    pub scale_down_cooldown_s: f64,
    /// Fewest replicas, 0 or more; with 0 an average never brings the first one back. Default 1.
    #[serde(default = "default_min")]
    pub min: u32,
    /// Most replicas, at least `min` (where it is below, it holds and `min` does not).
    pub max: u32,
}

/// What a tracked metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// A sum over all replicas, such as requests in flight or waiting.
    Total,
    /// An average over replicas, such as the share of their KV cache in use.
    Average,
}

fn default_cooldown_s() -> f64 {
    300.0
}

fn default_min() -> u32 {
    1
}

/// A target tracker at work. Time must not go backwards from one call to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetTracker {
    rule: TargetRule,
    last_up: Option<SimTime>,
    last_change: Option<SimTime>,
}

impl TargetTracker {
    /// A tracker that has changed nothing yet, so that no pause is on.
    pub fn new(rule: TargetRule) -> TargetTracker {
        TargetTracker {
            rule,
            last_up: None,
            last_change: None,
        }
    }

    /// The rule that it follows.
    pub fn rule(&self) -> &TargetRule {
        &self.rule
    }

    /// The replicas to run from `now` on, out of `current`. A metric that is not usable asks for
    /// no change. Replicas get within `min` and `max` at once, pause or not.
    pub fn recommend(&mut self, now: SimTime, current: u32, metric: f64) -> u32 {
        let held = self.bounded(current);
        let wanted = self.bounded(self.proposal(current, metric).unwrap_or(current));
        let up_s = self.rule.scale_up_cooldown_s;
        let down_s = self.rule.scale_down_cooldown_s;
        let paused = match wanted > held {
            true => paused(now, self.last_up, up_s),
            false => paused(now, self.last_change, down_s),
        };
        let desired = if paused { held } else { wanted };
        if desired != current {
            self.last_change = Some(now);
        }
        if desired > current {
            self.last_up = Some(now);
        }
        desired
    }

    /// What `metric` asks for, out of `current` replicas, before anything holds it back; `None`
    /// where it is not usable.
    pub fn proposal(&self, current: u32, metric: f64) -> Option<u32> {
        let metric = metric::usable(metric)?;
        let per_replica = metric / metric::usable_divisor(self.rule.target)?;
        Some(match self.rule.measure {
            Measure::Total => metric::replicas_for(per_replica),
            Measure::Average => metric::replicas_for(f64::from(current) * per_replica),
        })
    }

    fn bounded(&self, replicas: u32) -> u32 {
        metric::within(replicas, self.rule.min, self.rule.max)
    }
}

/// Whether less than `cooldown_s` passed since `last`.
fn paused(now: SimTime, last: Option<SimTime>, cooldown_s: f64) -> bool {
    let cooldown = SimDuration::from_secs_f64(cooldown_s);
    last.is_some_and(|last| now.since(last) < cooldown)
}
