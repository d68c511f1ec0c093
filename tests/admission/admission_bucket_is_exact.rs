//! Token buckets count as fractions do, to the nanosecond.

use proptest::prelude::*;
use seatrial::engine::SimTime;
use seatrial::fleet::admission::{Buckets, TokenBucket};
use seatrial::scenario::admission::{Bucket, RateLimits};

const S: u64 = 1_000_000_000;

/// A fraction in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fraction(i128, i128);

impl Fraction {
    fn new(top: i128, bottom: i128) -> Fraction {
        let (mut a, mut b) = (top.abs(), bottom);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let divisor = a.max(1);
        Fraction(top / divisor, bottom / divisor)
    }
    fn add(self, other: Fraction) -> Fraction {
        Fraction::new(self.0 * other.1 + other.0 * self.1, self.1 * other.1)
    }
    fn at_least(self, other: Fraction) -> bool {
        self.0 * other.1 >= other.0 * self.1
    }
    fn least(self, other: Fraction) -> Fraction {
        if self.at_least(other) { other } else { self }
    }
}

/// What a bucket should be: fractions of a unit, and a rate in thousandths of a unit per second.
struct Model {
    rate: i128,
    burst: Fraction,
    level: Fraction,
    at: u64,
}

impl Model {
    fn settle(&mut self, now: u64) {
        let inflow = Fraction::new(self.rate * i128::from(now - self.at), 1_000 * i128::from(S));
        self.level = self.level.add(inflow).least(self.burst);
        self.at = now;
    }
    fn change(&mut self, units: i128) {
        let level = self.level.add(Fraction::new(units, 1));
        self.level = level.least(self.burst);
    }
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Take(u64),
    Charge(u64),
    GiveBack(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..40u64).prop_map(Op::Take),
        1 => (0..30u64).prop_map(Op::Charge),
        1 => (0..30u64).prop_map(Op::GiveBack),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_counts_as_fractions_do(
        rate in 1i128..5_000_000,
        burst_tenths in 10i128..600,
        ops in prop::collection::vec((0u64..3 * S, op()), 1..80),
    ) {
        let mut bucket = TokenBucket::new(rate as f64 / 1e3, burst_tenths as f64 / 10.0);
        let burst = Fraction::new(burst_tenths, 10);
        let mut model = Model { rate, burst, level: burst, at: 0 };
        let mut now = 0;
        for (gap, op) in ops {
            // Some at the same instant.
            now += if gap % 3 == 0 { 0 } else { gap };
            let time = SimTime(now);
            model.settle(now);
            let whole = model.level.0.div_euclid(model.level.1).max(0);
            prop_assert_eq!(i128::from(bucket.available(time)), whole);
            match op {
                Op::Take(units) => {
                    let enough = model.level.at_least(Fraction::new(units.into(), 1));
                    prop_assert_eq!(bucket.would_take(time, units), enough);
                    prop_assert_eq!(bucket.take(time, units), enough);
                    if enough {
                        model.change(-i128::from(units));
                    }
                }
                Op::Charge(units) => {
                    bucket.charge(time, units);
                    model.change(-i128::from(units));
                }
                Op::GiveBack(units) => {
                    bucket.give_back(units);
                    model.change(units.into());
                }
            }
        }
    }

    /// Not one nanosecond earlier or later.
    #[test]
    fn the_promised_instant_is_the_first(
        rate in 0.001f64..1e6,
        burst in 1.0f64..1e6,
        taken in 0u64..2_000_000,
        units in 1u64..1_000_000,
        start in 0u64..1_000 * S,
    ) {
        let mut bucket = TokenBucket::new(rate, burst);
        let now = SimTime(start);
        bucket.charge(now, taken);
        match bucket.ready_at(now, units) {
            None => prop_assert!(units as f64 > burst),
            Some(ready) => {
                prop_assert!(ready >= now);
                prop_assert!(bucket.would_take(ready, units));
                if ready > now {
                    prop_assert!(!bucket.would_take(SimTime(ready.0 - 1), units));
                }
                prop_assert!(bucket.take(ready, units));
            }
        }
    }
}

#[test]
fn it_starts_full_and_a_request_takes_one() {
    let mut bucket = TokenBucket::new(10.0, 7.0);
    let taken = (0..20).filter(|_| bucket.take(SimTime::ZERO, 1)).count();
    assert_eq!(taken, 7);
    assert_eq!(bucket.ready_at(SimTime::ZERO, 1), Some(SimTime(S / 10)));
    assert!(!bucket.take(SimTime(S / 10 - 1), 1));
    assert!(bucket.take(SimTime(S / 10), 1));
}

#[test]
fn nothing_overflows() {
    for rate in [1e-9, 1e-3, 1.0, 1e9, 1e12] {
        for burst in [1.0, 1e12] {
            let mut bucket = TokenBucket::new(rate, burst);
            assert!(bucket.take(SimTime(0), 1));
            assert!(bucket.take(SimTime(u64::MAX - 1), burst as u64));
            bucket.charge(SimTime(u64::MAX - 1), u64::MAX);
            bucket.charge(SimTime(u64::MAX), u64::MAX);
            assert_eq!(bucket.available(SimTime(u64::MAX)), 0);
            bucket.give_back(u64::MAX);
            bucket.give_back(u64::MAX);
            bucket.give_back(u64::MAX);
            assert_eq!(bucket.available(SimTime(u64::MAX)), burst as u64);
            assert_eq!(bucket.ready_at(SimTime(0), u64::MAX), None);
        }
    }
}

fn both() -> Buckets {
    Buckets::new(&RateLimits {
        requests: Some(Bucket {
            per_s: 1.0,
            burst: 2.0,
        }),
        tokens: Some(Bucket {
            per_s: 100.0,
            burst: 1_000.0,
        }),
    })
}

#[test]
fn both_buckets_or_neither() {
    let mut buckets = both();
    let now = SimTime::ZERO;
    // Too many tokens: the request is not taken either.
    assert!(!buckets.take(now, 1_001));
    assert_eq!(buckets.ready_at(now, 1_001), None);
    assert!(buckets.take(now, 900));
    assert!(!buckets.take(now, 200));
    assert!(buckets.take(now, 100));
    assert!(!buckets.take(now, 0), "two requests are gone");
    // One request after 1 s, 150 tokens after 1.5 s.
    assert_eq!(buckets.ready_at(now, 50), Some(SimTime(S)));
    assert_eq!(buckets.ready_at(now, 150), Some(SimTime(S + S / 2)));
    buckets.give_back(100);
    assert!(buckets.take(now, 100));
}

#[test]
fn the_true_number_of_tokens_counts_in_the_end() {
    let mut buckets = both();
    let now = SimTime::ZERO;
    assert!(buckets.take(now, 900));
    buckets.correct_tokens(now, 900, 400);
    assert_eq!(buckets.ready_at(now, 600), Some(now));
    // 100 more than there are: 1 s until they have flowed in, and 1 s for 100 of the next one.
    buckets.correct_tokens(now, 0, 700);
    assert_eq!(buckets.ready_at(now, 100), Some(SimTime(2 * S)));
}
