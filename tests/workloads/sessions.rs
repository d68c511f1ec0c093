//! Sessions of several turns: each prompt is all that was said before and something new, comes
//! exactly as long after the last answer as the user thought, and finds what the cache still has.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::collections::BTreeMap;
use std::path::Path;

use common::simulate;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use seatrial::experiment::estimate::sheets;
use seatrial::fleet::outcome::RequestRow;
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};
use seatrial::workload::sessions::SessionCounts;

const POOL: &str = "[[pools]]\nname = \"p\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
                    accelerator = \"h100-sxm\"\nkv_blocks = 2000\n";

fn scenario(sessions: &str, workload: &str, pool: &str) -> String {
    format!(
        "name = \"talks\"\n[run]\nwarmup_s = 0\nhorizon_s = 200\n[workload]\n{workload}\n\
         [workload.sessions]\n{sessions}\n{POOL}{pool}\n"
    )
}

const LONE: &str = "max_requests = 6\narrivals = { process = \"constant\", rate_per_s = 0.001 }\n\
                    prompt_tokens = { law = \"constant\", tokens = 100 }\n\
                    output_tokens = { law = \"constant\", tokens = 30 }";

const SIX_TURNS: &str = "turns = { law = \"constant\", turns = 6 }\n\
                         think = { law = \"deterministic\", mean_ms = 2500 }\n\
                         prompt_tokens = { law = \"constant\", tokens = 20 }\n\
                         output_tokens = { law = \"constant\", tokens = 50 }";

/// With arrivals every 1,000 s only one session begins before the horizon, at 1,000 s.
fn lone(more: &str, pool: &str) -> Vec<RequestRow> {
    let text = scenario(&format!("{SIX_TURNS}\n{more}"), LONE, pool);
    simulate(&text.replace("horizon_s = 200", "horizon_s = 1500")).0
}

#[test]
fn a_turn_has_all_that_was_said_and_comes_after_the_thinking() {
    let rows = lone("", "");
    let prompts: Vec<u32> = rows.iter().map(|row| row.prompt_tokens).collect();
    // 100, then + 30 + 20, then + 50 + 20 each.
    assert_eq!(prompts, [100, 150, 220, 290, 360, 430]);
    for pair in rows.windows(2) {
        let answered = pair[0].last_token_ns.unwrap();
        assert_eq!(pair[1].arrival_ns, answered + 2_500_000_000);
    }
}

#[test]
fn the_hop_back_is_before_the_thinking() {
    let rows = lone("", "response_overhead_ms = 40\n");
    for pair in rows.windows(2) {
        // The stamps of tokens are the gateway's.
        let answered = pair[0].last_token_ns.unwrap();
        assert_eq!(pair[1].arrival_ns, answered + 2_500_000_000);
    }
}

#[test]
fn a_lone_session_finds_every_full_block_of_what_was_said() {
    let rows = lone("", "prefix_caching = true");
    let cached: Vec<u32> = rows.iter().map(|row| row.cached_tokens).collect();
    // The last token of an answer is never fed back, so a turn finds floor((P + O - 1) / 16)
    // blocks of the one before it, its answer included.
    let expected: Vec<u32> = [0, 129, 199, 269, 339, 409]
        .iter()
        .map(|held| held / 16 * 16)
        .collect();
    assert_eq!(cached, expected);
    let without = lone("", "");
    assert!(without.iter().all(|row| row.cached_tokens == 0));
}

#[test]
fn each_law_has_a_stream_of_its_own() {
    // Only one session begins: its turns, in order.
    let turns = |think: &str, turns: &str, output: &str| -> Vec<(u32, u32)> {
        let sessions = format!(
            "turns = {{ law = \"constant\", turns = {turns} }}\nthink = {think}\n\
             prompt_tokens = {{ law = \"lognormal\", mean_tokens = 60, cv = 1 }}\n\
             output_tokens = {output}"
        );
        let text = scenario(&sessions, LONE, "").replace("horizon_s = 200", "horizon_s = 1500");
        let rows = simulate(&text).0;
        let turn = |row: &RequestRow| (row.prompt_tokens, row.output_tokens);
        rows.iter().map(turn).collect()
    };
    let (fixed, drawn) = (
        "{ law = \"deterministic\", mean_ms = 9 }",
        "{ law = \"exponential\", mean_ms = 9 }",
    );
    let output = "{ law = \"exponential\", mean_tokens = 40 }";
    let six = turns(fixed, "6", output);
    assert_eq!(six.len(), 6);
    // How long users think, and how often, moves no length.
    assert_eq!(turns(drawn, "6", output), six);
    assert_eq!(turns(drawn, "4", output), six[..4]);
    // Nor do answers of another law move what users say.
    let said = |turns: &[(u32, u32)]| -> Vec<u32> {
        let pairs = turns.windows(2);
        pairs
            .map(|pair| pair[1].0 - pair[0].0 - pair[0].1)
            .collect()
    };
    let other = turns(fixed, "6", "{ law = \"constant\", tokens = 7 }");
    assert_eq!(said(&other), said(&six));
}

#[test]
fn sessions_share_their_system_prompt_and_nothing_else() {
    let two = LONE
        .replace("max_requests = 6", "max_requests = 2")
        .replace("0.001", "0.05");
    let one_turn = SIX_TURNS.replace("turns = 6", "turns = 1");
    let text = |system: u32| {
        let sessions = format!("{one_turn}\nsystem_prompt_tokens = {system}");
        scenario(&sessions, &two, "prefix_caching = true")
    };
    let (rows, _) = simulate(&text(1_000));
    assert_eq!(rows[0].prompt_tokens, 1_100);
    assert_eq!(rows[0].cached_tokens, 0);
    assert_eq!(rows[1].cached_tokens, 1_000 / 16 * 16);
    let (rows, _) = simulate(&text(0));
    assert_eq!(rows[1].cached_tokens, 0);
}

#[test]
fn a_session_ends_before_its_context_is_too_long() {
    let rows = lone("max_context_tokens = 340", "");
    // The fourth turn has 290 + 50 tokens, the fifth would have 410.
    assert_eq!(rows.len(), 4);
    let text = scenario(&format!("{SIX_TURNS}\nmax_context_tokens = 340"), LONE, "");
    let (_, simulation) = simulate(&text.replace("horizon_s = 200", "horizon_s = 1500"));
    let counts = simulation.world.session_counts().unwrap();
    let expected = SessionCounts {
        started: 1,
        too_long: 1,
        ..SessionCounts::default()
    };
    assert_eq!(counts, expected);
}

#[test]
fn a_turn_that_is_turned_away_ends_its_session() {
    let rows = lone("", "max_model_len = 340");
    let status: Vec<&str> = rows.iter().map(|row| row.status).collect();
    let ok = "completed";
    assert_eq!(status, [ok, ok, ok, ok, "rejected_too_long"]);
}

fn many(seed: u32, more: &str) -> String {
    let workload = "arrivals = { process = \"poisson\", rate_per_s = 4 }\n\
                    prompt_tokens = { law = \"lognormal\", mean_tokens = 200, cv = 1 }\n\
                    output_tokens = { law = \"exponential\", mean_tokens = 40 }";
    let sessions = "turns = { law = \"geometric\", mean_turns = 5 }\n\
                    think = { law = \"exponential\", mean_ms = 3000 }\n\
                    system_prompt_tokens = 64\nmax_context_tokens = 6000";
    scenario(sessions, workload, more)
        .replace("warmup_s = 0", &format!("warmup_s = 0\nseed = {seed}"))
}

#[test]
fn turns_are_as_many_as_the_law_says_and_the_same_in_any_fleet() {
    let (rows, simulation) = simulate(&many(3, ""));
    let counts = simulation.world.session_counts().unwrap();
    assert!(counts.balances());
    assert_eq!(counts.open, 0);
    assert!(counts.finished > 500, "{counts:?}");
    // Of sessions that had all their turns the mean is 5 but for those cut at the end: a band of
    // four standard errors, sqrt(5 x 4) a turn, and the cut ones.
    let mean = rows.len() as f64 / counts.started as f64;
    let error = 20f64.sqrt() / (counts.started as f64).sqrt();
    let cut = counts.cut as f64 / counts.started as f64 * 5.0;
    assert!(mean < 5.0 + 4.0 * error, "{mean}");
    assert!(mean > 5.0 - 4.0 * error - cut, "{mean}");
    // A slower fleet moves when turns come, and neither their number nor what they say: the
    // turns of a session are drawn from its own stream.
    let (slow, _) = simulate(&many(3, "overhead_fixed_us = 9000"));
    let first = |rows: &[RequestRow]| {
        let mut prompts: BTreeMap<u32, u32> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.arrival_ns < 100_000_000_000) {
            *prompts.entry(row.prompt_tokens).or_default() += 1;
        }
        prompts
    };
    let (fast, slow) = (first(&rows), first(&slow));
    let common: u32 = fast
        .iter()
        .map(|(prompt, count)| (*count).min(slow.get(prompt).copied().unwrap_or(0)))
        .sum();
    let all: u32 = fast.values().sum();
    assert!(
        f64::from(common) > 0.95 * f64::from(all),
        "{common} of {all}"
    );
}

#[test]
fn folded_and_step_by_step_and_twice_are_the_same() {
    for pool in [
        "",
        "prefix_caching = true",
        "prefix_caching = true\nreplicas = 3",
    ] {
        let (folded, _) = simulate(&many(5, pool));
        let (stepped, _) = simulate(&many(5, &format!("{pool}\nstep_by_step = true")));
        assert_eq!(folded, stepped, "{pool}");
        let again = simulate(&many(5, pool)).1.digest();
        assert_eq!(simulate(&many(5, pool)).1.digest(), again, "{pool}");
    }
}

#[test]
fn estimate_knows_the_turns_of_whole_sessions() {
    let sessions = "turns = { law = \"geometric\", mean_turns = 4 }\n\
                    think = { law = \"deterministic\", mean_ms = 0.001 }\n\
                    prompt_tokens = { law = \"constant\", tokens = 20 }\n\
                    output_tokens = { law = \"constant\", tokens = 50 }";
    let workload = "arrivals = { process = \"poisson\", rate_per_s = 30 }\n\
                    prompt_tokens = { law = \"constant\", tokens = 100 }\n\
                    output_tokens = { law = \"constant\", tokens = 30 }";
    let text = scenario(sessions, workload, "replicas = 8\n");
    let document = Document::parse(SourceText::new("s.toml", &text)).unwrap();
    let plan = resolve(&document, Path::new("")).unwrap();
    let said = |name: &str| {
        let sheets = sheets(&plan);
        let mut rows = sheets.iter().flat_map(|sheet| &sheet.rows);
        let row = rows.find(|row| row.name == name);
        row.unwrap_or_else(|| panic!("no {name}")).value.unwrap()
    };
    assert!((said("offered rate") - 120.0).abs() < 1e-9);
    let (rows, simulation) = simulate(&text);
    let counts = simulation.world.session_counts().unwrap();
    let mean = |of: fn(&RequestRow) -> u32| {
        rows.iter().map(|row| f64::from(of(row))).sum::<f64>() / rows.len() as f64
    };
    // 100 + 3/4 x 30 + (3 - 3/4) x 50 + 3 x 20, over some 24,000 turns.
    let expected = 295.0;
    assert!((mean(|row| row.prompt_tokens) / expected - 1.0).abs() < 0.05);
    assert!((mean(|row| row.output_tokens) - 45.0).abs() < 0.5);
    let prompt = plan
        .fleet
        .sessions
        .as_ref()
        .unwrap()
        .mean_tokens((100.0, 30.0))
        .0;
    assert!((prompt - expected).abs() < 1e-9, "{prompt}, {counts:?}");
}

#[test]
fn what_does_not_go_with_sessions_is_refused_with_the_reason() {
    let said = |sessions: &str, workload: &str| {
        let text = scenario(sessions, workload, "prefix_caching = true");
        let document = match Document::parse(SourceText::new("s.toml", &text)) {
            Ok(document) => document,
            Err(error) => return error.to_string(),
        };
        match resolve(&document, Path::new("")) {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => error.to_string(),
        }
    };
    let closed = "arrivals = { process = \"closed_loop\", users = 3 }";
    assert!(said(SIX_TURNS, closed).contains("neither closed-loop nor trace"));
    let grouped = format!("{LONE}\nprefix = {{ sharing = \"groups\", groups = 2, tokens = 9 }}");
    assert!(said(SIX_TURNS, &grouped).contains("workload.prefix"));
    let never = SIX_TURNS.replace("turns = 6", "turns = 0");
    assert!(said(&never, LONE).contains("turns.turns"));
    let fewer = SIX_TURNS.replace(
        "{ law = \"constant\", turns = 6 }",
        "{ law = \"geometric\", mean_turns = 0.5 }",
    );
    assert!(said(&fewer, LONE).contains("mean_turns"));
    assert!(said("turns = { law = \"constant\", turns = 2 }", LONE).contains("think"));
    let narrow = format!("{SIX_TURNS}\nsystem_prompt_tokens = 500\nmax_context_tokens = 400");
    let narrow = said(&narrow, LONE);
    for part in ["max_context_tokens", "400", "system_prompt_tokens", "500"] {
        assert!(narrow.contains(part), "{narrow}");
    }
}

/// With debug assertions sessions and KV blocks are added up after every event.
#[test]
fn nothing_is_lost_in_sessions_of_any_kind() {
    let config = Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let cases = (
        any::<u32>(),
        60u32..400,
        1u32..20,
        any::<bool>(),
        300u32..3_000,
    );
    TestRunner::new_with_rng(config, rng)
        .run(&cases, |(seed, blocks, seqs, caching, context)| {
            let pool = format!("max_num_seqs = {seqs}\nprefix_caching = {caching}");
            let text = many(seed, &pool)
                .replace("kv_blocks = 2000", &format!("kv_blocks = {blocks}"))
                .replace(
                    "max_context_tokens = 6000",
                    &format!("max_context_tokens = {context}"),
                )
                .replace("horizon_s = 200", "horizon_s = 12");
            let (rows, simulation) = simulate(&text);
            let counts = simulation.world.session_counts().unwrap();
            prop_assert!(counts.balances(), "{:?}", counts);
            prop_assert!(rows.len() as u64 >= counts.started);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
