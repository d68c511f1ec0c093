//! What is said of sessions is true: by the result, its warnings, its physics and the estimate.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::path::Path;

use common::plan_of;
use seatrial::experiment::estimate::{Row, sheets};
use seatrial::experiment::result::RunResult;
use seatrial::experiment::runner::{Control, run_scenario};
use seatrial::scenario::{Document, SourceText};
use serde_json::Value;

fn result(text: &str) -> RunResult {
    let document = Document::parse(SourceText::new("s.toml", text)).unwrap();
    match run_scenario(&document, Path::new(""), Control::default()) {
        Ok(outcome) => outcome.result,
        Err(error) => panic!("{error}"),
    }
}

/// Long talks: of 9,150 prompt tokens a turn has 780 new ones.
fn scenario(sessions: &str, run: &str, pool: &str) -> String {
    format!(
        "name = \"talks\"\n[run]\n{run}\n[workload]\n\
         arrivals = {{ process = \"poisson\", rate_per_s = 0.5 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 400 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 100 }}\n{sessions}\n\
         [[pools]]\nname = \"p\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
         accelerator = \"h100-sxm\"\n{pool}\n"
    )
}

const RUN: &str = "warmup_s = 50\nhorizon_s = 400";

fn talks(more: &str) -> String {
    format!(
        "[workload.sessions]\nturns = {{ law = \"constant\", turns = 20 }}\n\
         think = {{ law = \"exponential\", mean_ms = 1000 }}\nsystem_prompt_tokens = 200\n\
         prompt_tokens = {{ law = \"constant\", tokens = 800 }}\n{more}"
    )
}

fn warned(result: &RunResult, word: &str) -> bool {
    result
        .warnings
        .iter()
        .any(|warning| warning.starts_with(word))
}

#[test]
fn what_a_cache_finds_is_no_load() {
    let with = result(&scenario(&talks(""), RUN, "prefix_caching = true"));
    assert!(with.warnings.is_empty(), "{:?}", with.warnings);
    let without = result(&scenario(&talks(""), RUN, ""));
    assert!(warned(&without, "unstable"), "{:?}", without.warnings);
    // Nor does physics ask more of a turn than it took.
    let floor = |result: &RunResult| {
        let floor = result.physics.pointer("/pools/0/ttft_floor_ms");
        floor.and_then(Value::as_f64).unwrap()
    };
    let mean = with.latency.ttft_ms.mean.unwrap();
    assert!(floor(&with) < mean, "{} {mean}", floor(&with));
    assert!(floor(&without) > 5.0 * floor(&with));
}

#[test]
fn sessions_that_end_early_offer_less_and_are_not_called_unstable() {
    let short = talks("max_context_tokens = 3000");
    let short = result(&scenario(&short, RUN, ""));
    assert!(short.requests.sessions.unwrap().too_long > 100);
    assert!(short.warnings.is_empty(), "{:?}", short.warnings);
}

#[test]
fn a_run_too_short_for_whole_sessions_says_so() {
    let run = "warmup_s = 0\nhorizon_s = 40";
    let short = result(&scenario(&talks(""), run, "prefix_caching = true"));
    let counts = short.requests.sessions.unwrap();
    assert!(counts.cut * 4 > counts.started, "{counts:?}");
    assert!(warned(&short, "sessions"), "{:?}", short.warnings);
    // Many short turns keep the engine busy all the time, and nobody waits.
    let many = talks("")
        .replace("turns = 20", "turns = 300")
        .replace("tokens = 800", "tokens = 5");
    let many = scenario(&many, run, "max_model_len = 131072")
        .replace("tokens = 400", "tokens = 5")
        .replace("tokens = 100", "tokens = 10")
        .replace("rate_per_s = 0.5", "rate_per_s = 6")
        .replace("warmup_s = 0", "warmup_s = 20")
        .replace("mean_ms = 1000", "mean_ms = 2000");
    let many = result(&many);
    let busy = many.pools[0]["utilization"].as_f64().unwrap();
    assert!(busy > 0.98, "{busy}");
    assert!(
        warned(&many, "sessions") && !warned(&many, "unstable"),
        "{:?}",
        many.warnings
    );
    let few = scenario(&talks(""), RUN, "prefix_caching = true")
        .replace("[workload]\n", "[workload]\nmax_requests = 200\n");
    assert!(warned(&result(&few), "sessions"));
}

#[test]
fn a_result_counts_sessions_only_where_there_are_any() {
    let json = |sessions: &str| {
        let result = result(&scenario(sessions, RUN, ""));
        serde_json::to_value(&result).unwrap()
    };
    let with = json(&talks("max_context_tokens = 3000"));
    let count = |name: &str| {
        let value = with.pointer(&format!("/requests/sessions/{name}"));
        value.and_then(Value::as_u64).unwrap()
    };
    let ended: u64 = ["finished", "too_long", "broken", "cut", "open"]
        .into_iter()
        .map(count)
        .sum();
    assert_eq!(count("started"), ended);
    assert!(json("").pointer("/requests/sessions").is_none());
}

#[test]
fn a_claim_may_be_about_sessions() {
    let claim = |most: u32| {
        let claim = format!(
            "[[claims]]\nid = \"broken\"\ntext = \"no session is cut off\"\n\
             metric = \"requests.sessions.broken\"\nat_most = {most}\n"
        );
        let pool = format!("prefix_caching = true\nmax_model_len = 12000\n{claim}");
        let result = result(&scenario(&talks(""), RUN, &pool));
        serde_json::to_value(&result.claims[0]).unwrap()["verdict"].clone()
    };
    assert_eq!(claim(0), "fails");
    assert_eq!(claim(1_000), "holds");
}

#[test]
fn the_estimate_has_the_means_of_whole_sessions() {
    let rows = |sessions: &str, pool: &str| -> Vec<Row> {
        let sheets = sheets(&plan_of(&scenario(sessions, RUN, pool)));
        let sheet = sheets.into_iter().find(|sheet| sheet.title == "Sessions");
        sheet.map_or(Vec::new(), |sheet| {
            assert!(sheet.note.unwrap().contains("needs a run"));
            sheet.rows
        })
    };
    let all = rows(&talks(""), "prefix_caching = true");
    let said = |name: &str| {
        let row = all.iter().find(|row| row.name.starts_with(name));
        row.unwrap_or_else(|| panic!("no {name}")).value.unwrap()
    };
    let is = |name: &str, value: f64| {
        let said = said(name);
        assert!((said / value - 1.0).abs() < 1e-12, "{name}: {said} {value}");
    };
    is("sessions begin", 0.5);
    is("mean turns", 20.0);
    is("sessions that think", 0.5 * 19.0);
    // Turn by turn: the first prompt has 200 + 400, each later one what was said and 800.
    let prompts: Vec<f64> = (0..20)
        .map(|turn| 600.0 + f64::from(turn) * (100.0 + 800.0))
        .collect();
    let total: f64 = prompts.iter().sum();
    let before: f64 = prompts[1..].iter().map(|prompt| prompt - 800.0).sum();
    let new = 400.0 + 19.0 * 800.0;
    is("mean tokens said before", before / 19.0);
    is("mean new prompt tokens", new / 20.0);
    is("most of the prompt tokens", 1.0 - new / total);
    is("KV tokens to keep", 0.5 * 19.0 * before / 19.0);
    assert!(rows("", "").is_empty());
    // One turn each: nothing was said before, and nobody thinks.
    let once = talks("").replace("turns = 20", "turns = 1");
    for row in rows(&once, "") {
        let value = row.value.unwrap();
        assert!(value.is_finite() && value >= 0.0, "{}: {value}", row.name);
    }
}
