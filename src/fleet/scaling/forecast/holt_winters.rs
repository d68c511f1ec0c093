//! Exponential smoothing of level, trend and season (Holt-Winters).
//!
//! Equations: FPP 8.3, whose beta is written beta* there. Initial values: the decomposition of
//! Hyndman, Koehler, Ord and Snyder, "Forecasting with Exponential Smoothing" (2008), 2.6.1, as
//! retold in R. J. Hyndman, "Initializing the Holt-Winters method" (2010), on the first two
//! seasons; see `start`. FPP itself estimates them together with the parameters instead.

mod start;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::scaling::metric;

/// Exponential smoothing of level, trend and season. The parameters are given, not fitted; their
/// defaults are where R's `HoltWinters` begins its search (`optim.start`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoltWintersRule {
    /// Observations in a season, 2 or more (with fewer there is never a forecast).
    pub season: u32,
    /// Weight of the latest observation in the level, 0 to 1. Default 0.3.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// Weight of the latest change of the level in the trend, 0 to 1. Default 0.1.
    #[serde(default = "default_beta")]
    pub beta: f64,
    /// Weight of the latest observation in its point of the season, 0 to 1. Default 0.1.
    #[serde(default = "default_gamma")]
    pub gamma: f64,
    /// How the season acts on the level. Default `additive`.
    #[serde(default)]
    pub seasonality: Seasonality,
}

impl HoltWintersRule {
    /// The rule with this season and every default.
    pub fn new(season: u32) -> HoltWintersRule {
        HoltWintersRule {
            season,
            alpha: default_alpha(),
            beta: default_beta(),
            gamma: default_gamma(),
            seasonality: Seasonality::default(),
        }
    }
}

fn default_alpha() -> f64 {
    0.3
}

fn default_beta() -> f64 {
    0.1
}

fn default_gamma() -> f64 {
    0.1
}

/// How a season acts on the level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Seasonality {
    /// It adds to the level: swings of one size.
    #[default]
    Additive,
    /// It multiplies the level: swings in proportion. For series that are not negative (a
    /// negative observation is missing), best for such as stay well above 0 (FPP 8.3).
    Multiplicative,
}

/// The smallest seasonal factor that an observation is divided by. Below it an observation says
/// nothing about the level, which then follows the trend. An assumption.
const SMALLEST_FACTOR: f64 = 1e-3;
/// The smallest level that an observation is divided by; below it the season stays. An
/// assumption.
const SMALLEST_LEVEL: f64 = 1e-9;

/// Level, trend and season. Its size is two seasons until it has seen those, then one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HoltWinters {
    rule: HoltWintersRule,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    /// Gathers the first two seasons.
    Gathering(Vec<f64>),
    Smoothing(State),
}

/// The state after `seen` observations. All values are finite.
#[derive(Debug, Clone, PartialEq)]
struct State {
    level: f64,
    /// Change of the level in one step.
    trend: f64,
    /// By point of the season; what the next observation meets is at `seen` modulo its length.
    seasonal: Vec<f64>,
    seen: u64,
}

impl HoltWinters {
    pub(super) fn new(rule: &HoltWintersRule) -> HoltWinters {
        let weight = |value: f64| metric::usable(value).unwrap_or(0.0).min(1.0);
        HoltWinters {
            rule: HoltWintersRule {
                alpha: weight(rule.alpha),
                beta: weight(rule.beta),
                gamma: weight(rule.gamma),
                ..rule.clone()
            },
            stage: Stage::Gathering(Vec::new()),
        }
    }

    pub(super) fn observe(&mut self, value: f64) {
        let value = match self.rule.seasonality {
            Seasonality::Additive => metric::usable_signed(value),
            Seasonality::Multiplicative => metric::usable(value),
        };
        match &mut self.stage {
            Stage::Smoothing(state) => state.step(&self.rule, value),
            Stage::Gathering(history) if self.rule.season >= 2 => {
                let season = self.rule.season as usize;
                history.extend(value.or_else(|| fill(history, season)));
                if history.len() >= 2 * season {
                    self.stage = Stage::Smoothing(State::begin(&self.rule, history));
                }
            }
            Stage::Gathering(_) => {}
        }
    }

    pub(super) fn predict(&self, steps_ahead: u32) -> Option<f64> {
        let Stage::Smoothing(state) = &self.stage else {
            return None;
        };
        let steps = u64::from(steps_ahead);
        let seasonal = state.seasonal_at(state.seen.saturating_add(steps.checked_sub(1)?))?;
        let trend = state.level + steps as f64 * state.trend;
        Some(match self.rule.seasonality {
            Seasonality::Additive => trend + seasonal,
            Seasonality::Multiplicative => trend * seasonal,
        })
    }
}

/// What stands in for a value that is missing among the first two seasons: that of a season
/// before, or else the one before. Nothing before the first: the series begins with that.
fn fill(history: &[f64], season: usize) -> Option<f64> {
    let season_before = history.len().checked_sub(season);
    season_before
        .and_then(|index| history.get(index))
        .or(history.last())
        .copied()
}

impl State {
    /// The state after two seasons: estimates what came before the first observation, then
    /// smooths over all of them.
    fn begin(rule: &HoltWintersRule, history: &[f64]) -> State {
        let mut state = start::before_first(rule, history);
        for &value in history {
            state.step(rule, Some(value));
        }
        state
    }

    /// Goes one observation on.
    fn step(&mut self, rule: &HoltWintersRule, value: Option<f64>) {
        let Some(seasonal) = self.seasonal_at(self.seen) else {
            return;
        };
        let expected = self.level + self.trend;
        let (level_seen, seasonal_seen) = match (value, rule.seasonality) {
            (None, _) => (None, None),
            (Some(value), Seasonality::Additive) => {
                (Some(value - seasonal), Some(value - expected))
            }
            (Some(value), Seasonality::Multiplicative) => (
                (seasonal >= SMALLEST_FACTOR).then(|| value / seasonal),
                (expected >= SMALLEST_LEVEL).then(|| value / expected),
            ),
        };
        let level = mix(rule.alpha, level_seen, expected);
        let trend = mix(rule.beta, Some(level - self.level), self.trend);
        let seasonal = mix(rule.gamma, seasonal_seen, seasonal);
        if level.is_finite() && trend.is_finite() && seasonal.is_finite() {
            (self.level, self.trend) = (level, trend);
            let point = self.point(self.seen);
            if let Some(old) = self.seasonal.get_mut(point) {
                *old = seasonal;
            }
        }
        self.seen = self.seen.saturating_add(1);
    }

    fn seasonal_at(&self, index: u64) -> Option<f64> {
        self.seasonal.get(self.point(index)).copied()
    }

    fn point(&self, index: u64) -> usize {
        index.checked_rem(self.seasonal.len() as u64).unwrap_or(0) as usize
    }
}

/// `seen` with `weight` and `before` with the rest; `before` alone where nothing was seen.
fn mix(weight: f64, seen: Option<f64>, before: f64) -> f64 {
    seen.map_or(before, |seen| weight * seen + (1.0 - weight) * before)
}
