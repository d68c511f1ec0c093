//! A breaker in a fleet at work, step by step: it opens after as many failures as it should,
//! refuses, tries, and closes, each at its instant.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::simulate;
use seatrial::fleet::Simulation;
use seatrial::fleet::health::State;
use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::timeline::Note;

/// A request each 10 ms, which takes 1 ms; the first replica is dead from 1.005 s to 2.005 s.
fn clockwork(replicas: u32, breaker: &str) -> (Vec<RequestRow>, Simulation) {
    simulate(&format!(
        "name = \"breaker\"\n[run]\nhorizon_s = 3.005\nwarmup_s = 0\n\
         [workload]\narrivals = {{ process = \"constant\", rate_per_s = 100 }}\n\
         [router]\npolicy = \"round_robin\"\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\nreplicas = {replicas}\n\
         service = {{ law = \"deterministic\", mean_ms = 1 }}\n\
         [health]\nbreaker = {{ minimum_calls = 4, window_size = 4, \
         failure_rate_threshold_pct = 75, wait_in_open_s = 0.3, \
         permitted_calls_in_half_open = 3{breaker} }}\n\
         [[faults.timeline]]\nat_s = 1.005\nfor_s = 1\nkind = \"crash\"\n\
         target = {{ pool = \"p\", replica = 0 }}\n"
    ))
}

/// What the breakers did: microseconds, the breaker and its new state.
fn turns(simulation: &Simulation) -> Vec<(f64, u32, State)> {
    let (notes, untold) = simulation.world.meters.timeline.notes();
    assert_eq!(untold, 0);
    let turns = notes.iter().filter_map(|(at, note)| match note {
        Note::Breaker(0, index, state) => Some((at.0 as f64 / 1e3, *index, *state)),
        _ => None,
    });
    turns.collect()
}

/// How the requests that came between two times ended, one after the other, equal ones together.
fn endings(rows: &[RequestRow], from_ms: u64, until_ms: u64) -> Vec<(&'static str, usize)> {
    let mut endings: Vec<(&str, usize)> = Vec::new();
    let ms = |row: &&RequestRow| (from_ms..=until_ms).contains(&(row.arrival_ns / 1_000_000));
    for row in rows.iter().filter(ms) {
        match endings.last_mut() {
            Some((status, count)) if *status == row.status => *count += 1,
            _ => endings.push((row.status, 1)),
        }
    }
    endings
}

#[test]
fn a_breaker_opens_tries_and_closes_at_its_instants() {
    let (rows, simulation) = clockwork(1, "");
    let (open, trial, closed) = (State::Open, State::HalfOpen, State::Closed);
    // The third failure of four calls opens it. The first call after the wait, not at its end,
    // finds it half-open; three failures open it again. The last trial has two successes of three.
    let expected = [
        (1_030_000.0, 0, open),
        (1_340_000.0, 0, trial),
        (1_360_000.0, 0, open),
        (1_670_000.0, 0, trial),
        (1_690_000.0, 0, open),
        (2_000_000.0, 0, trial),
        (2_021_000.0, 0, closed),
    ];
    assert_eq!(turns(&simulation), expected);
    let (dead, refused, done) = ("failed_replica", "failed_no_replica", "completed");
    let expected = [
        (done, 1),
        (dead, 3),
        (refused, 30),
        (dead, 3),
        (refused, 30),
        (dead, 3),
        (refused, 30),
        (dead, 1),
        (done, 100),
    ];
    assert_eq!(endings(&rows, 1_000, 3_000), expected);
    // It was open, or half-open, in each stretch of time between.
    let timeline = &simulation.world.meters.timeline;
    let width = timeline.width().0 as f64 / 1e9;
    for (index, bucket) in timeline.buckets().iter().enumerate() {
        let from = index as f64 * width;
        let open = from + width > 1.03 && from < 2.021;
        assert_eq!(bucket.breakers_open, u64::from(open), "{from}");
    }
    // And every turn is counted: three times open, three times half-open, once closed.
    let mut counted = [0; 3];
    for bucket in timeline.buckets() {
        for (sum, turns) in counted.iter_mut().zip(bucket.transitions) {
            *sum += turns;
        }
    }
    assert_eq!(counted, [3, 3, 1]);
}

#[test]
fn a_breaker_that_opens_half_by_itself_does_so_at_the_end_of_its_wait() {
    let (rows, simulation) = clockwork(1, ", automatic_half_open = true");
    let (open, trial, closed) = (State::Open, State::HalfOpen, State::Closed);
    let expected = [
        (1_030_000.0, 0, open),
        (1_330_000.0, 0, trial),
        (1_350_000.0, 0, open),
        (1_650_000.0, 0, trial),
        (1_670_000.0, 0, open),
        (1_970_000.0, 0, trial),
        (1_990_000.0, 0, open),
        (2_290_000.0, 0, trial),
        (2_311_000.0, 0, closed),
    ];
    assert_eq!(turns(&simulation), expected);
    // The call that comes at that very instant is the first to pass.
    let refused = endings(&rows, 1_040, 1_330);
    assert_eq!(refused, [("failed_no_replica", 29), ("failed_replica", 1)]);
}

#[test]
fn what_a_breaker_refuses_goes_to_the_other_replica() {
    let (rows, simulation) = clockwork(2, "");
    // Every other call is of the dead one, until its third failure; from then on only those that
    // try it fail.
    let failed = rows.iter().filter(|row| row.status == "failed_replica");
    let failed: Vec<u64> = failed.map(|row| row.arrival_ns / 1_000_000).collect();
    let turns = turns(&simulation);
    let trials = turns.iter().filter(|turn| turn.2 == State::HalfOpen);
    assert!(turns.iter().all(|turn| turn.1 == 0), "{turns:?}");
    assert!(trials.count() >= 2, "{turns:?}");
    assert_eq!(turns[0].0, failed[2] as f64 * 1e3);
    assert_eq!(turns.last().unwrap().2, State::Closed);
    assert!(rows.iter().all(|row| row.status != "failed_no_replica"));
    let done = rows.iter().filter(|row| row.status == "completed").count();
    assert_eq!(done + failed.len(), rows.len());
    // In the first wait all goes to the second.
    let opened = failed[2];
    let waits = rows
        .iter()
        .filter(|row| (opened + 1..opened + 300).contains(&(row.arrival_ns / 1_000_000)));
    assert!(waits.clone().count() > 25);
    assert!(waits.clone().all(|row| row.replica == Some(1)));
}

#[test]
fn a_gateway_that_waits_no_longer_finds_out_what_hangs() {
    // Two servers in turn, and one of them hangs from 1 s on: nothing but a timeout tells.
    let with = |more: &str| {
        let text = format!(
            "name = \"hang\"\n[run]\nhorizon_s = 10\nwarmup_s = 0\ndrain_limit_s = 20\n\
             [workload]\narrivals = {{ process = \"constant\", rate_per_s = 20 }}\n\
             [router]\npolicy = \"round_robin\"\n[clients]\nmax_retries = 2\n\
             [[pools]]\nname = \"p\"\nengine = \"abstract\"\nreplicas = 2\n\
             service = {{ law = \"deterministic\", mean_ms = 10 }}\n\
             [[faults.timeline]]\nat_s = 1\nkind = \"hang\"\n\
             target = {{ pool = \"p\", replica = 1 }}\n{more}"
        );
        let (rows, simulation) = simulate(&text);
        let done = rows.iter().filter(|row| row.status == "completed").count();
        let given_up = simulation.world.meters.tries.given_up;
        (rows.len(), done, given_up)
    };
    // Without, half of what comes after it never returns.
    let (all, done, given_up) = with("");
    assert!(all - done > 85 && given_up == 0, "{all} {done}");
    let timeout = "[gateway]\ntimeout_ms = 200\n";
    let (all, done, given_up) = with(timeout);
    // Each that came to it is tried again elsewhere, or there again.
    assert!(given_up > 85 && all - done < 60, "{all} {done} {given_up}");
    let outlier =
        format!("{timeout}[health]\noutlier = {{ max_ejection_pct = 50, interval_s = 100 }}\n");
    let (all, done, given_up) = with(&outlier);
    // Five in a row and those under way by then; all are answered by the other one.
    assert_eq!(all, done);
    assert!((5..=9).contains(&given_up), "{given_up}");
}
