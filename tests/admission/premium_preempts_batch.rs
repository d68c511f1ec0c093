//! A request of higher priority takes the seat or the blocks of a running one, where that is allowed.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::simulate;
use seatrial::fleet::outcome::RequestRow;

/// One replica, more batch than it can do, and some premium.
fn fleet(more: &str) -> String {
    format!(
        "name = \"preempts\"\n[run]\nhorizon_s = 200\nwarmup_s = 0\ndrain_limit_s = 100000\n\
         [workload]\narrivals = {{ process = \"poisson\", rate_per_s = 2 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 500 }}\n\
         output_tokens = {{ law = \"exponential\", mean_tokens = 300 }}\n\
         [[tiers]]\nname = \"premium\"\nshare = 0.1\npriority = 0\n\
         [[tiers]]\nname = \"batch\"\nshare = 0.9\npriority = 10\ndeadline_ms = 600000\n\
         [[pools]]\nname = \"p\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
         accelerator = \"h100-sxm\"\nscheduling_policy = \"priority\"\n{more}"
    )
}

fn waits_ms(rows: &[RequestRow], tier: u16) -> f64 {
    let of_tier = rows.iter().filter(|row| row.tier == tier);
    let waits =
        of_tier.map(|row| (row.scheduled_ns.unwrap() - row.queued_ns.unwrap()) as f64 / 1e6);
    let waits: Vec<f64> = waits.collect();
    waits.iter().sum::<f64>() / waits.len() as f64
}

fn takes_ns(rows: &[RequestRow], tier: u16) -> u64 {
    let of_tier = rows.iter().filter(|row| row.tier == tier);
    of_tier.map(common::e2e_ns).sum()
}

fn preemptions(rows: &[RequestRow], tier: u16) -> u32 {
    let of_tier = rows.iter().filter(|row| row.tier == tier);
    of_tier.map(|row| u32::from(row.preemptions)).sum()
}

#[test]
fn seats_and_blocks_are_taken_from_batch_alone() {
    for scheduler in ["vllm_v1", "vllm_v0", "sarathi"] {
        for scarce in ["max_num_seqs = 3", "kv_blocks = 250"] {
            let of = |more: &str| {
                simulate(&fleet(&format!(
                    "{scarce}\nscheduler = \"{scheduler}\"\n{more}"
                )))
                .0
            };
            let (waits, goes) = (of(""), of("preempt_running = true"));
            for rows in [&waits, &goes] {
                assert!(rows.iter().all(|row| row.status == "completed"));
            }
            // Premium goes first either way; only with preemption it need not wait for a seat.
            let (before, after) = (waits_ms(&waits, 0), waits_ms(&goes, 0));
            assert!(
                before > 4.0 * after,
                "{scheduler} {scarce}: {before} {after}"
            );
            assert_eq!(preemptions(&goes, 0), 0, "{scheduler} {scarce}");
            assert!(preemptions(&goes, 1) > 10, "{scheduler} {scarce}");
            // Batch pays for it: what was computed of it is computed again.
            let (before, after) = (takes_ns(&waits, 1), takes_ns(&goes, 1));
            assert!(after > before, "{scheduler} {scarce}: {before} {after}");
        }
    }
}

#[test]
fn among_equals_nobody_makes_way() {
    let alike = |more: &str| {
        let text =
            fleet(&format!("max_num_seqs = 3\n{more}")).replace("priority = 10", "priority = 0");
        simulate(&text).0
    };
    assert_eq!(alike(""), alike("preempt_running = true"));
}

#[test]
fn without_priorities_it_is_refused() {
    let text = fleet("preempt_running = true\n").replace(
        "scheduling_policy = \"priority\"",
        "scheduling_policy = \"fcfs\"",
    );
    let error = common::refusal(&text);
    assert!(
        error.contains("preempt_running") && error.contains("priorities"),
        "{error}"
    );
}
