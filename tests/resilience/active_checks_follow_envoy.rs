//! Active health checks against Envoy's.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use seatrial::engine::{SimDuration, SimRng, SimTime, Streams};
use seatrial::fleet::health::{ActiveChecks, Health, Probe};
use seatrial::measure::interval::bonferroni_t_limit;
use seatrial::scenario::health::ActiveCheck;

const S: u64 = 1_000_000_000;

fn s(seconds: u64) -> SimTime {
    SimTime(seconds * S)
}

fn rng() -> SimRng {
    let streams = Streams {
        seed: 5,
        replication: 0,
    };
    streams.stream("active test", 0, "jitter")
}

fn config(more: &str) -> ActiveCheck {
    toml::from_str(&format!("interval_s = 10\ntimeout_s = 2\n{more}")).unwrap()
}

/// Feeds probes of host 0 at 0 s; the changes, and the intervals to the next, seconds.
fn feed(checks: &mut ActiveChecks, probes: &[Probe]) -> Vec<(Option<Health>, u64)> {
    let mut rng = rng();
    probes
        .iter()
        .map(|probe| {
            let checked = checks.on_probe(0, *probe, s(0), &mut rng).unwrap();
            (checked.change, checked.next.0 / S)
        })
        .collect()
}

use Probe::{NoAnswer, Passed, WrongAnswer};

const UP: Option<Health> = Some(Health::Healthy);
const DOWN: Option<Health> = Some(Health::Unhealthy);

#[test]
fn interval_and_timeout_must_be_stated() {
    assert!(toml::from_str::<ActiveCheck>("interval_s = 1").is_err());
    assert!(toml::from_str::<ActiveCheck>("timeout_s = 1").is_err());
    let stated = config("");
    assert_eq!(
        (stated.unhealthy_threshold, stated.healthy_threshold),
        (3, 2)
    );
}

#[test]
fn the_first_check_makes_healthy_at_once() {
    let mut checks = ActiveChecks::new(&config("healthy_threshold = 5"), 2);
    assert!(!checks.is_healthy(0));
    assert_eq!(feed(&mut checks, &[Passed]), [(UP, 10)]);
    assert!(checks.is_healthy(0) && !checks.is_healthy(1));
    assert_eq!(checks.healthy(), 1);
    assert_eq!(checks.timeout(), SimDuration(2 * S));
    assert_eq!(checks.first(s(3), &mut rng()), s(3));
}

#[test]
fn a_failed_first_check_leaves_the_thresholds() {
    let mut checks = ActiveChecks::new(&config(""), 1);
    let told = feed(&mut checks, &[NoAnswer, Passed, NoAnswer, Passed, Passed]);
    // The row of passed checks begins anew after a failure.
    assert_eq!(told.map_changes(), [None, None, None, None, UP]);
}

#[test]
fn three_checks_without_an_answer_make_unhealthy() {
    let mut checks = ActiveChecks::new(&config(""), 1);
    let probes = [
        Passed, NoAnswer, NoAnswer, Passed, NoAnswer, NoAnswer, NoAnswer, NoAnswer,
    ];
    let told = feed(&mut checks, &probes);
    let expected = [UP, None, None, None, None, None, DOWN, None];
    assert_eq!(told.map_changes(), expected);
    // And two passed make it healthy again.
    let told = feed(&mut checks, &[Passed, Passed]);
    assert_eq!(told.map_changes(), [None, UP]);
}

#[test]
fn a_wrong_answer_makes_unhealthy_at_once() {
    let mut checks = ActiveChecks::new(&config(""), 1);
    let told = feed(&mut checks, &[Passed, WrongAnswer]);
    assert_eq!(told.map_changes(), [UP, DOWN]);
    assert_eq!(checks.healthy(), 0);
}

#[test]
fn intervals_depend_on_what_is_pending() {
    let spaced = "unhealthy_interval_s = 20\nunhealthy_edge_interval_s = 3\n\
                  healthy_edge_interval_s = 4";
    let mut checks = ActiveChecks::new(&config(spaced), 1);
    let probes = [
        Passed, NoAnswer, NoAnswer, NoAnswer, NoAnswer, Passed, Passed, Passed,
    ];
    let told = feed(&mut checks, &probes);
    let intervals: Vec<u64> = told.iter().map(|(_, interval)| *interval).collect();
    // Healthy; twice on the edge; unhealthy; still; on the edge back; healthy; still.
    assert_eq!(intervals, [10, 3, 3, 20, 20, 4, 10, 10]);
    // The edge of the unhealthy is their own interval unless stated.
    let mut checks = ActiveChecks::new(&config("unhealthy_interval_s = 20"), 1);
    let told = feed(&mut checks, &[Passed, NoAnswer, NoAnswer, NoAnswer, Passed]);
    let intervals: Vec<u64> = told.iter().map(|(_, interval)| *interval).collect();
    assert_eq!(intervals, [10, 20, 20, 20, 10]);
}

#[test]
fn jitter_is_added_to_intervals() {
    let jittered = "interval_jitter_s = 4\ninterval_jitter_pct = 20\ninitial_jitter_s = 6";
    let mut checks = ActiveChecks::new(&config(jittered), 1);
    let mut rng = rng();
    let draws = 20_000;
    let n = f64::from(draws);
    let (mut sum, mut first) = (0.0, 0.0);
    for _ in 0..draws {
        let next = checks.on_probe(0, Passed, s(0), &mut rng).unwrap().next;
        assert!(next >= s(10) && next < s(16));
        sum += next.as_secs_f64();
        let start = checks.first(s(0), &mut rng);
        assert!(start < s(6));
        first += start.as_secs_f64();
    }
    // 10 and uniform below 4 and below 2 (20 % of 10): mean 13, variance (16 + 4) / 12.
    let limit = bonferroni_t_limit(1e-6, 2, 1e9);
    let z = (sum / n - 13.0) / (20.0 / 12.0 / n).sqrt();
    assert!(z.abs() < limit, "z {z}");
    let z = (first / n - 3.0) / (36.0 / 12.0 / n).sqrt();
    assert!(z.abs() < limit, "z {z}");
}

#[test]
fn a_host_forgotten_begins_anew() {
    let mut checks = ActiveChecks::new(&config(""), 1);
    feed(&mut checks, &[Passed]);
    checks.forget(0);
    assert_eq!((checks.healthy(), checks.is_healthy(0)), (0, false));
    assert_eq!(feed(&mut checks, &[Passed]).map_changes(), [UP]);
    assert!(checks.on_probe(7, Passed, s(0), &mut rng()).is_none());
    checks.forget(7);
    assert!(checks.on_probe(7, Passed, s(0), &mut rng()).is_some());
    assert_eq!(checks.healthy(), 2);
}

trait Changes {
    fn map_changes(&self) -> Vec<Option<Health>>;
}

impl Changes for Vec<(Option<Health>, u64)> {
    fn map_changes(&self) -> Vec<Option<Health>> {
        self.iter().map(|(change, _)| *change).collect()
    }
}

proptest! {
    /// Against the rule read from the end of the list of checks.
    #[test]
    fn health_is_what_the_last_checks_say(
        healthy_threshold in 1_usize..5,
        unhealthy_threshold in 1_usize..5,
        probes in prop::collection::vec(0_u8..5, 1..200),
    ) {
        let text = format!(
            "healthy_threshold = {healthy_threshold}\nunhealthy_threshold = {unhealthy_threshold}"
        );
        let mut checks = ActiveChecks::new(&config(&text), 1);
        let probes: Vec<Probe> = probes
            .iter()
            .map(|kind| match kind {
                0 | 1 => Passed,
                2 | 3 => NoAnswer,
                _ => WrongAnswer,
            })
            .collect();
        let mut healthy = false;
        for end in 1..=probes.len() {
            let told = feed(&mut checks, &probes[end - 1..end])[0].0;
            let seen = &probes[..end];
            let row = |probe| seen.iter().rev().take_while(|seen| **seen == probe).count();
            let next = match probes[end - 1] {
                Passed => healthy || end == 1 || row(Passed) >= healthy_threshold,
                NoAnswer => healthy && row(NoAnswer) < unhealthy_threshold,
                WrongAnswer => false,
            };
            let expected = (next != healthy).then_some(if next {
                Health::Healthy
            } else {
                Health::Unhealthy
            });
            prop_assert_eq!(told, expected);
            healthy = next;
            prop_assert_eq!(checks.is_healthy(0), healthy);
            prop_assert_eq!(checks.healthy(), u32::from(healthy));
        }
    }
}
