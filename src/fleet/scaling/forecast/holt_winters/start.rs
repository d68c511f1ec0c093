//! The initial values of Holt-Winters, by decomposition of the first two seasons:
//!
//! 1. smooth them with a moving average over one season (2 x m where m is even);
//! 2. take that away (or divide by it); the averages of what is left, by point of the season and
//!    adjusted to sum to nothing (or to average to one), are the seasonal values;
//! 3. take those away (or divide by them);
//! 4. a line through what is left, by least squares, gives level and trend.

use super::{HoltWintersRule, SMALLEST_FACTOR, SMALLEST_LEVEL, Seasonality, State};

/// The state just before the first of the observations of `history`, two seasons of them.
pub(super) fn before_first(rule: &HoltWintersRule, history: &[f64]) -> State {
    let season = rule.season as usize;
    let seasonal = seasonal(history, season, rule.seasonality);
    let points = history.iter().zip(seasonal.iter().cycle());
    let adjusted = points
        .zip(1_u32..)
        .filter_map(|((&value, &seasonal), time)| {
            let adjusted = match rule.seasonality {
                Seasonality::Additive => value - seasonal,
                Seasonality::Multiplicative if seasonal < SMALLEST_FACTOR => return None,
                Seasonality::Multiplicative => value / seasonal,
            };
            Some((f64::from(time), adjusted))
        });
    let (level, trend) = line(&adjusted.collect::<Vec<_>>());
    State {
        level,
        trend,
        seasonal,
        seen: 0,
    }
}

/// The seasonal values by point of the season.
fn seasonal(history: &[f64], season: usize, seasonality: Seasonality) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); season];
    let smooth = moving_average(history, season);
    for ((index, &value), smooth) in history.iter().enumerate().skip(season / 2).zip(smooth) {
        let left = match seasonality {
            Seasonality::Additive => value - smooth,
            Seasonality::Multiplicative if smooth < SMALLEST_LEVEL => 1.0,
            Seasonality::Multiplicative => value / smooth,
        };
        let point = index.checked_rem(season).unwrap_or(0);
        if let Some((sum, count)) = sums.get_mut(point) {
            *sum += left;
            *count += 1.0;
        }
    }
    let means: Vec<f64> = sums.iter().map(|(sum, count)| sum / count).collect();
    let mean = means.iter().sum::<f64>() / season as f64;
    let centred = means.iter().map(|value| match seasonality {
        Seasonality::Additive => value - mean,
        Seasonality::Multiplicative => value / mean,
    });
    // Only an all-zero history leaves nothing to divide by: then no point differs from another.
    let neutral = match seasonality {
        Seasonality::Additive => 0.0,
        Seasonality::Multiplicative => 1.0,
    };
    centred
        .map(|value| if value.is_finite() { value } else { neutral })
        .collect()
}

/// Averages over one season, the first of them centred on the observation `season / 2`.
fn moving_average(history: &[f64], season: usize) -> Vec<f64> {
    let count = season as f64;
    let windows = history.windows(season);
    let means: Vec<f64> = windows.map(|w| w.iter().sum::<f64>() / count).collect();
    if season % 2 == 1 {
        return means;
    }
    // An even season has no middle: the average of two neighbours has.
    means
        .windows(2)
        .map(|w| w.iter().sum::<f64>() / 2.0)
        .collect()
}

/// The line through `points` (time, value) by least squares: its value at time 0 and its slope.
/// Level through the mean where there are too few points for a slope.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    if points.is_empty() {
        return (0.0, 0.0);
    }
    let mean_time = points.iter().map(|(time, _)| time).sum::<f64>() / count;
    let mean_value = points.iter().map(|(_, value)| value).sum::<f64>() / count;
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (time, value) in points {
        covariance += (time - mean_time) * (value - mean_value);
        variance += (time - mean_time) * (time - mean_time);
    }
    let slope = if variance > 0.0 {
        covariance / variance
    } else {
        0.0
    };
    (mean_value - slope * mean_time, slope)
}
