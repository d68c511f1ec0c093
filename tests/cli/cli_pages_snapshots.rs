//! Pages on standard output, as a reader sees them. They are the same on every machine.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use assert_cmd::Command;
use insta::assert_snapshot;
use serde_json::Value;

const SMALL: &str = r#"name = "small"
description = "Two servers behind one queue."
assumptions = ["Arrivals are Poisson."]

[run]
horizon_s = 200
warmup_s = 20

[workload]
arrivals = { process = "poisson", rate_per_s = 50 }

[slo]
e2e_ms = 250
target = 0.95

[[pools]]
name = "servers"
engine = "abstract"
servers = 2
service = { law = "exponential", mean_ms = 30 }

[cost]
on_demand_usd_per_gpu_hour = 3.20

[[claims]]
id = "mean"
text = "The mean time in the system is below 100 ms."
metric = "latency.e2e_ms.mean"
at_most = 100

[[claims]]
id = "third-server"
text = "A third server would not help."
metric = "latency.e2e_ms.mean"
versus = { "pools.servers.servers" = 3 }
at_most = 1
"#;

const MODEL: &str = r#"name = "small-llm"

[run]
horizon_s = 60
warmup_s = 6

[workload]
arrivals = { process = "poisson", rate_per_s = 20 }
prompt_tokens = { law = "constant", tokens = 200 }
output_tokens = { law = "constant", tokens = 40 }

[slo]
ttft_ms = 500
tpot_ms = 50

[[pools]]
name = "llama"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
step_model = "roofline"

[[claims]]
id = "instant"
text = "An answer takes a tenth of a second."
metric = "latency.e2e_ms.p50"
at_most = 100
"#;

/// Standard output, with each of its lines at most 100 columns wide and without blanks at the end.
fn page(arguments: &[&str]) -> String {
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "too wide: {line}");
        assert_eq!(line, line.trim_end(), "blanks at the end: {line:?}");
        assert!(!line.contains('\u{1b}'), "escapes: {line:?}");
    }
    text
}

fn page_of(subcommand: &str, scenario: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.toml");
    std::fs::write(&path, scenario).unwrap();
    page(&[subcommand, path.to_str().unwrap()])
}

#[test]
fn a_run_of_abstract_servers() {
    assert_snapshot!(page_of("run", SMALL));
}

#[test]
fn a_run_of_a_language_model() {
    assert_snapshot!(page_of("run", MODEL));
}

#[test]
fn an_estimate_of_abstract_servers() {
    assert_snapshot!(page_of("estimate", SMALL));
}

#[test]
fn an_estimate_of_a_language_model() {
    assert_snapshot!(page_of("estimate", MODEL));
}

#[test]
fn the_statistics_of_a_trace() {
    assert_snapshot!(page(&["trace", "stats", "traces/azure-2023-code.csv.gz"]));
}

#[test]
fn the_generators_that_are_shipped() {
    assert_snapshot!(page(&["trace", "presets"]));
}

#[test]
fn help() {
    assert_snapshot!(page(&["--help"]));
}

#[test]
fn help_of_every_subcommand_fits_the_width() {
    for command in [
        &["run"][..],
        &["report"],
        &["estimate"],
        &["schema"],
        &["trace"],
        &["trace", "import"],
        &["trace", "export"],
        &["trace", "stats"],
        &["trace", "fit"],
        &["trace", "synth"],
        &["trace", "presets"],
        &["faults"],
        &["faults", "import"],
        &["faults", "list"],
    ] {
        let text = page(&[command, &["--help"]].concat());
        assert!(text.contains("Usage: seatrial"), "{text}");
    }
}

#[test]
fn every_experiment_has_an_estimate_that_fits_the_width() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "toml") {
            let text = page(&["estimate", path.to_str().unwrap()]);
            assert!(text.contains("closed forms only"), "{text}");
        }
    }
}

#[test]
fn the_schema_names_every_part_of_a_scenario() {
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .arg("schema")
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    let mut names: Vec<&str> = properties.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_snapshot!(names.join(" "), @"admission affinity assumptions batching capability capacity claims clients cost description erasure faults gateway health kv_store kv_transfer locality name network pools populations regions router run signals slo steering tiers variants workload");
    assert_eq!(schema["required"].as_array().unwrap().len(), 3);
    assert_eq!(schema["additionalProperties"], false);
    for (name, property) in properties {
        assert!(property.get("description").is_some(), "{name}");
    }
}

#[test]
fn staffing_is_estimated_before_anything_is_simulated() {
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .args(["estimate", "experiments/spot-mix.toml", "--json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let sheets: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = sheets.to_string();
    let value = |name: &str| {
        let at = text.find(&format!("\"name\":\"{name}\"")).unwrap();
        let rest = &text[at..];
        let from = rest.find("\"value\":").unwrap() + 8;
        let number: String = rest[from..]
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '.')
            .collect();
        number.parse::<f64>().unwrap()
    };
    // 3.88 a second of 40 s each on nodes of 2 servers: 155.2 + 1.42 x sqrt(155.2) are 173 servers, 87
    // nodes.
    assert!((value("load offered to all nodes") - 155.2).abs() < 1e-9);
    assert_eq!(value("square-root staffing, 10 % wait"), 87.0);
    assert_eq!(value("97 % within 60000 ms"), 81.0);
    // One node of 8 that fails every 6,335 h for an hour: one spare is enough, and is N + 1.
    assert_eq!(value("N + 1"), 82.0);
    assert_eq!(value("with spares for 99.9 %"), 82.0);
}
