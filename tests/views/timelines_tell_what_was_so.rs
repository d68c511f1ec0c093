//! The rows of a timeline say what was so in each of them, and its summary what is known at the end.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::common;

use std::path::Path;

use common::simulate;
use seatrial::engine::SimTime;
use seatrial::experiment::runner::{Control, run_scenario};
use seatrial::fleet::faults::{Cause, Change, Effect, Scope, What};
use seatrial::fleet::ids::ReplicaId;
use seatrial::fleet::timeline::{Note, Timeline};
use seatrial::report::terminal;
use seatrial::scenario::{Document, SourceText};

/// One of two replicas is dead from 20 s to 80 s; requests come ten seconds apart and take 25 s.
const DEAD_FOR_A_MINUTE: &str = r#"
name = "levels"
run = { horizon_s = 100, warmup_s = 0 }
workload.arrivals = { process = "constant", rate_per_s = 0.1 }
router.policy = "round_robin"
[[pools]]
name = "p"
engine = "abstract"
replicas = 2
servers = 5
service = { law = "deterministic", mean_ms = 25000 }
[[faults.timeline]]
kind = "crash"
target = { pool = "p", replica = 0 }
at_s = 20
for_s = 60
"#;

#[test]
fn what_is_so_is_so_in_rows_in_which_nothing_happens() {
    let (_, simulation) = simulate(DEAD_FOR_A_MINUTE);
    let timeline = &simulation.world.meters.timeline;
    let width_s = timeline.width().as_secs_f64();
    let total = |level: fn(&seatrial::fleet::timeline::Bucket) -> u64| -> f64 {
        let levels = timeline.buckets().iter().map(level);
        levels.sum::<u64>() as f64 * width_s
    };
    // A row has the most there were at once: one that begins or ends within it counts as a whole.
    let down_s = total(|bucket| bucket.down);
    assert!((60.0..=60.0 + 2.0 * width_s).contains(&down_s), "{down_s}");
    // Every request that is answered was there for 25 s.
    let answered = total(|bucket| bucket.ended.iter().sum::<u64>()) / width_s;
    let present_s = total(|bucket| bucket.in_flight);
    assert!(answered >= 5.0 && present_s > 25.0 * 5.0, "{present_s}");
}

/// The page of a scenario, in one line.
fn page(scenario: &str) -> String {
    let document = Document::parse(SourceText::new("s.toml", scenario)).unwrap();
    let outcome = run_scenario(&document, Path::new(""), Control::default()).unwrap();
    let page = terminal::render(&outcome);
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn faults_that_had_not_ended_are_told_with_the_recovery() {
    let for_good = "[[faults.timeline]]\nkind = \"crash\"\nat_s = 90\n\
                    target = { pool = \"p\", replica = 1 }\n";
    let page_of = |more: &str| page(&format!("{DEAD_FOR_A_MINUTE}{more}"));
    let (one, two) = (page_of(""), page_of(for_good));
    assert!(one.contains("after the last fault ended"), "{one}");
    let words = "after the last fault that ended (1 had not ended)";
    assert!(two.contains(words), "{two}");
}

#[test]
fn the_end_of_the_last_fault_is_known_however_many_notes_there_were() {
    let mut timeline = Timeline::new(true, SimTime(1_000_000_000_000), 1);
    let fault = |at, what| {
        Note::Fault(Change {
            at,
            cause: Cause::Timeline(0),
            scope: Scope::Fleet,
            what,
        })
    };
    timeline.note(SimTime(1), fault(SimTime(1), What::Begin(Effect::Crash)));
    for at in 2..10_000 {
        timeline.note(SimTime(at), Note::Health(0, ReplicaId(0), at % 2 == 0));
    }
    assert_eq!(
        (timeline.last_fault_end(), timeline.faults_in_force()),
        (None, 1)
    );
    let end = SimTime(10_000);
    timeline.note(end, fault(end, What::End(Effect::Crash)));
    assert!(timeline.notes().1 > 0, "the note of the end is not kept");
    assert_eq!(
        (timeline.last_fault_end(), timeline.faults_in_force()),
        (Some(end), 0)
    );
}

#[test]
fn the_page_says_what_is_short_of_the_objective_and_which_requests_count() {
    let page_of = |warmup: &str| page(&DEAD_FOR_A_MINUTE.replace("warmup_s = 0", warmup));
    let words = "in which over three standard deviations more requests miss it than may";
    let warm = "All requests count here, those of the warm-up too.";
    let (with, without) = (page_of("warmup_s = 10"), page_of("warmup_s = 0"));
    assert!(with.contains(words) && with.contains(warm), "{with}");
    assert!(
        without.contains(words) && !without.contains(warm),
        "{without}"
    );
}

#[test]
fn a_replica_is_back_when_the_last_of_its_faults_ends() {
    let again = "[[faults.timeline]]\nkind = \"crash\"\nat_s = 40\nfor_s = 50\n";
    let page_of = |target: &str| page(&format!("{DEAD_FOR_A_MINUTE}{again}target = {target}\n"));
    let same = page_of("{ pool = \"p\", replica = 0 }");
    let pool = page_of("{ pool = \"p\" }");
    for page in [&same, &pool] {
        let words = "at 80.0 s one of the faults of replica 0 of p ends; it stays down";
        assert!(page.contains(words), "{page}");
    }
    assert!(same.contains("at 90.0 s replica 0 of p is back"), "{same}");
    assert!(pool.contains("at 90.0 s pool p is back"), "{pool}");
}

#[test]
fn those_that_wait_are_counted_in_every_row_with_an_arrival() {
    let (_, simulation) = simulate(
        "name = \"queue\"\nrun = { horizon_s = 100, warmup_s = 0 }\n\
         workload.arrivals = { process = \"poisson\", rate_per_s = 10 }\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\n\
         service = { law = \"deterministic\", mean_ms = 150 }\n\
         [[faults.timeline]]\nkind = \"slow\"\nfactor = 1.5\n\
         target = { pool = \"p\" }\nat_s = 20\nfor_s = 10\n",
    );
    // Half as many again come as one server can serve: from 20 s on there always is a queue.
    let timeline = &simulation.world.meters.timeline;
    let from = (20.0 / timeline.width().as_secs_f64()) as usize;
    let rows = timeline.buckets().iter().skip(from);
    let with_arrivals: Vec<_> = rows.filter(|row| row.arrived > 0).collect();
    assert!(with_arrivals.len() > 100);
    assert!(with_arrivals.iter().all(|row| row.waiting > 0));
}
