//! Lives of single nodes against closed forms.

use seatrial::engine::SimTime;
use seatrial::fleet::spot::interruption::Interruption;
use seatrial::fleet::spot::market::Market;

use super::statistics::*;

const NODES: u32 = 1000;
const REPLICATIONS: u64 = 20;

/// Lives in hours of nodes that all start at `start_h`.
fn lives(rule: &Interruption, seed: u64, start_h: f64) -> Vec<f64> {
    let mut market = Market::new(rule.clone(), None, seeded(seed)).unwrap();
    let start = hours(start_h);
    for node in 0..NODES {
        market.node_started(node, start);
    }
    let mut lives = Vec::new();
    while let Some(loss) = market.take_due(SimTime(u64::MAX)) {
        lives.extend(loss.nodes.iter().map(|_| in_hours(loss.at) - start_h));
    }
    lives
}

fn replicated(rule: &Interruption, seed: u64) -> Vec<f64> {
    let seeds = (0..REPLICATIONS).map(|i| seed + i);
    seeds.flat_map(|seed| lives(rule, seed, 0.0)).collect()
}

fn hazard(per_node_hour: f64) -> Interruption {
    Interruption::Hazard { per_node_hour }
}

#[test]
fn hazard_lives_have_the_mean_one_over_the_rate() {
    for (i, rate) in [0.05, 0.4, 30.0].into_iter().enumerate() {
        let lives = replicated(&hazard(rate), 100 * i as u64);
        assert_eq!(lives.len(), NODES as usize * REPLICATIONS as usize);
        assert_z(mean_z(&lives, 1.0 / rate, 1.0 / rate), "mean");
        assert_z(variance_z(&lives, 1.0 / (rate * rate)), "variance");
    }
}

#[test]
fn hazard_lives_are_exponential() {
    let rate = 0.25;
    let mut lives = replicated(&hazard(rate), 1000);
    let n = lives.len();
    for means in [0.1, 0.25, 0.5, 1.0, 2.0, 4.0] {
        let alive = lives.iter().filter(|life| **life > means / rate).count();
        let expected = f64::exp(-means);
        assert_z(share_z(alive, n, expected), "survival");
    }
    lives.sort_by(f64::total_cmp);
    let distance = lives.iter().enumerate().map(|(i, life)| {
        let law = 1.0 - f64::exp(-rate * life);
        let (below, upto) = (i as f64 / n as f64, (i + 1) as f64 / n as f64);
        (law - below).abs().max((upto - law).abs())
    });
    let largest = distance.fold(0.0, f64::max);
    assert!(largest * (n as f64).sqrt() < KS_LIMIT, "D = {largest}");
}

#[test]
fn the_limits_would_notice_a_mean_off_by_a_twentieth() {
    let lives = replicated(&hazard(0.25), 1000);
    assert!(mean_z(&lives, 4.0 * 1.05, 4.0 * 1.05).abs() > Z_LIMIT);
}

#[test]
fn replaced_nodes_are_lost_as_a_poisson_process() {
    let (rate, window_h) = (0.5, 40.0);
    let counts: Vec<f64> = (0..800)
        .map(|seed| {
            let mut market = Market::new(hazard(rate), None, seeded(seed)).unwrap();
            market.node_started(0, SimTime(0));
            let mut lost = 0.0;
            while let Some(loss) = market.take_due(hours(window_h)) {
                lost += 1.0;
                market.node_started(0, loss.at);
            }
            lost
        })
        .collect();
    let expected = rate * window_h;
    assert_z(mean_z(&counts, expected, expected.sqrt()), "mean");
    assert_z(variance_z(&counts, expected), "variance");
}

/// Gamma(1 + 1/shape) and Gamma(1 + 2/shape), exact for these shapes.
const GAMMAS: [(f64, f64, f64); 3] = [
    (0.5, 2.0, 24.0),
    (1.0, 1.0, 2.0),
    (2.0, 0.886_226_925_452_758, 1.0),
];

#[test]
fn weibull_lives_have_the_given_mean_and_the_law_of_their_shape() {
    let mean_h = 6.0;
    for (i, (shape, first, second)) in GAMMAS.into_iter().enumerate() {
        let lives = replicated(
            &Interruption::Weibull { mean_h, shape },
            2000 + 50 * i as u64,
        );
        let scale_h = mean_h / first;
        let deviation = scale_h * (second - first * first).sqrt();
        assert_z(mean_z(&lives, mean_h, deviation), "mean");
        for multiple in [0.1, 1.0, 2.0] {
            let alive = lives.iter().filter(|life| **life > multiple * scale_h);
            let expected = f64::exp(-f64::powf(multiple, shape));
            assert_z(share_z(alive.count(), lives.len(), expected), "survival");
        }
    }
}

#[test]
fn a_shape_below_one_loses_young_nodes_most() {
    // Of nodes alive at an age, the share lost within the next hour.
    let lost_next_hour = |shape: f64, age_h: f64| {
        let lives = replicated(&Interruption::Weibull { mean_h: 6.0, shape }, 3000);
        let alive = lives.iter().filter(|life| **life > age_h).count() as f64;
        let later = lives.iter().filter(|life| **life > age_h + 1.0).count() as f64;
        1.0 - later / alive
    };
    assert!(lost_next_hour(0.5, 0.0) > 2.0 * lost_next_hour(0.5, 6.0));
    assert!(lost_next_hour(2.0, 6.0) > 2.0 * lost_next_hour(2.0, 0.0));
}

#[test]
fn a_weibull_of_shape_one_is_the_hazard_draw_by_draw() {
    let weibull = Interruption::Weibull {
        mean_h: 4.0,
        shape: 1.0,
    };
    let both = lives(&weibull, 7, 0.0)
        .into_iter()
        .zip(lives(&hazard(0.25), 7, 0.0));
    for (a, b) in both {
        assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
    }
}

#[test]
fn a_higher_rate_shortens_every_life() {
    let both = lives(&hazard(0.5), 7, 0.0)
        .into_iter()
        .zip(lives(&hazard(0.25), 7, 0.0));
    for (fast, slow) in both {
        assert!(fast < slow);
    }
}

#[test]
fn age_counts_from_the_nodes_own_start() {
    let rule = Interruption::Weibull {
        mean_h: 4.0,
        shape: 0.5,
    };
    let both = lives(&rule, 9, 0.0)
        .into_iter()
        .zip(lives(&rule, 9, 1000.0));
    for (early, late) in both {
        assert!((early - late).abs() < 1e-6, "{early} {late}");
    }
}
