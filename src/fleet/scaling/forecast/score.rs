//! How good forecasts were (FPP 5.8).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::seasonal_naive::{SeasonalNaive, SeasonalNaiveRule};
use crate::fleet::scaling::metric;

/// Holds forecasts until what they are for is observed, and adds up by how much they were off.
/// Its size is one season, and the forecasts that wait for their truth.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastScore {
    /// Observations so far.
    seen: u64,
    /// Forecasts by the index of the observation that they are for.
    waiting: BTreeMap<u64, Vec<f64>>,
    naive: SeasonalNaive,
    naive_count: u64,
    naive_sum: f64,
    count: u64,
    sum: f64,
    absolute_sum: f64,
    squared_sum: f64,
    share_count: u64,
    share_sum: f64,
    mape_skipped: u64,
    unscored: u64,
}

/// How far off forecasts were. An error is the forecast less the truth: above 0 where too much
/// was forecast (FPP has it the other way round). All in the unit of the series unless said
/// otherwise; `None` where there is nothing to average.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Forecasts scored.
    pub count: u64,
    /// Forecasts whose truth was missing.
    pub unscored: u64,
    /// Mean error.
    pub bias: Option<f64>,
    /// Mean absolute error.
    pub mae: Option<f64>,
    /// Root of the mean squared error.
    pub rmse: Option<f64>,
    /// Mean absolute error relative to the truth, percent, over forecasts whose truth was not 0.
    pub mape_pct: Option<f64>,
    /// Forecasts left out of `mape_pct` as their truth was 0.
    pub mape_skipped: u64,
    /// `mae` over the mean absolute error of the seasonal naive method, no unit: below 1 where
    /// the forecasts were better than that. The naive method is scored on every observation that
    /// has one a season before it, which is its forecast from any time within that season.
    pub mase: Option<f64>,
}

impl ForecastScore {
    /// Nothing forecast yet, for a series of `season` observations a season, 1 or more (with 0
    /// there is never a MASE).
    pub fn new(season: u32) -> ForecastScore {
        ForecastScore {
            seen: 0,
            waiting: BTreeMap::new(),
            naive: SeasonalNaive::new(&SeasonalNaiveRule { season }),
            naive_count: 0,
            naive_sum: 0.0,
            count: 0,
            sum: 0.0,
            absolute_sum: 0.0,
            squared_sum: 0.0,
            share_count: 0,
            share_sum: 0.0,
            mape_skipped: 0,
            unscored: 0,
        }
    }

    /// Takes a forecast of the observation that comes `steps_ahead` after the last, 1 or more.
    /// One for 0 steps, or that is NaN, infinite or beyond
    /// [`LARGEST_METRIC`](crate::fleet::scaling::metric::LARGEST_METRIC), is left out.
    pub fn forecast(&mut self, steps_ahead: u32, value: f64) {
        let Some(steps) = u64::from(steps_ahead).checked_sub(1) else {
            return;
        };
        if let Some(value) = metric::usable_signed(value) {
            let index = self.seen.saturating_add(steps);
            self.waiting.entry(index).or_default().push(value);
        }
    }

    /// Takes the next observation and scores every forecast of it. One that is NaN, infinite or
    /// too large is missing.
    pub fn observe(&mut self, truth: f64) {
        let forecasts = self.waiting.remove(&self.seen).unwrap_or_default();
        match metric::usable_signed(truth) {
            Some(truth) => {
                for forecast in forecasts {
                    self.score(forecast, truth);
                }
                if let Some(naive) = self.naive.predict(1) {
                    self.naive_count += 1;
                    self.naive_sum += (naive - truth).abs();
                }
            }
            None => self.unscored += forecasts.len() as u64,
        }
        self.naive.observe(truth);
        self.seen = self.seen.saturating_add(1);
    }

    fn score(&mut self, forecast: f64, truth: f64) {
        let error = forecast - truth;
        self.count += 1;
        self.sum += error;
        self.absolute_sum += error.abs();
        self.squared_sum += error * error;
        if truth == 0.0 {
            self.mape_skipped += 1;
        } else {
            self.share_count += 1;
            self.share_sum += (error / truth).abs();
        }
    }

    /// The scores so far.
    pub fn scores(&self) -> Scores {
        let mae = mean(self.absolute_sum, self.count);
        let naive_mae = mean(self.naive_sum, self.naive_count).filter(|&naive| naive > 0.0);
        Scores {
            count: self.count,
            unscored: self.unscored,
            bias: mean(self.sum, self.count),
            mae,
            rmse: mean(self.squared_sum, self.count).map(f64::sqrt),
            mape_pct: mean(self.share_sum, self.share_count).map(|share| 100.0 * share),
            mape_skipped: self.mape_skipped,
            mase: mae.zip(naive_mae).map(|(mae, naive)| mae / naive),
        }
    }
}

fn mean(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}
