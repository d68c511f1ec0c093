//! Delays before retries: ceilings exactly, distributions by replications and a z limit.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use seatrial::engine::{SimDuration, SimRng, Streams};
use seatrial::fleet::retry::Backoff;
use seatrial::measure::interval::bonferroni_t_limit;
use seatrial::measure::{ks_distance, ks_limit};
use seatrial::scenario::clients::{Backoff as Config, Jitter};

fn rng(id: u64) -> SimRng {
    let streams = Streams {
        seed: 7,
        replication: 0,
    };
    streams.stream("backoff test", id, "delay")
}

fn ms(value: f64) -> SimDuration {
    SimDuration::from_ms_f64(value)
}

fn config(jitter: Jitter) -> Config {
    Config {
        base_ms: 100.0,
        multiplier: 3.0,
        max_ms: Some(2_000.0),
        jitter,
    }
}

#[test]
fn without_jitter_delays_are_the_ceilings() {
    let backoff = Backoff::new(&config(Jitter::None));
    let mut rng = rng(0);
    let expected = [
        (0, 100.0),
        (1, 100.0),
        (2, 300.0),
        (3, 900.0),
        (4, 2_000.0),
        (5, 2_000.0),
        (1_000, 2_000.0),
        (u32::MAX, 2_000.0),
    ];
    for (retry, delay_ms) in expected {
        let delay = backoff.delay(retry, SimDuration::ZERO, &mut rng);
        assert_eq!(delay, ms(delay_ms), "retry {retry}");
    }
}

#[test]
fn envoys_ceilings_are_the_defaults() {
    // `JitteredExponentialBackOffStrategy`: 25 ms doubled up to 250 ms.
    let plain = Config {
        jitter: Jitter::None,
        ..Config::default()
    };
    let backoff = Backoff::new(&plain);
    let delays = (1..=6).map(|retry| backoff.delay(retry, SimDuration::ZERO, &mut rng(0)));
    let expected = [25.0, 50.0, 100.0, 200.0, 250.0, 250.0].map(ms);
    assert_eq!(delays.collect::<Vec<_>>(), expected);
    assert_eq!(Config::default().jitter, Jitter::Full);
}

/// Delays of one retry in so many draws, milliseconds.
fn sample(jitter: Jitter, retry: u32, previous: f64, draws: usize) -> Vec<f64> {
    let backoff = Backoff::new(&config(jitter));
    let mut rng = rng(u64::from(retry) + 10 * jitter as u64);
    (0..draws)
        .map(|_| backoff.delay(retry, ms(previous), &mut rng).as_ms_f64())
        .collect()
}

/// The mean is the ceiling, and the law forgets.
#[test]
fn exponential_delays_have_the_ceiling_as_their_mean() {
    let draws = 40_000;
    let n = draws as f64;
    let rows = [(1, 100.0), (3, 900.0), (9, 2_000.0)];
    let limit = bonferroni_t_limit(1e-6, 2 * rows.len(), 1e9);
    for (retry, ceiling) in rows {
        let mut delays = sample(Jitter::Exponential, retry, 0.0, draws);
        // Moments of the law of mean 1: 1, 2, and 24 for the fourth.
        let mean = delays.iter().sum::<f64>() / n / ceiling;
        let z = (mean - 1.0) * n.sqrt();
        assert!(z.abs() < limit, "{retry}: mean {mean}, z {z}");
        let second = delays.iter().map(|x| (x / ceiling).powi(2)).sum::<f64>() / n;
        let z = (second - 2.0) / (20.0 / n).sqrt();
        assert!(z.abs() < limit, "{retry}: second moment {second}, z {z}");
        let distance = ks_distance(&mut delays, |x| 1.0 - (-x / ceiling).exp());
        assert!(distance < ks_limit(n, 1e-7), "{retry}: distance {distance}");
    }
}

/// Each kind is uniform between two ends: mean, variance and shape.
#[test]
fn jitter_is_uniform_between_its_ends() {
    let rows = [
        (Jitter::Full, 1, 0.0, 0.0, 100.0),
        (Jitter::Full, 3, 0.0, 0.0, 900.0),
        (Jitter::Full, 9, 0.0, 0.0, 2_000.0),
        (Jitter::Equal, 2, 0.0, 150.0, 300.0),
        (Jitter::Equal, 9, 0.0, 1_000.0, 2_000.0),
        (Jitter::Grpc, 2, 0.0, 240.0, 360.0),
        (Jitter::Grpc, 9, 0.0, 1_600.0, 2_400.0),
        (Jitter::Decorrelated, 1, 0.0, 100.0, 300.0),
        (Jitter::Decorrelated, 2, 250.0, 100.0, 750.0),
    ];
    let draws = 40_000;
    let n = draws as f64;
    let limit = bonferroni_t_limit(1e-6, 2 * rows.len(), 1e9);
    for (jitter, retry, previous, low, high) in rows {
        let row = format!("{jitter:?} {retry}");
        let mut delays = sample(jitter, retry, previous, draws);
        assert!(
            delays.iter().all(|delay| (low..=high).contains(delay)),
            "{row}"
        );
        // Moments of a uniform law on (0, 1): 1/2, 1/12, and 1/80 for the fourth about the mean.
        let units: Vec<f64> = delays.iter().map(|x| (x - low) / (high - low)).collect();
        let mean = units.iter().sum::<f64>() / n;
        let z = (mean - 0.5) / (1.0 / 12.0 / n).sqrt();
        assert!(z.abs() < limit, "{row}: mean {mean}, z {z}");
        let second = units.iter().map(|u| (u - 0.5).powi(2)).sum::<f64>() / n;
        let z = (second - 1.0 / 12.0) / ((1.0 / 80.0 - 1.0 / 144.0) / n).sqrt();
        assert!(z.abs() < limit, "{row}: variance {second}, z {z}");
        let distance = ks_distance(&mut delays, |x| ((x - low) / (high - low)).clamp(0.0, 1.0));
        assert!(distance < ks_limit(n, 1e-7), "{row}: distance {distance}");
    }
}

#[test]
fn decorrelated_delays_pile_up_at_the_most() {
    // Uniform from 100 to 4,500, and all above 2,000 is 2,000: 2,500 of 4,400 parts.
    let draws = 40_000;
    let delays = sample(Jitter::Decorrelated, 4, 1_500.0, draws);
    let at_most = delays.iter().filter(|delay| **delay == 2_000.0).count() as f64;
    let p = 2_500.0 / 4_400.0;
    let z = (at_most - p * draws as f64) / (draws as f64 * p * (1.0 - p)).sqrt();
    assert!(z.abs() < bonferroni_t_limit(1e-6, 1, 1e9), "z {z}");
}

proptest! {
    /// Whatever is configured: within the ends of its kind, and the same again from the same
    /// stream.
    #[test]
    fn delays_stay_within_their_ends(
        base_ms in 0.001_f64..1e4,
        multiplier in 0.1_f64..10.0,
        times in 1.0_f64..100.0,
        kind in 0_usize..6,
        retries in 1_i32..40,
    ) {
        let jitter = [
            Jitter::None,
            Jitter::Full,
            Jitter::Equal,
            Jitter::Decorrelated,
            Jitter::Grpc,
            Jitter::Exponential,
        ][kind];
        let max_ms = base_ms * times;
        let config = Config { base_ms, multiplier, max_ms: Some(max_ms), jitter };
        let backoff = Backoff::new(&config);
        let (mut one, mut other) = (rng(1), rng(1));
        let mut previous = SimDuration::ZERO;
        for retry in 1..=retries {
            let delay = backoff.delay(retry.cast_unsigned(), previous, &mut one);
            prop_assert_eq!(delay, backoff.delay(retry.cast_unsigned(), previous, &mut other));
            let ceiling = (base_ms * multiplier.powi(retry - 1)).min(max_ms);
            let (low, high) = match jitter {
                Jitter::None => (ceiling, ceiling),
                Jitter::Full => (0.0, ceiling),
                Jitter::Equal => (ceiling / 2.0, ceiling),
                Jitter::Decorrelated => (base_ms, max_ms),
                Jitter::Grpc => (0.8 * ceiling, 1.2 * ceiling),
                // It has no upper end: 40 means are beyond what a double can draw.
                Jitter::Exponential => (0.0, 40.0 * ceiling),
            };
            prop_assert!(delay >= ms(low) && delay <= ms(high), "{:?} at {}", delay, retry);
            previous = delay;
        }
    }
}
