//! The batching window has Triton's semantics: the timer is the age of the oldest request, a full
//! batch or one of a preferred size goes at once, and the age runs on while the server is busy.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::sync::Arc;

use proptest::prelude::*;
use seatrial::engine::{SimDuration, SimTime};
use seatrial::fleet::Simulation;
use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::simulation::Hooks;
use seatrial::fleet::window::{Close, WindowRule};
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

const MS: u64 = 1_000_000;

fn rule(window: u64, max_batch: u32, preferred: &[u32]) -> WindowRule {
    WindowRule {
        window: SimDuration(window),
        max_batch,
        preferred: preferred.to_vec(),
    }
}

fn now(size: u32, by_size: bool) -> Close {
    Close::Now { size, by_size }
}

#[test]
fn the_rule_sends_full_preferred_or_overdue_batches() {
    let plain = rule(100, 8, &[]);
    let decide = |len, at| plain.decide(len, SimTime(1_000), SimTime(at));
    assert_eq!(decide(8, 1_000), now(8, true), "full");
    assert_eq!(decide(20, 1_000), now(8, true), "no more than fits");
    let rule = rule(100, 8, &[2, 4]);
    let decide = |len, at| rule.decide(len, SimTime(1_000), SimTime(at));
    assert_eq!(decide(20, 1_000), now(4, true), "preferred before full");
    assert_eq!(
        decide(20, 1_100),
        now(8, true),
        "full when the window is over"
    );
    assert_eq!(decide(1, 1_050), Close::At(SimTime(1_100)));
    assert_eq!(decide(1, 1_099), Close::At(SimTime(1_100)));
    assert_eq!(decide(1, 1_100), now(1, false), "over at the very instant");
    assert_eq!(decide(2, 1_050), now(2, true), "preferred");
    assert_eq!(decide(3, 1_050), now(2, true), "the largest preferred one");
    assert_eq!(decide(7, 1_050), now(4, true));
    assert_eq!(
        decide(7, 1_100),
        now(7, false),
        "all when the window is over"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_batch_is_empty_or_larger_than_the_queue_or_the_limit(
        len in 1u32..100,
        max_batch in 1u32..64,
        sizes in prop::collection::btree_set(1u32..64, 0..5),
        window in 0u64..1_000,
        age in 0u64..2_000,
    ) {
        let preferred: Vec<u32> = sizes.into_iter().filter(|&size| size <= max_batch).collect();
        let rule = rule(window, max_batch, &preferred);
        match rule.decide(len, SimTime(5), SimTime(5 + age)) {
            Close::Now { size, by_size } => {
                prop_assert!(size >= 1 && size <= len && size <= max_batch);
                prop_assert!(by_size || age >= window);
                prop_assert_eq!(by_size, size == max_batch || (age < window && preferred.contains(&size)));
            }
            Close::At(due) => {
                prop_assert_eq!(due, SimTime(5 + window));
                prop_assert!(age < window && preferred.iter().all(|&size| size > len));
            }
        }
    }
}

struct Run {
    /// When the first request arrives: a trace is replayed from there.
    start_ms: u64,
    rows: Vec<RequestRow>,
    closed: (u64, u64),
}

impl Run {
    /// When each request left the window, milliseconds; and when it was served.
    fn left_ms(&self) -> Vec<f64> {
        self.ms(|row| row.queued_ns)
    }

    fn done_ms(&self) -> Vec<f64> {
        self.ms(|row| row.last_token_ns)
    }

    fn ms(&self, stamp: impl Fn(&RequestRow) -> Option<u64>) -> Vec<f64> {
        let ns = self.rows.iter().map(|row| stamp(row).unwrap());
        ns.map(|ns| self.start_ms as f64 + ns as f64 / MS as f64)
            .collect()
    }
}

/// Requests that arrive at these milliseconds, through one replica.
fn run(arrivals_ms: &[u64], batching: &str, pool: &str) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let mut trace = "arrival_ns,prompt_tokens,output_tokens\n".to_owned();
    for ms in arrivals_ms {
        trace.push_str(&format!("{},16,1\n", ms * MS));
    }
    std::fs::write(dir.path().join("trace.csv"), trace).unwrap();
    let text = format!(
        r#"
name = "window"
[run]
horizon_s = 60
[workload]
arrivals = {{ process = "trace", path = "trace.csv" }}
[batching]
{batching}
[[pools]]
name = "servers"
{pool}
"#
    );
    let document = Document::parse(SourceText::new("window.toml", text)).unwrap();
    let plan = resolve(&document, dir.path()).unwrap_or_else(|error| panic!("{error:?}"));
    let mut fleet = plan.fleet;
    fleet.record_requests = true;
    let mut simulation = Simulation::new(Arc::new(fleet)).unwrap();
    let mut rows = Vec::new();
    let mut hooks = Hooks {
        stop: None,
        progress: &mut |_| {},
        rows: &mut |new| rows.extend_from_slice(new),
        audit: &mut |_| {},
    };
    simulation.run(u64::MAX, &mut hooks);
    assert_eq!(simulation.check(), Ok(()));
    rows.sort_by_key(|row| row.id);
    let meter = simulation.world.pool_meter(0);
    Run {
        start_ms: arrivals_ms[0],
        rows,
        closed: (meter.closed_by_size, meter.closed_by_window),
    }
}

/// 10 ms a batch and 1 ms a request more.
const BATCHES: &str = r#"
engine = "abstract"
batch_service = { fixed_ms = 10, per_item_ms = 1 }
"#;

/// Servers with a queue of their own behind the window.
const SINGLES: &str = r#"
engine = "abstract"
servers = 100
service = { law = "deterministic", mean_ms = 1 }
"#;

const WINDOW: &str = "window_ms = 5\nmax_batch = 4";

#[test]
fn what_is_queued_goes_when_the_oldest_has_waited_long_enough() {
    for pool in [BATCHES, SINGLES] {
        // The second and third do not restart the timer, and the fourth has its own.
        let run = run(&[100, 102, 104, 120], WINDOW, pool);
        assert_eq!(run.left_ms(), [105.0, 105.0, 105.0, 125.0]);
        assert_eq!(run.closed, (0, 2));
    }
}

#[test]
fn a_full_batch_goes_at_once_and_leaves_no_timer_for_the_next() {
    for pool in [BATCHES, SINGLES] {
        let run = run(&[100, 101, 102, 103, 120], WINDOW, pool);
        assert_eq!(run.left_ms(), [103.0, 103.0, 103.0, 103.0, 125.0]);
        assert_eq!(run.closed, (1, 1));
    }
}

#[test]
fn the_timer_of_a_batch_that_went_does_not_cut_the_next_ones_window() {
    // The first timer was set for 105; the fifth request came at 104 and may wait until 109.
    let run = run(&[100, 101, 102, 103, 104], WINDOW, SINGLES);
    assert_eq!(run.left_ms(), [103.0, 103.0, 103.0, 103.0, 109.0]);
}

#[test]
fn a_preferred_size_goes_at_once() {
    for pool in [BATCHES, SINGLES] {
        let batching = format!("{WINDOW}\npreferred_batches = [2]");
        let run = run(&[100, 101, 200], &batching, pool);
        assert_eq!(run.left_ms(), [101.0, 101.0, 205.0]);
        assert_eq!(run.closed, (1, 1));
    }
}

#[test]
fn the_age_runs_on_while_the_server_is_busy() {
    // The first goes at 105 and is served until 116. The second's window is over at 112, the
    // third's at 120; both go when the server is free, for the oldest is overdue. What the second
    // waits beyond its window it waits for the server.
    let run = run(&[100, 107, 115], WINDOW, BATCHES);
    assert_eq!(run.left_ms(), [105.0, 112.0, 116.0]);
    assert_eq!(run.done_ms(), [116.0, 128.0, 128.0]);
}

#[test]
fn a_window_younger_than_the_service_is_waited_out_after_it() {
    // The server is free at 116; the second came at 114 and waits until 119.
    let run = run(&[100, 114], WINDOW, BATCHES);
    assert_eq!(run.left_ms(), [105.0, 119.0]);
}

#[test]
fn a_queue_longer_than_a_batch_goes_in_batches() {
    // Six together: four go and are served until 114, when the other two are overdue.
    let run = run(&[100; 6], WINDOW, BATCHES);
    assert_eq!(run.left_ms(), [100.0, 100.0, 100.0, 100.0, 105.0, 105.0]);
    assert_eq!(run.closed, (1, 1));
}

#[test]
fn without_a_window_requests_pass_straight_through() {
    let run = run(&[100, 101], "window_ms = 0", SINGLES);
    assert_eq!(run.left_ms(), [100.0, 101.0]);
    assert_eq!(run.closed, (0, 0));
}

#[test]
fn a_language_model_sees_what_the_window_lets_go() {
    let pool = "engine = \"llm\"\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"";
    let run = run(&[100, 103], WINDOW, pool);
    assert_eq!(run.left_ms(), [105.0, 105.0]);
    let done = run.done_ms();
    assert_eq!(done[0], done[1], "one prefill for both");
}
