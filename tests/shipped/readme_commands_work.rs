//! Every command in the README works, and the page it shows is the page it gives.

#![allow(clippy::expect_used)] // helpers of tests

use std::path::Path;

use crate::once::{folder, page, seatrial};

const README: &str = include_str!("../../README.md");

/// Experiments with claims that fail: that is what they are there for.
const CLAIMS_FAIL: [&str; 11] = [
    "experiments/premium-and-batch.toml",
    "experiments/autoscale-week.toml",
    "experiments/spot-mix.toml",
    "experiments/interview-100k-rps.toml",
    "experiments/retry-storm.toml",
    "experiments/region-outage.toml",
    "experiments/dns-outage.toml",
    "experiments/incident-dns-launches.toml",
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

/// Whether a page shows lines, in their order; `...` stands for others between them.
fn shows(page: &str, lines: &str) -> bool {
    let mut page = page.lines();
    let mut shown = lines.lines().filter(|line| line.trim() != "...");
    shown.all(|line| page.any(|given| given == line))
}

#[test]
fn every_page_shown_is_printed_by_a_command_of_the_readme() {
    let blocks_of_commands = blocks("sh");
    let lines = blocks_of_commands.iter().flat_map(|block| block.lines());
    let pages: Vec<String> = lines.filter_map(command).map(page).collect();
    let mut checked = 0;
    for block in blocks("text") {
        let first = block.lines().next().unwrap_or_default();
        // What cargo prints, and times that are another machine's.
        if first.starts_with("     Running ") || first.contains("requests/CPU-s") {
            continue;
        }
        assert!(
            pages.iter().any(|page| shows(page, &block)),
            "the README shows what none of its commands prints:\n{block}"
        );
        checked += 1;
    }
    assert!(checked >= 15, "only {checked} pages found in the README");
    assert!(!shows("a\nb", "b\na") && shows("a\nb\nc", "a\n...\nc"));
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
