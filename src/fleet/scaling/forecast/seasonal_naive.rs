//! The seasonal naive method (FPP 5.2).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::scaling::metric;

/// Forecasts what was last seen at the same point of the season. With a season of 1 this is the
/// naive method: the last value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeasonalNaiveRule {
    /// Observations in a season, 1 or more (with 0 there is never a forecast).
    pub season: u32,
}

/// The last value seen at each point of the season. Its size is one season.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeasonalNaive {
    season: u64,
    seen: u64,
    last: Vec<Option<f64>>,
}

impl SeasonalNaive {
    pub(super) fn new(rule: &SeasonalNaiveRule) -> SeasonalNaive {
        SeasonalNaive {
            season: u64::from(rule.season),
            seen: 0,
            last: Vec::new(),
        }
    }

    pub(super) fn observe(&mut self, value: f64) {
        let value = metric::usable_signed(value);
        let point = self.point(self.seen);
        match self.last.get_mut(point) {
            // A missing value leaves that of a season before.
            Some(last) => *last = value.or(*last),
            None if self.season > 0 => self.last.push(value),
            None => {}
        }
        self.seen = self.seen.saturating_add(1);
    }

    pub(super) fn predict(&self, steps_ahead: u32) -> Option<f64> {
        if self.seen < self.season {
            return None;
        }
        let steps = u64::from(steps_ahead).checked_sub(1)?;
        let point = self.point(self.seen.saturating_add(steps));
        self.last.get(point).copied().flatten()
    }

    fn point(&self, index: u64) -> usize {
        index.checked_rem(self.season).unwrap_or(0) as usize
    }
}
