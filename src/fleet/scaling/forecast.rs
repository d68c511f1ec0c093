//! Forecasts of a series from its past.
//!
//! A forecaster is given equally spaced observations one at a time, so that it cannot look ahead,
//! and [`ForecastScore`] holds what it said against what came. Sources: R. J. Hyndman and
//! G. Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition (FPP below), sections
//! 5.2 (seasonal naive), 5.8 (accuracy) and 8.3 (Holt-Winters).

mod holt_winters;
mod score;
mod seasonal_naive;

pub use self::holt_winters::{HoltWintersRule, Seasonality};
pub use self::score::{ForecastScore, Scores};
pub use self::seasonal_naive::SeasonalNaiveRule;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::holt_winters::HoltWinters;
use self::seasonal_naive::SeasonalNaive;

/// How to forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub enum ForecastRule {
    /// What was seen one season earlier.
    SeasonalNaive(SeasonalNaiveRule),
    /// Level, trend and season, smoothed exponentially.
    HoltWinters(HoltWintersRule),
}

/// A forecaster at work.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecaster(Method);

#[derive(Debug, Clone, PartialEq)]
enum Method {
    SeasonalNaive(SeasonalNaive),
    HoltWinters(HoltWinters),
}

impl Forecaster {
    /// A forecaster that has seen nothing yet.
    pub fn new(rule: &ForecastRule) -> Forecaster {
        Forecaster(match rule {
            ForecastRule::SeasonalNaive(rule) => Method::SeasonalNaive(SeasonalNaive::new(rule)),
            ForecastRule::HoltWinters(rule) => Method::HoltWinters(HoltWinters::new(rule)),
        })
    }

    /// Takes the next observation, in any unit. One that is NaN, infinite or beyond
    /// [`LARGEST_METRIC`](crate::fleet::scaling::metric::LARGEST_METRIC) is missing: time goes on without it.
    pub fn observe(&mut self, value: f64) {
        match &mut self.0 {
            Method::SeasonalNaive(method) => method.observe(value),
            Method::HoltWinters(method) => method.observe(value),
        }
    }

    /// The forecast of the observation that comes `steps_ahead` after the last, 1 or more; `None`
    /// for 0 and while too little was seen (a whole season for the naive method, two for
    /// Holt-Winters).
    pub fn predict(&self, steps_ahead: u32) -> Option<f64> {
        let forecast = match &self.0 {
            Method::SeasonalNaive(method) => method.predict(steps_ahead),
            Method::HoltWinters(method) => method.predict(steps_ahead),
        };
        forecast.filter(|value| value.is_finite())
    }
}
