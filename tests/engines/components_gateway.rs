//! The token bucket lets in exactly what it should.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use seatrial::engine::SimTime;
use seatrial::fleet::Simulation;
use seatrial::fleet::gateway::{Gateway, TokenBucket};
use seatrial::fleet::request::Status;
use seatrial::fleet::simulation::Hooks;
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

const S: u64 = 1_000_000_000;

fn taken(bucket: &mut TokenBucket, times: impl Iterator<Item = u64>) -> u64 {
    times
        .map(|time| u64::from(bucket.take(SimTime(time))))
        .sum()
}

#[test]
fn a_full_bucket_passes_its_burst_and_no_more() {
    let mut bucket = TokenBucket::new(10.0, 7.0);
    assert_eq!(taken(&mut bucket, std::iter::repeat_n(0, 20)), 7);
    // A token flows in every 100 ms, and not one nanosecond earlier.
    assert!(!bucket.take(SimTime(S / 10 - 1)));
    assert!(bucket.take(SimTime(S / 10)));
    assert!(!bucket.take(SimTime(S / 10)));
}

#[test]
fn constant_arrivals_get_the_burst_and_the_rate() {
    // 1,000 a second against 300 a second: 1 ms apart, 0.3 tokens flow in between.
    let mut bucket = TokenBucket::new(300.0, 5.0);
    let arrivals = (0..10_000u64).map(|index| index * (S / 1_000));
    // Of tokens: 5 at first and 0.3 for each of the 9,999 gaps; what is left is a fraction.
    assert_eq!(taken(&mut bucket, arrivals), 5 + 2_999);
}

#[test]
fn arrivals_at_the_rate_are_all_let_in() {
    let mut bucket = TokenBucket::new(1_000.0, 1.0);
    let arrivals = (0..100_000u64).map(|index| index * (S / 1_000));
    assert_eq!(taken(&mut bucket, arrivals), 100_000);
}

#[test]
fn a_fractional_burst_keeps_its_fraction() {
    let mut bucket = TokenBucket::new(1.0, 1.5);
    assert!(bucket.take(SimTime(0)));
    assert!(!bucket.take(SimTime(S / 2 - 1)));
    assert!(bucket.take(SimTime(S / 2)));
}

#[test]
fn a_long_idle_bucket_is_full_and_nothing_overflows() {
    for rate in [1e-3, 1.0, 1e6, 1e9] {
        for burst in [1.0, 1e6, 1e9] {
            let mut bucket = TokenBucket::new(rate, burst);
            assert!(bucket.take(SimTime(0)));
            assert!(bucket.take(SimTime(u64::MAX - 1)));
            let mut small = TokenBucket::new(rate, 3.0);
            let late = std::iter::repeat_n(u64::MAX - 1, 10);
            assert_eq!(taken(&mut small, late), 3, "never more than the burst");
        }
    }
}

#[test]
fn a_gateway_without_a_limit_lets_all_in() {
    let mut gateway = Gateway::new(None);
    assert!((0..1_000).all(|_| gateway.admit(SimTime::ZERO)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Against whole numbers: a token a `period` in nanoseconds, burst in whole tokens.
    #[test]
    fn the_bucket_counts_as_whole_numbers_do(
        per_s in prop_oneof![Just(1u64), Just(4), Just(1_000), Just(1_000_000)],
        burst in 1u64..10,
        gaps in prop::collection::vec(0u64..3_000, 1..200),
    ) {
        let period = S / per_s;
        let mut bucket = TokenBucket::new(per_s as f64, burst as f64);
        let (mut now, mut level) = (0u64, burst * period);
        for gap in gaps {
            let gap = gap * period / 1_000;
            now += gap;
            level = (level + gap).min(burst * period);
            let lets_in = level >= period;
            if lets_in {
                level -= period;
            }
            prop_assert_eq!(bucket.take(SimTime(now)), lets_in);
        }
    }
}

#[test]
fn a_fleet_behind_a_limit_turns_away_exactly_the_rest() {
    let text = r#"
name = "limited"
[run]
horizon_s = 1000
[workload]
arrivals = { process = "constant", rate_per_s = 100 }
max_requests = 10_000
[gateway]
cost_ms = 2
rate_limit = { requests_per_s = 40, burst = 10 }
[[pools]]
name = "servers"
engine = "abstract"
servers = 64
service = { law = "deterministic", mean_ms = 3 }
"#;
    let document = Document::parse(SourceText::new("limited.toml", text)).unwrap();
    let plan = resolve(&document, Path::new(".")).unwrap_or_else(|error| panic!("{error:?}"));
    let mut simulation = Simulation::new(Arc::new(plan.fleet)).unwrap();
    let mut hooks = Hooks {
        stop: None,
        progress: &mut |_| {},
        rows: &mut |_| {},
        audit: &mut |_| {},
    };
    simulation.run(u64::MAX, &mut hooks);
    assert_eq!(simulation.check(), Ok(()));
    // Full at the first arrival, then 0.4 tokens for each of 9,999 gaps: 10 + 3,999.6.
    let ended = simulation.world.meters.ended;
    assert_eq!(ended[Status::Completed.index()], 10 + 3_999);
    assert_eq!(ended[Status::RejectedRateLimit.index()], 10_000 - 4_009);
}
