//! Every sizing that is shipped runs, and says what it is there to say.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use serde_json::Value;

use crate::sweeps::{fine, shipped};

/// The page and the answer of a shipped sizing.
fn size(name: &str, more: &[&str]) -> (String, Value) {
    let dir = tempfile::tempdir().unwrap();
    let path = shipped(&format!("experiments/sizes/{name}.toml"));
    let arguments = [&["size", path.to_str().unwrap(), "--out", "o"], more].concat();
    let page = fine(dir.path(), &arguments);
    for line in page.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let json = std::fs::read_to_string(dir.path().join("o/size.json")).unwrap();
    (page, serde_json::from_str(&json).unwrap())
}

#[test]
fn all_of_them_are_known_here() {
    let folder = std::fs::read_dir(shipped("experiments/sizes")).unwrap();
    let mut found: Vec<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let known = ["interview-nodes.toml", "servers-for-waits.toml"];
    assert_eq!(found, known, "run the new one by a test, too");
}

#[test]
fn servers_for_waits_are_those_of_erlang() {
    let (page, found) = size("servers-for-waits", &[]);
    let case = &found["cases"][0];
    assert_eq!(case["winner"]["level"].as_f64(), Some(17.0), "{page}");
    assert_eq!(case["theory"][0]["count"], 17, "{page}");
    assert_eq!(case["one_less"]["verdict"], "missed", "{page}");
    assert_eq!(case["runner_up"]["verdict"], "met", "{page}");
}

#[test]
fn the_interview_takes_many_times_the_nodes_it_says() {
    // Shorter than it is shipped: the README has the answer itself.
    let short = ["--set", "run.horizon_s=30", "--set", "run.warmup_s=10"];
    let (page, found) = size("interview-nodes", &short);
    let nodes = |case: &Value| case["winner"]["level_in_all"].as_f64().unwrap();
    let cases = found["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        assert!(nodes(case) > 10.0 * 97.0, "{page}");
        let winner = &case["winner"];
        assert_eq!(winner["verdict"], "met");
        // 8 accelerators at a mix of 3.20 and 1.20 dollars an hour, for a year.
        let usd = nodes(case) * 8.0 * (0.4 * 3.2 + 0.6 * 1.2) * 8_760.0;
        let told = winner["objective_in_all"].as_f64().unwrap();
        assert!((told / usd - 1.0).abs() < 1e-6, "{told} {usd}");
    }
    // More tokens take more nodes.
    assert!(nodes(&cases[2]) > nodes(&cases[1]), "{page}");
}
