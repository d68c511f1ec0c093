//! Forecasts against closed forms, and against a plain implementation that keeps every value of
//! every component and indexes them as the textbook does.

use seatrial::fleet::scaling::forecast::{HoltWintersRule, Seasonality};

use crate::common::{SEASON, close, forecaster, naive};

const FACTORS: [f64; 6] = [0.4, 0.7, 1.1, 1.6, 1.3, 0.9];

/// A wobble without pattern, the same on every run, between -1 and 1.
fn wobble(index: usize) -> f64 {
    let mixed = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    f64::from((mixed >> 40) as u32) / f64::from(1 << 23) - 1.0
}

/// Holt-Winters with 1-based time: `level[t]` and `trend[t]` from time 0, `seasonal[t + m - 1]`
/// from time 1 - m, all kept.
struct Textbook {
    m: usize,
    multiplicative: bool,
    level: Vec<f64>,
    trend: Vec<f64>,
    seasonal: Vec<f64>,
}

impl Textbook {
    fn fit(rule: &HoltWintersRule, y: &[f64]) -> Textbook {
        let m = rule.season as usize;
        let multiplicative = rule.seasonality == Seasonality::Multiplicative;
        let (a, b, g) = (rule.alpha, rule.beta, rule.gamma);
        let (seasonal, level, trend) = initial(&y[..2 * m], m, multiplicative);
        let mut fit = Textbook {
            m,
            multiplicative,
            level: vec![level],
            trend: vec![trend],
            seasonal,
        };
        for t in 1..=y.len() {
            let (before, slope, value) = (fit.level[t - 1], fit.trend[t - 1], y[t - 1]);
            let last = fit.seasonal[t - 1];
            let (level, seasonal) = if multiplicative {
                (
                    a * value / last + (1.0 - a) * (before + slope),
                    g * value / (before + slope) + (1.0 - g) * last,
                )
            } else {
                (
                    a * (value - last) + (1.0 - a) * (before + slope),
                    g * (value - before - slope) + (1.0 - g) * last,
                )
            };
            fit.trend.push(b * (level - before) + (1.0 - b) * slope);
            fit.level.push(level);
            fit.seasonal.push(seasonal);
        }
        fit
    }

    /// `y-hat(T + h | T) = l(T) + h b(T) + s(T + h - m (k + 1))` with `k = (h - 1) / m`.
    fn predict(&self, h: usize) -> f64 {
        let end = self.level.len() - 1;
        let k = (h - 1) / self.m;
        let seasonal = self.seasonal[end + h - self.m * (k + 1) + self.m - 1];
        let line = self.level[end] + h as f64 * self.trend[end];
        if self.multiplicative {
            line * seasonal
        } else {
            line + seasonal
        }
    }
}

/// Seasonal values, level and trend at time 0 from two seasons `y`.
fn initial(y: &[f64], m: usize, multiplicative: bool) -> (Vec<f64>, f64, f64) {
    let half = m / 2;
    let mut left = vec![Vec::new(); m];
    for t in half..2 * m - half {
        let smooth = if m.is_multiple_of(2) {
            let inner: f64 = y[t - half + 1..t + half].iter().sum();
            (y[t - half] / 2.0 + inner + y[t + half] / 2.0) / m as f64
        } else {
            y[t - half..=t + half].iter().sum::<f64>() / m as f64
        };
        left[t % m].push(if multiplicative {
            y[t] / smooth
        } else {
            y[t] - smooth
        });
    }
    let means: Vec<f64> = left
        .iter()
        .map(|values| values.iter().sum::<f64>() / values.len() as f64)
        .collect();
    let mean = means.iter().sum::<f64>() / m as f64;
    let seasonal: Vec<f64> = means
        .iter()
        .map(|value| {
            if multiplicative {
                value / mean
            } else {
                value - mean
            }
        })
        .collect();
    // Normal equations of the line through (t, adjusted) for t = 1 to 2 m.
    let n = 2.0 * m as f64;
    let (mut st, mut sy, mut stt, mut sty) = (0.0, 0.0, 0.0, 0.0);
    for (index, &value) in y.iter().enumerate() {
        let t = (index + 1) as f64;
        let adjusted = if multiplicative {
            value / seasonal[index % m]
        } else {
            value - seasonal[index % m]
        };
        st += t;
        sy += adjusted;
        stt += t * t;
        sty += t * adjusted;
    }
    let slope = (n * sty - st * sy) / (n * stt - st * st);
    (seasonal, (sy - slope * st) / n, slope)
}

#[test]
fn an_additive_series_without_noise_is_recovered_exactly() {
    // y(t) = 100 + 1.5 t + s(t), with s summing to nothing over a season (of 7, then of 6).
    for m in [7, 6] {
        let mean = SEASON[..m].iter().sum::<f64>() / m as f64;
        let truth = |t: usize| 100.0 + 1.5 * t as f64 + SEASON[(t - 1) % m] - mean;
        for (alpha, beta, gamma) in [(0.3, 0.1, 0.1), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)] {
            let mut forecaster = forecaster(&HoltWintersRule {
                alpha,
                beta,
                gamma,
                ..HoltWintersRule::new(m as u32)
            });
            for t in 1..=10 * m {
                forecaster.observe(truth(t));
                for h in 1..=3 * m {
                    match forecaster.predict(h as u32) {
                        Some(forecast) => close(forecast, truth(t + h), "additive"),
                        None => assert!(t < 2 * m, "{t}"),
                    }
                }
            }
        }
    }
}

#[test]
fn a_multiplicative_series_of_one_level_is_recovered_exactly() {
    let mean = FACTORS.iter().sum::<f64>() / FACTORS.len() as f64;
    let truth = |t: usize| 250.0 * FACTORS[(t - 1) % FACTORS.len()] / mean;
    let mut forecaster = forecaster(&HoltWintersRule {
        seasonality: Seasonality::Multiplicative,
        ..HoltWintersRule::new(FACTORS.len() as u32)
    });
    for t in 1..=60 {
        forecaster.observe(truth(t));
        for h in 1..=20 {
            if let Some(forecast) = forecaster.predict(h as u32) {
                close(forecast, truth(t + h), "multiplicative");
            }
        }
    }
    assert!(forecaster.predict(1).is_some());
}

#[test]
fn holt_winters_agrees_with_a_plain_implementation() {
    for season in [2, 3, 7, 12, 24] {
        for seasonality in [Seasonality::Additive, Seasonality::Multiplicative] {
            let rule = HoltWintersRule {
                season,
                alpha: 0.4,
                beta: 0.15,
                gamma: 0.25,
                seasonality,
            };
            let swing = |t: usize| {
                let turn = t as f64 / f64::from(season) * std::f64::consts::TAU;
                20.0 * turn.sin()
            };
            let y: Vec<f64> = (0..8 * season as usize)
                .map(|t| 80.0 + 0.3 * t as f64 + swing(t) + 5.0 * wobble(t))
                .collect();
            let mut forecaster = forecaster(&rule);
            for (index, &value) in y.iter().enumerate() {
                forecaster.observe(value);
                let seen = index + 1;
                if seen < 2 * season as usize {
                    assert_eq!(forecaster.predict(1), None);
                    continue;
                }
                let fit = Textbook::fit(&rule, &y[..seen]);
                for h in 1..=3 * season as usize {
                    let forecast = forecaster.predict(h as u32).unwrap();
                    close(forecast, fit.predict(h), "plain implementation");
                }
            }
        }
    }
}

#[test]
fn the_seasonal_naive_method_repeats_the_last_season() {
    let mut forecaster = naive(3);
    for (value, expected) in [(1.0, None), (2.0, None), (3.0, Some(1.0)), (4.0, Some(2.0))] {
        forecaster.observe(value);
        assert_eq!(forecaster.predict(1), expected);
    }
    // Seen: 1 2 3 4. Ahead: 2 3 4 2 3 4.
    let ahead: Vec<f64> = (1..=6).filter_map(|h| forecaster.predict(h)).collect();
    assert_eq!(ahead, [2.0, 3.0, 4.0, 2.0, 3.0, 4.0]);
    assert_eq!(forecaster.predict(0), None);
    // With a season of 1 it is the last value.
    let mut last = naive(1);
    last.observe(5.0);
    assert_eq!((last.predict(1), last.predict(9)), (Some(5.0), Some(5.0)));
}
