//! Every shipped experiment gives the same bytes when it is run again, whatever the threads.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use rayon::prelude::*;
use serde_json::Value;

use crate::once;

fn experiments() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    found.sort();
    found
}

/// Standard output of a run that ended with a verdict, not with an error.
fn run(scenario: &Path, more: &[&str]) -> String {
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .arg("run")
        .arg(scenario)
        .args(more)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{}: {errors}",
        scenario.display()
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs an experiment twice, and tells what it did.
fn twice(scenario: &Path) -> String {
    let file = scenario.file_name().unwrap().to_str().unwrap();
    let one = tempfile::tempdir().unwrap();
    // One run prints JSON and the other the page; each writes both to its folder.
    let first = one.path().to_str().unwrap();
    let json = ["--json", "--omit-timing", "--threads", "1", "--out", first];
    let json = run(scenario, &json);
    let line = format!("run experiments/{file}");
    let page = once::page(&line);
    let two = once::folder_of(&line).unwrap();
    let name = scenario.display();
    let one = one.path();
    let read = |dir: &Path, file: &str| std::fs::read_to_string(dir.join(file)).unwrap();
    assert!(json == read(one, "result.json"), "{name}: JSON and --out");
    assert!(json == read(&two, "result.json"), "{name}: JSON again");
    assert!(page == read(&two, "report.txt"), "{name}: page and --out");
    assert!(page == read(one, "report.txt"), "{name}: page again");
    let (one, two) = (read(one, "scenario.toml"), read(&two, "scenario.toml"));
    assert!(one == two, "{name}: scenario.toml");
    let result: Value = serde_json::from_str(&json).unwrap();
    let mut digests = format!("{file} {} {}\n", result["digest"], result["outcome_digest"]);
    let variants = result["variants"].as_object();
    for (name, variant) in variants.into_iter().flatten() {
        digests += &format!("  {name} {}\n", variant["outcome_digest"]);
    }
    digests
}

#[test]
fn every_experiment_gives_the_same_bytes_on_one_thread_and_on_two() {
    let found = experiments();
    assert!(!found.is_empty());
    // Several at a time: a run on one thread leaves the other processors idle.
    let digests: Vec<String> = found.par_iter().map(|scenario| twice(scenario)).collect();
    // What they did when they were last looked at: a part that is off changes none of them. The
    // last bits of logarithms are another platform's own.
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        insta::assert_snapshot!("digests_of_experiments", digests.concat());
    }
}

#[test]
fn another_seed_gives_another_digest() {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/mmc.toml");
    let digest = |seed: &str| {
        let short = [
            "--json",
            "--omit-timing",
            "--set",
            "run.horizon_s=120",
            "--set",
            "run.replications=2",
            "--seed",
            seed,
        ];
        let result: Value = serde_json::from_str(&run(&scenario, &short)).unwrap();
        result["digest"].as_str().unwrap().to_owned()
    };
    let digests = [digest("1"), digest("2"), digest("1")];
    assert_ne!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}
