//! The Kubernetes horizontal pod autoscaler (HPA).
//!
//! Every [`HpaRule::sync_s`] the caller hands over what the pods report and sets the replicas that
//! it gets back. A decision is made in four steps, as in
//! `pkg/controller/podautoscaler/horizontal.go`:
//!
//! 1. the metric asks for a number of replicas (none where it is near its target);
//! 2. recommendations of the past hold it back (downwards the highest of 300 s);
//! 3. policies limit how much may change in their period;
//! 4. the result stays within `min` and `max`.
//!
//! A rule that leaves `behavior` out altogether takes an older path in Kubernetes, which allows
//! `max(2 x current, 4)` replicas at once whatever happened before; here the documented defaults
//! of `behavior` (`max(2 x current, current + 4)` in 15 s) hold always.

mod history;
mod pods;
mod rule;

pub use self::pods::PodMetrics;
pub use self::rule::{HpaRule, PolicyKind, ScalingPolicy, ScalingRules, SelectPolicy};

use self::history::History;
use self::pods::Band;
use self::rule::Limits;
use crate::engine::SimTime;
use crate::fleet::scaling::metric;

/// A horizontal pod autoscaler at work. Time must not go backwards from one call to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Hpa {
    rule: HpaRule,
    target_milli: Option<u64>,
    up: Limits,
    down: Limits,
    history: History,
}

impl Hpa {
    /// An autoscaler that has decided nothing yet. Where the target of the rule is out of range
    /// no metric asks for anything.
    pub fn new(rule: HpaRule) -> Hpa {
        let target_milli = metric::usable_divisor(rule.target).map(pods::milli);
        Hpa {
            target_milli: target_milli.filter(|&target| target > 0),
            up: Limits::up(&rule),
            down: Limits::down(&rule),
            history: History::default(),
            rule,
        }
    }

    /// The rule that it follows.
    pub fn rule(&self) -> &HpaRule {
        &self.rule
    }

    /// The replicas to run from `now` on, out of `current` asked for so far, by an average over
    /// pods. Without any usable metric nothing changes but to get within `min` and `max`; with no
    /// replicas at all the autoscaler is off and the answer is 0.
    pub fn recommend(&mut self, now: SimTime, current: u32, pods: &PodMetrics) -> u32 {
        let proposed = self.proposal(current, pods);
        self.settle(now, current, proposed)
    }

    /// Like [`Hpa::recommend`], for a metric that is a `total` over all pods, in the unit of the
    /// target (an external metric with an average value as its target).
    pub fn recommend_total(&mut self, now: SimTime, current: u32, total: f64) -> u32 {
        let proposed = self.proposal_for_total(current, total);
        self.settle(now, current, proposed)
    }

    /// What `pods` ask for, out of `current` replicas, before anything holds it back; `None`
    /// where there is no usable metric.
    pub fn proposal(&self, current: u32, pods: &PodMetrics) -> Option<u32> {
        pods.proposal(current, self.target_milli?, self.band())
    }

    /// What a `total` over all pods asks for; see [`Hpa::proposal`].
    pub fn proposal_for_total(&self, current: u32, total: f64) -> Option<u32> {
        pods::proposal_for_total(total, current, self.target_milli?, self.band())
    }

    /// The replicas to run from `now` on where the metrics asked for `proposed` (with several
    /// metrics, the highest of their proposals). Remembers both.
    pub fn settle(&mut self, now: SimTime, current: u32, proposed: Option<u32>) -> u32 {
        self.history.start(now, current);
        if current == 0 {
            return 0;
        }
        let max = self.rule.max.max(1);
        let min = self.rule.min.max(1).min(max);
        let desired = match proposed {
            // Out of bounds: back within them at once, whatever the metric says.
            _ if current != metric::within(current, min, max) => metric::within(current, min, max),
            Some(wanted) => metric::within(self.held_back(now, current, wanted), min, max),
            None => current,
        };
        let change = (current, desired);
        self.history.changed(now, change, &self.up, &self.down);
        desired
    }

    /// `wanted`, held back by past recommendations and by policies.
    fn held_back(&mut self, now: SimTime, current: u32, wanted: u32) -> u32 {
        let windows = (self.up.window, self.down.window);
        let stable = self.history.stabilize(now, current, wanted, windows);
        if stable > current {
            stable.min(self.history.highest_allowed(now, current, &self.up))
        } else if stable < current {
            stable.max(self.history.lowest_allowed(now, current, &self.down))
        } else {
            current
        }
    }

    fn band(&self) -> Band {
        Band {
            down: self.down.tolerance,
            up: self.up.tolerance,
        }
    }
}
