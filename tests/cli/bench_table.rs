//! `seatrial bench` times what it is given, and its figures agree with one another. No time is
//! asserted.

#![allow(clippy::unwrap_used)] // helpers of tests

use assert_cmd::Command;
use serde_json::Value;

const TINY: &str = r#"
name = "tiny"
run.horizon_s = 20
workload.arrivals = { process = "poisson", rate_per_s = 50 }
[[pools]]
name = "servers"
engine = "abstract"
servers = 2
service = { law = "exponential", mean_ms = 10 }
"#;

fn bench(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    command.arg("bench").args(arguments);
    command.output().unwrap()
}

#[test]
fn a_scenario_is_timed_and_the_figures_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.toml");
    std::fs::write(&path, TINY).unwrap();
    let path = path.to_str().unwrap();
    let output = bench(&[path, path, "--runs", "1", "--json"]);
    assert!(output.status.success());
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = result["scenarios"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap();
        assert_eq!(row["scenario"], "tiny");
        // The work is that of `run`: the same requests, whatever the machine.
        assert_eq!(row["events"], rows[0]["events"]);
        assert!(number("requests") > 800.0 && number("events") >= 2.0 * number("requests"));
        let rate = number("requests") / number("cpu_s");
        assert!((number("requests_per_cpu_s") / rate - 1.0).abs() < 1e-9);
        let each = number("cpu_s") * 1e9 / number("events");
        assert!((number("ns_per_event") / each - 1.0).abs() < 1e-9);
    }
    let holds = result["hold_model"].as_array().unwrap();
    let pending: Vec<u64> = holds
        .iter()
        .map(|hold| hold["pending"].as_u64().unwrap())
        .collect();
    assert_eq!(pending, [100, 10_000, 1_000_000]);
    assert!(holds.iter().all(|hold| hold["ns"].as_f64().unwrap() > 0.0));
}

#[test]
fn the_table_fits_the_page_and_wrong_input_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.toml");
    std::fs::write(&path, TINY).unwrap();
    let output = bench(&[path.to_str().unwrap(), "--runs", "1"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("requests/CPU-s") && text.contains("tiny"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    assert_eq!(bench(&["no-such-file.toml"]).status.code(), Some(2));
    assert_eq!(bench(&["--runs", "0"]).status.code(), Some(2));
}
