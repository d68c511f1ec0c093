//! Values between two ends: at equal distances, at equal ratios, or any.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::experiment::sweep::schema::MOST_POINTS;
use crate::scenario::Problems;

/// Digits that values of ranges are rounded to, so that 0.1 + 0.2 is written 0.3.
const DIGITS: usize = 12;
/// Share of a step by which rounding may miss the last value.
const NOISE: f64 = 1e-9;

/// Values at equal distances, both ends among them. Whole ones are whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The first.
    pub from: f64,
    /// The last.
    pub to: f64,
    /// The distance; give this or `count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    /// How many, 2 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// Values at equal ratios, both ends among them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogRange {
    /// The first, above 0.
    pub from: f64,
    /// The last, above 0.
    pub to: f64,
    /// How many, 2 or more.
    pub count: u32,
    /// Whether they are rounded to whole numbers. Default false.
    #[serde(default)]
    pub whole: bool,
}

/// Any value between two.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
    /// Whether equal ratios are equally likely, rather than equal distances. Default false.
    #[serde(default)]
    pub log: bool,
    /// Whether it is a whole number, each equally likely (with `log`: by its ratio). Default false.
    #[serde(default)]
    pub whole: bool,
}

impl Range {
    fn count(&self) -> u64 {
        match (self.count, self.step) {
            (Some(count), _) => u64::from(count),
            // The last value is `to` as far as rounding lets one tell.
            (None, Some(step)) => ((self.to - self.from) / step + NOISE).floor() as u64 + 1,
            (None, None) => 0,
        }
    }

    pub(super) fn values(&self) -> Vec<f64> {
        let count = self.count();
        let step = match self.step {
            Some(step) => step,
            None => (self.to - self.from) / (count.max(2) - 1) as f64,
        };
        let values = (0..count).map(|index| rounded(self.from + step * index as f64));
        values.collect()
    }

    pub(super) fn check(&self, at: &str, problems: &mut Problems<'_>) -> bool {
        let mut fine = ends(at, ("from", self.from), ("to", self.to), problems);
        if self.step.is_some() == self.count.is_some() {
            problems.push(
                at,
                "",
                "must have `step` or `count`",
                "give exactly one of them",
            );
            fine = false;
        }
        if let Some(count) = self.count {
            fine &= problems.int_in_range(&format!("{at}.count"), u64::from(count), 2, MOST_POINTS);
        }
        if fine && let Some(step) = self.step {
            fine = self.check_step(step, &format!("{at}.step"), problems);
        }
        fine
    }
}

impl Range {
    /// Notes a step that leads elsewhere than to the last value.
    fn check_step(&self, step: f64, at: &str, problems: &mut Problems<'_>) -> bool {
        let towards = step.is_finite() && step * (self.to - self.from) > 0.0;
        let steps = (self.to - self.from) / step;
        if !towards || steps >= MOST_POINTS as f64 {
            let allowed = "must lead from `from` to `to` in at most 1,000,000 steps";
            problems.push(at, step, allowed, "change it");
            return false;
        }
        if (steps - steps.round()).abs() > NOISE {
            let end = |steps: f64| rounded(self.from + step * steps).to_string();
            let ends: Vec<String> = [steps.floor(), steps.ceil()]
                .into_iter()
                .filter(|steps| *steps > 0.0)
                .map(end)
                .collect();
            let allowed = format!("does not reach `to`, which is {}", self.to);
            let remedy = format!("make `to` {}, or change the step", ends.join(" or "));
            problems.push(at, step, &allowed, &remedy);
            return false;
        }
        true
    }
}

impl LogRange {
    pub(super) fn values(&self) -> Vec<f64> {
        let last = f64::from(self.count.max(2) - 1);
        let values = (0..self.count).map(|index| {
            let value = self.from * (self.to / self.from).powf(f64::from(index) / last);
            match self.whole {
                true => value.round(),
                false => rounded(value),
            }
        });
        values.collect()
    }

    pub(super) fn check(&self, at: &str, problems: &mut Problems<'_>) -> bool {
        let mut fine = ends(at, ("from", self.from), ("to", self.to), problems);
        for (field, value) in [("from", self.from), ("to", self.to)] {
            fine = fine && problems.positive(&format!("{at}.{field}"), value, f64::MAX);
        }
        fine & problems.int_in_range(
            &format!("{at}.count"),
            u64::from(self.count),
            2,
            MOST_POINTS,
        )
    }
}

impl Between {
    pub(super) fn at(&self, place: f64) -> Value {
        // Each whole number has a stretch of its own, from itself up to the next.
        let more = if self.whole { 1.0 } else { 0.0 };
        let high = self.high + more;
        let value = match self.log {
            true => self.low * (high / self.low).powf(place),
            false => self.low + (high - self.low) * place,
        };
        match self.whole {
            true => number(value.floor().clamp(self.low, self.high)),
            false => json!(rounded(value)),
        }
    }

    pub(super) fn check(&self, at: &str, problems: &mut Problems<'_>) -> bool {
        let mut fine = ends(at, ("low", self.low), ("high", self.high), problems);
        if fine && self.low > self.high {
            let allowed = "must be below `high`";
            problems.push(&format!("{at}.low"), self.low, allowed, "swap them");
            fine = false;
        }
        if self.log {
            fine = fine && problems.positive(&format!("{at}.low"), self.low, f64::MAX);
        }
        let whole = |value: f64| value.fract() == 0.0 && value.abs() < 2_f64.powi(53);
        if fine && self.whole && !(whole(self.low) && whole(self.high)) {
            let allowed = "must have whole numbers below 2^53 as its ends, since `whole` is set";
            problems.push(
                at,
                format!("{} to {}", self.low, self.high),
                allowed,
                "change them",
            );
            fine = false;
        }
        fine
    }
}

/// Notes ends that are not finite, or are the same.
fn ends(at: &str, a: (&str, f64), b: (&str, f64), problems: &mut Problems<'_>) -> bool {
    for (field, value) in [a, b] {
        if !value.is_finite() {
            let path = format!("{at}.{field}");
            problems.push(&path, value, "must be finite", "give a finite number");
            return false;
        }
    }
    if a.1 == b.1 {
        let allowed = format!("must differ from `{}`", a.0);
        problems.push(
            &format!("{at}.{}", b.0),
            b.1,
            &allowed,
            "give `values` for a single one",
        );
        return false;
    }
    true
}

/// A number as TOML would have it: whole where it has no fraction.
pub(super) fn number(value: f64) -> Value {
    match value.fract() == 0.0 && value.abs() < 2_f64.powi(53) {
        true => json!(value as i64),
        false => json!(value),
    }
}

/// A number rounded to [`DIGITS`] digits.
fn rounded(value: f64) -> f64 {
    let text = format!("{value:.*e}", DIGITS - 1);
    text.parse().unwrap_or(value)
}
