//! Forecasts of series with gaps, zeros and outliers.

use seatrial::fleet::scaling::forecast::{HoltWintersRule, Seasonality};

use crate::common::{SEASON, close, forecaster, naive};

#[test]
fn the_seasonal_naive_method_passes_over_what_is_missing() {
    let mut forecaster = naive(2);
    forecaster.observe(f64::NAN);
    forecaster.observe(7.0);
    // Nothing was ever seen at the first point of the season.
    assert_eq!(
        (forecaster.predict(1), forecaster.predict(2)),
        (None, Some(7.0))
    );
    forecaster.observe(3.0);
    forecaster.observe(f64::INFINITY);
    // The 7 of a season before stands.
    assert_eq!(
        (forecaster.predict(1), forecaster.predict(2)),
        (Some(3.0), Some(7.0))
    );
}

#[test]
fn holt_winters_passes_over_what_is_missing() {
    let truth =
        |t: usize| 100.0 + 1.5 * t as f64 + SEASON[t % 7] - SEASON.iter().sum::<f64>() / 7.0;
    let mut forecaster = forecaster(&HoltWintersRule::new(7));
    // What comes before the first value is no part of the series.
    forecaster.observe(f64::NAN);
    for t in 0..70 {
        let missing = t >= 14 && t % 5 == 0;
        forecaster.observe(if missing { f64::NAN } else { truth(t) });
        if let Some(forecast) = forecaster.predict(3) {
            close(forecast, truth(t + 3), "missing values");
        }
    }
    assert!(forecaster.predict(3).is_some());
}

#[test]
fn gaps_in_the_first_seasons_are_filled_from_the_season_before() {
    let rule = HoltWintersRule::new(3);
    let (mut gaps, mut filled) = (forecaster(&rule), forecaster(&rule));
    // The first gap has no season before it: the value before it stands in.
    for (gap, fill) in [
        (10.0, 10.0),
        (f64::NAN, 10.0),
        (30.0, 30.0),
        (f64::INFINITY, 10.0),
        (22.0, 22.0),
        (f64::NAN, 30.0),
    ] {
        gaps.observe(gap);
        filled.observe(fill);
    }
    assert_eq!(gaps, filled);
    assert!(gaps.predict(1).is_some());
}

#[test]
fn a_season_too_short_never_gives_a_forecast() {
    for mut forecaster in [
        naive(0),
        forecaster(&HoltWintersRule::new(0)),
        forecaster(&HoltWintersRule::new(1)),
    ] {
        for _ in 0..10 {
            forecaster.observe(1.0);
            assert_eq!(forecaster.predict(1), None);
        }
    }
}

#[test]
fn a_series_of_zeros_is_forecast_as_zeros() {
    for seasonality in [Seasonality::Additive, Seasonality::Multiplicative] {
        let mut forecaster = forecaster(&HoltWintersRule {
            seasonality,
            ..HoltWintersRule::new(4)
        });
        for _ in 0..40 {
            forecaster.observe(0.0);
        }
        assert_eq!(forecaster.predict(1), Some(0.0));
    }
}

#[test]
fn nights_without_traffic_do_not_upset_a_multiplicative_season() {
    let day = [0.0, 0.0, 10.0, 30.0, 30.0, 10.0];
    let mut forecaster = forecaster(&HoltWintersRule {
        seasonality: Seasonality::Multiplicative,
        ..HoltWintersRule::new(6)
    });
    for t in 0..60 {
        forecaster.observe(day[t % 6]);
    }
    for (h, &truth) in day.iter().enumerate() {
        let forecast = forecaster.predict(h as u32 + 1).unwrap();
        assert!((forecast - truth).abs() < 1e-6, "{h}: {forecast} {truth}");
    }
}

#[test]
fn a_busy_night_does_not_blow_up_the_level() {
    // The factor of a night is near 0.001 / 13.3: 5 requests in one, divided by that, would make
    // a level of 70,000.
    let day = [0.001, 0.001, 10.0, 30.0, 30.0, 10.0];
    let mut forecaster = forecaster(&HoltWintersRule {
        seasonality: Seasonality::Multiplicative,
        ..HoltWintersRule::new(6)
    });
    for t in 0..60 {
        forecaster.observe(day[t % 6]);
    }
    forecaster.observe(5.0);
    let noon = forecaster.predict(3).unwrap();
    assert!((noon - 30.0).abs() < 0.5, "{noon}");
}
