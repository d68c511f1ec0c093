//! Target tracking: what it wants, and for how long it waits.

use seatrial::engine::{NS_PER_S, SimTime};
use seatrial::fleet::scaling::target::{Measure, TargetRule, TargetTracker};

fn at(seconds: u64) -> SimTime {
    SimTime(seconds * NS_PER_S)
}

fn rule(measure: Measure, target: f64) -> TargetRule {
    TargetRule {
        measure,
        target,
        scale_up_cooldown_s: 60.0,
        scale_down_cooldown_s: 300.0,
        min: 1,
        max: 20,
    }
}

#[test]
fn a_total_is_divided_among_replicas() {
    let tracker = TargetTracker::new(rule(Measure::Total, 8.0));
    for (total, expected) in [
        (0.0, 0),
        (0.5, 1),
        (8.0, 1),
        (8.1, 2),
        (80.0, 10),
        (81.0, 11),
    ] {
        assert_eq!(tracker.proposal(3, total), Some(expected), "{total}");
    }
}

#[test]
fn an_average_scales_what_runs() {
    let tracker = TargetTracker::new(rule(Measure::Average, 0.8));
    // 10 x 0.96 / 0.8 = 12; 10 x 0.4 / 0.8 = 5; 10 x 0.81 / 0.8 = 10.125.
    for (average, expected) in [(0.96, 12), (0.4, 5), (0.81, 11), (0.8, 10)] {
        assert_eq!(tracker.proposal(10, average), Some(expected), "{average}");
    }
    assert_eq!(tracker.proposal(0, 0.9), Some(0));
}

#[test]
fn rounding_costs_no_replica() {
    // 0.3 / 0.1 is 2.9999999999999996 or 3.0000000000000004 by the order of operations.
    let tracker = TargetTracker::new(rule(Measure::Total, 0.1));
    for replicas in 1..=1_000 {
        let total = 0.1 * f64::from(replicas);
        assert_eq!(tracker.proposal(1, total), Some(replicas));
    }
}

#[test]
fn no_step_up_while_the_last_one_is_recent() {
    let mut tracker = TargetTracker::new(rule(Measure::Total, 10.0));
    assert_eq!(tracker.recommend(at(0), 2, 40.0), 4);
    assert_eq!(tracker.recommend(at(30), 4, 90.0), 4);
    assert_eq!(tracker.recommend(at(59), 4, 90.0), 4);
    assert_eq!(tracker.recommend(at(60), 4, 90.0), 9);
}

#[test]
fn no_step_down_while_any_change_is_recent() {
    let mut tracker = TargetTracker::new(rule(Measure::Total, 10.0));
    assert_eq!(tracker.recommend(at(0), 2, 40.0), 4);
    assert_eq!(tracker.recommend(at(299), 4, 20.0), 4);
    assert_eq!(tracker.recommend(at(300), 4, 20.0), 2);
    assert_eq!(tracker.recommend(at(301), 2, 5.0), 2);
    // A step up does not wait for the pause of a step down.
    assert_eq!(tracker.recommend(at(301), 2, 50.0), 5);
    assert_eq!(tracker.recommend(at(600), 5, 5.0), 5);
    assert_eq!(tracker.recommend(at(601), 5, 5.0), 1);
}

#[test]
fn no_pause_is_on_at_the_start_and_none_holds_what_is_out_of_bounds() {
    let mut tracker = TargetTracker::new(rule(Measure::Total, 10.0));
    assert_eq!(tracker.recommend(at(0), 5, 10.0), 1);
    assert_eq!(tracker.recommend(at(1), 50, 1_000.0), 20);
    assert_eq!(tracker.recommend(at(2), 0, 0.0), 1);
}

#[test]
fn what_is_not_a_measurement_asks_for_nothing() {
    for metric in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 1e16] {
        let mut tracker = TargetTracker::new(rule(Measure::Average, 0.8));
        assert_eq!(tracker.proposal(5, metric), None);
        assert_eq!(tracker.recommend(at(0), 5, metric), 5);
    }
    for target in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let tracker = TargetTracker::new(rule(Measure::Total, target));
        assert_eq!(tracker.proposal(5, 100.0), None);
    }
}
