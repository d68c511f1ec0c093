//! Who is turned away follows the load signal.

use seatrial::engine::{SimRng, Streams};
use seatrial::fleet::admission::{Load, Shedder};
use seatrial::scenario::admission::{LoadSignal, ShedTier, Shedding};

const TIERS: [&str; 3] = ["gold", "silver", "bronze"];

fn rng() -> SimRng {
    let streams = Streams {
        seed: 1,
        replication: 0,
    };
    streams.stream("shedding", 0, "draw")
}

fn close(value: f64, expected: f64) {
    assert!(
        (value - expected).abs() < 1e-12,
        "{value} is not {expected}"
    );
}

#[test]
fn saturation_is_the_mean_of_the_larger_share() {
    let mut load = Load::new(LoadSignal::default());
    close(load.signal(), 1.0);
    load.add(4, 0.2); // 4 / 5 above 0.2 / 0.8
    close(load.signal(), 0.8);
    load.add(1, 0.96); // 0.96 / 0.8 above 1 / 5
    close(load.signal(), 1.0);
    load.add(0, 0.0);
    load.add_stale();
    close(load.signal(), 0.75);
}

#[test]
fn other_signals_look_at_one_thing() {
    for (signal, expected) in [
        (LoadSignal::KvUse {}, 0.4),
        (LoadSignal::Queue { limit: 10.0 }, 1.3),
    ] {
        let mut load = Load::new(signal);
        load.add(20, 0.5);
        load.add(6, 0.3);
        close(load.signal(), expected);
    }
}

fn by_tier() -> Shedder {
    let tier = |tier: &str, above: f64, all_from: Option<f64>| ShedTier {
        tier: tier.to_owned(),
        above,
        all_from,
    };
    let config = Shedding::ByTier {
        signal: LoadSignal::default(),
        tiers: vec![tier("bronze", 0.5, Some(0.9)), tier("silver", 0.8, None)],
    };
    Shedder::new(&config, &TIERS)
}

#[test]
fn lower_tiers_go_first() {
    let shedder = by_tier();
    for (signal, silver, bronze) in [
        (0.0, 0.0, 0.0),
        (0.5, 0.0, 0.0),
        (0.6, 0.0, 0.25),
        (0.8, 0.0, 0.75),
        (0.8001, 1.0, 0.75025),
        (0.9, 1.0, 1.0),
        (7.0, 1.0, 1.0),
    ] {
        close(shedder.probability(0, 0, signal), 0.0);
        close(shedder.probability(1, 0, signal), silver);
        close(shedder.probability(2, 0, signal), bronze);
    }
}

#[test]
fn the_probabilistic_admitter_sheds_negative_priorities_only() {
    let config = Shedding::Probabilistic {
        signal: LoadSignal::default(),
        exponent: 5.0,
        factor: 300.0,
    };
    let shedder = Shedder::new(&config, &TIERS);
    for (signal, expected) in [
        (0.0, 0.0),
        (0.1, 0.003),
        (0.2, 0.096),
        (0.32, 1.0),
        (2.0, 1.0),
    ] {
        close(shedder.probability(0, -1, signal), expected);
        close(shedder.probability(0, 0, signal), 0.0);
        close(shedder.probability(0, 5, signal), 0.0);
    }
}

/// Draws come only where they decide, so that a calm fleet moves no stream.
#[test]
fn shares_are_those_of_the_probability() {
    let shedder = by_tier();
    let (mut rng, fresh) = (rng(), rng());
    assert!(!shedder.sheds(2, 0, 0.5, &mut rng));
    assert!(shedder.sheds(2, 0, 0.9, &mut rng));
    assert!(!shedder.sheds(0, 0, 9.0, &mut rng));
    assert_eq!(rng, fresh);
    let tries = 40_000;
    let shed = (0..tries)
        .filter(|_| shedder.sheds(2, 0, 0.6, &mut rng))
        .count();
    let (n, p) = (f64::from(tries), 0.25);
    let z = (shed as f64 - n * p) / (n * p * (1.0 - p)).sqrt();
    assert!(z.abs() < 4.0, "z = {z}");
}
