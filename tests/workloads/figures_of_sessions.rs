//! What is said beside a run with sessions or a prefix cache agrees with the run: whether it is
//! random, how many turns are offered and how long they are, whether the fleet keeps up, and what
//! the hardware needs at least.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::path::Path;

use common::{plan_of, rows_of, simulate};
use seatrial::experiment::estimate::sheets;
use seatrial::experiment::result::RunResult;
use seatrial::experiment::runner::{Control, run_scenario};
use seatrial::scenario::resolve::{Plan, resolve};
use seatrial::scenario::{Document, SourceText};
use seatrial::workload::session_means::SessionMeans;
use seatrial::workload::source::SourcePlan;

const LLM: &str = "[[pools]]\nname = \"p\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
                   accelerator = \"h100-sxm\"\n";

const FIXED: &str = "prompt_tokens = { law = \"constant\", tokens = 100 }\n\
                     output_tokens = { law = \"constant\", tokens = 30 }";

const FIXED_TURNS: &str = "turns = { law = \"constant\", turns = 6 }\n\
                           think = { law = \"deterministic\", mean_ms = 700 }\n\
                           prompt_tokens = { law = \"constant\", tokens = 20 }\n\
                           output_tokens = { law = \"constant\", tokens = 50 }";

fn scenario(arrivals: &str, sessions: &str, more: &str) -> String {
    format!(
        "name = \"talks\"\n[run]\nwarmup_s = 0\nhorizon_s = 40\n[workload]\n\
         arrivals = {{ {arrivals} }}\n{FIXED}\n[workload.sessions]\n{sessions}\n{LLM}{more}\n"
    )
}

const CLOCKWORK: &str = "process = \"constant\", rate_per_s = 2";

fn result(text: &str) -> RunResult {
    let document = Document::parse(SourceText::new("s.toml", text)).unwrap();
    let outcome = run_scenario(&document, Path::new(""), Control::default());
    outcome.unwrap_or_else(|error| panic!("{error}")).result
}

#[test]
fn a_run_is_called_exact_only_if_no_draw_can_change_it() {
    let swap = |from: &str, to: &str| FIXED_TURNS.replace(from, to);
    let fixed_prompt = "prompt_tokens = { law = \"constant\", tokens = 20 }";
    let fixed_output = "output_tokens = { law = \"constant\", tokens = 50 }";
    for (sessions, certain) in [
        (FIXED_TURNS.to_owned(), true),
        (
            swap(
                "{ law = \"constant\", turns = 6 }",
                "{ law = \"geometric\", mean_turns = 1 }",
            ),
            true,
        ),
        (
            swap(
                "{ law = \"constant\", turns = 6 }",
                "{ law = \"geometric\", mean_turns = 3 }",
            ),
            false,
        ),
        (swap("deterministic", "exponential"), false),
        (
            swap(
                fixed_prompt,
                "prompt_tokens = { law = \"exponential\", mean_tokens = 50 }",
            ),
            false,
        ),
        (
            swap(
                fixed_output,
                "output_tokens = { law = \"exponential\", mean_tokens = 50 }",
            ),
            false,
        ),
    ] {
        let text = scenario(CLOCKWORK, &sessions, "");
        assert_eq!(plan_of(&text).is_certain(), certain, "{sessions}");
        let other = text.replace("[run]", "[run]\nseed = 2");
        assert_eq!(rows_of(&text) == rows_of(&other), certain, "{sessions}");
    }
}

#[test]
fn drawn_groups_of_prompts_are_not_called_exact() {
    let text = |groups: u32| {
        format!(
            "name = \"g\"\n[run]\nwarmup_s = 0\nhorizon_s = 40\n[workload]\n\
             arrivals = {{ {CLOCKWORK} }}\n{FIXED}\n\
             prefix = {{ sharing = \"groups\", groups = {groups}, tokens = 64 }}\n\
             {LLM}prefix_caching = true\n"
        )
    };
    for (groups, certain) in [(1, true), (5, false)] {
        let text = text(groups);
        assert_eq!(plan_of(&text).is_certain(), certain, "{groups}");
        let other = text.replace("[run]", "[run]\nseed = 2");
        assert_eq!(rows_of(&text) == rows_of(&other), certain, "{groups}");
    }
}

fn said(plan: &Plan, name: &str) -> f64 {
    let sheets = sheets(plan);
    let mut rows = sheets.iter().flat_map(|sheet| &sheet.rows);
    let row = rows.find(|row| row.name == name);
    row.unwrap_or_else(|| panic!("no {name}")).value.unwrap()
}

#[test]
fn estimates_are_of_sessions_as_long_as_their_context_may_be() {
    // Prompts of 100, 150, 220 and 290 tokens; the fifth turn would have 360 + 50.
    let capped = format!("{FIXED_TURNS}\nmax_context_tokens = 340");
    let plan = plan_of(&scenario(CLOCKWORK, &capped, ""));
    assert_eq!(said(&plan, "mean turns"), 4.0);
    assert_eq!(said(&plan, "offered rate"), 8.0);
    assert_eq!(said(&plan, "mean prompt"), 190.0);
    assert_eq!(said(&plan, "mean output"), (30.0 + 3.0 * 50.0) / 4.0);
    // 20 new tokens in each turn but the first; 130, 200 and 270 were said before the later ones.
    assert_eq!(said(&plan, "mean new prompt tokens of a turn"), 40.0);
    let before = "mean tokens said before a turn that is not the first";
    assert_eq!(said(&plan, before), 200.0);
    let note = |plan: &Plan| {
        let sheets = sheets(plan);
        let sheet = sheets.iter().find(|sheet| sheet.title == "Sessions");
        sheet.and_then(|sheet| sheet.note.clone()).unwrap()
    };
    assert!(note(&plan).contains("sessions drawn"), "{}", note(&plan));
    let whole = note(&plan_of(&scenario(CLOCKWORK, FIXED_TURNS, "")));
    assert!(whole.contains("whole sessions"), "{whole}");
}

const RANDOM_TURNS: &str = "turns = { law = \"geometric\", mean_turns = 12 }\n\
                            think = { law = \"deterministic\", mean_ms = 0.001 }\n\
                            prompt_tokens = { law = \"lognormal\", mean_tokens = 60, cv = 1.5 }\n\
                            output_tokens = { law = \"exponential\", mean_tokens = 40 }\n\
                            system_prompt_tokens = 32";

fn means(text: &str) -> (SessionMeans, SessionMeans) {
    let plan = plan_of(text);
    let SourcePlan::Drawn { lengths, .. } = &plan.fleet.source else {
        panic!("not drawn");
    };
    let sessions = plan.fleet.sessions.as_ref().unwrap();
    (
        SessionMeans::of_whole(sessions, lengths),
        SessionMeans::of_limited(sessions, lengths),
    )
}

#[test]
fn drawn_sessions_have_the_means_of_the_closed_form_where_nothing_ends_them() {
    let text = scenario(CLOCKWORK, RANDOM_TURNS, "");
    let (whole, drawn) = means(&text);
    // Of 8,333 sessions the mean of turns has a standard error of 1 %, that of prompts, which goes
    // with the square of turns, some 2 %: bands of four of them.
    assert!(drawn.drawn > 8_000);
    assert!((drawn.turns / whole.turns - 1.0).abs() < 0.05, "{drawn:?}");
    let prompts = drawn.prompt_tokens / whole.prompt_tokens;
    assert!((prompts - 1.0).abs() < 0.08, "{prompts}");
    assert!((drawn.output_tokens / whole.output_tokens - 1.0).abs() < 0.05);
    assert!((drawn.new_tokens / whole.new_tokens - 1.0).abs() < 0.05);
    assert!((drawn.history_tokens / whole.history_tokens - 1.0).abs() < 0.08);
    // No seed moves them.
    assert_eq!(means(&text.replace("[run]", "[run]\nseed = 9")).1, drawn);
}

#[test]
fn estimates_of_limited_sessions_are_what_a_run_gives() {
    let limited = format!("{RANDOM_TURNS}\nmax_context_tokens = 900");
    let text = scenario("process = \"poisson\", rate_per_s = 40", &limited, "")
        .replace("horizon_s = 40", "horizon_s = 200")
        + "replicas = 8\n";
    let plan = plan_of(&text);
    let (whole, _) = means(&text);
    assert!(said(&plan, "mean turns") < 0.8 * whole.turns);
    let (rows, simulation) = simulate(&text);
    let counts = simulation.world.session_counts().unwrap();
    // Nearly half of them end early.
    assert!(counts.too_long * 3 > counts.started, "{counts:?}");
    let count = rows.len() as f64;
    let turns = count / counts.started as f64;
    let prompt = rows
        .iter()
        .map(|row| f64::from(row.prompt_tokens))
        .sum::<f64>()
        / count;
    // 8,000 sessions and as many drawn; those cut at the end are one in a hundred.
    let near = |said: f64, seen: f64| assert!((said / seen - 1.0).abs() < 0.04, "{said} {seen}");
    near(said(&plan, "mean turns"), turns);
    near(said(&plan, "mean prompt"), prompt);
}

fn unstable(text: &str) -> bool {
    let warnings = result(text).warnings;
    warnings
        .iter()
        .any(|warning| warning.starts_with("unstable"))
}

#[test]
fn a_fleet_that_keeps_up_is_not_called_unstable() {
    // Prompts computed whole would take four times the peak of the hardware.
    let shared = |rate: u32, output: u32, caching: bool| {
        let prefix = match caching {
            true => "prefix = { sharing = \"groups\", groups = 2, tokens = 8000 }",
            false => "",
        };
        format!(
            "name = \"g\"\n[run]\nwarmup_s = 5\nhorizon_s = 20\ndrain_limit_s = 0\n[workload]\n\
             arrivals = {{ process = \"poisson\", rate_per_s = {rate} }}\n\
             prompt_tokens = {{ law = \"constant\", tokens = 8100 }}\n\
             output_tokens = {{ law = \"constant\", tokens = {output} }}\n{prefix}\n\
             {LLM}prefix_caching = {caching}\n"
        )
    };
    assert!(!unstable(&shared(20, 20, true)));
    assert!(unstable(&shared(20, 20, false)));
    // More tokens than can be decoded at peak compute, whatever is cached.
    assert!(unstable(&shared(200, 500, true)));
    // Sessions of 600 turns of which the context lets through eight, for servers of 40 requests/s.
    let talks = |limit: &str| {
        let turns = FIXED_TURNS.replace("turns = 6", "turns = 600");
        let text = scenario(CLOCKWORK, &format!("{turns}\n{limit}"), "");
        let pool = "[[pools]]\nname = \"p\"\nengine = \"abstract\"\nservers = 4\n\
                    service = { law = \"exponential\", mean_ms = 100 }\n";
        text.replace(LLM, pool)
    };
    assert!(!unstable(&talks("max_context_tokens = 640")));
    // Cut by the end of the run they offer less than all their turns, and that is said instead.
    assert!(!unstable(&talks("")));
    let warnings = result(&talks("")).warnings;
    let cut = |warning: &String| warning.starts_with("sessions");
    assert!(warnings.iter().any(cut), "{warnings:?}");
}

#[test]
fn turns_refused_as_too_long_do_not_count_as_offered_for_ever() {
    let turns = FIXED_TURNS.replace("turns = 6", "turns = 600");
    let text = scenario(CLOCKWORK, &turns, "max_model_len = 400");
    let result = result(&text);
    assert!(result.requests.sessions.unwrap().broken > 0);
    assert!(
        !result
            .warnings
            .iter()
            .any(|text| text.starts_with("unstable")),
        "{:?}",
        result.warnings
    );
}

#[test]
fn no_prompt_found_in_the_cache_beats_what_the_page_says_is_needed() {
    // One session alone, so that nobody queues.
    let alone = "process = \"constant\", rate_per_s = 0.05";
    let text = scenario(alone, FIXED_TURNS, "prefix_caching = true")
        .replace("tokens = 100", "tokens = 30000");
    let result = result(&text);
    let floor = result.physics["pools"][0]["ttft_floor_ms"]
        .as_f64()
        .unwrap();
    // The floor is of the mean of new tokens, and grows with them no slower than in proportion: it
    // bounds the mean, and not the median, of turns of which the first is long.
    let seen = result.latency.ttft_ms.mean.unwrap();
    assert!(floor <= seen, "{floor} {seen}");
    assert_eq!(
        result.physics["pools"][0]["floors_with_prompt_cached"],
        true
    );
    // Without the cache every prompt of 30,000 tokens and more is computed, and said to be.
    let plain = self::result(&text.replace("prefix_caching = true", ""));
    let pool = &plain.physics["pools"][0];
    assert!(pool["ttft_floor_ms"].as_f64().unwrap() > seen);
    assert!(pool.get("floors_with_prompt_cached").is_none());
}

#[test]
fn an_overhead_that_would_do_nothing_is_refused() {
    let pool = |name: &str, role: &str, more: &str| {
        LLM.replace("\"p\"", &format!("\"{name}\"\nrole = \"{role}\"\n{more}"))
    };
    let text = |prefill: &str, decode: &str| {
        format!(
            "name = \"apart\"\n[run]\nwarmup_s = 0\nhorizon_s = 20\n[workload]\n\
             arrivals = {{ {CLOCKWORK} }}\n{FIXED}\n{}{}\
             [kv_transfer]\nbandwidth_gb_per_s = 50\n",
            pool("pre", "prefill", prefill),
            pool("dec", "decode", decode)
        )
    };
    let refused = text("", "request_overhead_ms = 5");
    let document = Document::parse(SourceText::new("s.toml", &refused)).unwrap();
    let error = resolve(&document, Path::new("")).unwrap_err().to_string();
    for part in ["request_overhead_ms", "5", "decode", "prefill pools"] {
        assert!(error.contains(part), "{error}");
    }
    // Where prompts come in, and where answers go out, it is in every latency.
    let plain = rows_of(&text("", ""));
    for (prefill, decode) in [
        ("request_overhead_ms = 5", ""),
        ("", "response_overhead_ms = 5"),
    ] {
        for (one, two) in plain.iter().zip(&rows_of(&text(prefill, decode))) {
            let ttft = |row: &seatrial::fleet::outcome::RequestRow| {
                row.first_token_ns.unwrap() - row.arrival_ns
            };
            assert_eq!(ttft(two), ttft(one) + 5_000_000);
            assert_eq!(common::e2e_ns(two), common::e2e_ns(one) + 5_000_000);
        }
    }
}
