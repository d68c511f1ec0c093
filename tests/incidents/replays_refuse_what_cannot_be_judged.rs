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

/// What is said of a file of series with this text.
#[track_caller]
fn refused_series(texts: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let given = ["--calm", "0..20m", "--no-fit", "--bin", "60"];
    let mut options: Vec<String> = given.map(str::to_owned).to_vec();
    for (number, text) in texts.iter().enumerate() {
        let path = folder.path().join(format!("{number}.csv"));
        std::fs::write(&path, text).unwrap();
        options.extend(["--observed-series".to_owned(), path.display().to_string()]);
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    refused(&options)
}

#[test]
fn series_of_another_time() {
    let said = refused_series(&["start_ns,replicas\n900000000000000,4\n900060000000000,4\n"]);
    assert!(said.contains("must tell of the time of the log"), "{said}");
    assert!(said.contains("another time zone"), "{said}");
    let said =
        refused_series(&["start_ns,replicas\n1763464800000000000,4\n1763464860000000000,4\n"]);
    assert!(said.contains("counts from a zero of its own"), "{said}");
}

#[test]
fn series_of_other_columns_or_values() {
    for (text, words) in [
        (
            "time,replicas\n0,4\n",
            "has columns time, replicas; allowed: start_ns",
        ),
        (
            "start_ns,arrived\n0,4\n",
            "has columns start_ns, arrived; allowed",
        ),
        (
            "start_ns,replica,running\n0,4,1\n",
            "the column `replica` is none that is read; did you mean `replicas`?",
        ),
        (
            "start_ns,replicas\n0,four\n",
            "row 1: replicas = four: must be a number",
        ),
        (
            "start_ns,replicas\n0,-1\n",
            "replicas = -1: must be a number from 0",
        ),
        (
            "start_ns,kv_usage\n0,1.5\n",
            "kv_usage = 1.5: must be a number from 0 to 1",
        ),
        (
            "start_ns,replicas\n0.5,4\n",
            "start_ns = 0.5: must be a whole number",
        ),
        (
            "start_ns,replicas\n60,4\n30,4\n",
            "row 2: start_ns = 30: is not after",
        ),
        (
            "start_ns,replicas\n0,\n60,\n",
            "no value of replicas, waiting",
        ),
        ("start_ns,replicas\n", "has no row"),
        ("start_ns,replicas\n0,4,5\n", "found record with 3 fields"),
        (
            "t_s,interval_s,scope,name,metric,value\n0,1,pool,a,waiting,1\n0,1,pool,a,waiting,2\n",
            "row 2: pool a has waiting at 1 s already",
        ),
        (
            "t_s,interval_s,scope,name,metric,value\n0,,pool,a,waiting,1\n",
            "row 1: interval_s: is empty",
        ),
    ] {
        let said = refused_series(&[text]);
        assert!(said.contains(words), "{text:?}: {said}");
    }
}

#[test]
fn series_that_cannot_be_put_together() {
    let one = "start_ns,replicas\n0,4\n60000000000,4\n120000000000,4\n";
    let said = refused_series(&[one, one]);
    assert!(
        said.contains("must not tell of replicas at times that"),
        "{said}"
    );
    // Means over longer than what is compared.
    let said = refused_series(&["start_ns,replicas\n0,4\n7200000000000,4\n"]);
    assert!(said.contains("--bin 7200"), "{said}");
}

#[test]
fn changes_that_would_do_nothing() {
    for change in [
        "workload.arrivals.rate_scale=2",
        "slo.e2e_ms=5",
        // Other luck is no other fleet.
        "run.seed=3",
    ] {
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

#[test]
fn remedies_name_options_that_there_are() {
    let log = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_seatrial"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["replay", "experiments/incident-oscillating-config.toml"])
            .args(["--trace", &path, "--calm", "0..20m"])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        said
    };
    let help = |command: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_seatrial"));
        let output = program.args(command).arg("--help").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let (import, replay) = (help(&["trace", "import"]), help(&["replay"]));
    let envoy = std::fs::read_to_string("tests/data/observed/envoy.log").unwrap();
    let scrapes = std::fs::read_to_string("tests/data/observed/vllm.prom").unwrap();
    for text in [
        envoy.as_str(),
        scrapes.as_str(),
        "what is this\n",
        "{\"resourceSpans\": []}\n",
    ] {
        let said = log(text);
        // Whatever is named is an option of `replay`, or is said to be of `trace import`.
        let (of_import, of_replay) = (said.contains("trace import"), &replay);
        let named = said.split("--").skip(1);
        for option in named {
            let end = option.find(|c: char| !c.is_ascii_lowercase() && c != '-');
            let option = format!("--{}", &option[..end.unwrap_or(option.len())]);
            let known = of_replay.contains(&option) || of_import && import.contains(&option);
            assert!(known, "{option} in {said}");
        }
        assert!(said.contains("trace import"), "{said}");
    }
}
