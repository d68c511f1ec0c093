//! Losses that strike a whole pool at once, against closed forms.

use seatrial::engine::SimTime;
use seatrial::fleet::spot::interruption::Interruption;
use seatrial::fleet::spot::market::Market;

use super::statistics::*;

const NODES: u32 = 50;
const WINDOW_H: f64 = 1.0;
const REPLICATIONS: u64 = 1000;

fn pool(per_hour: f64, share: f64, per_node_hour: f64) -> Interruption {
    Interruption::PoolLoss {
        per_hour,
        share,
        per_node_hour,
    }
}

/// Nodes lost of a pool within the window, nothing replaced.
fn lost(rule: &Interruption, first_seed: u64) -> Vec<f64> {
    let seeds = first_seed..first_seed + REPLICATIONS;
    let lost = seeds.map(|seed| {
        let mut market = Market::new(rule.clone(), None, seeded(seed)).unwrap();
        for node in 0..NODES {
            market.node_started(node, SimTime(0));
        }
        while market.take_due(hours(WINDOW_H)).is_some() {}
        f64::from(NODES) - market.held() as f64
    });
    lost.collect()
}

/// Mean and variance of the number lost. A node survives with probability q;
/// two survive together with probability `both`, because an event spares both
/// with probability (1 - share)^2.
fn closed_form(per_hour: f64, share: f64, per_node_hour: f64) -> (f64, f64) {
    let n = f64::from(NODES);
    let q = f64::exp(-(per_hour * share + per_node_hour) * WINDOW_H);
    let strikes_either = per_hour * (1.0 - (1.0 - share) * (1.0 - share));
    let both = f64::exp(-(strikes_either + 2.0 * per_node_hour) * WINDOW_H);
    let variance = n * q * (1.0 - q) + n * (n - 1.0) * (both - q * q);
    (n * (1.0 - q), variance)
}

#[test]
fn the_number_lost_has_the_mean_and_variance_of_the_law() {
    let cases = [
        (0.2, 1.0, 0.0),
        (1.0, 0.3, 0.0),
        (0.5, 0.6, 0.2),
        (4.0, 0.05, 0.1),
    ];
    for (i, (per_hour, share, per_node_hour)) in cases.into_iter().enumerate() {
        let sample = lost(&pool(per_hour, share, per_node_hour), 10_000 * i as u64);
        let (expected, variance) = closed_form(per_hour, share, per_node_hour);
        assert_z(mean_z(&sample, expected, variance.sqrt()), "mean");
        assert_z(variance_z(&sample, variance), "variance");
    }
}

#[test]
fn correlated_losses_vary_more_than_independent_ones_of_equal_mean() {
    let together = lost(&pool(0.3, 1.0, 0.0), 50_000);
    let apart = lost(&Interruption::Hazard { per_node_hour: 0.3 }, 60_000);
    let difference = mean(&together) - mean(&apart);
    let error = ((moment(&together, 2) + moment(&apart, 2)) / REPLICATIONS as f64).sqrt();
    assert_z(difference / error, "equal means");
    let dispersion = |sample: &[f64]| moment(sample, 2) / mean(sample);
    // Closed forms: 50 q = 37.0 together, q = 0.74 apart.
    assert!(dispersion(&together) > 30.0, "{}", dispersion(&together));
    assert!(dispersion(&apart) < 1.0, "{}", dispersion(&apart));
}

#[test]
fn a_share_of_one_takes_the_whole_pool_at_one_instant_in_ascending_order() {
    let mut market = Market::new(pool(1.0, 1.0, 0.0), None, seeded(1)).unwrap();
    for node in (0..NODES).rev() {
        market.node_started(node, SimTime(0));
    }
    let loss = market.take_due(hours(1e4)).unwrap();
    assert_eq!(loss.nodes, (0..NODES).collect::<Vec<_>>());
    assert_eq!(market.next_at(), None);
}

#[test]
fn a_share_of_zero_or_a_rate_of_zero_takes_nothing() {
    for rule in [pool(2.0, 0.0, 0.0), pool(0.0, 1.0, 0.0)] {
        let mut market = Market::new(rule, None, seeded(1)).unwrap();
        market.node_started(0, SimTime(0));
        assert_eq!(market.take_due(hours(100.0)), None);
    }
}

#[test]
fn events_of_the_pool_do_not_depend_on_which_nodes_are_held() {
    // Node 0 is always there; others come and go in one of the two markets.
    let strikes = |others: bool| {
        let mut market = Market::new(pool(1.0, 0.5, 0.0), None, seeded(5)).unwrap();
        let mut times = Vec::new();
        market.node_started(0, SimTime(0));
        for hour in 0..200_u32 {
            if others {
                market.node_started(1 + hour % 7, hours(f64::from(hour)));
            }
            while let Some(loss) = market.take_due(hours(f64::from(hour + 1))) {
                if loss.nodes.contains(&0) {
                    times.push(loss.at);
                    market.node_started(0, loss.at);
                }
            }
        }
        times
    };
    assert!(strikes(false).len() > 50);
    assert_eq!(strikes(false), strikes(true));
}

#[test]
fn events_that_met_an_empty_pool_are_passed_over_and_keep_their_times() {
    let all = |start_h: f64| {
        let mut market = Market::new(pool(1.0, 1.0, 0.0), None, seeded(6)).unwrap();
        let mut times = Vec::new();
        market.node_started(0, hours(start_h));
        assert!(market.next_at() > Some(hours(start_h)));
        while let Some(loss) = market.take_due(hours(300.0)) {
            times.push(loss.at);
            market.node_started(0, loss.at);
        }
        times
    };
    let (early, late) = (all(0.0), all(100.0));
    let after: Vec<_> = early.into_iter().filter(|at| *at > hours(100.0)).collect();
    assert_eq!(after, late);
}

#[test]
fn an_event_does_not_take_a_node_that_starts_with_it() {
    let mut market = Market::new(pool(1.0, 1.0, 0.0), None, seeded(8)).unwrap();
    market.node_started(0, SimTime(0));
    let strike = market.next_at().unwrap();
    market.node_started(1, strike);
    assert_eq!(market.take_due(strike).unwrap().nodes, [0]);
    assert_eq!(market.take_due(strike), None);
}

#[test]
fn a_node_starting_after_the_market_looked_ahead_is_still_struck() {
    let rule = pool(1.0, 1.0, 0.0);
    let mut market = Market::new(rule, None, seeded(8)).unwrap();
    market.node_started(0, SimTime(0));
    let strike = market.next_at().unwrap();
    assert_eq!(market.take_due(strike).unwrap().nodes, [0]);
    // Starts just before the strike; another starts with it and survives it.
    market.node_started(1, SimTime(strike.0 - 1));
    market.node_started(2, strike);
    let loss = market.take_due(strike).unwrap();
    assert_eq!((loss.nodes, loss.at), (vec![1], strike));
    assert_eq!(market.take_due(strike), None);
    assert_eq!(market.held(), 1);
}
