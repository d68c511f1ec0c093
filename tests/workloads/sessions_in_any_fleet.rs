//! Sessions hold together whatever serves them: every turn but the first follows one answer, exactly
//! as long after it as was thought, with all that was said as its prompt; none is lost or made up,
//! and a cache finds no more than was computed.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{plan_of, simulate};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use seatrial::engine::Ended;
use seatrial::fleet::Simulation;
use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::simulation::Hooks;

const NEW: u32 = 37;
const BLOCK: u32 = 16;

#[derive(Debug, Clone)]
struct Case {
    seed: u32,
    kind: Kind,
    caching: bool,
    blocks: u32,
    seqs: u32,
    turns: String,
    system: u32,
    output: u32,
    think_us: u32,
    context: Option<u32>,
    rate: f64,
}

/// What serves the sessions.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    Replicas,
    Priorities,
    V0,
    Ahead,
    Drafts,
    Stages,
    Ranks,
    Tiers,
    Apart,
    ShortContext,
    RateLimited,
    Servers,
    Batches,
}

const KINDS: [Kind; 14] = [
    Kind::Plain,
    Kind::Replicas,
    Kind::Priorities,
    Kind::V0,
    Kind::Ahead,
    Kind::Drafts,
    Kind::Stages,
    Kind::Ranks,
    Kind::Tiers,
    Kind::Apart,
    Kind::ShortContext,
    Kind::RateLimited,
    Kind::Servers,
    Kind::Batches,
];

impl Case {
    fn is_llm(&self) -> bool {
        !matches!(self.kind, Kind::Servers | Kind::Batches)
    }

    fn pools(&self, step_by_step: bool) -> String {
        let llm = |name: &str, model: &str, more: &str| {
            // Answers come from elsewhere where prompts are computed apart.
            let overhead_ms = if more.contains("prefill") { 0 } else { 3 };
            format!(
                "[[pools]]\nname = \"{name}\"\nengine = \"llm\"\nmodel = \"{model}\"\n\
                 accelerator = \"h100-sxm\"\nkv_blocks = {}\nmax_num_seqs = {}\n\
                 prefix_caching = {}\nresponse_overhead_ms = {overhead_ms}\nstep_by_step = {step_by_step}\n\
                 {more}\n",
                self.blocks, self.seqs, self.caching
            )
        };
        let small = |more: &str| llm("p", "llama-3.1-8b", more);
        match self.kind {
            Kind::Priorities => small("scheduling_policy = \"priority\""),
            Kind::Replicas => small("replicas = 3"),
            Kind::V0 => small("scheduler = \"vllm_v0\""),
            Kind::Ahead => small("async_scheduling = true"),
            Kind::Drafts => {
                let drafts = "draft_tokens = 3, acceptance = 0.6, draft_us_per_token = 50";
                small(&format!("speculative = {{ {drafts} }}"))
            }
            Kind::Stages => small("pp = 2"),
            Kind::Ranks => llm("p", "qwen3-30b-a3b", "dp = 2\nexpert_parallel = true"),
            Kind::Tiers if self.caching => small(
                "kv_tiers = [{ name = \"dram\", capacity_gb = 1, bandwidth_gb_per_s = 50, latency_ms = 1 }]",
            ),
            Kind::Apart => {
                let prefill = llm("a", "llama-3.1-8b", "role = \"prefill\"");
                let decode = llm("b", "llama-3.1-8b", "role = \"decode\"");
                format!("{prefill}{decode}[kv_transfer]\nbandwidth_gb_per_s = 10\nlatency_ms = 1\n")
            }
            Kind::ShortContext => small("max_model_len = 400"),
            Kind::Servers => {
                "[[pools]]\nname = \"p\"\nengine = \"abstract\"\nservers = 2\nqueue_capacity = 3\n\
                 service = { law = \"exponential\", mean_ms = 90 }\n"
                    .to_owned()
            }
            Kind::Batches => "[batching]\nmax_batch = 4\nwindow_ms = 5\n[[pools]]\nname = \"p\"\n\
                 engine = \"abstract\"\nbatch_service = { fixed_ms = 60, per_item_ms = 10 }\n"
                .to_owned(),
            _ => small(""),
        }
    }

    fn text(&self, step_by_step: bool) -> String {
        let gateway = match self.kind {
            Kind::RateLimited => "rate_limit = { requests_per_s = 6, burst = 3 }\n",
            _ => "",
        };
        let limit = match self.context {
            Some(tokens) => format!("max_context_tokens = {tokens}"),
            None => String::new(),
        };
        format!(
            "name = \"talks\"\n[run]\nseed = {}\nwarmup_s = 0\nhorizon_s = 12\n\
             drain_limit_s = 4\n[gateway]\ncost_ms = 0.5\n{gateway}\
             [network]\nto_replica_ms = 2\nfrom_replica_ms = 1\n\
             [[tiers]]\nname = \"first\"\nshare = 0.5\npriority = 0\n\
             [[tiers]]\nname = \"last\"\nshare = 0.5\npriority = 1\n\
             [workload]\narrivals = {{ process = \"poisson\", rate_per_s = {} }}\n\
             prompt_tokens = {{ law = \"exponential\", mean_tokens = 90, max_tokens = 500 }}\n\
             output_tokens = {{ law = \"constant\", tokens = {} }}\n[workload.sessions]\n\
             turns = {}\nthink = {{ law = \"deterministic\", mean_ms = {} }}\n\
             prompt_tokens = {{ law = \"constant\", tokens = {NEW} }}\n\
             system_prompt_tokens = {}\n{limit}\n{}",
            self.seed,
            self.rate,
            self.output,
            self.turns,
            f64::from(self.think_us) / 1e3,
            self.system,
            self.pools(step_by_step)
        )
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let turns = prop_oneof![
        (1u32..9).prop_map(|turns| format!("{{ law = \"constant\", turns = {turns} }}")),
        (1.0f64..9.0).prop_map(|mean| format!("{{ law = \"geometric\", mean_turns = {mean} }}")),
    ];
    let fleet = (
        prop::sample::select(&KINDS[..]),
        any::<bool>(),
        90u32..500,
        1u32..12,
    );
    let talk = (
        turns,
        prop_oneof![Just(0u32), 1u32..200],
        2u32..60,
        1u32..2_000_000,
        proptest::option::of(250u32..1_500),
    );
    (any::<u32>(), fleet, talk, 0.5f64..12.0).prop_map(|(seed, fleet, talk, rate)| Case {
        seed,
        kind: fleet.0,
        caching: fleet.1,
        blocks: fleet.2,
        seqs: fleet.3,
        turns: talk.0,
        system: talk.1,
        output: talk.2,
        think_us: talk.3,
        context: talk.4,
        rate,
    })
}

/// The turn that each turn follows, by their places in `rows`; every answer has one follower at
/// most.
fn followed(case: &Case, rows: &[RequestRow]) -> Vec<Option<usize>> {
    let think_ns = u64::from(case.think_us) * 1_000;
    let mut answers: BTreeMap<(u64, u32), Vec<usize>> = BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        if row.status == "completed" {
            let due = row.last_token_ns.unwrap() + think_ns;
            let prompt = row.prompt_tokens + row.output_tokens + NEW;
            answers.entry((due, prompt)).or_default().push(place);
        }
    }
    rows.iter()
        .map(|row| {
            let key = (row.arrival_ns, row.prompt_tokens);
            answers.get_mut(&key).and_then(Vec::pop)
        })
        .collect()
}

fn holds(case: &Case) -> Result<(), TestCaseError> {
    let (rows, simulation) = simulate(&case.text(false));
    let counts = simulation.world.session_counts().unwrap();
    prop_assert!(counts.balances(), "{counts:?}");
    let follows = followed(case, &rows);
    let later = follows.iter().flatten().count() as u64;
    // One session drawn may not have come before the run ended.
    let pending = rows.len() as u64 - later;
    prop_assert!(
        pending == counts.started || pending + 1 == counts.started,
        "{pending} first turns, {counts:?}"
    );
    let ended = |status: &str| rows.iter().filter(|row| row.status == status).count() as u64;
    let (completed, in_flight) = (ended("completed"), ended("in_flight"));
    prop_assert_eq!(rows.len() as u64 - completed - in_flight, counts.broken);
    // Every answer has a next turn, ends its session, or is one after which somebody thinks.
    let closed = counts.finished + counts.too_long + counts.cut;
    prop_assert!(later + closed <= completed, "{counts:?}");
    prop_assert!(completed - later - closed <= counts.open, "{counts:?}");
    if counts.open == 0 {
        prop_assert_eq!(completed, later + closed);
    }
    for (row, before) in rows.iter().zip(&follows) {
        let whole = |tokens: u32| tokens / BLOCK * BLOCK;
        let most = match before {
            _ if !case.caching || !case.is_llm() => 0,
            None => whole(case.system.min(row.prompt_tokens - 1)),
            // Answers are made elsewhere, and the pool of prompts does not have them.
            Some(before) if case.kind == Kind::Apart => whole(rows[*before].prompt_tokens),
            // The last token of an answer was never fed back.
            Some(before) => whole(rows[*before].prompt_tokens + rows[*before].output_tokens - 1),
        };
        prop_assert!(
            row.cached_tokens <= most,
            "{row:?} after {before:?}: {most}"
        );
        if let (Some(most), Some(_)) = (case.context, before) {
            prop_assert!(row.prompt_tokens + row.output_tokens <= most);
        }
    }
    let (again, second) = simulate(&case.text(false));
    prop_assert_eq!(second.digest(), simulation.digest());
    prop_assert_eq!(&again, &rows);
    if case.is_llm() {
        let (stepped, _) = simulate(&case.text(true));
        prop_assert_eq!(&stepped, &rows);
    }
    Ok(())
}

/// With debug assertions requests, sessions and KV blocks are added up after every event.
#[test]
fn sessions_hold_together_whatever_serves_them() {
    let config = Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(&cases(), |case| holds(&case))
        .unwrap_or_else(|error| panic!("{error}"));
}

fn case(kind: Kind) -> Case {
    Case {
        seed: 11,
        kind,
        caching: true,
        blocks: 500,
        seqs: 8,
        turns: "{ law = \"geometric\", mean_turns = 5 }".to_owned(),
        system: 64,
        output: 30,
        think_us: 150_000,
        context: None,
        rate: 2.0,
    }
}

#[test]
fn caches_of_every_kind_find_the_turns_before() {
    // The test above could not fail if nothing were ever found, or nobody followed anybody.
    for kind in KINDS {
        let case = case(kind);
        let (rows, _) = simulate(&case.text(false));
        let follows = followed(&case, &rows);
        let later = follows.iter().flatten().count();
        assert!(later > 20, "{kind:?}: {later}");
        if case.is_llm() {
            let found = rows.iter().filter(|row| row.cached_tokens > 64).count();
            assert!(2 * found > later, "{kind:?}: {found} of {later}");
        }
    }
}

#[test]
fn a_fork_goes_on_with_the_same_sessions() {
    let simulation = || {
        let fleet = plan_of(&case(Kind::Replicas).text(false)).fleet;
        Simulation::new(Arc::new(fleet)).unwrap()
    };
    let run = |simulation: &mut Simulation, most: u64| {
        let mut hooks = Hooks {
            stop: None,
            progress: &mut |_| {},
            rows: &mut |_| {},
            audit: &mut |_| {},
        };
        simulation.run(most, &mut hooks)
    };
    let mut whole = simulation();
    run(&mut whole, u64::MAX);
    for share in [4, 2] {
        let mut original = simulation();
        let ended = run(&mut original, whole.events() / share);
        assert_eq!(ended, Ended::EventBudget);
        let open = original.world.session_counts().unwrap().open;
        assert!(open > original.world.in_flight(), "nobody thinks");
        let mut fork = original.clone();
        for simulation in [&mut original, &mut fork] {
            run(simulation, u64::MAX);
            assert_eq!(simulation.digest(), whole.digest());
            let counts = simulation.world.session_counts();
            assert_eq!(counts, whole.world.session_counts());
        }
    }
}
