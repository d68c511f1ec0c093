//! What an autoscaler remembers: its recommendations and the changes that it made.
//!
//! Follows `stabilizeRecommendationWithBehaviors`, `storeScaleEvent`,
//! `calculateScaleUpLimitWithScalingRules` and `calculateScaleDownLimitWithBehaviors` of
//! `pkg/controller/podautoscaler/horizontal.go`. Something exactly as old as a window or a period
//! is out of it, as there.

use std::collections::VecDeque;

use super::rule::{Limit, Limits, PolicyKind, SelectPolicy};
use crate::engine::{SimDuration, SimTime};

/// A number of replicas: recommended, added or removed at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Record {
    at: SimTime,
    replicas: u32,
}

/// Recommendations and changes that may still matter. At most one of each for every call within
/// the longest window (an hour at most) or period (half an hour at most).
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct History {
    started: bool,
    recommendations: VecDeque<Record>,
    added: Vec<Record>,
    removed: Vec<Record>,
}

impl History {
    /// Takes what runs at the first call for the first recommendation, so that a new autoscaler
    /// does not remove replicas before it has watched for a whole window.
    pub(super) fn start(&mut self, now: SimTime, current: u32) {
        if !self.started {
            self.started = true;
            self.recommend(now, current);
        }
    }

    /// `current`, moved as little as the recommendations of both windows ask for: up to the
    /// lowest of one, down to the highest of the other. Then records `wanted` itself.
    pub(super) fn stabilize(
        &mut self,
        now: SimTime,
        current: u32,
        wanted: u32,
        (up, down): (SimDuration, SimDuration),
    ) -> u32 {
        let (mut lowest, mut highest) = (wanted, wanted);
        for past in &self.recommendations {
            let age = now.since(past.at);
            if age < up {
                lowest = lowest.min(past.replicas);
            }
            if age < down {
                highest = highest.max(past.replicas);
            }
        }
        let longest = up.max(down);
        while let Some(oldest) = self.recommendations.front()
            && now.since(oldest.at) >= longest
        {
            self.recommendations.pop_front();
        }
        self.recommend(now, wanted);
        current.max(lowest).min(highest)
    }

    fn recommend(&mut self, at: SimTime, replicas: u32) {
        self.recommendations.push_back(Record { at, replicas });
    }

    /// Records a change from `before` to `after` replicas.
    pub(super) fn changed(
        &mut self,
        now: SimTime,
        (before, after): (u32, u32),
        up: &Limits,
        down: &Limits,
    ) {
        let record = Record {
            at: now,
            replicas: after.abs_diff(before),
        };
        if after > before {
            store(&mut self.added, record, up.longest_period());
        } else if after < before {
            store(&mut self.removed, record, down.longest_period());
        }
    }

    /// The most replicas that `rules` allow now, `current` or more.
    pub(super) fn highest_allowed(&self, now: SimTime, current: u32, rules: &Limits) -> u32 {
        let allowed = rules.policies.iter().map(|policy| {
            let start = self.at_start_of(policy, now, current);
            match policy.kind {
                PolicyKind::Pods => start + i64::from(policy.value),
                // Rounded up, or one replica plus 50 percent would stay one for ever.
                PolicyKind::Percent => (start as f64 * (1.0 + share(policy))).ceil() as i64,
            }
        });
        let limit = match rules.select {
            SelectPolicy::Max => allowed.max(),
            SelectPolicy::Min => allowed.min(),
            SelectPolicy::Disabled => None,
        };
        limit.map_or(current, replicas).max(current)
    }

    /// The fewest replicas that `rules` allow now, `current` or fewer.
    pub(super) fn lowest_allowed(&self, now: SimTime, current: u32, rules: &Limits) -> u32 {
        let allowed = rules.policies.iter().map(|policy| {
            let start = self.at_start_of(policy, now, current);
            match policy.kind {
                PolicyKind::Pods => start - i64::from(policy.value),
                // `as` cuts the fraction, as the conversion in Kubernetes does.
                PolicyKind::Percent => (start as f64 * (1.0 - share(policy))) as i64,
            }
        });
        let limit = match rules.select {
            SelectPolicy::Max => allowed.min(),
            SelectPolicy::Min => allowed.max(),
            SelectPolicy::Disabled => None,
        };
        limit.map_or(current, replicas).min(current)
    }

    /// The replicas at the start of the period of `policy`, found by undoing what changed since.
    /// Negative where something else removed replicas meanwhile.
    fn at_start_of(&self, policy: &Limit, now: SimTime, current: u32) -> i64 {
        let total = |records: &[Record]| -> i64 {
            let recent = records.iter().filter(|r| now.since(r.at) < policy.period);
            recent.map(|record| i64::from(record.replicas)).sum()
        };
        i64::from(current) - total(&self.added) + total(&self.removed)
    }
}

/// Puts `record` in the place of the last one that is older than `longest`, or at the end.
///
/// One is dropped for each that comes, and by the periods of its own direction, as in Kubernetes:
/// a policy of the other direction with a longer period may or may not still see it.
fn store(records: &mut Vec<Record>, record: Record, longest: SimDuration) {
    let outdated = |old: &&mut Record| record.at.since(old.at) > longest;
    match records.iter_mut().rev().find(outdated) {
        Some(old) => *old = record,
        None => records.push(record),
    }
}

/// The share of replicas that a policy by percent allows to change.
fn share(policy: &Limit) -> f64 {
    f64::from(policy.value) / 100.0
}

/// `count` as replicas; none where negative, the most that fit where too many.
fn replicas(count: i64) -> u32 {
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}
