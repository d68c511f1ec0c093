//! Prefix caches forget whom they should, with what requests under way make, and nobody else.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::sync::Arc;

use common::{plan_of, simulate};
use seatrial::fleet::erasure::audit::AuditRow;
use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::simulation::{Hooks, Simulation};

/// Sessions of a few turns on two replicas with prefix caches.
fn scenario(erasure: &str, more: &str) -> String {
    format!(
        r#"
name = "kv"
[run]
horizon_s = 120
warmup_s = 0
[workload]
arrivals = {{ process = "poisson", rate_per_s = 1 }}
prompt_tokens = {{ law = "lognormal", mean_tokens = 400, cv = 1, max_tokens = 2000 }}
output_tokens = {{ law = "exponential", mean_tokens = 200, max_tokens = 800 }}
[workload.sessions]
turns = {{ law = "geometric", mean_turns = 6 }}
think = {{ law = "exponential", mean_ms = 4000 }}
[affinity]
ttl_s = 600
[[pools]]
name = "p"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
replicas = 2
prefix_caching = true
{more}
[erasure]
requests_per_million_per_year = 0
rejection = 0
{erasure}
"#
    )
}

const STORM: &str =
    "[[erasure.bursts]]\nname = \"storm\"\nstart_s = 40\nduration_s = 60\nrequests_per_s = 0.5\n";

fn store(how: &str) -> String {
    format!("[[erasure.stores]]\nkind = \"prefix_cache\"\nname = \"kv\"\non_erase = \"{how}\"\n")
}

/// Share of prompt tokens of turns that arrive from a time on that caches had.
fn found(rows: &[RequestRow], from_s: u64, to_s: u64) -> f64 {
    let here = rows
        .iter()
        .filter(|row| (from_s..to_s).contains(&(row.arrival_ns / 1_000_000_000)));
    let (mut cached, mut prompts) = (0, 0);
    for row in here {
        cached += u64::from(row.cached_tokens);
        prompts += u64::from(row.prompt_tokens);
    }
    cached as f64 / prompts as f64
}

#[test]
fn only_the_blocks_of_who_is_forgotten_go() {
    let run = |subjects: u32, how: &str, traffic: bool| {
        let text = format!(
            "subjects = {subjects}\ntraffic = {traffic}\n{STORM}{}",
            store(how)
        );
        let (rows, simulation) = simulate(&scenario(&text, ""));
        let erasure = simulation.world.erasure().unwrap();
        assert_eq!(erasure.pending(), 0);
        found(&rows, 45, 100)
    };
    let quiet = run(1_000_000, "subject", false);
    assert!(quiet > 0.4);
    // Nobody of a million is here, all that is here is that one's, and a reset takes everybody's.
    let of_others = run(1_000_000, "subject", true);
    assert!((of_others - quiet).abs() < 1e-9);
    let own = run(1, "subject", true);
    let reset = run(1_000_000, "reset", true);
    assert!(own < 0.8 * quiet, "{own} of {quiet}");
    assert!(reset < 0.8 * quiet, "{reset} of {quiet}");
    // All blocks are the only subject's, so that both come to the same.
    assert!((run(1, "reset", true) - own).abs() < 1e-9);
}

/// Runs with the audit log.
fn run(text: &str) -> (Vec<RequestRow>, Vec<AuditRow>, Simulation) {
    let mut fleet = plan_of(text).fleet;
    fleet.record_erasures = true;
    fleet.record_requests = true;
    let mut simulation = Simulation::new(Arc::new(fleet)).unwrap();
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    simulation.run(
        u64::MAX,
        &mut Hooks {
            stop: None,
            progress: &mut |_| {},
            rows: &mut |some| rows.extend_from_slice(some),
            audit: &mut |some| lines.extend_from_slice(some),
        },
    );
    let erasure = simulation.world.erasure_mut().unwrap();
    lines.append(&mut erasure.rows);
    simulation.check().unwrap();
    (rows, lines, simulation)
}

/// One erasure of everybody: blocks are gone when the last request that was under way is, for one that
/// is answered makes more until then.
#[test]
fn blocks_go_with_the_last_request_from_before() {
    for how in ["subject", "reset"] {
        let burst = STORM.replace("requests_per_s = 0.5", "requests_per_s = 0.3");
        let text = format!("subjects = 1\n{burst}{}", store(how));
        let (rows, lines, simulation) = run(&scenario(&text, ""));
        let places = &simulation.world.erasure().unwrap().meters.places;
        let kv = places.iter().position(|place| place.store == "kv").unwrap();
        let (mut waited, mut exact, mut erasures) = (0, 0, 0);
        for line in lines.iter().filter(|line| line.place == Some(kv as u16)) {
            let (stamp, told) = (line.stamp.unwrap(), line.told.unwrap());
            let before = rows.iter().filter(|row| row.arrival_ns <= stamp.0);
            let last = before.map(|row| row.last_token_ns.unwrap()).max().unwrap();
            // A reset takes the blocks of those who came just after, too.
            assert!(line.physical.unwrap().0 >= last.max(told.0));
            exact += u32::from(line.physical.unwrap().0 == last.max(told.0));
            waited += u32::from(last > told.0);
            erasures += 1;
            assert_eq!(line.logical, line.told);
        }
        assert!(waited > 3, "nothing was under way: the test shows nothing");
        assert!(how == "reset" || exact as usize == erasures);
    }
}

/// Where requests under way are given up, they are counted as cancelled, and all is gone at once.
#[test]
fn requests_under_way_may_be_given_up() {
    let text = |how: &str| {
        let burst = STORM.replace("requests_per_s = 0.5", "requests_per_s = 0.05");
        let text = format!(
            "subjects = 1\nin_flight = \"{how}\"\n{burst}{}",
            store("subject")
        );
        scenario(&text, "")
    };
    let (rows, lines, simulation) = run(&text("cancel"));
    let meters = &simulation.world.erasure().unwrap().meters;
    assert!(meters.cancelled > 0);
    let cancelled = rows.iter().filter(|row| row.status == "cancelled");
    assert_eq!(cancelled.count() as u64, meters.cancelled);
    let took = |lines: &[AuditRow]| {
        let took = lines
            .iter()
            .map(|line| line.physical.unwrap().since(line.received));
        took.max().unwrap().as_secs_f64()
    };
    let (_, finished, simulation) = run(&text("finish"));
    assert_eq!(simulation.world.erasure().unwrap().meters.cancelled, 0);
    // The iteration under way is finished.
    assert!(took(&lines) < 0.1, "{}", took(&lines));
    assert!(took(&finished) > 0.5);
}

/// With tiers below the cache, data-parallel ranks and pools apart nothing is lost or left.
#[test]
fn every_kind_of_engine_forgets() {
    let kinds = [
        "kv_tiers = [{ name = \"host\", capacity_gb = 20, bandwidth_gb_per_s = 30, latency_ms = 0.1 }]\nkv_blocks = 900",
        "scheduling_policy = \"priority\"\nkv_blocks = 400",
        "kv_blocks = 300\nmax_num_seqs = 8",
    ];
    for kind in kinds {
        for how in ["subject", "reset"] {
            let text = format!("subjects = 3\n{STORM}{}", store(how));
            let (_, lines, simulation) = run(&scenario(&text, kind));
            assert_eq!(simulation.world.erasure().unwrap().pending(), 0);
            assert!(lines.len() > 30);
        }
    }
}

/// A store that replicas share knows no subjects: an erasure empties it, and what requests under way have
/// written to it goes with them.
#[test]
fn a_shared_store_keeps_nothing() {
    let shared = "[kv_store]\ncapacity_gb = 500\nbandwidth_gb_per_s = 40\nregion_lag_ms = 0\n";
    let run = |traffic: bool| {
        let text = format!(
            "subjects = 1\ntraffic = {traffic}\n{STORM}{}",
            store("subject")
        );
        let (rows, simulation) = simulate(&scenario(&text, shared));
        assert_eq!(simulation.world.erasure().unwrap().pending(), 0);
        found(&rows, 45, 100)
    };
    let (quiet, own) = (run(false), run(true));
    assert!(own < 0.8 * quiet, "{own} of {quiet}");
}
