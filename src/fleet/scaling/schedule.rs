//! Replicas by a timetable.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{SimDuration, SimTime};

/// A timetable of replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRule {
    /// What changes when, in any order; of several at one time the last of the list holds.
    pub entries: Vec<ScheduleEntry>,
    /// Whether the timetable starts anew every `period_s`. It then has always run: before the
    /// first entry of a period the last one holds. Default true.
    #[serde(default = "default_repeats")]
    pub repeats: bool,
    /// Length of the period, seconds, above 0. Default 86,400, a day.
    #[serde(default = "default_period_s")]
    pub period_s: f64,
}

/// One line of a timetable.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleEntry {
    /// From when it holds, seconds after the start of the simulation or, where the timetable
    /// repeats, of the period; 0 or more, below `period_s`. An entry out of range is left out.
    pub at_s: f64,
    /// Replicas from then on.
    pub replicas: u32,
}

fn default_repeats() -> bool {
    true
}

fn default_period_s() -> f64 {
    86_400.0
}

/// A timetable, put in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Ascending, each time once.
    entries: Vec<(SimDuration, u32)>,
    period: Option<SimDuration>,
}

impl Schedule {
    /// The timetable of `rule`. A period of no length counts as one that does not repeat.
    pub fn new(rule: &ScheduleRule) -> Schedule {
        let period = SimDuration::from_secs_f64(rule.period_s);
        let period = (rule.repeats && period > SimDuration(0)).then_some(period);
        let mut entries: Vec<(SimDuration, u32)> = rule
            .entries
            .iter()
            .filter(|entry| entry.at_s >= 0.0)
            .map(|entry| (SimDuration::from_secs_f64(entry.at_s), entry.replicas))
            .filter(|&(at, _)| period.is_none_or(|period| at < period))
            .collect();
        // Both steps keep the order of equals: after them the last of the list is the one kept.
        entries.reverse();
        entries.sort_by_key(|&(at, _)| at);
        entries.dedup_by_key(|&mut (at, _)| at);
        Schedule { entries, period }
    }

    /// The replicas at `now`; `None` before the first entry of a timetable that does not repeat,
    /// and for an empty one.
    pub fn desired(&self, now: SimTime) -> Option<u32> {
        let (_, phase) = self.period_and_phase(now);
        let reached = self.entries.partition_point(|&(at, _)| at <= phase);
        let entry = match (reached.checked_sub(1), self.period) {
            (Some(last), _) => self.entries.get(last),
            (None, Some(_)) => self.entries.last(),
            (None, None) => None,
        };
        entry.map(|&(_, replicas)| replicas)
    }

    /// When the next entry begins to hold after `now`, whether or not it changes anything; `None`
    /// where none comes.
    pub fn next_change(&self, now: SimTime) -> Option<SimTime> {
        let (start, phase) = self.period_and_phase(now);
        let reached = self.entries.partition_point(|&(at, _)| at <= phase);
        match (self.entries.get(reached), self.entries.first(), self.period) {
            (Some(&(at, _)), _, _) => Some(start.saturating_add(at)),
            (None, Some(&(first, _)), Some(period)) => {
                Some(start.saturating_add(period).saturating_add(first))
            }
            _ => None,
        }
    }

    /// The start of the period that `now` is in, and how far in it is.
    fn period_and_phase(&self, now: SimTime) -> (SimTime, SimDuration) {
        let phase = match self.period {
            Some(period) => now.0.checked_rem(period.0).unwrap_or(0),
            None => now.0,
        };
        (SimTime(now.0 - phase), SimDuration(phase))
    }
}
