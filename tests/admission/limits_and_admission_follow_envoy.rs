//! Concurrency limits and admission control against Envoy's.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use seatrial::engine::{SimRng, SimTime, Streams};
use seatrial::fleet::health::{AdmissionControl, Limits, Resource};
use seatrial::measure::interval::bonferroni_t_limit;
use seatrial::scenario::health::{AdmissionControl as Config, CircuitLimits};

const S: u64 = 1_000_000_000;

fn s(seconds: u64) -> SimTime {
    SimTime(seconds * S)
}

fn rng(id: u64) -> SimRng {
    let streams = Streams {
        seed: 11,
        replication: 0,
    };
    streams.stream("admission test", id, "chance")
}

#[test]
fn limits_are_on_what_is_under_way() {
    let defaults: CircuitLimits = toml::from_str("").unwrap();
    let mut limits = Limits::new(&defaults);
    for (resource, limit) in [
        (Resource::Pending, 1_024),
        (Resource::Request, 1_024),
        (Resource::Retry, 3),
    ] {
        let taken = (0..2_000).filter(|_| limits.try_take(resource)).count();
        assert_eq!(taken as u64, limit);
        assert_eq!(limits.overflows(resource), 2_000 - limit);
        assert_eq!(limits.remaining(resource), 0);
        // One that ends makes room for one.
        assert!(limits.give_back(resource));
        assert!(limits.try_take(resource));
        assert!(!limits.try_take(resource));
    }
    assert_eq!(limits.load(), 2_048);
    let none = CircuitLimits {
        max_requests: 0,
        ..defaults
    };
    assert!(!Limits::new(&none).try_take(Resource::Request));
}

proptest! {
    #[test]
    fn what_is_taken_is_what_is_held(
        limit in 0_u32..8,
        steps in prop::collection::vec((any::<bool>(), 0_usize..3), 1..300),
    ) {
        let config = CircuitLimits {
            max_pending_requests: limit,
            max_requests: limit,
            max_retries: limit,
        };
        let resources = [Resource::Pending, Resource::Request, Resource::Retry];
        let mut limits = Limits::new(&config);
        let (mut held, mut refused) = ([0_u64; 3], [0_u64; 3]);
        for (take, index) in steps {
            let resource = resources[index];
            if take {
                let taken = limits.try_take(resource);
                prop_assert_eq!(taken, held[index] < u64::from(limit));
                held[index] += u64::from(taken);
                refused[index] += u64::from(!taken);
            } else {
                prop_assert_eq!(limits.give_back(resource), held[index] > 0);
                held[index] = held[index].saturating_sub(1);
            }
            prop_assert_eq!(limits.held(resource), held[index]);
            prop_assert_eq!(limits.overflows(resource), refused[index]);
            prop_assert_eq!(limits.load(), held[0] + held[1]);
        }
    }
}

/// A controller that has seen so many requests and successes at 0 s.
fn after(config: &Config, requests: u32, succeeded: u32) -> AdmissionControl {
    let mut control = AdmissionControl::new(config);
    for index in 0..requests {
        control.on_outcome(s(0), index < succeeded);
    }
    control
}

#[test]
fn the_probability_is_the_formulas() {
    let config: Config = toml::from_str("").unwrap();
    assert_eq!(config, Config::default());
    // Nothing seen; at the threshold; above it.
    for (requests, succeeded) in [(0, 0), (100, 95), (100, 100)] {
        let control = after(&config, requests, succeeded);
        assert_eq!(control.rejection_probability(), 0.0, "{succeeded}");
    }
    // (100 - 50 / 0.95) / 101 = 0.46899...
    let half = after(&config, 100, 50).rejection_probability();
    assert!((half - 0.468_994_267_847_837).abs() < 1e-12, "{half}");
    // All failed: 100 / 101, but 80 % at most.
    assert_eq!(after(&config, 100, 0).rejection_probability(), 0.8);
    // Aggression 2 takes the square root; what is not positive stays at 0.
    let steep = Config {
        aggression: 2.0,
        ..config
    };
    let root = after(&steep, 100, 50).rejection_probability();
    assert!((root - half.sqrt()).abs() < 1e-12, "{root}");
    assert_eq!(after(&steep, 100, 99).rejection_probability(), 0.0);
}

#[test]
fn requests_are_rejected_with_that_probability() {
    let mut control = after(&Config::default(), 100, 50);
    let p = (control.rejection_probability() * 1e4).ceil() / 1e4;
    let mut rng = rng(0);
    let n = 100_000;
    let rejected = (0..n).filter(|_| !control.admits(s(1), &mut rng)).count();
    assert_eq!(control.rejected(), rejected as u64);
    // Rejected requests are not counted: the probability is what it was.
    assert_eq!((control.rejection_probability() * 1e4).ceil() / 1e4, p);
    let n = f64::from(n);
    let z = (rejected as f64 - n * p) / (n * p * (1.0 - p)).sqrt();
    assert!(z.abs() < bonferroni_t_limit(1e-6, 1, 1e9), "z {z}");
}

#[test]
fn what_is_older_than_the_window_is_forgotten() {
    let mut rng = rng(1);
    let mut control = after(&Config::default(), 100, 0);
    control.admits(SimTime(30 * S - 1), &mut rng);
    assert_eq!(control.rejection_probability(), 0.8);
    control.admits(s(30), &mut rng);
    assert_eq!(control.rejection_probability(), 0.0);
    // Parts are a second or more from their first request on: what came half a second later goes
    // with the first.
    let mut control = after(&Config::default(), 50, 0);
    for _ in 0..50 {
        control.on_outcome(SimTime(S / 2), false);
    }
    for _ in 0..10 {
        control.on_outcome(s(2), false);
    }
    control.admits(s(30), &mut rng);
    let ten = 10.0 / 11.0;
    assert_eq!(control.rejection_probability(), 0.8_f64.min(ten));
    let free = Config {
        max_rejection_probability_pct: 100.0,
        ..Config::default()
    };
    let mut control = after(&free, 50, 0);
    for _ in 0..10 {
        control.on_outcome(s(2), false);
    }
    control.admits(s(30), &mut rng);
    assert_eq!(control.rejection_probability(), ten);
}

#[test]
fn few_requests_are_never_rejected() {
    let config = Config {
        rps_threshold: 10,
        max_rejection_probability_pct: 100.0,
        ..Config::default()
    };
    let mut rng = rng(2);
    // 299 requests in a window of 30 s are 9 a second, 300 are 10.
    let mut control = after(&config, 299, 0);
    assert!((0..1_000).all(|_| control.admits(s(1), &mut rng)));
    control.on_outcome(s(1), false);
    assert!((0..1_000).any(|_| !control.admits(s(1), &mut rng)));
    assert!(control.rejected() > 0);
}

proptest! {
    /// Counts of the window against a list of all outcomes, with parts as Envoy makes them.
    #[test]
    fn the_window_is_what_its_parts_hold(
        window_s in 1_u32..8,
        outcomes in prop::collection::vec((0_u64..3_000, any::<bool>()), 1..200),
    ) {
        let config = Config { window_s, max_rejection_probability_pct: 100.0, ..Config::default() };
        let mut control = AdmissionControl::new(&config);
        let mut parts: Vec<(u64, f64, f64)> = Vec::new();
        let mut now = 0;
        for (gap_ms, succeeded) in outcomes {
            now += gap_ms * 1_000_000;
            parts.retain(|(began, ..)| now - began < u64::from(window_s) * S);
            if parts.last().is_none_or(|(began, ..)| now - began >= S) {
                parts.push((now, 0.0, 0.0));
            }
            control.on_outcome(SimTime(now), succeeded);
            let part = parts.last_mut().unwrap();
            part.1 += 1.0;
            part.2 += f64::from(u8::from(succeeded));
            let n: f64 = parts.iter().map(|part| part.1).sum();
            let ok: f64 = parts.iter().map(|part| part.2).sum();
            let expected = ((n - ok / 0.95) / (n + 1.0)).max(0.0);
            prop_assert!((control.rejection_probability() - expected).abs() < 1e-12);
        }
    }
}
