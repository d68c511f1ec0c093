//! What is replayed is what arrived, request by request, and bad input is refused with a remedy.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use assert_cmd::Command;
use proptest::prelude::*;
use seatrial::observed::{ReadOptions, read_all};
use seatrial::replay::stage::{Part, Stage};
use seatrial::replay::{Night, Window};
use seatrial::scenario::{Document, SourceText};

const SCENARIO: &str = r#"
name = "small"
run = { horizon_s = 120, warmup_s = 0 }
workload.arrivals = { process = "poisson", rate_per_s = 20 }
clients = { max_retries = 2, try_timeout_ms = 900 }
slo = { e2e_ms = 800 }
[[pools]]
name = "nodes"
engine = "abstract"
replicas = 3
servers = 2
service = { law = "exponential", mean_ms = 200 }
[[faults.timeline]]
kind = "crash"
target = { pool = "nodes", replica = 1 }
at_s = 60
for_s = 20
"#;

/// The log of a run, and the folder it is in.
fn logged() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (scenario, log) = (folder.path().join("s.toml"), folder.path().join("log.csv"));
    std::fs::write(&scenario, SCENARIO).unwrap();
    let mut command = Command::cargo_bin("seatrial").unwrap();
    let output = command
        .arg("run")
        .arg(&scenario)
        .arg("--requests")
        .arg(&log)
        .output();
    assert!(output.unwrap().status.code().unwrap() < 2);
    (folder, log)
}

#[test]
fn the_same_scenario_on_the_same_luck_gives_the_night_back() {
    let (_folder, log) = logged();
    let night = Night::of(read_all(&log, &ReadOptions::default()).unwrap().0, None).unwrap();
    let document = Document::parse(SourceText::new("s.toml", SCENARIO)).unwrap();
    let stage = Stage::new(&document, Path::new(""), &night).unwrap();
    let plan = stage.plan(&[]).unwrap();
    let simulated = stage.simulate(&plan, Part::Whole, 0).unwrap();
    let arrivals = |all: &[seatrial::replay::night::Seen]| -> Vec<(u64, u32, u32)> {
        let of = all.iter();
        of.map(|it| (it.t_ns, it.prompt_tokens, it.output_tokens))
            .collect()
    };
    assert_eq!(arrivals(&night.requests), arrivals(&simulated.requests));
    let ends = |all: &[seatrial::replay::night::Seen]| -> Vec<_> {
        let of = all.iter();
        of.map(|it| (it.ending, it.attempts, it.ttft_ns, it.e2e_ns))
            .collect()
    };
    assert!(ends(&night.requests) == ends(&simulated.requests));
    assert!(night.requests.iter().any(|it| it.attempts > 1));
}

#[test]
fn bad_input_is_refused_with_a_remedy() {
    let (folder, log) = logged();
    let scenario = folder.path().join("s.toml");
    let refused = |more: &[&str]| {
        let mut command = Command::cargo_bin("seatrial").unwrap();
        command
            .arg("replay")
            .arg(&scenario)
            .arg("--trace")
            .arg(&log)
            .args(more);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (arguments, words) in [
        (&["--calm", "60"][..], "must be FROM..TO"),
        (&["--calm", "60..20"], "must begin at 0 or later"),
        (
            &["--calm", "0..60", "--fit", "gateway.cost_ms=5"],
            "PATH=LOW..HIGH",
        ),
        (
            &["--calm", "0..60", "--fit", "gateway.cst_ms=0..5"],
            "did you mean `cost_ms`",
        ),
        (
            &["--calm", "0..60", "--fit", "pools.*.tp=1..8"],
            "the scenario has none",
        ),
        (
            &["--calm", "0..60", "--what-if", "clients.max_retries"],
            "PATH=VALUE",
        ),
        (
            &["--calm", "0..10", "--fit", "gateway.cost_ms=0..5"],
            "must hold 3 stretches",
        ),
        (
            &[
                "--calm",
                "0..18",
                "--bin",
                "1",
                "--fit",
                "gateway.cost_ms=0..5",
            ],
            "400 requests or more",
        ),
        (&["--calm", "0..60", "--start", "never"], "--start never"),
        (&["--calm", "0..60", "--bin", "0"], "--bin 0"),
        (
            &[
                "--calm",
                "0..60",
                "--set",
                "faults.timeline.0={ kind = \"traffic_spike\", at_s = 9, for_s = 9, factor = 2 }",
            ],
            "the log has all that came",
        ),
    ] {
        let said = refused(arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

proptest! {
    #[test]
    fn no_window_text_panics(text in ".{0,40}") {
        let _ = Window::parse("--calm", &text, Some(0));
        let _ = Window::parse("--calm", &format!("{text}..{text}"), None);
    }
}
