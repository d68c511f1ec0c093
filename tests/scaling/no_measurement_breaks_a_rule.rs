//! Whatever is measured: replicas stay within bounds, more load never means fewer of them, and
//! they never go faster than policies allow.

use crate::common::{any_number, at, bounds, decisions};
use proptest::prelude::*;
use seatrial::fleet::scaling::hpa::{Hpa, HpaRule, PodMetrics, PolicyKind, ScalingPolicy};
use seatrial::fleet::scaling::keda::{Keda, KedaRule};
use seatrial::fleet::scaling::target::{Measure, TargetRule, TargetTracker};

fn kind() -> impl Strategy<Value = PolicyKind> {
    prop::sample::select(vec![PolicyKind::Pods, PolicyKind::Percent])
}

fn any_rule() -> impl Strategy<Value = HpaRule> {
    let numbers = (any_number(), any_number(), any_number(), any_number());
    let policy = (kind(), any::<u32>(), any_number());
    (numbers, policy, bounds()).prop_map(|(numbers, (kind, value, period_s), (min, max))| {
        let mut rule = HpaRule::new(numbers.0);
        (rule.tolerance, rule.min, rule.max) = (numbers.1, min, max);
        rule.scale_up.stabilization_window_s = Some(numbers.2);
        rule.scale_down.stabilization_window_s = Some(numbers.3);
        let policy = ScalingPolicy {
            kind,
            value,
            period_s,
        };
        rule.scale_up.policies = Some(vec![policy]);
        rule.scale_down.policies = Some(vec![policy]);
        rule
    })
}

proptest! {
    #[test]
    fn the_pod_autoscaler_stays_within_bounds(
        rule in any_rule(),
        start in 1_u32..300,
        steps in decisions((any_number(), 0_u32..4, 0_u32..4)),
    ) {
        let (min, max) = (rule.min, rule.max);
        let mut hpa = Hpa::new(rule);
        let mut current = start;
        for (at_s, (value, missing, unready)) in steps {
            let mut pods = PodMetrics::from_values(&[value, 10.0]);
            pods.add_missing(missing);
            pods.add_unready(unready);
            current = hpa.recommend(at(at_s), current, &pods);
            prop_assert!((min..=max).contains(&current), "{} {} {}", min, current, max);
            prop_assert_eq!(hpa.recommend(at(at_s), 0, &pods), 0);
        }
    }

    #[test]
    fn more_load_never_means_fewer_pods(
        low in 0.0..1_000.0_f64,
        more in 0.0..1_000.0_f64,
        (reporting, missing, unready) in (1_u32..20, 0_u32..10, 0_u32..10),
        down_window in any::<bool>(),
    ) {
        let mut rule = HpaRule::new(100.0);
        rule.scale_down.stabilization_window_s = down_window.then_some(0.0);
        let current = reporting + missing + unready;
        let decide = |value: f64| {
            let mut pods = PodMetrics::from_values(&vec![value; reporting as usize]);
            pods.add_missing(missing);
            pods.add_unready(unready);
            Hpa::new(rule.clone()).recommend(at(0), current, &pods)
        };
        prop_assert!(decide(low) <= decide(low + more));
        let total = |value: f64| Hpa::new(rule.clone()).recommend_total(at(0), current, value);
        prop_assert!(total(low * 20.0) <= total((low + more) * 20.0));
    }

    /// The replicas of the start of a period are looked up in a record of what ran, which the
    /// autoscaler itself does not have.
    #[test]
    fn pods_never_change_faster_than_policies_allow(
        (kind, value, period_s) in (kind(), 1_u32..40, 1_u64..200),
        start in 1_u32..100,
        steps in decisions(1_u32..100),
    ) {
        let mut rule = HpaRule::new(1.0);
        let policy = ScalingPolicy { kind, value, period_s: period_s as f64 };
        rule.scale_up.policies = Some(vec![policy]);
        rule.scale_down.policies = Some(vec![policy]);
        rule.scale_down.stabilization_window_s = Some(0.0);
        let mut hpa = Hpa::new(rule);
        let mut ran = vec![(None, start)];
        let mut current = start;
        for (at_s, wanted) in steps {
            let began = ran.iter().rev().find(|(from, _)| from.is_none_or(|from| from + period_s <= at_s));
            let began = f64::from(began.unwrap().1);
            let step = match kind {
                PolicyKind::Pods => f64::from(value),
                PolicyKind::Percent => began * f64::from(value) / 100.0,
            };
            let next = hpa.settle(at(at_s), current, Some(wanted));
            // One more for rounding; a policy never forces a change either.
            let lowest = (began - step - 1.0).min(f64::from(current));
            let highest = (began + step + 1.0).max(f64::from(current));
            prop_assert!((lowest..=highest).contains(&f64::from(next)), "{began} {next}");
            prop_assert!(next.abs_diff(wanted) <= current.abs_diff(wanted));
            ran.push((Some(at_s), next));
            current = next;
        }
    }

    #[test]
    fn pods_never_go_below_the_highest_recommendation_of_the_window(
        window_s in 1_u64..400,
        steps in decisions(1_u32..100),
    ) {
        let mut rule = HpaRule::new(1.0);
        rule.scale_down.stabilization_window_s = Some(window_s as f64);
        let mut hpa = Hpa::new(rule);
        let mut current = 20;
        let mut wants = Vec::new();
        for (at_s, wanted) in steps {
            wants.push((at_s, wanted));
            let next = hpa.settle(at(at_s), current, Some(wanted));
            let recent = wants.iter().filter(|(past_s, _)| at_s - past_s < window_s);
            let highest = recent.map(|&(_, wanted)| wanted).max().unwrap();
            prop_assert!(next >= highest.min(current));
            current = next;
        }
    }

    #[test]
    fn keda_stays_within_bounds(
        hpa in any_rule(),
        (min, max) in (0_u32..10, 1_u32..50).prop_map(|(min, more)| (min, min + more)),
        (cooldown_s, activation_threshold) in (any_number(), any_number()),
        start in 0_u32..100,
        steps in decisions(any_number()),
    ) {
        let mut rule = KedaRule::new(10.0);
        (rule.hpa, rule.min, rule.max) = (hpa, min, max);
        (rule.cooldown_s, rule.activation_threshold) = (cooldown_s, activation_threshold);
        let mut keda = Keda::new(rule);
        let mut current = start;
        for (at_s, metric) in steps {
            if let Some(set) = keda.poll(at(at_s), current, metric) {
                prop_assert!((min..=max).contains(&set));
                prop_assert_ne!(set, current);
                current = set;
            }
            let next = keda.sync(at(at_s), current, metric);
            match current {
                0 => prop_assert_eq!(next, 0),
                _ => prop_assert!((min.max(1)..=max).contains(&next)),
            }
            current = next;
        }
    }

    #[test]
    fn target_tracking_stays_within_bounds_and_never_hurries(
        (target, up_s, down_s) in (any_number(), 0_u64..500, 0_u64..500),
        averages in any::<bool>(),
        (min, max) in bounds(),
        steps in decisions(any_number()),
    ) {
        let mut tracker = TargetTracker::new(TargetRule {
            measure: if averages { Measure::Average } else { Measure::Total },
            target,
            scale_up_cooldown_s: up_s as f64,
            scale_down_cooldown_s: down_s as f64,
            min,
            max,
        });
        let mut current = min;
        let mut changes: Vec<(u64, bool)> = Vec::new();
        for (at_s, metric) in steps {
            let next = tracker.recommend(at(at_s), current, metric);
            prop_assert!((min..=max).contains(&next));
            let mut recent = changes.iter();
            if next > current {
                prop_assert!(!recent.any(|&(past_s, up)| up && at_s - past_s < up_s));
            } else if next < current {
                prop_assert!(!recent.any(|&(past_s, _)| at_s - past_s < down_s));
            }
            if next != current {
                changes.push((at_s, next > current));
            }
            current = next;
        }
    }

    #[test]
    fn more_load_never_lowers_a_target(
        (low, more) in (0.0..1e6_f64, 0.0..1e6_f64),
        target in 0.001..1e3_f64,
        current in 0_u32..100,
    ) {
        for measure in [Measure::Total, Measure::Average] {
            let tracker = TargetTracker::new(TargetRule {
                measure,
                target,
                scale_up_cooldown_s: 0.0,
                scale_down_cooldown_s: 0.0,
                min: 0,
                max: u32::MAX,
            });
            prop_assert!(tracker.proposal(current, low) <= tracker.proposal(current, low + more));
        }
    }
}
