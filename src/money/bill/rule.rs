//! From when and in what steps a node is billed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{SimDuration, SimTime};

/// The instant from which a provider bills a node.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum BilledFrom {
    /// When the node is asked for.
    Request,
    /// When the machine is granted and begins to boot.
    Boot,
    /// When the provider reports it as running, before a model is loaded on it.
    Running,
}

/// How a provider bills a node's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BillingRule {
    /// Time is rounded up to a whole multiple of this; 0 bills to the nanosecond.
    pub granularity: SimDuration,
    /// The least that a node is billed, itself rounded up to the granularity; 0 for none.
    pub minimum: SimDuration,
    /// The instant from which the node is billed.
    pub from: BilledFrom,
}

/// The instants of a node's life that a bill may begin at, and its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeTimes {
    /// When it was asked for.
    pub requested: SimTime,
    /// When it was granted and began to boot; `None` if that never came.
    pub booted: Option<SimTime>,
    /// When it was reported as running; `None` if that never came.
    pub running: Option<SimTime>,
    /// When it was given back, lost, or the simulation ended.
    pub released: SimTime,
}

impl BillingRule {
    /// The interval `[from, to)` that is billed, or `None` where billing never began: a node given back
    /// before the instant [`BillingRule::from`] is not billed, not even the minimum.
    #[must_use]
    pub fn interval(&self, times: &NodeTimes) -> Option<(SimTime, SimTime)> {
        let from = match self.from {
            BilledFrom::Request => Some(times.requested),
            BilledFrom::Boot => times.booted,
            BilledFrom::Running => times.running,
        }?;
        (from <= times.released).then_some((from, times.released))
    }
}

/// The time a node is billed for that lived for `lifetime` from the rule's instant on: the larger of
/// `lifetime` and the minimum, rounded up to a whole multiple of the granularity.
///
/// The result is a multiple of the granularity, at least `lifetime` and at least the minimum. Where that
/// multiple does not fit in 64 bits (584 years), it is the largest duration instead.
#[must_use]
pub fn billed(rule: BillingRule, lifetime: SimDuration) -> SimDuration {
    let least = lifetime.0.max(rule.minimum.0);
    let step = rule.granularity.0.max(1);
    SimDuration(least.checked_next_multiple_of(step).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn rule(granularity_s: u64, minimum_s: u64) -> BillingRule {
        BillingRule {
            granularity: SimDuration(granularity_s * S),
            minimum: SimDuration(minimum_s * S),
            from: BilledFrom::Running,
        }
    }

    #[test]
    fn per_second_with_a_minute_at_least() {
        let rule = rule(1, 60);
        assert_eq!(billed(rule, SimDuration(0)), SimDuration(60 * S));
        assert_eq!(billed(rule, SimDuration(60 * S)), SimDuration(60 * S));
        assert_eq!(billed(rule, SimDuration(60 * S + 1)), SimDuration(61 * S));
    }

    #[test]
    fn by_the_hour_the_minimum_is_rounded_too() {
        assert_eq!(
            billed(rule(3_600, 60), SimDuration(1)),
            SimDuration(3_600 * S)
        );
        assert_eq!(billed(rule(3_600, 0), SimDuration(0)), SimDuration(0));
    }

    #[test]
    fn to_the_nanosecond_and_to_the_end_of_time() {
        assert_eq!(billed(rule(0, 0), SimDuration(7)), SimDuration(7));
        assert_eq!(
            billed(rule(7, 0), SimDuration(u64::MAX)),
            SimDuration(u64::MAX)
        );
    }

    #[test]
    fn the_interval_begins_where_the_rule_says() {
        let times = NodeTimes {
            requested: SimTime(1),
            booted: Some(SimTime(5)),
            running: None,
            released: SimTime(9),
        };
        let from = |from| BillingRule { from, ..rule(1, 0) }.interval(&times);
        assert_eq!(from(BilledFrom::Request), Some((SimTime(1), SimTime(9))));
        assert_eq!(from(BilledFrom::Boot), Some((SimTime(5), SimTime(9))));
        assert_eq!(from(BilledFrom::Running), None);
    }
}
