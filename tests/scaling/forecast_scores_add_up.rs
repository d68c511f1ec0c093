//! Scores of forecasts, worked out by hand.

use seatrial::fleet::scaling::forecast::{ForecastScore, Scores};

fn close(score: Option<f64>, expected: f64) {
    let fine = score.is_some_and(|score| (score - expected).abs() < 1e-12);
    assert!(fine, "{score:?} {expected}");
}

#[test]
fn a_small_example_by_hand() {
    let mut score = ForecastScore::new(2);
    // Forecast one step ahead, then what came. Errors (forecast - truth): 2, -2, 4, -1.
    for (forecast, truth) in [(12.0, 10.0), (18.0, 20.0), (16.0, 12.0), (24.0, 25.0)] {
        score.forecast(1, forecast);
        score.observe(truth);
    }
    let scores = score.scores();
    assert_eq!(
        (scores.count, scores.unscored, scores.mape_skipped),
        (4, 0, 0)
    );
    // (2 - 2 + 4 - 1) / 4.
    close(scores.bias, 0.75);
    // (2 + 2 + 4 + 1) / 4.
    close(scores.mae, 2.25);
    // sqrt((4 + 4 + 16 + 1) / 4).
    close(scores.rmse, 2.5);
    // 100 x (2/10 + 2/20 + 4/12 + 1/25) / 4.
    close(
        scores.mape_pct,
        100.0 * (0.2 + 0.1 + 4.0 / 12.0 + 0.04) / 4.0,
    );
    // Naive errors: |10 - 12| = 2 and |20 - 25| = 5, on average 3.5.
    close(scores.mase, 2.25 / 3.5);
}

#[test]
fn a_forecast_waits_for_its_own_time() {
    let mut score = ForecastScore::new(1);
    score.forecast(3, 7.0);
    score.forecast(1, 1.0);
    score.observe(1.0);
    // Another forecast of the same observation, from nearer by.
    score.forecast(2, 9.0);
    score.observe(5.0);
    assert_eq!(score.scores().count, 1);
    score.observe(8.0);
    let scores = score.scores();
    // Errors 0, -1 and 1.
    assert_eq!(scores.count, 3);
    close(scores.bias, 0.0);
    close(scores.mae, 2.0 / 3.0);
}

#[test]
fn a_truth_of_zero_is_left_out_of_the_percentage_and_counted() {
    let mut score = ForecastScore::new(1);
    for (forecast, truth) in [(1.0, 0.0), (3.0, 2.0)] {
        score.forecast(1, forecast);
        score.observe(truth);
    }
    let scores = score.scores();
    assert_eq!((scores.count, scores.mape_skipped), (2, 1));
    close(scores.mape_pct, 50.0);
    close(scores.mae, 1.0);
}

#[test]
fn a_missing_truth_scores_nothing() {
    let mut score = ForecastScore::new(1);
    score.forecast(1, 1.0);
    score.forecast(1, 2.0);
    score.observe(f64::NAN);
    let scores = score.scores();
    assert_eq!((scores.count, scores.unscored), (0, 2));
    assert_eq!((scores.bias, scores.mae, scores.rmse), (None, None, None));
    assert_eq!((scores.mape_pct, scores.mase), (None, None));
}

#[test]
fn what_is_no_forecast_is_left_out() {
    let mut score = ForecastScore::new(1);
    score.forecast(0, 1.0);
    score.forecast(1, f64::NAN);
    score.forecast(1, f64::INFINITY);
    score.forecast(1, 1e300);
    score.observe(1.0);
    assert_eq!((score.scores().count, score.scores().unscored), (0, 0));
}

#[test]
fn the_naive_method_scores_one_against_itself() {
    let mut score = ForecastScore::new(3);
    let series: Vec<f64> = (0..30_u32).map(|t| f64::from((t * 7) % 11)).collect();
    for t in 0..series.len() {
        if t >= 3 {
            score.forecast(1, series[t - 3]);
        }
        score.observe(series[t]);
    }
    close(score.scores().mase, 1.0);
}

#[test]
fn a_series_that_repeats_exactly_has_no_scale() {
    let mut score = ForecastScore::new(1);
    for _ in 0..5 {
        score.forecast(1, 3.0);
        score.observe(2.0);
    }
    let Scores { mae, mase, .. } = score.scores();
    assert_eq!((mae, mase), (Some(1.0), None));
}
