//! KEDA: no replicas while nothing happens, and the horizontal pod autoscaler otherwise.
//!
//! Two loops run side by side. The operator of KEDA polls every [`KedaRule::poll_s`] and decides
//! between none and some ([`Keda::poll`]); the autoscaler that it set up decides every
//! [`HpaRule::sync_s`] between one and many ([`Keda::sync`]) by the total of the same metric.
//! Follows `pkg/scaling/executor/scale_scaledobjects.go` without idle replicas, fallback and
//! pausing; defaults are those of its `ScaledObject` specification, 2.21.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{SimDuration, SimTime};
use crate::fleet::scaling::hpa::{Hpa, HpaRule};
use crate::fleet::scaling::metric;

/// A scaled object of KEDA with one trigger that has an average value as its target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KedaRule {
    /// Time from one look at the trigger to the next, seconds, above 0. Default 30. The caller
    /// keeps to it.
    #[serde(default = "default_poll_s")]
    pub poll_s: f64,
    /// Time from when the trigger was last active to when the last replicas go, seconds, 0 or
    /// more. Only for going to none. Default 300.
    #[serde(default = "default_cooldown_s")]
    pub cooldown_s: f64,
    /// The trigger is active while the metric is above this, in the unit of the metric, 0 or
    /// more. Default 0.
    #[serde(default)]
    pub activation_threshold: f64,
    /// Fewest replicas, 0 or more. Above 0 nothing ever goes to none. Default 0.
    #[serde(default)]
    pub min: u32,
    /// Most replicas, 1 or more (0 counts as 1) and at least `min`. Default 100.
    #[serde(default = "default_max")]
    pub max: u32,
    /// The autoscaler for one and more. Its own `min` and `max` do not count: KEDA sets them to
    /// those above, and to 1 at least.
    pub hpa: HpaRule,
}

impl KedaRule {
    /// The rule with this target per replica and every default.
    pub fn new(target: f64) -> KedaRule {
        KedaRule {
            poll_s: default_poll_s(),
            cooldown_s: default_cooldown_s(),
            activation_threshold: 0.0,
            min: 0,
            max: default_max(),
            hpa: HpaRule::new(target),
        }
    }
}

fn default_poll_s() -> f64 {
    30.0
}

fn default_cooldown_s() -> f64 {
    300.0
}

fn default_max() -> u32 {
    100
}

/// A scaled object at work. Time must not go backwards from one call to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Keda {
    rule: KedaRule,
    hpa: Hpa,
    last_active: Option<SimTime>,
}

impl Keda {
    /// A scaled object whose trigger was never active.
    pub fn new(rule: KedaRule) -> Keda {
        let mut hpa = rule.hpa.clone();
        hpa.max = rule.max.max(1);
        hpa.min = rule.min.max(1);
        Keda {
            rule,
            hpa: Hpa::new(hpa),
            last_active: None,
        }
    }

    /// The rule that it follows.
    pub fn rule(&self) -> &KedaRule {
        &self.rule
    }

    /// One look at the trigger: the replicas to set, or `None` where KEDA leaves them alone.
    ///
    /// `metric` is the total over all replicas; a value that is not usable counts as an error of
    /// the trigger, on which nothing changes. A trigger that was never active does not wait for
    /// the cooldown: what runs at the start goes at the first look.
    pub fn poll(&mut self, now: SimTime, current: u32, metric: f64) -> Option<u32> {
        let active = metric::usable(metric)? > self.rule.activation_threshold;
        if active {
            self.last_active = Some(now);
            return (current == 0).then(|| self.fewest_active());
        }
        if self.rule.min == 0 {
            return (current > 0 && self.cooled_down(now)).then_some(0);
        }
        let fewest = self.fewest_active();
        (current < fewest).then_some(fewest)
    }

    /// One decision of the autoscaler: the replicas to run, out of `current`. With none it is
    /// off and leaves that to [`Keda::poll`].
    pub fn sync(&mut self, now: SimTime, current: u32, metric: f64) -> u32 {
        self.hpa.recommend_total(now, current, metric)
    }

    /// The replicas to start with.
    fn fewest_active(&self) -> u32 {
        metric::within(1, self.rule.min, self.rule.max.max(1))
    }

    /// Whether the cooldown is over. KEDA asks for a little more than the cooldown, but looks a
    /// little later than every `poll_s` too (it starts its timer anew after each look): without
    /// that delay, equality has to do.
    fn cooled_down(&self, now: SimTime) -> bool {
        let cooldown = SimDuration::from_secs_f64(self.rule.cooldown_s);
        self.last_active
            .is_none_or(|active| now.since(active) >= cooldown)
    }
}
