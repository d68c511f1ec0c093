//! What the property tests share.

use proptest::prelude::*;
use seatrial::engine::{NS_PER_S, SimTime};

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
