//! Replicas of several stages or ranks beside the rest of the house: prompts computed elsewhere,
//! forks, and arithmetic.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::path::Path;
use std::sync::Arc;

use common::simulate;
use seatrial::experiment::claims::Verdict;
use seatrial::experiment::estimate::sheets;
use seatrial::experiment::runner::{Control, run_scenario};
use seatrial::fleet::Simulation;
use seatrial::fleet::simulation::Hooks;
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

const STAGES: &str = "pp = 3\nmicro_batch_seqs = 4";
const RANKS: &str = "dp = 3\nexpert_parallel = true";

fn workload(requests: u32) -> String {
    format!(
        "[workload]\nmax_requests = {requests}\n\
         arrivals = {{ process = \"poisson\", rate_per_s = 60 }}\n\
         prompt_tokens = {{ law = \"lognormal\", mean_tokens = 300, cv = 1, max_tokens = 2000 }}\n\
         output_tokens = {{ law = \"exponential\", mean_tokens = 40, max_tokens = 200 }}\n"
    )
}

fn pool(name: &str, more: &str) -> String {
    format!(
        "[[pools]]\nname = \"{name}\"\nengine = \"llm\"\nmodel = \"qwen3-30b-a3b\"\n\
         accelerator = \"h100-sxm\"\nkv_blocks = 200\nmax_num_seqs = 12\n\
         max_num_batched_tokens = 512\n{more}\n"
    )
}

#[test]
fn prompts_move_between_replicas_of_stages_and_of_ranks() {
    for prefill in [STAGES, RANKS, ""] {
        for decode in [STAGES, RANKS, ""] {
            for caching in [false, true] {
                let part = |role: &str, spread: &str| {
                    let more = format!("role = \"{role}\"\nprefix_caching = {caching}\n{spread}");
                    pool(role, &more)
                };
                let text = format!(
                    "name = \"apart\"\n[run]\nwarmup_s = 0\n{}{}{}",
                    workload(150),
                    part("prefill", prefill),
                    part("decode", decode)
                );
                // KV blocks and routers are added up after every event.
                let (rows, simulation) = simulate(&text);
                assert_eq!(rows.len(), 150, "{text}");
                for row in &rows {
                    assert_eq!(row.status, "completed", "{text}");
                    let answered = row.output_tokens > 1;
                    assert_eq!(row.resumed_ns.is_some(), answered, "{text}");
                }
                let again = simulate(&text).1.digest();
                assert_eq!(simulation.digest(), again, "{text}");
            }
        }
    }
}

fn run(simulation: &mut Simulation, max_events: u64) {
    let mut hooks = Hooks {
        stop: None,
        progress: &mut |_| {},
        rows: &mut |_| {},
        audit: &mut |_| {},
    };
    simulation.run(max_events, &mut hooks);
}

#[test]
fn a_fork_in_the_middle_of_stages_ranks_or_sessions_goes_on_alike() {
    let sessions = "[workload.sessions]\nturns = { law = \"geometric\", mean_turns = 4 }\n\
                    think = { law = \"exponential\", mean_ms = 200 }\nmax_context_tokens = 2500\n";
    for spread in [STAGES, RANKS, "prefix_caching = true"] {
        let text = format!(
            "name = \"fork\"\n[run]\nwarmup_s = 0\n{}{sessions}{}",
            workload(300),
            pool("a", spread)
        );
        let document = Document::parse(SourceText::new("fork.toml", &text)).unwrap();
        let plan = resolve(&document, Path::new("")).unwrap();
        let new = || Simulation::new(Arc::new(plan.fleet.clone())).unwrap();
        let mut whole = new();
        run(&mut whole, u64::MAX);
        let events = whole.events();
        for cut in [events / 5, events / 2, events * 4 / 5] {
            let mut original = new();
            run(&mut original, cut);
            assert!(original.world.in_flight() > 0, "{text}");
            let mut fork = original.clone();
            run(&mut fork, cut + 7);
            run(&mut original, u64::MAX);
            run(&mut fork, u64::MAX);
            assert_eq!(original.digest(), whole.digest(), "{text}");
            assert_eq!(fork.digest(), whole.digest(), "{text}");
        }
    }
}

#[test]
fn a_limit_of_a_micro_batch_holds_for_prompts_in_chunks_too() {
    let sequences = |limit: u32| {
        let text = format!(
            "name = \"limit\"\n[run]\nwarmup_s = 0\nhorizon_s = 20\n[workload]\n\
             arrivals = {{ process = \"poisson\", rate_per_s = 8 }}\nmax_requests = 80\n\
             prompt_tokens = {{ law = \"constant\", tokens = 3000 }}\n\
             output_tokens = {{ law = \"constant\", tokens = 200 }}\n\
             [[pools]]\nname = \"a\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
             accelerator = \"h100-sxm\"\npp = 2\nmicro_batch_seqs = {limit}\n\
             max_num_batched_tokens = 512\n"
        );
        let document = Document::parse(SourceText::new("limit.toml", &text)).unwrap();
        let outcome = run_scenario(&document, Path::new(""), Control::default()).unwrap();
        assert_eq!(outcome.result.requests.in_flight, 0);
        let pool = &outcome.result.pools[0];
        pool["mean_sequences"].as_f64().unwrap()
    };
    // One or two that decode, and what is computed of one prompt or of the end of one and the
    // beginning of the next.
    assert!(sequences(1) <= 3.0, "{}", sequences(1));
    assert!(sequences(2) <= 4.0, "{}", sequences(2));
    assert!(sequences(0) > 4.0, "{}", sequences(0));
}

#[test]
fn the_floor_of_a_prompt_in_chunks_is_one() {
    let text = "name = \"floor\"\n[run]\nwarmup_s = 0\nhorizon_s = 4000\n[workload]\n\
                max_requests = 20\narrivals = { process = \"constant\", rate_per_s = 0.02 }\n\
                prompt_tokens = { law = \"constant\", tokens = 65536 }\n\
                output_tokens = { law = \"constant\", tokens = 5 }\n\
                [[pools]]\nname = \"a\"\nengine = \"llm\"\nmodel = \"llama-3.1-70b\"\n\
                accelerator = \"h100-sxm\"\ntp = 2\npp = 4\nmax_num_batched_tokens = 2048\n\
                [[claims]]\nid = \"fast\"\ntext = \"t\"\nmetric = \"latency.ttft_ms.mean\"\n\
                at_most = 3000\n";
    let document = Document::parse(SourceText::new("floor.toml", text)).unwrap();
    let outcome = run_scenario(&document, Path::new(""), Control::default()).unwrap();
    // 3.2 s observed: a fact against the claim, and nothing that physics forbids.
    let claim = &outcome.result.claims[0];
    assert_eq!(claim.verdict, Verdict::Fails, "{claim:?}");
}

/// The figures of the arithmetic of a pool's hardware, by name.
fn figure(more: &str, name: &str) -> f64 {
    let text = format!(
        "name = \"e\"\n[workload]\narrivals = {{ process = \"poisson\", rate_per_s = 1 }}\n\
         [[pools]]\nname = \"a\"\nengine = \"llm\"\nmodel = \"qwen3-235b-a22b\"\n\
         accelerator = \"h200-sxm\"\nkv_blocks = 4000\n{more}\n"
    );
    let document = Document::parse(SourceText::new("e.toml", &text)).unwrap();
    let plan = resolve(&document, Path::new("")).unwrap_or_else(|error| panic!("{error}"));
    let sheets = sheets(&plan);
    let mut rows = sheets.iter().flat_map(|sheet| &sheet.rows);
    let row = rows.find(|row| row.name == name);
    row.unwrap_or_else(|| panic!("no {name}")).value.unwrap()
}

#[test]
fn stages_multiply_rates_and_leave_times() {
    let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
    let (one, two) = ("tp = 4", "tp = 4\npp = 2");
    for rate in [
        "most requests per second at peak compute",
        "most requests per second at peak bandwidth",
        "tokens per second at peak compute",
    ] {
        assert!(close(figure(two, rate), 2.0 * figure(one, rate)), "{rate}");
    }
    for time in ["TPOT floor", "weights read per decode step"] {
        assert!(close(figure(two, time), figure(one, time)), "{time}");
    }
    // A prompt may be in both stages at once, in chunks.
    let first = "TTFT floor";
    assert!(close(figure(two, first), figure(one, first) / 2.0));
    let seats = "most sequences in the KV cache";
    let ranks = "tp = 4\ndp = 2\nexpert_parallel = true";
    // Each rank has a cache of its own, and room for it since it has half the experts.
    assert!(figure(ranks, seats) > 2.0 * figure(one, seats));
    assert!(close(
        figure(ranks, "TTFT floor"),
        figure(one, "TTFT floor") / 2.0
    ));
}

#[test]
fn stages_and_ranks_are_busy_no_more_than_all_of_the_time_and_are_paid_for() {
    for (spread, devices) in [(STAGES, 3), (RANKS, 3)] {
        let text = format!(
            "name = \"busy\"\n[run]\nwarmup_s = 1\nhorizon_s = 8\n[cost]\n\
             on_demand_usd_per_gpu_hour = 2\n{}{}",
            workload(100_000),
            pool("a", spread)
        );
        let document = Document::parse(SourceText::new("busy.toml", &text)).unwrap();
        let outcome = run_scenario(&document, Path::new(""), Control::default()).unwrap();
        let pool = &outcome.result.pools[0];
        assert_eq!(pool["accelerators"], devices);
        let utilization = pool["utilization"].as_f64().unwrap();
        assert!(utilization > 0.2 && utilization <= 1.0, "{utilization}");
        let iteration_ms = pool["mean_iteration_ms"].as_f64().unwrap();
        assert!(iteration_ms > 1.0 && iteration_ms < 200.0, "{iteration_ms}");
        let report = seatrial::report::terminal::render(&outcome);
        let said = if spread == STAGES {
            ", 3 stages"
        } else {
            ", 3 ranks"
        };
        assert!(report.contains(said), "{report}");
    }
}
