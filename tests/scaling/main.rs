//! What scalers and forecasts promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
mod forecast_scores_add_up;
mod forecasts_match_the_textbook;
mod forecasts_stand_odd_series;
mod hpa_decides_as_kubernetes_does;
mod hpa_holds_back_as_kubernetes_does;
mod keda_goes_to_none_and_back;
mod no_measurement_breaks_a_forecast;
mod no_measurement_breaks_a_rule;
mod predictive_scaling_looks_ahead;
mod rules_are_read_strictly;
mod schedules_hold_by_the_hour;
mod target_tracking_keeps_its_pauses;
