//! Every command in the README works, and the page it shows is the page it gives.

#![allow(clippy::expect_used)] // helpers of tests

use std::path::Path;

use crate::once::{folder, page, seatrial};

const README: &str = include_str!("../../README.md");

/// Experiments with claims that fail: that is what they are there for.
const CLAIMS_FAIL: [&str; 10] = [
    "experiments/premium-and-batch.toml",
    "experiments/autoscale-week.toml",
    "experiments/spot-mix.toml",
    "experiments/interview-100k-rps.toml",
    "experiments/retry-storm.toml",
    "experiments/region-outage.toml",
    "experiments/dns-outage.toml",
    "experiments/spike-2x.toml",
    "experiments/node-failures.toml",
    "experiments/bad-deploy.toml",
];

/// The lines of all fenced blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for line in README.lines() {
        match (&mut block, line) {
            (None, line) if line == format!("```{language}") => block = Some(String::new()),
            (Some(_), "```") => found.extend(block.take()),
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
    }
    found
}

/// What a line of the README has `seatrial` do, if it is a command of it.
fn command(line: &str) -> Option<&str> {
    let run = line.strip_prefix("cargo run --release -- ");
    run.or_else(|| line.strip_prefix("seatrial "))
}

#[test]
fn every_command_of_the_readme_works() {
    let mut run = 0;
    for line in blocks("sh").iter().flat_map(|block| block.lines()) {
        if line == "cargo test" {
            continue; // this is it
        }
        let Some(command) = command(line) else {
            panic!("a command of the README that is not tested: {line}");
        };
        let output = seatrial(command);
        let mut words = command.split_whitespace();
        let failing_claims =
            words.next() == Some("run") && words.any(|word| CLAIMS_FAIL.contains(&word));
        let text = String::from_utf8_lossy(&output.stderr);
        // Overrides of a shipped experiment may make its claims fail: that is an answer too.
        let overridden = command.contains(" --set ");
        match output.status.code() {
            Some(0) => assert!(!failing_claims, "{line} should exit with 1"),
            Some(1) => assert!(failing_claims || overridden, "{line} exits with 1: {text}"),
            other => panic!("{line} exits with {other:?}: {text}"),
        }
        assert!(!output.stdout.is_empty(), "{line} prints nothing");
        run += 1;
    }
    assert!(run >= 10, "only {run} commands found in the README");
}

#[test]
fn the_page_shown_is_the_page_given() {
    let shown = blocks("text");
    let conv = page("run experiments/azure-conv.toml");
    let first = shown[0]
        .strip_suffix("...\n")
        .expect("an ellipsis at the end");
    assert!(
        conv.starts_with(first),
        "README shows another page than is given:\n{conv}"
    );
    for (begins, scenario) in [
        ("Claims\n", "experiments/interview-100k-rps.toml"),
        ("What happened when\n", "experiments/retry-storm.toml"),
        ("Side by side\n", "experiments/spot-fallbacks.toml"),
    ] {
        let given = page(&format!("run {scenario}"));
        let lines: Vec<&str> = given.lines().collect();
        let block = shown.iter().find(|block| block.starts_with(begins));
        let block = block.expect("a part of the page");
        for line in block.lines().filter(|line| line.trim() != "...") {
            assert!(
                lines.contains(&line),
                "README shows a line that is not printed: {line}"
            );
        }
    }
}

#[test]
fn the_comparison_shown_is_the_comparison_made() {
    let shown = blocks("text");
    let block = shown
        .iter()
        .find(|block| block.starts_with("Times of B over"));
    let block = block.expect("a comparison");
    let file = "calibration/measured/h100-sxm.json.gz";
    let given = page(&format!("calibrate diff tables:h100_sxm/vllm {file}"));
    assert!(given.contains(block.trim_end()), "{given}");
}

#[test]
fn the_check_shown_is_the_check_made() {
    let shown = blocks("text");
    let begins = "Between other measurements";
    let block = shown.iter().find(|block| block.starts_with(begins));
    let block = block.expect("a check");
    let given = page("calibrate check tables:h100_sxm/vllm");
    assert!(given.contains(block.trim_end()), "{given}");
}

#[test]
fn the_fit_shown_is_the_fit_made() {
    let shown = blocks("text");
    let block = shown.iter().find(|block| block.starts_with("Fitted\n"));
    let block = block.expect("a fit");
    let file = "calibration/measured/vllm-gpt-oss-120b-h200.csv";
    let given = page(&format!("calibrate fit {file}"));
    assert!(given.contains(block.trim_end()), "{given}");
}

#[test]
fn what_sweep_size_compare_and_explain_show_is_what_they_print() {
    let commands = blocks("sh");
    let commands = commands.iter().flat_map(|block| block.lines());
    let commands = commands.filter_map(command);
    let shown = blocks("text");
    for (begins, of) in [
        (
            "Pareto front: ",
            "sweep experiments/sweeps/nodes-for-azure-conv.toml --out /tmp/azure-nodes",
        ),
        (
            "What moves tpot_ms",
            "sweep experiments/sweeps/what-to-measure-first.toml --out /tmp/first",
        ),
        ("Answers", "size experiments/sizes/interview-nodes.toml"),
        ("A: experiments/mmc.toml", "compare experiments/mmc.toml"),
        (
            "azure-conv: where latency.ttft_ms",
            "explain experiments/azure-conv.toml",
        ),
    ] {
        let line = commands.clone().find(|line| line.starts_with(of));
        let given = page(line.expect("a command of the README"));
        let lines: Vec<&str> = given.lines().collect();
        let block = shown.iter().find(|block| block.starts_with(begins));
        let block = block.expect("a part of the page");
        for line in block.lines().filter(|line| line.trim() != "...") {
            assert!(
                lines.contains(&line),
                "README shows a line that is not printed: {line}\n{given}"
            );
        }
    }
}

#[test]
fn every_file_the_readme_links_is_there() {
    for link in README.split("](").skip(1) {
        let path = link.split(')').next().unwrap_or("");
        let path = path.split('#').next().unwrap_or("");
        // Pages of others are for a reader who is connected.
        if path.starts_with("https://") {
            continue;
        }
        let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        assert!(full.exists(), "the README links {path}, which is not there");
    }
}

#[test]
fn the_smallest_scenario_of_the_readme_runs() {
    let path = folder().join("two-servers.toml");
    std::fs::write(&path, &blocks("toml")[0]).expect("written");
    let output = seatrial("run /tmp/two-servers.toml");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_is_shown_of_erasures_is_what_is_printed() {
    let shown = blocks("text");
    for (begins, file) in [
        ("Erasure\n", "experiments/erasure-storm.toml"),
        ("  work of a purge in purged", "experiments/erasure.toml"),
    ] {
        let block = shown.iter().find(|block| block.starts_with(begins));
        let block = block.expect("a part of the page");
        let given = page(&format!("run {file}"));
        assert!(given.contains(block.trim_end()), "{file}: {given}");
    }
}
