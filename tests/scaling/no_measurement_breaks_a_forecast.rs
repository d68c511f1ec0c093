//! Whatever is measured: forecasts are finite, and replicas that follow them stay within bounds.

use crate::common::{any_number, at, bounds, decisions};
use proptest::prelude::*;
use seatrial::fleet::scaling::forecast::{
    ForecastRule, ForecastScore, Forecaster, HoltWintersRule, SeasonalNaiveRule, Seasonality,
};
use seatrial::fleet::scaling::predictive::{Predictive, PredictiveRule};

fn any_forecast() -> impl Strategy<Value = ForecastRule> {
    let weights = (any_number(), any_number(), any_number());
    prop_oneof![
        (0_u32..9).prop_map(|season| ForecastRule::SeasonalNaive(SeasonalNaiveRule { season })),
        (0_u32..9, weights, any::<bool>()).prop_map(|(season, (alpha, beta, gamma), adds)| {
            let seasonality = match adds {
                true => Seasonality::Additive,
                false => Seasonality::Multiplicative,
            };
            ForecastRule::HoltWinters(HoltWintersRule {
                season,
                alpha,
                beta,
                gamma,
                seasonality,
            })
        }),
    ]
}

proptest! {
    #[test]
    fn forecasts_are_finite_and_come_in_time(
        rule in any_forecast(),
        values in prop::collection::vec(any_number(), 0..60),
        steps in 0_u32..100_000,
    ) {
        let mut forecaster = Forecaster::new(&rule);
        let mut score = ForecastScore::new(3);
        for &value in &values {
            if let Some(forecast) = forecaster.predict(steps) {
                prop_assert!(forecast.is_finite());
                prop_assert!(steps > 0);
                score.forecast(steps.min(5), forecast);
            }
            forecaster.observe(value);
            score.observe(value);
        }
        let scores = score.scores();
        for value in [scores.bias, scores.mae, scores.rmse, scores.mape_pct, scores.mase] {
            prop_assert!(value.is_none_or(|value| !value.is_nan()));
        }
    }

    #[test]
    fn predictive_scaling_stays_within_bounds(
        forecaster in any_forecast(),
        (lead_s, per_replica_per_s) in (0.0..1e4_f64, any_number()),
        (headroom, scale_down_delay_s) in (any_number(), any_number()),
        (min, max) in bounds(),
        start in 0_u32..300,
        steps in decisions(any_number()),
    ) {
        let mut predictive = Predictive::new(PredictiveRule {
            forecaster,
            bucket_s: 60.0,
            lead_s,
            per_replica_per_s,
            headroom,
            min,
            max,
            scale_down_delay_s,
        });
        let mut current = start;
        for (index, (_, demand)) in steps.into_iter().enumerate() {
            let now = at(60 * (index as u64 + 1));
            predictive.end_bucket(now, demand);
            current = predictive.recommend(now, current);
            prop_assert!((min..=max).contains(&current));
        }
    }

    #[test]
    fn more_demand_never_lowers_a_prediction(
        demand in prop::collection::vec((0.0..1e3_f64, 0.0..1e3_f64), 6..20),
        lead_s in 0.0..600.0_f64,
    ) {
        let propose = |extra: f64| {
            let mut predictive = Predictive::new(PredictiveRule {
                forecaster: ForecastRule::SeasonalNaive(SeasonalNaiveRule { season: 6 }),
                bucket_s: 60.0,
                lead_s,
                per_replica_per_s: 7.0,
                headroom: 0.1,
                min: 0,
                max: u32::MAX,
                scale_down_delay_s: 0.0,
            });
            let mut end_s = 0;
            for &(low, more) in &demand {
                end_s += 60;
                predictive.end_bucket(at(end_s), low + extra * more);
            }
            predictive.proposal(at(end_s))
        };
        prop_assert!(propose(0.0).is_some());
        prop_assert!(propose(0.0) <= propose(1.0));
    }
}
