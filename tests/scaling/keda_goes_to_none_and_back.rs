//! KEDA decides between none and some, the autoscaler between one and many.

use seatrial::engine::{NS_PER_S, SimTime};
use seatrial::fleet::scaling::keda::{Keda, KedaRule};

fn at(seconds: u64) -> SimTime {
    SimTime(seconds * NS_PER_S)
}

#[test]
fn defaults_are_those_of_keda() {
    let rule = KedaRule::new(10.0);
    assert_eq!((rule.poll_s, rule.cooldown_s), (30.0, 300.0));
    assert_eq!((rule.min, rule.max), (0, 100));
    assert_eq!(rule.activation_threshold, 0.0);
}

#[test]
fn anything_above_the_threshold_brings_the_first_replica() {
    let mut keda = Keda::new(KedaRule {
        activation_threshold: 5.0,
        ..KedaRule::new(10.0)
    });
    assert_eq!(keda.poll(at(0), 0, 0.0), None);
    // At the threshold it is not active yet.
    assert_eq!(keda.poll(at(30), 0, 5.0), None);
    // 1, though 500 / 10 = 50 are wanted: the rest is for the autoscaler.
    assert_eq!(keda.poll(at(60), 0, 500.0), Some(1));
    assert_eq!(keda.poll(at(90), 1, 500.0), None);
}

#[test]
fn the_last_replicas_go_after_the_cooldown_and_all_at_once() {
    let mut keda = Keda::new(KedaRule::new(10.0));
    assert_eq!(keda.poll(at(0), 0, 3.0), Some(1));
    assert_eq!(keda.poll(at(30), 4, 3.0), None);
    for seconds in (60..330).step_by(30) {
        assert_eq!(keda.poll(at(seconds), 4, 0.0), None, "{seconds}");
    }
    // 300 s after it was last active, at second 30.
    assert_eq!(keda.poll(at(330), 4, 0.0), Some(0));
    assert_eq!(keda.poll(at(360), 0, 0.0), None);
}

#[test]
fn activity_starts_the_cooldown_anew() {
    let mut keda = Keda::new(KedaRule::new(10.0));
    assert_eq!(keda.poll(at(0), 1, 3.0), None);
    assert_eq!(keda.poll(at(270), 1, 3.0), None);
    assert_eq!(keda.poll(at(300), 1, 0.0), None);
    assert_eq!(keda.poll(at(540), 1, 0.0), None);
    assert_eq!(keda.poll(at(570), 1, 0.0), Some(0));
}

#[test]
fn a_trigger_that_was_never_active_does_not_wait() {
    let mut keda = Keda::new(KedaRule::new(10.0));
    assert_eq!(keda.poll(at(0), 4, 0.0), Some(0));
}

#[test]
fn an_error_of_the_trigger_changes_nothing() {
    let mut keda = Keda::new(KedaRule::new(10.0));
    for metric in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        assert_eq!(keda.poll(at(0), 4, metric), None);
        assert_eq!(keda.poll(at(0), 0, metric), None);
        assert_eq!(keda.sync(at(0), 4, metric), 4);
    }
    // Nor does it count as activity.
    assert_eq!(keda.poll(at(30), 4, 0.0), Some(0));
}

#[test]
fn with_a_minimum_nothing_goes_to_none() {
    let mut keda = Keda::new(KedaRule {
        min: 2,
        ..KedaRule::new(10.0)
    });
    assert_eq!(keda.poll(at(0), 4, 0.0), None);
    assert_eq!(keda.poll(at(9_000), 4, 0.0), None);
    assert_eq!(keda.poll(at(9_030), 1, 0.0), Some(2));
    assert_eq!(keda.poll(at(9_060), 0, 0.0), Some(2));
    assert_eq!(keda.poll(at(9_090), 0, 1.0), Some(2));
}

#[test]
fn the_autoscaler_works_between_one_and_max() {
    let mut rule = KedaRule::new(10.0);
    rule.max = 8;
    // These do not count.
    (rule.hpa.min, rule.hpa.max) = (5, 6);
    rule.hpa.scale_down.stabilization_window_s = Some(0.0);
    let mut keda = Keda::new(rule);
    // Off without replicas.
    assert_eq!(keda.sync(at(0), 0, 500.0), 0);
    // 500 / 10 = 50, by policy max(1 + 4, 2) = 5; then max(5 + 4, 10) = 10, but max is 8.
    assert_eq!(keda.sync(at(15), 1, 500.0), 5);
    assert_eq!(keda.sync(at(30), 5, 500.0), 8);
    // 25 / 10 = 2.5; then nothing to do, but the last one is left to KEDA.
    assert_eq!(keda.sync(at(45), 8, 25.0), 3);
    assert_eq!(keda.sync(at(60), 3, 0.0), 1);
}

#[test]
fn the_cooldown_is_no_pause_of_the_autoscaler() {
    // Downwards to one only the window of the autoscaler holds, here 300 s by default.
    let mut keda = Keda::new(KedaRule {
        cooldown_s: 7_200.0,
        ..KedaRule::new(10.0)
    });
    assert_eq!(keda.poll(at(0), 4, 40.0), None);
    assert_eq!(keda.sync(at(0), 4, 40.0), 4);
    assert_eq!(keda.sync(at(285), 4, 0.0), 4);
    assert_eq!(keda.sync(at(300), 4, 0.0), 1);
    assert_eq!(keda.poll(at(300), 1, 0.0), None);
}
