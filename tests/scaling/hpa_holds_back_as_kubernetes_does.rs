//! Decisions in a row: what past recommendations and policies hold back. Worked out by hand.

use seatrial::engine::{NS_PER_S, SimTime};
use seatrial::fleet::scaling::hpa::{Hpa, HpaRule, PolicyKind, ScalingPolicy, SelectPolicy};

use PolicyKind::{Percent, Pods};

/// An autoscaler and the replicas that it set.
struct Fleet {
    hpa: Hpa,
    replicas: u32,
}

impl Fleet {
    fn new(rule: HpaRule, replicas: u32) -> Fleet {
        let hpa = Hpa::new(rule);
        Fleet { hpa, replicas }
    }

    /// The replicas after a decision at `at_s` at which the metric asks for `wanted`.
    fn at(&mut self, at_s: u64, wanted: u32) -> u32 {
        let now = SimTime(at_s * NS_PER_S);
        self.replicas = self.hpa.settle(now, self.replicas, Some(wanted));
        self.replicas
    }
}

fn policy(kind: PolicyKind, value: u32, period_s: f64) -> ScalingPolicy {
    ScalingPolicy {
        kind,
        value,
        period_s,
    }
}

/// Defaults, but for these policies upwards.
fn up(policies: &[ScalingPolicy], select: SelectPolicy) -> HpaRule {
    let mut rule = HpaRule::new(1.0);
    rule.scale_up.policies = Some(policies.to_vec());
    rule.scale_up.select = Some(select);
    rule
}

/// Defaults, but for these policies downwards and no window.
fn down(policies: &[ScalingPolicy], select: SelectPolicy) -> HpaRule {
    let mut rule = HpaRule::new(1.0);
    rule.scale_down.policies = Some(policies.to_vec());
    rule.scale_down.select = Some(select);
    rule.scale_down.stabilization_window_s = Some(0.0);
    rule
}

#[test]
fn the_down_window_takes_the_highest() {
    let mut fleet = Fleet::new(HpaRule::new(1.0), 10);
    assert_eq!(fleet.at(0, 10), 10);
    for at_s in (15..300).step_by(15) {
        let wanted = if at_s == 150 { 8 } else { 5 };
        // The 10 of second 0 is less than 300 s old.
        assert_eq!(fleet.at(at_s, wanted), 10, "{at_s}");
    }
    // The 10 is exactly 300 s old, hence out; the 8 of second 150 is the highest.
    for at_s in (300..450).step_by(15) {
        assert_eq!(fleet.at(at_s, 5), 8, "{at_s}");
    }
    assert_eq!(fleet.at(450, 5), 5);
}

#[test]
fn what_runs_at_first_counts_as_a_recommendation() {
    let mut fleet = Fleet::new(HpaRule::new(1.0), 10);
    for at_s in (60..360).step_by(15) {
        assert_eq!(fleet.at(at_s, 2), 10, "{at_s}");
    }
    assert_eq!(fleet.at(360, 2), 2);
}

#[test]
fn the_up_window_takes_the_lowest() {
    let mut rule = HpaRule::new(1.0);
    rule.scale_up.stabilization_window_s = Some(60.0);
    let mut fleet = Fleet::new(rule, 4);
    // The 4 of the start holds for 60 s.
    for at_s in [0, 15, 30, 45] {
        let wanted = if at_s == 30 { 6 } else { 8 };
        assert_eq!(fleet.at(at_s, wanted), 4, "{at_s}");
    }
    // Left are 8, 6, 8 and now 8: the lowest is 6, until it is 60 s old.
    assert_eq!(fleet.at(60, 8), 6);
    assert_eq!(fleet.at(75, 8), 6);
    assert_eq!(fleet.at(90, 8), 8);
}

#[test]
fn both_windows_leave_alone_what_lies_between() {
    let mut rule = HpaRule::new(1.0);
    rule.scale_up.stabilization_window_s = Some(60.0);
    let mut fleet = Fleet::new(rule, 6);
    // Lowest of 60 s is 4, highest of 300 s is 9: 6 lies between.
    assert_eq!(fleet.at(0, 9), 6);
    assert_eq!(fleet.at(15, 4), 6);
    assert_eq!(fleet.at(30, 7), 6);
}

#[test]
fn the_default_doubles_or_adds_four_every_15_s() {
    let mut fleet = Fleet::new(HpaRule::new(1.0), 1);
    // max(1 + 4, 1 x 2) = 5.
    assert_eq!(fleet.at(0, 100), 5);
    // 7 s later the period began with 5 - 4 = 1 replica: still 5.
    assert_eq!(fleet.at(7, 100), 5);
    // A change exactly 15 s old is out of the period: max(5 + 4, 5 x 2) = 10, and so on.
    for (at_s, expected) in [(15, 10), (30, 20), (45, 40), (60, 80), (75, 100)] {
        assert_eq!(fleet.at(at_s, 100), expected, "{at_s}");
    }
}

#[test]
fn a_policy_by_pods_limits_its_whole_period() {
    let mut fleet = Fleet::new(up(&[policy(Pods, 2, 60.0)], SelectPolicy::Max), 10);
    assert_eq!(fleet.at(0, 50), 12);
    for at_s in [15, 30, 45] {
        // The period began with 12 - 2 = 10.
        assert_eq!(fleet.at(at_s, 50), 12, "{at_s}");
    }
    assert_eq!(fleet.at(60, 50), 14);
    // Taken in two steps: 14 - 2 = 12, allowed 14 until second 120.
    assert_eq!(fleet.at(75, 50), 14);
    assert_eq!(fleet.at(120, 15), 15);
    // One of the two was used: 15 - 1 = 14, allowed 16.
    assert_eq!(fleet.at(135, 50), 16);
    assert_eq!(fleet.at(150, 50), 16);
    // The first of them is out: 16 - 1 = 15, allowed 17.
    assert_eq!(fleet.at(180, 50), 17);
}

#[test]
fn a_policy_by_percent_rounds_up_upwards() {
    let mut fleet = Fleet::new(up(&[policy(Percent, 10, 60.0)], SelectPolicy::Max), 10);
    // 10 x 1.1 = 11.
    assert_eq!(fleet.at(0, 50), 11);
    assert_eq!(fleet.at(45, 50), 11);
    // 11 x 1.1 = 12.1.
    assert_eq!(fleet.at(60, 50), 13);
    // 1 x 1.1 = 1.1: even one replica grows.
    let mut one = Fleet::new(up(&[policy(Percent, 10, 60.0)], SelectPolicy::Max), 1);
    assert_eq!(one.at(0, 50), 2);
}

#[test]
fn select_picks_among_policies_upwards() {
    let policies = [policy(Pods, 4, 60.0), policy(Percent, 10, 60.0)];
    // From 20: by pods 24, by percent 22.
    for (select, expected) in [
        (SelectPolicy::Max, 24),
        (SelectPolicy::Min, 22),
        (SelectPolicy::Disabled, 20),
    ] {
        let mut fleet = Fleet::new(up(&policies, select), 20);
        assert_eq!(fleet.at(0, 90), expected, "{select:?}");
    }
}

#[test]
fn select_picks_among_policies_downwards() {
    let policies = [policy(Pods, 4, 60.0), policy(Percent, 10, 60.0)];
    // From 20: by pods 16, by percent 18.
    for (select, expected) in [
        (SelectPolicy::Max, 16),
        (SelectPolicy::Min, 18),
        (SelectPolicy::Disabled, 20),
    ] {
        let mut fleet = Fleet::new(down(&policies, select), 20);
        assert_eq!(fleet.at(0, 1), expected, "{select:?}");
    }
}

#[test]
fn policies_limit_the_way_down_over_their_period() {
    let mut fleet = Fleet::new(down(&[policy(Pods, 1, 60.0)], SelectPolicy::Max), 10);
    for (at_s, expected) in [(0, 9), (15, 9), (45, 9), (60, 8), (105, 8), (120, 7)] {
        assert_eq!(fleet.at(at_s, 1), expected, "{at_s}");
    }
    // By percent the fraction is cut: 15 x 0.9 = 13.5.
    let mut fleet = Fleet::new(down(&[policy(Percent, 10, 60.0)], SelectPolicy::Max), 15);
    assert_eq!(fleet.at(0, 1), 13);
    // The period began with 13 + 2 = 15.
    assert_eq!(fleet.at(30, 1), 13);
    // 13 x 0.9 = 11.7.
    assert_eq!(fleet.at(60, 1), 11);
}

#[test]
fn both_directions_count_for_the_start_of_a_period() {
    let mut rule = down(&[policy(Pods, 5, 60.0)], SelectPolicy::Max);
    rule.scale_up.policies = Some(vec![policy(Pods, 2, 60.0)]);
    let mut fleet = Fleet::new(rule, 10);
    assert_eq!(fleet.at(0, 50), 12);
    // The period began with 12 - 2 = 10; 10 - 5 = 5.
    assert_eq!(fleet.at(15, 1), 5);
    // It began with 5 - 2 + 7 = 10; 10 + 2 = 12.
    assert_eq!(fleet.at(30, 50), 12);
    // The 2 of second 0 are out: 12 - 7 + 7 = 12; 12 + 2 = 14.
    assert_eq!(fleet.at(60, 50), 14);
}

#[test]
fn no_policies_mean_no_change() {
    for select in [SelectPolicy::Max, SelectPolicy::Min] {
        assert_eq!(Fleet::new(up(&[], select), 10).at(0, 50), 10);
        assert_eq!(Fleet::new(down(&[], select), 10).at(0, 1), 10);
    }
}

#[test]
fn a_decision_without_a_metric_leaves_no_trace() {
    let mut fleet = Fleet::new(HpaRule::new(1.0), 10);
    assert_eq!(fleet.at(0, 3), 10);
    for at_s in (15..300).step_by(15) {
        let now = SimTime(at_s * NS_PER_S);
        assert_eq!(fleet.hpa.settle(now, 10, None), 10);
    }
    assert_eq!(fleet.at(300, 3), 3);
}

#[test]
fn windows_and_periods_end_where_kubernetes_ends_them() {
    let mut rule = HpaRule::new(1.0);
    rule.scale_down.stabilization_window_s = Some(1e9);
    let mut fleet = Fleet::new(rule, 10);
    assert_eq!(fleet.at(3_599, 1), 10);
    assert_eq!(fleet.at(3_599 + 3_599, 1), 10);
    assert_eq!(fleet.at(3_599 + 3_600, 1), 1);

    let mut fleet = Fleet::new(up(&[policy(Pods, 1, 1e9)], SelectPolicy::Max), 10);
    assert_eq!(fleet.at(0, 50), 11);
    assert_eq!(fleet.at(1_799, 50), 11);
    assert_eq!(fleet.at(1_800, 50), 12);
}

#[test]
fn what_it_remembers_does_not_grow() {
    let mut fleet = Fleet::new(HpaRule::new(1.0), 10);
    let mut sizes = Vec::new();
    for round in 0..20_000 {
        fleet.at(15 * round, if round % 40 < 20 { 90 } else { 10 });
        if round % 5_000 == 4_999 {
            sizes.push(format!("{:?}", fleet.hpa).len());
        }
    }
    // 20 recommendations and a few changes, about 60 characters each.
    assert!(sizes.iter().all(|&size| size < 4_000), "{sizes:?}");
}
