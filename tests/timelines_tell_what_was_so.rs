//! The rows of a timeline say what was so in each of them, and its summary what is known at the end.

#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use common::simulate;

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
