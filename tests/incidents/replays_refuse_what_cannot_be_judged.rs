//! A replay says what it cannot judge before it simulates anything, rather than call it a fit.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::process::Command;

/// What is said of a replay of a shipped incident with these options, which must be refused.
#[track_caller]
fn refused(options: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_seatrial"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["replay", "experiments/incident-oscillating-config.toml"])
        .args(["--trace", "traces/incident-oscillating-config.csv.gz"])
        .args(options)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

#[test]
fn an_incident_within_the_calm_window() {
    let said = refused(&["--calm", "0..20m", "--incident", "10m..40m", "--no-fit"]);
    assert!(
        said.contains("--incident") && said.contains("overlap"),
        "{said}"
    );
}

#[test]
fn a_window_beyond_the_log() {
    let said = refused(&["--calm", "0..20m", "--incident", "20m..400h", "--no-fit"]);
    assert!(said.contains("must end by the end of the log"), "{said}");
}

#[test]
fn an_incident_too_short_to_be_judged() {
    let said = refused(&["--calm", "0..20m", "--incident", "30m..31m", "--no-fit"]);
    assert!(said.contains("--bin"), "{said}");
}

#[test]
fn stretches_beyond_count() {
    let said = refused(&["--calm", "0..20m", "--bin", "0.001", "--no-fit"]);
    assert!(said.contains("20000 stretches"), "{said}");
}

#[test]
fn changes_that_would_do_nothing() {
    for change in ["workload.arrivals.rate_scale=2", "slo.e2e_ms=5"] {
        let options = [
            "--calm",
            "0..20m",
            "--no-fit",
            "--nights",
            "2",
            "--what-if",
            change,
        ];
        let said = refused(&options);
        assert!(said.contains("must be of the fleet"), "{said}");
    }
}
