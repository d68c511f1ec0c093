//! What the property tests share.

use proptest::prelude::*;
use seatrial::engine::{NS_PER_S, SimTime};
use seatrial::fleet::scaling::forecast::{
    ForecastRule, Forecaster, HoltWintersRule, SeasonalNaiveRule,
};

/// One season, summing to nothing.
pub const SEASON: [f64; 7] = [12.0, -5.0, 3.5, 0.25, -8.0, -6.75, 4.0];

/// The instant `seconds` after the start.
pub fn at(seconds: u64) -> SimTime {
    SimTime(seconds * NS_PER_S)
}

/// Any number at all, with the odd ones often.
pub fn any_number() -> impl Strategy<Value = f64> {
    let odd = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -1.0,
        -0.0,
        0.0,
        f64::MIN_POSITIVE,
        f64::MAX,
        9.2e15,
    ];
    prop_oneof![
        4 => 0.0..1_000.0,
        1 => any::<f64>(),
        1 => prop::sample::select(odd.to_vec()),
    ]
}

/// Fewest and most replicas.
pub fn bounds() -> impl Strategy<Value = (u32, u32)> {
    (1_u32..50, 0_u32..100).prop_map(|(min, more)| (min, min + more))
}

/// Times of decisions, in seconds, and what is measured at each.
pub fn decisions<T: std::fmt::Debug>(
    what: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<(u64, T)>> {
    prop::collection::vec((0_u64..100, what), 1..60).prop_map(|steps| {
        let mut at_s = 0;
        let timed = steps.into_iter().map(|(wait_s, what)| {
            at_s += wait_s;
            (at_s, what)
        });
        timed.collect()
    })
}

/// A Holt-Winters forecaster that has seen nothing.
pub fn forecaster(rule: &HoltWintersRule) -> Forecaster {
    Forecaster::new(&ForecastRule::HoltWinters(rule.clone()))
}

/// A seasonal naive forecaster that has seen nothing.
pub fn naive(season: u32) -> Forecaster {
    Forecaster::new(&ForecastRule::SeasonalNaive(SeasonalNaiveRule { season }))
}

/// Equal but for rounding.
pub fn close(left: f64, right: f64, what: &str) {
    let allowed = 1e-9 * left.abs().max(right.abs()).max(1.0);
    assert!((left - right).abs() <= allowed, "{what}: {left} {right}");
}
