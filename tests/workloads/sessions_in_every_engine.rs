//! Sessions go with every engine: nothing is lost, nothing is found that was not said, the same
//! seed gives the same events, a clone goes on alike, and storms end.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::sync::Arc;

use common::{plan_of, rows_of, simulate};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use seatrial::fleet::Simulation;
use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::simulation::Hooks;

fn llm(name: &str, model: &str, more: &str) -> String {
    format!(
        "[[pools]]\nname = \"{name}\"\nengine = \"llm\"\nmodel = \"{model}\"\n\
         accelerator = \"h100-sxm\"\n{more}\n"
    )
}

const DENSE: &str = "llama-3.1-8b";
const EXPERTS: &str = "qwen3-30b-a3b";

/// Every kind of engine there is, with few enough blocks to preempt where it has any.
fn fleets() -> Vec<(&'static str, String)> {
    let pool = |more: &str| llm("p", DENSE, &format!("kv_blocks = 160\n{more}"));
    let caching = "prefix_caching = true";
    let servers = |more: &str| {
        format!("[[pools]]\nname = \"p\"\nengine = \"abstract\"\nservers = 3\n{more}\n")
    };
    let apart = |role: &str, more: &str| {
        llm(
            role,
            DENSE,
            &format!("role = \"{role}\"\nkv_blocks = 400\n{more}"),
        )
    };
    vec![
        ("plain", pool("")),
        ("caching", pool(caching)),
        (
            "not in chunks",
            pool(&format!("{caching}\nchunked_prefill = false")),
        ),
        ("v0", pool(&format!("{caching}\nscheduler = \"vllm_v0\""))),
        (
            "sarathi",
            pool(&format!(
                "{caching}\nscheduler = \"sarathi\"\nmax_num_batched_tokens = 512"
            )),
        ),
        (
            "priority",
            pool(&format!("{caching}\nscheduling_policy = \"priority\"")),
        ),
        (
            "ahead",
            pool(&format!("{caching}\nasync_scheduling = true")),
        ),
        (
            "tiers",
            pool(&format!(
                "{caching}\nkv_tiers = [{{ name = \"dram\", capacity_gb = 1, bandwidth_gb_per_s = 20 }}]"
            )),
        ),
        ("stages", pool(&format!("{caching}\npp = 2"))),
        (
            "drafts",
            pool(&format!(
                "{caching}\nspeculative = {{ draft_tokens = 3, acceptance = 0.6, draft_us_per_token = 100 }}"
            )),
        ),
        (
            "ranks",
            llm("p", EXPERTS, &format!("{caching}\ndp = 2\nkv_blocks = 160")),
        ),
        (
            "apart",
            apart("prefill", caching)
                + &apart("decode", caching)
                + "[kv_transfer]\nbandwidth_gb_per_s = 50\n",
        ),
        (
            "two pools",
            pool(caching)
                + &llm(
                    "q",
                    DENSE,
                    "request_overhead_ms = 2\nresponse_overhead_ms = 3",
                ),
        ),
        (
            "servers",
            servers("service = { law = \"exponential\", mean_ms = 40 }"),
        ),
        (
            "lossy",
            servers("queue_capacity = 2\nservice = { law = \"exponential\", mean_ms = 400 }"),
        ),
        (
            "sharing",
            servers(
                "discipline = \"processor_sharing\"\nservice = { law = \"exponential\", mean_ms = 40 }",
            ),
        ),
        (
            "batches",
            servers("batch_service = { fixed_ms = 20, per_item_ms = 2 }")
                + "[batching]\nwindow_ms = 5\nmax_batch = 8\n",
        ),
    ]
}

/// Conversations at some rate; `sessions` may say more of them.
fn talks(seed: u32, rate: f64, sessions: &str, fleet: &str) -> String {
    format!(
        "name = \"talks\"\n[run]\nseed = {seed}\nwarmup_s = 0\nhorizon_s = 15\n\
         [[tiers]]\nname = \"first\"\nshare = 0.3\npriority = 0\n\
         [[tiers]]\nname = \"last\"\nshare = 0.7\npriority = 5\n\
         [workload]\narrivals = {{ process = \"poisson\", rate_per_s = {rate} }}\n\
         prompt_tokens = {{ law = \"lognormal\", mean_tokens = 150, cv = 1 }}\n\
         output_tokens = {{ law = \"exponential\", mean_tokens = 40 }}\n\
         [workload.sessions]\nturns = {{ law = \"geometric\", mean_turns = 4 }}\n\
         think = {{ law = \"exponential\", mean_ms = 800 }}\n{sessions}\n{fleet}"
    )
}

/// What must hold of any run: with debug assertions blocks and sessions are added up after every
/// event, too.
fn holds(rows: &[RequestRow], simulation: &Simulation, name: &str) {
    assert_eq!(simulation.check(), Ok(()), "{name}");
    let counts = simulation.world.session_counts().unwrap();
    assert!(counts.balances(), "{name}: {counts:?}");
    assert!(rows.len() as u64 >= counts.started, "{name}");
    assert_eq!(
        simulation.world.in_flight() == 0,
        counts.open == 0,
        "{name}: {counts:?}"
    );
    let refused = rows.iter().filter(|row| row.status.starts_with("rejected"));
    assert_eq!(refused.count() as u64, counts.broken, "{name}: {counts:?}");
    for row in rows {
        // The last token of a prompt is always computed.
        assert!(row.cached_tokens < row.prompt_tokens, "{name}: {row:?}");
        assert_eq!(row.cached_tokens % 16, 0, "{name}: {row:?}");
    }
}

#[test]
fn nothing_is_lost_in_any_engine_and_a_seed_gives_the_same_events() {
    for (name, fleet) in fleets() {
        let text = talks(
            4,
            6.0,
            "system_prompt_tokens = 40\nmax_context_tokens = 1500",
            &fleet,
        );
        let (rows, simulation) = simulate(&text);
        holds(&rows, &simulation, name);
        assert!(rows.len() > 150, "{name}: {}", rows.len());
        let (again, repeated) = simulate(&text);
        assert_eq!(repeated.digest(), simulation.digest(), "{name}");
        assert_eq!(again, rows, "{name}");
        let cached = rows.iter().any(|row| row.cached_tokens > 0);
        assert_eq!(cached, fleet.contains("prefix_caching"), "{name}");
    }
}

#[test]
fn stepping_one_by_one_gives_the_same_turns() {
    for (name, fleet) in fleets() {
        if !fleet.contains("engine = \"llm\"") {
            continue;
        }
        let text = talks(5, 6.0, "max_context_tokens = 1500", &fleet);
        let stepped = text.replace("accelerator =", "step_by_step = true\naccelerator =");
        assert_eq!(rows_of(&text), rows_of(&stepped), "{name}");
    }
}

fn run(simulation: &mut Simulation, most_events: u64) {
    let mut hooks = Hooks {
        stop: None,
        progress: &mut |_| {},
        rows: &mut |_| {},
        audit: &mut |_| {},
    };
    simulation.run(most_events, &mut hooks);
}

#[test]
fn a_clone_in_the_middle_of_talks_goes_on_alike() {
    for (name, fleet) in fleets() {
        let fleet = plan_of(&talks(6, 6.0, "max_context_tokens = 1500", &fleet)).fleet;
        let fresh = || Simulation::new(Arc::new(fleet.clone())).unwrap();
        let mut whole = fresh();
        run(&mut whole, u64::MAX);
        let mut original = fresh();
        run(&mut original, whole.events() / 2);
        let mut clone = original.clone();
        let open = original.world.session_counts().unwrap().open;
        assert!(open > 0, "{name}: cut with no session open");
        run(&mut clone, u64::MAX);
        run(&mut original, u64::MAX);
        for one in [&original, &clone] {
            assert_eq!(one.digest(), whole.digest(), "{name}");
            assert_eq!(
                one.world.session_counts(),
                whole.world.session_counts(),
                "{name}"
            );
        }
    }
}

/// Sessions come faster than they can be answered, to a cache that holds little more than one of the
/// longest contexts.
#[test]
fn storms_of_sessions_end() {
    let mut most = 0;
    for (name, fleet) in fleets() {
        let fleet = fleet.replace("kv_blocks = 160", "kv_blocks = 60");
        // Short prompts and long answers: many are admitted, and then grow.
        let few = "max_context_tokens = 900\nsystem_prompt_tokens = 32";
        let prompts = "mean_tokens = 60, cv = 1, max_tokens = 150";
        let answers = "mean_tokens = 150, max_tokens = 300 }";
        let text = talks(7, 80.0, few, &fleet)
            .replace("horizon_s = 15", "horizon_s = 4\ndrain_limit_s = 5000")
            .replace("mean_tokens = 150, cv = 1", prompts)
            .replace("mean_tokens = 40 }", answers);
        let (rows, simulation) = simulate(&text);
        holds(&rows, &simulation, name);
        assert_eq!(simulation.world.in_flight(), 0, "{name}");
        let preempted: u32 = rows.iter().map(|row| u32::from(row.preemptions)).sum();
        // Whoever goes first is never preempted: far fewer than pairs of requests.
        let bound = (rows.len() * rows.len()) as u32 / 2;
        assert!(preempted < bound, "{name}: {preempted}");
        most = most.max(preempted);
        if name != "lossy" {
            let answered = |row: &RequestRow| row.status == "completed";
            assert!(rows.iter().all(answered), "{name}");
        }
    }
    assert!(most > 100, "that was no storm: {most}");
}

#[test]
fn any_talks_in_any_engine_add_up() {
    let config = Config {
        cases: 120,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let fleets = fleets();
    let cases = (
        0..fleets.len(),
        any::<u32>(),
        1.0f64..25.0,
        1u32..9,
        0u32..300,
        prop_oneof![Just(None), (400u32..4_000).prop_map(Some)],
        40u64..400,
    );
    TestRunner::new_with_rng(config, rng)
        .run(
            &cases,
            |(index, seed, rate, turns, system, most, blocks)| {
                let (name, fleet) = &fleets[index];
                let limit =
                    most.map_or(String::new(), |most| format!("max_context_tokens = {most}"));
                let sessions = format!("{limit}\nsystem_prompt_tokens = {system}");
                let fleet = fleet.replace("kv_blocks = 160", &format!("kv_blocks = {blocks}"));
                let text = talks(seed, rate, &sessions, &fleet)
                    .replace("horizon_s = 15", "horizon_s = 5")
                    .replace(
                        "{ law = \"geometric\", mean_turns = 4 }",
                        &format!("{{ law = \"constant\", turns = {turns} }}"),
                    );
                let (rows, simulation) = simulate(&text);
                holds(&rows, &simulation, name);
                prop_assert_eq!(simulate(&text).1.digest(), simulation.digest());
                let counts = simulation.world.session_counts().unwrap();
                prop_assert!(rows.len() as u64 <= counts.started * u64::from(turns));
                Ok(())
            },
        )
        .unwrap_or_else(|error| panic!("{error}"));
}
