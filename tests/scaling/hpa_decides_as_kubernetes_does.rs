//! One decision of the horizontal pod autoscaler at a time, each worked out by hand.

use seatrial::engine::SimTime;
use seatrial::fleet::scaling::hpa::{Hpa, HpaRule, PodMetrics, ScalingRules};

/// Target 100 a pod, 1 to 100 replicas, default tolerance and policies, nothing held back by the
/// past: the down window is 0 so that one decision shows.
fn rule() -> HpaRule {
    let mut rule = HpaRule::new(100.0);
    rule.scale_down.stabilization_window_s = Some(0.0);
    rule
}

/// Pods that report, groups of (how many, value); then pods that do not.
fn pods(reporting: &[(usize, f64)], missing: u32, unready: u32) -> PodMetrics {
    let mut pods = PodMetrics::new();
    for &(count, value) in reporting {
        for _ in 0..count {
            pods.add(value);
        }
    }
    pods.add_missing(missing);
    pods.add_unready(unready);
    pods
}

fn decide(rule: HpaRule, current: u32, pods: &PodMetrics) -> u32 {
    Hpa::new(rule).recommend(SimTime(0), current, pods)
}

/// A name, the replicas now, pods that report as (how many, value), and the decision.
type Plain<'a> = (&'a str, u32, &'a [(usize, f64)], u32);

fn check_plain(table: &[Plain<'_>]) {
    for &(name, current, reporting, expected) in table {
        let pods = pods(reporting, 0, 0);
        assert_eq!(decide(rule(), current, &pods), expected, "{name}");
    }
}

/// The same with (how many are missing, how many are unready) before the decision.
type Gaps<'a> = (&'a str, u32, &'a [(usize, f64)], (u32, u32), u32);

fn check_gaps(table: &[Gaps<'_>]) {
    for &(name, current, reporting, (missing, unready), expected) in table {
        let pods = pods(reporting, missing, unready);
        assert_eq!(decide(rule(), current, &pods), expected, "{name}");
    }
}

#[test]
fn the_ratio_to_the_target_decides_outside_the_tolerance() {
    check_plain(&[
        // 150 / 100 = 1.5; ceil(1.5 x 4) = 6.
        ("up", 4, &[(4, 150.0)], 6),
        // 1.4 x 3 = 4.2, rounded up.
        ("up, rounded up", 3, &[(3, 140.0)], 5),
        // 0.5 x 10 = 5.
        ("down", 10, &[(10, 50.0)], 5),
        // 0.41 x 10 = 4.1, rounded up.
        ("down, rounded up", 10, &[(10, 41.0)], 5),
        // (5 x 200 + 5 x 40) / 10 = 120; 1.2 x 10 = 12.
        ("average of unequal pods", 10, &[(5, 200.0), (5, 40.0)], 12),
        // 1.10 is not above 1 + 0.1.
        ("upper edge of the tolerance", 10, &[(10, 110.0)], 10),
        // 1.11 is; 1.11 x 10 = 11.1.
        ("past the upper edge", 10, &[(10, 111.0)], 12),
        // 0.90 is not below 1 - 0.1.
        ("lower edge of the tolerance", 10, &[(10, 90.0)], 10),
        // 0.89 is; 0.89 x 10 = 8.9.
        ("past the lower edge", 10, &[(10, 89.0)], 9),
        // Kubernetes does not mind that 5 of 10 pods do not exist yet: 1.2 x 5 = 6.
        ("pods still to come", 10, &[(5, 120.0)], 6),
    ]);
}

#[test]
fn policies_and_bounds_limit_one_decision() {
    check_plain(&[
        // Wants 10; allowed max(1 + 4, 1 x 2) = 5.
        ("four pods at once", 1, &[(1, 1_000.0)], 5),
        // Wants 50; allowed max(10 + 4, 10 x 2) = 20.
        ("double at once", 10, &[(10, 500.0)], 20),
        // Wants 160, allowed 160, but max is 100.
        ("max", 80, &[(80, 200.0)], 100),
        // Wants 0, allowed 4 x (1 - 1) = 0, but min is 1.
        ("min", 4, &[(4, 0.0)], 1),
        // Above max: back to it, whatever the metric says.
        ("above max", 120, &[(120, 500.0)], 100),
        // No replicas: off.
        ("no replicas", 0, &[], 0),
        // Nothing reports: nothing is known.
        ("no metric", 5, &[], 5),
    ]);
}

#[test]
fn missing_pods_dampen_the_change() {
    check_gaps(&[
        ("no metric", 5, &[], (5, 0), 5),
        // Ratio 2, so the 2 missing use 0: 8 x 200 / 10 = 160; 1.6 x 10 = 16.
        ("up", 10, &[(8, 200.0)], (2, 0), 16),
        // Ratio 0.5, so the 2 missing use 100: (8 x 50 + 200) / 10 = 60; 0.6 x 10 = 6.
        ("down", 10, &[(8, 50.0)], (2, 0), 6),
        // Ratio 1.2; with 5 missing at 0 it is 600 / 10 = 60, ratio 0.6: the direction flips.
        ("flips", 10, &[(5, 120.0)], (5, 0), 10),
        // Ratio 0.85; with 5 missing at 100 it is 925 / 10 = 92.5, within the tolerance.
        ("within tolerance", 10, &[(5, 85.0)], (5, 0), 10),
        // Ratio exactly 1 assumes nothing: within the tolerance.
        ("on target", 10, &[(5, 100.0)], (5, 0), 10),
        // Ratio 1.5; with 1 missing at 0 it is 600 / 5 = 120; 1.2 x 5 = 6 would be fewer than
        // the 10 asked for (5 do not exist yet): no change against the direction of the ratio.
        ("pods still to come", 10, &[(4, 150.0)], (1, 0), 10),
    ]);
    // NaN, infinite, negative and absurd values are missing, 4 of 12 here:
    // 8 x 200 / 12 = 133.333; 1.33333 x 12 = 15.99996.
    let mut odd = pods(&[(8, 200.0)], 0, 0);
    for value in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        odd.add(value);
    }
    assert_eq!(decide(rule(), 12, &odd), 16);
}

#[test]
fn unready_pods_dampen_only_the_way_up() {
    check_gaps(&[
        // Ratio 2, so the 4 unready use 0: 1,200 / 10 = 120; 1.2 x 10 = 12.
        ("up", 10, &[(6, 200.0)], (0, 4), 12),
        // Ratio 0.5: unready pods do not count on the way down; 0.5 x 6 = 3.
        ("down", 10, &[(6, 50.0)], (0, 4), 3),
        // Ratio 1.8; with 4 unready at 0 it is 1,080 / 10 = 108, within the tolerance.
        ("within tolerance", 10, &[(6, 180.0)], (0, 4), 10),
        // 0.85 x 12 = 10.2: two pods are still going. Kubernetes adds one, though the ratio is
        // below 1; the unready pod does not count.
        ("pods still going", 10, &[(12, 85.0)], (0, 1), 11),
        // Ratio 3; with 5 at 0 it is 1,500 / 10 = 150; 1.5 x 10 = 15.
        ("missing too, up", 10, &[(5, 300.0)], (2, 3), 15),
        // Ratio 0.5; missing at 100, unready left out: (250 + 200) / 7 = 64.285 (cut to
        // thousandths); 0.64285 x 7 = 4.49995.
        ("missing too, down", 10, &[(5, 50.0)], (2, 3), 5),
    ]);
}

#[test]
fn averages_are_cut_to_thousandths_first() {
    // 13 thousandths / 3 pods = 4 (4.33 cut); 4 / 3 = 1.333; x 3 = 4. Uncut it would be 5.
    let mut rule = rule();
    rule.target = 0.003;
    let pods = PodMetrics::from_values(&[0.004, 0.004, 0.005]);
    assert_eq!(decide(rule, 3, &pods), 4);
}

#[test]
fn min_and_max_hold_at_once() {
    let mut rule = rule();
    rule.min = 3;
    rule.max = 6;
    // Below min, though the metric asks for nothing and policies would add 4 at most.
    assert_eq!(decide(rule.clone(), 1, &pods(&[], 1, 0)), 3);
    // 1.5 x 5 = 7.5 is above max.
    assert_eq!(decide(rule.clone(), 5, &pods(&[(5, 150.0)], 0, 0)), 6);
    // 0.2 x 5 = 1 is below min.
    assert_eq!(decide(rule.clone(), 5, &pods(&[(5, 20.0)], 0, 0)), 3);
    // A contradiction: max wins.
    rule.max = 2;
    assert_eq!(decide(rule, 5, &pods(&[(5, 100.0)], 0, 0)), 2);
}

#[test]
fn each_direction_may_have_its_own_tolerance() {
    let mut rule = rule();
    rule.scale_up.tolerance = Some(0.5);
    rule.scale_down.tolerance = Some(0.02);
    assert_eq!(decide(rule.clone(), 10, &pods(&[(10, 150.0)], 0, 0)), 10);
    // 1.51 x 10 = 15.1.
    assert_eq!(decide(rule.clone(), 10, &pods(&[(10, 151.0)], 0, 0)), 16);
    assert_eq!(decide(rule.clone(), 10, &pods(&[(10, 98.0)], 0, 0)), 10);
    // 0.9 x 10 = 9.
    assert_eq!(decide(rule, 10, &pods(&[(10, 90.0)], 0, 0)), 9);
}

#[test]
fn a_total_is_shared_by_all_replicas() {
    let mut rule = rule();
    rule.target = 10.0;
    let decide = |total: f64| Hpa::new(rule.clone()).recommend_total(SimTime(0), 4, total);
    // 44 / (10 x 4) = 1.1, within the tolerance.
    assert_eq!(decide(44.0), 4);
    // 1.125; ceil(45 / 10) = 5.
    assert_eq!(decide(45.0), 5);
    // 0.9, within.
    assert_eq!(decide(36.0), 4);
    // 0.75; 30 / 10 = 3.
    assert_eq!(decide(30.0), 3);
    // Nothing to do: min.
    assert_eq!(decide(0.0), 1);
    // Not a measurement: no change.
    for total in [f64::NAN, f64::INFINITY, -1.0, 1e17] {
        assert_eq!(decide(total), 4);
    }
}

#[test]
fn a_target_out_of_range_asks_for_nothing() {
    for target in [0.0, -1.0, 0.000_1, f64::NAN, f64::INFINITY] {
        let mut rule = rule();
        rule.target = target;
        assert_eq!(decide(rule, 4, &pods(&[(4, 900.0)], 0, 0)), 4, "{target}");
    }
}

#[test]
fn defaults_are_those_of_kubernetes() {
    let rule = HpaRule::new(1.0);
    assert_eq!((rule.tolerance, rule.sync_s, rule.min), (0.1, 15.0, 1));
    assert_eq!(rule.scale_up, ScalingRules::default());
    assert_eq!(rule.scale_down, ScalingRules::default());
}
