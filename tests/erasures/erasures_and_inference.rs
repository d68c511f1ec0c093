//! What erasures and their stores do to inference, and what they do not.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::{e2e_ns, plan_of, run_rows, simulate};
use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::simulation::Simulation;

fn scenario(arrivals: &str, pool: &str, more: &str) -> String {
    format!(
        r#"
name = "both"
[run]
horizon_s = 60
warmup_s = 0
[workload]
arrivals = {arrivals}
[[pools]]
name = "p"
engine = "abstract"
{pool}
{more}
"#
    )
}

const BUSY: &str = "{ process = \"poisson\", rate_per_s = 100 }";
const SERVERS: &str = "servers = 3\nservice = { law = \"exponential\", mean_ms = 20 }";

fn erasure(log: &str) -> String {
    format!(
        r#"
[erasure]
subjects = 200
requests_per_million_per_year = 0
[[erasure.bursts]]
name = "storm"
start_s = 5
duration_s = 50
requests_per_s = 5
[[erasure.stores]]
kind = "request_log"
name = "log"
record_bytes = 500
records_before = 50
{log}
"#
    )
}

const LSM: &str = "lsm = { memtable_mb = 0.05, delete_persistence_s = 5, bandwidth_mb_per_s = 5 }";

fn outcomes(simulation: &Simulation) -> u64 {
    simulation.world.meters.outcomes.value()
}

/// A log on machines of its own, written to after the answer, moves no request at all.
#[test]
fn a_remote_log_moves_nothing() {
    let without = simulate(&scenario(BUSY, SERVERS, "")).1;
    let with = scenario(BUSY, SERVERS, &erasure(LSM));
    let quiet = with.replace("[erasure]\n", "[erasure]\ntraffic = false\n");
    let (with, quiet) = (simulate(&with).1, simulate(&quiet).1);
    assert_eq!(outcomes(&without), outcomes(&with));
    assert_eq!(outcomes(&without), outcomes(&quiet));
    let requested = |simulation: &Simulation| simulation.world.erasure().unwrap().meters.requested;
    assert!(requested(&with) > 150);
    assert_eq!(requested(&quiet), 0);
}

/// On the same random numbers, whoever asks: the logs of both have the same records.
#[test]
fn traffic_moves_no_other_random_numbers() {
    let with = scenario(
        BUSY,
        SERVERS,
        &erasure(&format!("records_per_s = 200\n{LSM}")),
    );
    let quiet = with.replace("[erasure]\n", "[erasure]\ntraffic = false\n");
    let taken = |text: &str| {
        let (_, mut simulation) = simulate(text);
        let now = simulation.now();
        let erasure = simulation.world.erasure_mut().unwrap();
        erasure.wind_up(now);
        let log = &erasure.log_rows()[0];
        // Late records of erased subjects are dropped, and come in the other run.
        log.meters.taken.records + log.meters.dropped_late.records
    };
    assert_eq!(taken(&with), taken(&quiet));
}

fn rows(text: &str) -> Vec<RequestRow> {
    let mut rows = Vec::new();
    run_rows(&plan_of(text), 0, |row| rows.push(row.clone()));
    rows.sort_by_key(|row| row.id);
    rows
}

/// An answer that waits for its record waits exactly as long as the disk takes, and its first token
/// does not wait at all.
#[test]
fn an_answer_waits_for_its_record() {
    let slow = "{ process = \"constant\", rate_per_s = 0.5 }";
    let pool = "service = { law = \"deterministic\", mean_ms = 100 }";
    // 500 bytes at 0.01 MB/s take 50 ms.
    let lsm = "lsm = { memtable_mb = 100, bandwidth_mb_per_s = 0.01 }";
    let quiet = "traffic = false\n";
    let text = |write: &str| {
        let erasure = erasure(&format!("{write}{lsm}")).replace("records_before = 50\n", "");
        let erasure = erasure.replace("[erasure]\n", &format!("[erasure]\n{quiet}"));
        scenario(slow, pool, &format!("[clients]\n{erasure}"))
    };
    let after = simulate(&text("")).1;
    let before = simulate(&text("write = \"before_answer\"\n")).1;
    let mean = |simulation: &Simulation| {
        let meters = &simulation.world.meters;
        let (ttft, e2e) = (&meters.ttft.histogram, &meters.e2e.histogram);
        (ttft.mean_ns().unwrap(), e2e.mean_ns().unwrap())
    };
    let ((ttft, e2e), (ttft_waits, e2e_waits)) = (mean(&after), mean(&before));
    assert_eq!(ttft, ttft_waits);
    assert_eq!(e2e_waits - e2e, 50e6);
    // Tokens come when they come.
    for row in rows(&text("write = \"before_answer\"\n")) {
        assert_eq!(e2e_ns(&row), 100_000_000);
    }
}

/// A log on the replicas slows them while it works, erasures make it work, and a factor of 1.5 makes
/// nothing slower than 1.5 times.
#[test]
fn a_log_on_the_replicas_slows_them() {
    let pool = "service = { law = \"deterministic\", mean_ms = 4 }";
    let local = "place = { on = \"replicas\", pool = \"p\" }\nco_located = { slow_factor = 1.5 }\n";
    let with = scenario(BUSY, pool, &erasure(&format!("{local}{LSM}")));
    let quiet = with.replace("[erasure]\n", "[erasure]\ntraffic = false\n");
    let busy = |text: &str| {
        let (rows, mut simulation) = simulate(text);
        let service = rows
            .iter()
            .map(|row| row.last_token_ns.unwrap() - row.scheduled_ns.unwrap());
        let service: Vec<u64> = service.collect();
        assert!(
            service
                .iter()
                .all(|ns| (4_000_000..=6_000_001).contains(ns))
        );
        let slow = service.iter().filter(|ns| **ns > 4_000_000).count();
        let now = simulation.now();
        let meter = simulation.world.pool_meter(0);
        meter.count_work(now);
        (slow, meter.busy_ns)
    };
    let (slow, busy_ns) = busy(&with);
    let (slow_quiet, busy_quiet_ns) = busy(&quiet);
    assert!(slow > slow_quiet && busy_ns > busy_quiet_ns);
    // Flushes alone slow some, too.
    assert!(slow_quiet > 0);
}

/// A region that is L away hears of an erasure exactly L later.
#[test]
fn distance_is_paid_once() {
    let text = |rtt_ms: u32| {
        let regions = format!(
            "[network]\nrtt_ms = {{ \"a/b\" = {rtt_ms} }}\n[[regions]]\nname = \"a\"\n[[regions]]\nname = \"b\"\n\
             [[populations]]\nname = \"all\"\nregion = \"a\"\n"
        );
        let more = format!("{regions}{}", erasure(LSM));
        let more = more.replace("[erasure]\n", "[steering]\nvia = \"anycast\"\n[erasure]\n");
        let pool = format!("region = \"a\"\n{SERVERS}");
        let other =
            format!("[[pools]]\nname = \"q\"\nengine = \"abstract\"\nregion = \"b\"\n{SERVERS}\n");
        scenario(BUSY, &pool, &format!("{other}{more}"))
    };
    let logical = |rtt_ms: u32| {
        let (_, simulation) = simulate(&text(rtt_ms));
        let erasure = simulation.world.erasure().unwrap();
        // Half of the erasures come to each region, and each tells both logs.
        let places = erasure.meters.places.iter();
        let logs = places.filter(|place| place.store == "log");
        let (mut sum, mut count) = (0.0, 0.0);
        for log in logs {
            sum += log.logical.mean_ns().unwrap() * log.logical.count() as f64;
            count += log.logical.count() as f64;
        }
        (sum, count)
    };
    let ((near, count), (far, same)) = (logical(20), logical(60));
    assert_eq!(count, same);
    // One of each pair of logs is 20 ms further away.
    let added = (far - near) / (count / 2.0);
    assert!((added - 20e6).abs() < 20_000.0, "{added}");
}
