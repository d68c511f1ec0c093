//! Whatever breaks, every erasure is accounted for, is done everywhere within its logs' deadline, and
//! brings nothing back.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::plan_of;
use proptest::prelude::*;
use seatrial::engine::SimTime;
use seatrial::fleet::erasure::audit::{AuditRow, Verdict};
use seatrial::fleet::simulation::{Hooks, Simulation};

/// A day of two regions in little: 200 s, with erasures from 20 s to 150 s.
fn scenario(erasure: &str, faults: &str) -> String {
    format!(
        r#"
name = "erasures"
[run]
horizon_s = 200
warmup_s = 0
drain_limit_s = 400
[workload]
arrivals = {{ process = "poisson", rate_per_s = 60 }}
[clients]
timeout_ms = 20_000
max_retries = 2
propagate_cancel = true
[network]
rtt_ms = {{ "east/west" = 80 }}
[[regions]]
name = "east"
[[regions]]
name = "west"
[[populations]]
name = "a"
region = "east"
[[populations]]
name = "b"
region = "west"
[[pools]]
name = "e"
engine = "abstract"
region = "east"
servers = 4
service = {{ law = "exponential", mean_ms = 60 }}
[[pools]]
name = "w"
engine = "abstract"
region = "west"
servers = 4
service = {{ law = "exponential", mean_ms = 60 }}
[erasure]
subjects = 400
requests_per_million_per_year = 0
retry_s = 0.5
activity = {{ law = "zipf", exponent = 0.9 }}
verification = {{ law = "exponential", mean_ms = 300 }}
{erasure}
[[erasure.bursts]]
name = "storm"
start_s = 20
duration_s = 130
requests_per_s = 3
{faults}
"#
    )
}

const LOG: &str = r#"
[[erasure.stores]]
kind = "request_log"
name = "log"
record_bytes = 500
bytes_per_token = 1
records_per_s = 300
records_before = 30
replication_lag_ms = 400
lsm = { memtable_mb = 0.03, size_ratio = 4, l0_trigger = 2, delete_persistence_s = 40, exact_lag_s = 100 }
"#;

const OTHERS: &str = r#"
[[erasure.stores]]
kind = "session_state"
name = "sessions"
ttl_s = 20
[[erasure.stores]]
kind = "response_cache"
name = "answers"
ttl_s = 15
on_erase = "expire"
[[erasure.stores]]
kind = "backup"
name = "copies"
of = "log"
interval_s = 25
retention_s = 60
"#;

const ON_REPLICAS: &str = r#"
[[erasure.stores]]
kind = "request_log"
name = "local"
place = { on = "replicas", pool = "e" }
co_located = { slow_factor = 1.5 }
record_bytes = 800
records_before = 20
lsm = { memtable_mb = 0.02, compaction = "tiered", size_ratio = 3, delete_persistence_s = 30 }
"#;

/// How long logs may be down with each of the faults, seconds.
const DOWN_S: [f64; 4] = [0.0, 30.0, 0.0, 40.0];

const FAULTS: [&str; 4] = [
    "",
    "[[faults.timeline]]\nkind = \"crash\"\ntarget = { region = \"east\" }\nat_s = 40\nfor_s = 30\n",
    "[[faults.timeline]]\nkind = \"partition\"\ntarget = { region = \"west\" }\nfrom = { region = \"east\" }\nat_s = 30\nfor_s = 50\n",
    "[[faults.timeline]]\nkind = \"partition\"\ntarget = { region = \"east\" }\nfrom = { region = \"west\" }\nat_s = 60\nfor_s = 20\n\
     [[faults.timeline]]\nkind = \"crash\"\ntarget = { region = \"west\" }\nat_s = 70\nfor_s = 40\n",
];

/// Runs a scenario with its audit log, to the end of everything.
fn run(text: &str, replication: u64) -> (Vec<AuditRow>, Simulation) {
    let mut fleet = plan_of(text).fleet;
    fleet.streams.replication = replication;
    fleet.record_erasures = true;
    let mut simulation = Simulation::new(Arc::new(fleet)).unwrap();
    let mut lines = Vec::new();
    simulation.run(
        u64::MAX,
        &mut Hooks {
            stop: None,
            progress: &mut |_| {},
            rows: &mut |_| {},
            audit: &mut |some| lines.extend_from_slice(some),
        },
    );
    let erasure = simulation.world.erasure_mut().unwrap();
    lines.append(&mut erasure.rows);
    lines.extend(erasure.pending_rows());
    simulation.check().unwrap();
    (lines, simulation)
}

fn seconds(later: SimTime, earlier: SimTime) -> f64 {
    later.since(earlier).as_secs_f64()
}

fn check(lines: &[AuditRow], simulation: &mut Simulation, down_s: f64) {
    let erasure = simulation.world.erasure_mut().unwrap();
    assert_eq!(erasure.pending(), 0);
    erasure.wind_up(SimTime(600_000_000_000));
    let meters = erasure.meters_at(SimTime(600_000_000_000));
    assert_eq!(meters.resurrected, 0);
    assert!(meters.requested > 200 && meters.rejected > 0 && meters.done > 200);
    assert_eq!(meters.requested, meters.rejected + meters.done);
    let mut by_case: BTreeMap<u64, Vec<&AuditRow>> = BTreeMap::new();
    for line in lines {
        by_case.entry(line.erasure).or_default().push(line);
    }
    assert_eq!(by_case.len() as u64, meters.requested);
    // Every erasure that was accepted is at each place once: the counts are those of the places.
    let places: Vec<u64> = meters.places.iter().map(|place| place.done).collect();
    let mut seen = vec![0_u64; places.len()];
    let mut longest = 0.0_f64;
    for lines in by_case.values() {
        if lines[0].verdict == Verdict::Rejected {
            assert_eq!(lines.len(), 1);
            continue;
        }
        for line in lines {
            assert_eq!(line.verdict, Verdict::Done);
            let place = usize::from(line.place.unwrap());
            seen[place] += 1;
            let (told, logical) = (line.told.unwrap(), line.logical.unwrap());
            let physical = line.physical.unwrap();
            assert!(line.received <= told && told <= logical && logical <= physical);
            let bound = match meters.places[place].store.as_str() {
                "log" => 40.0,
                "local" => 30.0,
                "sessions" => 0.0,
                "answers" => 15.0,
                // A copy may be made just before the log is rid of it.
                "copies" => 40.0 + 60.0,
                _ => 20.0,
            };
            // The tombstone itself takes a moment to be on disk.
            assert!(seconds(physical, told) <= bound + down_s + 1e-3, "{line:?}");
            longest = longest.max(seconds(physical, line.received));
        }
    }
    assert_eq!(seen, places);
    assert_eq!(meters.physical.max_ns().unwrap() as f64 / 1e9, longest);
    for log in erasure.log_rows() {
        assert!(log.purges.done > 0 && log.pending == 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_erasure_is_done_in_time_and_brings_nothing_back(
        replication in 0..1_000_u64,
        faults in 0..FAULTS.len(),
        others in any::<bool>(),
        local in any::<bool>(),
        cancel in any::<bool>(),
        waits in any::<bool>(),
    ) {
        let mut erasure = String::new();
        if cancel {
            erasure.push_str("in_flight = \"cancel\"\n");
        }
        let mut stores = LOG.to_owned();
        if waits {
            stores.push_str("write = \"before_answer\"\n");
        }
        if others {
            stores.push_str(OTHERS);
        }
        if local {
            stores.push_str(ON_REPLICAS);
        }
        // Keys of a table go before its sub-tables.
        let text = scenario(&format!("{erasure}{stores}"), FAULTS[faults]);
        let (lines, mut simulation) = run(&text, replication);
        check(&lines, &mut simulation, DOWN_S[faults]);
    }
}

/// The same seed gives the same audit log, to the byte.
#[test]
fn audit_logs_repeat() {
    let text = scenario(&format!("{LOG}{OTHERS}"), FAULTS[2]);
    assert_eq!(run(&text, 0).0, run(&text, 0).0);
    assert_ne!(run(&text, 0).0, run(&text, 1).0);
}

/// Without a deadline purges wait for ordinary compactions, and some are never done.
#[test]
fn without_a_deadline_some_are_never_done() {
    let text = scenario(LOG, "").replace("delete_persistence_s = 40, ", "");
    let (lines, simulation) = run(&text, 0);
    let erasure = simulation.world.erasure().unwrap();
    assert!(erasure.pending() > 0);
    let pending = lines.iter().filter(|line| line.verdict == Verdict::Pending);
    let cases: std::collections::BTreeSet<u64> = pending.map(|line| line.erasure).collect();
    assert_eq!(cases.len() as u64, erasure.pending());
    // All of them are past a deadline of a minute at the end, and none past one of a year.
    let misses = |text: &str| {
        let (_, simulation) = run(text, 0);
        let erasure = simulation.world.erasure().unwrap();
        erasure.meters_at(SimTime(600_000_000_000)).deadline_misses
    };
    let short = text.replace("retry_s = 0.5", "retry_s = 0.5\ndeadline_days = 0.0007");
    let long = text.replace("retry_s = 0.5", "retry_s = 0.5\ndeadline_days = 365");
    assert!(misses(&short) >= erasure.pending());
    assert_eq!(misses(&long), 0);
}

/// A log that forgets whom it has erased takes old records in again when the way is free: that is
/// what the count of the resurrected is for.
#[test]
fn only_what_a_log_forgets_comes_back() {
    let text = scenario(LOG, FAULTS[2]);
    let count = |text: &str| {
        let (_, simulation) = run(text, 0);
        let erasure = simulation.world.erasure().unwrap();
        let meters = erasure.meters_at(SimTime(600_000_000_000));
        let logs = erasure.log_rows();
        let dropped: u64 = logs.iter().map(|log| log.meters.dropped_replicas).sum();
        (meters.resurrected, dropped)
    };
    let (resurrected, dropped) = count(&text);
    assert_eq!(resurrected, 0);
    assert!(dropped > 0, "no record came late: the test shows nothing");
    let forgets = text.replace("record_bytes = 500", "record_bytes = 500\nremember_s = 1");
    let (resurrected, fewer) = count(&forgets);
    assert!(resurrected > 0);
    // What was not dropped was taken in.
    assert!(fewer < dropped);
}

/// Nothing is done in a region that is down, and no word of an erasure comes through a way that is cut.
#[test]
fn what_is_down_does_nothing_and_what_is_cut_off_hears_nothing() {
    let within = |at: SimTime, from: u64, to: u64| {
        (from * 1_000_000_000 + 1..to * 1_000_000_000).contains(&at.0)
    };
    let (lines, simulation) = run(&scenario(LOG, FAULTS[1]), 0);
    let places = &simulation.world.erasure().unwrap().meters.places;
    let in_east = |line: &AuditRow| places[usize::from(line.place.unwrap())].region == Some(0);
    let accepted = || lines.iter().filter(|line| line.place.is_some());
    assert!(accepted().any(|line| in_east(line) && within(line.received, 40, 70)));
    for line in accepted().filter(|line| in_east(line)) {
        assert!(!within(line.told.unwrap(), 40, 70), "{line:?}");
        assert!(!within(line.physical.unwrap(), 40, 70), "{line:?}");
    }
    // Half of the erasures come to each side of a cut, and wait for its end to be told to the other.
    let (lines, simulation) = run(&scenario(LOG, FAULTS[2]), 0);
    let places = &simulation.world.erasure().unwrap().meters.places;
    let logs = lines.iter().filter(|line| {
        line.place
            .is_some_and(|place| places[usize::from(place)].store == "log")
    });
    let mut late: BTreeMap<u64, u32> = BTreeMap::new();
    for line in logs.filter(|line| line.stamp.is_some_and(|at| within(at, 30, 79))) {
        let far = line.told.unwrap() >= SimTime(80_000_000_000);
        *late.entry(line.erasure).or_default() += u32::from(far);
    }
    assert!(late.len() > 50);
    assert!(late.values().all(|far| *far == 1), "{late:?}");
}
