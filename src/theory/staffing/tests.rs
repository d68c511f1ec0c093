//! Reference values, and what must hold of any load and target.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::theory::{erlang_b, erlang_c, square_root_staffing};

/// One line of CSV with quoted fields, quotes within them doubled.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().unwrap().push(c),
        }
    }
    fields
}

/// The number that stands after `name=` in `a=1;b=2`.
fn param(params: &str, name: &str) -> f64 {
    let mut pairs = params.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name).unwrap();
    value.parse().unwrap()
}

fn reference() -> Option<String> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("SEATRIAL_SHARED").map_or_else(beside, PathBuf::from);
    std::fs::read_to_string(shared.join("data/queueing_reference.csv")).ok()
}

/// The sojourn or wait quantile is met by `c` servers and by no fewer, and just below it by no `c`.
fn meets_exactly(c: u64, quantile: f64, fewest: impl Fn(f64) -> u64) {
    assert_eq!(fewest(quantile * (1.0 + 1e-9)), c);
    assert!(fewest(quantile * (1.0 - 1e-9)) > c);
}

fn check_row(family: &str, params: &str, metric: &str, value: f64) -> bool {
    let close = |got: f64| {
        let off = (got - value).abs();
        assert!(off <= 1e-9 * value, "{params} {metric}: {got}");
    };
    let number = |name| param(params, name);
    match (family, metric) {
        ("M/M/c/c (Erlang B)", "blocking") => {
            close(erlang_b(number("c") as u64, number("a")).unwrap());
        }
        ("M/M/c" | "M/M/1", _) => {
            let c = if family == "M/M/1" {
                1
            } else {
                number("c") as u64
            };
            let (lambda, mu) = (number("lam"), number("mu"));
            match metric {
                "ErlangC_P(wait)" => close(erlang_c(c, lambda / mu).unwrap()),
                "Wq_q0.95" => {
                    meets_exactly(c, value, |t| servers_for_wait(lambda, mu, t, 0.05).unwrap());
                }
                "Wq_q0.99" => {
                    meets_exactly(c, value, |t| servers_for_wait(lambda, mu, t, 0.01).unwrap());
                }
                "W_q0.99" => {
                    meets_exactly(c, value, |t| {
                        servers_for_sojourn(lambda, mu, 0.99, t).unwrap()
                    });
                }
                _ => return false,
            }
        }
        _ => return false,
    }
    true
}

#[test]
fn reference_values() {
    let Some(text) = reference() else {
        println!("skipped: no data/queueing_reference.csv in SEATRIAL_SHARED or ../shared");
        return;
    };
    let checked = text
        .lines()
        .skip(1)
        .filter(|line| {
            let row = fields(line);
            check_row(
                &row[0],
                &row[1],
                &row[2],
                row[3].parse().unwrap_or(f64::NAN),
            )
        })
        .count();
    // 6 of Erlang B, and 4 of each of the 9 M/M/c at the least.
    assert!(checked >= 42, "{checked}");
    println!("{checked} rows checked");
}

#[test]
fn spares_by_hand() {
    // a = 0.9, two needed: 2 give 0.81, 3 give 0.972, 4 give 0.9963.
    let a = Availability::from_mtbf(9.0, 1.0).unwrap();
    assert!((a.up() - 0.9).abs() < 1e-15 && (a.down() - 0.1).abs() < 1e-15);
    assert!((p_enough(2, 3, a).unwrap() - 0.972).abs() < 1e-14);
    assert!((p_enough(2, 4, a).unwrap() - 0.996_3).abs() < 1e-14);
    assert_eq!(spare_nodes(2, a, 0.8).unwrap().spares, 0);
    assert_eq!(spare_nodes(2, a, 0.95).unwrap().nodes, 3);
    let plan = spare_nodes(2, a, 0.99).unwrap();
    assert_eq!((plan.nodes, plan.spares), (4, 2));
    assert!((plan.p_short - 0.003_7).abs() < 1e-14);
    // Four nodes in pairs are two pairs: the same probabilities with twice the nodes.
    let pairs = spare_nodes_in_groups(4, 2, a, 0.95).unwrap();
    assert_eq!((pairs.nodes, pairs.spares), (6, 2));
    // Three nodes in pairs need two pairs up as well.
    assert_eq!(spare_nodes_in_groups(3, 2, a, 0.95).unwrap().spares, 3);
    // For a strict target, 96 nodes that fail by eights need more spares than 96 that fail on their own.
    let good = Availability::from_share(0.99).unwrap();
    let alone = spare_nodes(96, good, 0.999_9).unwrap();
    assert!(spare_nodes_in_groups(96, 8, good, 0.999_9).unwrap().spares > alone.spares);
    // 100 nodes: 10 down, give or take sqrt(100 x 0.09) = 3; by tens, sqrt(10) times that.
    let down = expected_down(100, 1, a).unwrap();
    assert!((down.mean - 10.0).abs() < 1e-12 && (down.std_dev - 3.0).abs() < 1e-12);
    let by_tens = expected_down(100, 10, a).unwrap();
    assert!((by_tens.mean - 10.0).abs() < 1e-12);
    assert!((by_tens.std_dev - 90_f64.sqrt()).abs() < 1e-12);
}

#[test]
fn certain_and_hopeless_availability() {
    let sure = Availability::from_mtbf(1.0, 0.0).unwrap();
    assert_eq!((sure.up(), sure.down()), (1.0, 0.0));
    let plan = spare_nodes(97, sure, 0.999_999).unwrap();
    assert_eq!((plan.spares, plan.p_enough, plan.p_short), (0, 1.0, 0.0));
    assert_eq!(spare_nodes(0, sure, 0.5).unwrap().nodes, 0);
    let rare = Availability::from_share(1e-300).unwrap();
    assert!(matches!(
        spare_nodes(1, rare, 0.5),
        Err(StaffingError::Unreachable { .. })
    ));
    let extreme = Availability::from_mtbf(f64::MAX, f64::MAX).unwrap();
    assert_eq!((extreme.up(), extreme.down()), (0.5, 0.5));
    // Small probabilities keep their digits: all of 10 down at 1e-6 each.
    let good = Availability::from_mtbf(999_999.0, 1.0).unwrap();
    let plan = spare_nodes(1, good, 0.5).unwrap();
    assert!((plan.p_short / 1e-6 - 1.0).abs() < 1e-9);
}

#[test]
fn spares_agree_with_an_independent_binomial() {
    use statrs::distribution::{Binomial, DiscreteCDF};
    for (k, n, up) in [
        (84, 97, 0.9),
        (97, 110, 0.95),
        (5, 9, 0.3),
        (900, 1_000, 0.92),
    ] {
        let law = Binomial::new(up, n).unwrap();
        let a = Availability::from_share(up).unwrap();
        let fewer = law.cdf(k - 1);
        assert!((p_enough(k, n, a).unwrap() - (1.0 - fewer)).abs() < 1e-11);
    }
}

#[test]
fn bad_arguments_are_refused() {
    let a = Availability::from_share(0.9).unwrap();
    for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
        assert!(Availability::from_share(bad).is_err());
        assert!(Availability::from_mtbf(bad, 1.0).is_err());
        assert!(spare_nodes(3, a, bad).is_err());
    }
    assert!(Availability::from_mtbf(1.0, f64::NAN).is_err());
    assert!(spare_nodes(u64::MAX, a, 0.9).is_err());
    assert!(spare_nodes_in_groups(3, 0, a, 0.9).is_err());
    assert!(spare_nodes_in_groups(3, u64::MAX, a, 0.9).is_err());
    assert!(p_enough(1, u64::MAX, a).is_err());
    assert!(expected_down(10, 11, a).is_err());
    let message = spare_nodes(3, a, 1.0).unwrap_err().to_string();
    assert_eq!(
        message,
        "target probability = 1 is out of range: it must be above 0 and below 1"
    );
}

proptest! {
    #[test]
    fn more_load_never_needs_fewer_servers(
        load in 0.01_f64..300.0, more in 1.0_f64..1.5, t in 0.0_f64..3.0, p in 0.001_f64..0.9, level in 0.5_f64..0.94,
    ) {
        let wait = |load| servers_for_wait(load, 1.0, t, p).unwrap();
        prop_assert!(wait(load * more) >= wait(load));
        let sojourn = |load| servers_for_sojourn(load, 1.0, level, t + 3.0).unwrap();
        prop_assert!(sojourn(load * more) >= sojourn(load));
        let root = |load| square_root_staffing_for_wait(load, p).unwrap();
        prop_assert!(root(load * more) >= root(load));
    }

    #[test]
    fn a_harder_target_never_needs_fewer_servers(
        load in 0.01_f64..300.0, t in 0.0_f64..3.0, p in 0.001_f64..0.9, harder in 0.1_f64..1.0,
    ) {
        let wait = |t, p| servers_for_wait(load, 1.0, t, p).unwrap();
        prop_assert!(wait(t, p * harder) >= wait(t, p));
        prop_assert!(wait(t * harder, p) >= wait(t, p));
        let level = 1.0 - p;
        let least = -(p * harder).ln() * 1.01;
        let sojourn = |level, t| servers_for_sojourn(load, 1.0, level, t).unwrap();
        prop_assert!(sojourn(1.0 - p * harder, least + t) >= sojourn(level, least + t));
        prop_assert!(sojourn(level, least + t * harder) >= sojourn(level, least + t));
        let root = |p| square_root_staffing_for_wait(load, p).unwrap();
        prop_assert!(root(p * harder) >= root(p));
    }

    #[test]
    fn the_fewest_servers_are_the_fewest(load in 0.01_f64..200.0, t in 0.0_f64..2.0, p in 0.001_f64..0.9) {
        let servers = servers_for_wait(load, 1.0, t, p).unwrap();
        prop_assert!(wait_tail(load, 1.0, servers, t).unwrap() <= p);
        if let Ok(tail) = wait_tail(load, 1.0, (servers - 1).max(1), t) {
            prop_assert!(servers == 1 || tail > p);
        }
        let sojourn = servers_for_sojourn(load, 1.0, 1.0 - p, t + 7.0).unwrap();
        prop_assert!(sojourn_tail(load, 1.0, sojourn, t + 7.0).unwrap() <= 1.0 - (1.0 - p));
        if let Ok(tail) = sojourn_tail(load, 1.0, (sojourn - 1).max(1), t + 7.0) {
            prop_assert!(sojourn == 1 || tail > 1.0 - (1.0 - p));
        }
    }

    #[test]
    fn halfin_whitt_falls_and_is_undone(beta in 1e-6_f64..20.0, more in 1e-3_f64..5.0) {
        let p = halfin_whitt_p_wait(beta).unwrap();
        prop_assert!(halfin_whitt_p_wait(beta + more).unwrap() < p);
        prop_assert!((halfin_whitt_beta(p).unwrap() - beta).abs() < 1e-6 * beta.max(1e-3));
    }

    #[test]
    fn spares_rise_with_need_target_and_group(
        needed in 1_u64..400, up in 0.5_f64..0.999_9, miss in 1e-9_f64..0.4, group in 1_u64..16,
    ) {
        let a = Availability::from_share(up).unwrap();
        let plan = |needed, target| spare_nodes_in_groups(needed, group, a, target).unwrap();
        let (target, harder) = (1.0 - miss, 1.0 - miss / 10.0);
        let here = plan(needed, target);
        prop_assert!(here.p_short <= miss * (1.0 + 1e-6) && here.nodes >= needed);
        prop_assert!((here.p_short + here.p_enough - 1.0).abs() < 1e-12);
        prop_assert_eq!(here.nodes % group, 0);
        prop_assert!(plan(needed + 1, target).nodes >= here.nodes);
        prop_assert!(plan(needed, harder).nodes >= here.nodes);
        let better = Availability::from_share(up + (1.0 - up) / 2.0).unwrap();
        let fewer = spare_nodes_in_groups(needed, group, better, target).unwrap();
        prop_assert!(fewer.nodes <= here.nodes);
    }

    #[test]
    fn the_fewest_nodes_are_the_fewest(needed in 1_u64..300, up in 0.3_f64..0.999, miss in 1e-6_f64..0.5) {
        let a = Availability::from_share(up).unwrap();
        let plan = spare_nodes(needed, a, 1.0 - miss).unwrap();
        prop_assert!(plan.spares == 0 || 1.0 - p_enough(needed, plan.nodes - 1, a).unwrap() > miss - 1e-9);
    }

    #[test]
    fn no_input_panics(x in any::<f64>(), y in any::<f64>(), z in any::<f64>(), n in any::<u64>(), k in 0_u64..2_000) {
        let _ = erlang_b(n % 5_000, x);
        let _ = erlang_c(n % 5_000, x);
        let _ = (erlang_b(n, x.abs() % 100.0), halfin_whitt_p_wait(x), halfin_whitt_beta(x));
        let _ = (square_root_staffing(x, y), square_root_staffing_for_wait(x, y), beta_of(n, x));
        let _ = (wait_tail(x, y, n % 1_000, z), sojourn_tail(x, y, n % 1_000, z));
        let _ = servers_for_wait(x, y, z, 0.5);
        let _ = servers_for_sojourn(x.abs(), y.abs(), z.abs() % 1.0, y);
        let _ = (Availability::from_mtbf(x, y), Availability::from_share(z));
        if let Ok(a) = Availability::from_mtbf(x.abs(), y.abs()) {
            let _ = (p_enough(k, n % 10_000, a), expected_down(n, k, a));
            let _ = spare_nodes_in_groups(k, n % 100, a, z.abs() % 1.0);
        }
    }
}
