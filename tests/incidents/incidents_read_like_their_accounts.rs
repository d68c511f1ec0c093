//! The shipped incidents: what is told of each reads like its published timeline, and the log of its
//! made-up night is replayed as one that fits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// What a command prints as JSON, and its exit code.
fn json_of(arguments: &[&str]) -> (i32, Value) {
    let mut command = Command::cargo_bin("seatrial").unwrap();
    let output = command
        .current_dir(root())
        .args(arguments)
        .arg("--json")
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let json = serde_json::from_slice(&output.stdout);
    let json: Value = json.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {errors}"));
    (output.status.code().unwrap(), json)
}

/// The account of an experiment, and that its claims are as its texts say: those that fail do so on
/// purpose, and explain it in brackets.
fn account(name: &str) -> Vec<String> {
    let (_, result) = json_of(&["run", &format!("experiments/{name}.toml")]);
    for claim in result["claims"].as_array().unwrap() {
        let explained = claim["text"].as_str().unwrap().contains('(');
        let holds = claim["verdict"] == "holds";
        assert!(holds || explained, "{claim}");
    }
    let account = result["timeline"]["account"].as_array().unwrap();
    account
        .iter()
        .map(|line| line.as_str().unwrap().to_owned())
        .collect()
}

/// Whether the lines come in the account in this order.
fn reads(account: &[String], lines: &[&str]) {
    let mut rest = account.iter();
    for line in lines {
        let found = rest.any(|told| told.starts_with(line));
        assert!(found, "no {line:?} in its place in {account:#?}");
    }
}

#[test]
fn the_outage_of_a_name_is_told_by_the_clock() {
    let account = account("incident-dns-launches");
    reads(
        &account,
        &[
            "19 Oct 23:48 an outage of DNS begins",
            "19 Oct 23:48 a refusal of launches begins",
            "20 Oct 02:25 an outage of DNS ends",
            "20 Oct 05:30 loss of 90 % of messages begins, replica 0 of agents, and comes and goes",
            "20 Oct 10:36 a refusal of launches ends",
            "20 Oct 10:3", // nodes are ready again
        ],
    );
    assert!(account.len() < 25, "{account:#?}");
}

#[test]
fn the_file_that_comes_and_goes_is_told_by_the_clock() {
    let account = account("incident-oscillating-config");
    reads(
        &account,
        &[
            "18 Nov 11:20 a bad deployment to 80 % begins, the whole fleet, and comes and goes",
            "18 Nov 12:05 a bad deployment to 80 % begins, the whole fleet, and comes and goes",
            "18 Nov 13:05 a bad deployment to 35 % begins",
            "18 Nov 14:30 a bad deployment to 3 % begins",
            "18 Nov 17:06 a bad deployment to 3 % ends",
        ],
    );
}

#[test]
fn the_misroute_is_told_by_the_day() {
    let account = account("incident-sticky-misroute");
    reads(
        &account,
        &[
            "5 Aug 00:00 a bad deployment to 0.8 % begins, pool standard",
            "29 Aug 00:00 a bad deployment to 5 % begins",
            "31 Aug 08:00 a bad deployment to 16 % begins",
            "4 Sep 00:00 a bad deployment to 0.8 % begins",
            "16 Sep 00:00 a bad deployment to 0.8 % ends",
        ],
    );
}

#[test]
fn the_made_up_logs_are_replayed() {
    for (name, more) in [
        (
            "incident-dns-launches",
            &[
                "--calm",
                "0..48m",
                "--incident",
                "48m..860m",
                "--bin",
                "600",
                "--no-fit",
            ][..],
        ),
        (
            "incident-oscillating-config",
            &["--calm", "0..20m", "--incident", "20m..210m", "--no-fit"],
        ),
        (
            "incident-sticky-misroute",
            &["--calm", "0..96", "--incident", "96..1104", "--bin", "5"],
        ),
    ] {
        let (scenario, log) = (
            format!("experiments/{name}.toml"),
            format!("traces/{name}.csv.gz"),
        );
        let mut arguments = vec!["replay", &scenario, "--trace", &log, "--nights", "4"];
        arguments.extend(more);
        let (code, found) = json_of(&arguments);
        assert_eq!(
            (code, &found["verdict"]["fits"]),
            (0, &Value::Bool(true)),
            "{name}: {found:#}"
        );
    }
    // What the third does not state is found in its log.
    let (_, found) = json_of(&[
        "replay",
        "experiments/incident-sticky-misroute.toml",
        "--trace",
        "traces/incident-sticky-misroute.csv.gz",
        "--calm",
        "0..96",
        "--bin",
        "5",
        // As by default: with both overheads open neither is told apart from the other.
        "--set",
        "pools.standard.overhead_per_seq_us=5",
        "--set",
        "pools.long.overhead_per_seq_us=5",
    ]);
    let fixed = &found["fit"]["parameters"][0];
    let (low, high) = (
        fixed["interval"][0].as_f64().unwrap(),
        fixed["interval"][1].as_f64().unwrap(),
    );
    assert!(low <= 2_500.0 && 2_500.0 <= high, "{fixed}");
}
