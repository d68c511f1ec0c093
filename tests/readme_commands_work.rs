//! Every command in the README works, and the page it shows is the page it gives.

use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../README.md");

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

#[allow(clippy::expect_used)] // a helper of tests
fn seatrial(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_seatrial"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the binary runs")
}

#[test]
fn every_command_of_the_readme_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = 0;
    for line in blocks("sh").iter().flat_map(|block| block.lines()) {
        let line = line.replace("/tmp/", &format!("{}/", folder.path().display()));
        // No word of them has a blank in it: a shell would take the quotes off, no more.
        let words = line.split_whitespace().map(|word| word.trim_matches('\''));
        let words: Vec<&str> = words.collect();
        let arguments = match words.as_slice() {
            ["cargo", "test"] => continue, // this is it
            ["cargo", "run", "--release", "--", rest @ ..] | ["seatrial", rest @ ..] => rest,
            other => panic!("a command of the README that is not tested: {other:?}"),
        };
        let output = seatrial(arguments);
        let failing_claims = arguments.first() == Some(&"run")
            && arguments.iter().any(|it| CLAIMS_FAIL.contains(it));
        let text = String::from_utf8_lossy(&output.stderr);
        // Overrides of a shipped experiment may make its claims fail: that is an answer too.
        let overridden = arguments.contains(&"--set");
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
    let page = |scenario: &str| {
        let output = seatrial(&["run", scenario]);
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let conv = page("experiments/azure-conv.toml");
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
        let given = page(scenario);
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
    let output = seatrial(&["calibrate", "diff", "tables:h100_sxm/vllm", file]);
    let given = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(given.contains(block.trim_end()), "{given}");
}

#[test]
fn the_check_shown_is_the_check_made() {
    let shown = blocks("text");
    let begins = "Between other measurements";
    let block = shown.iter().find(|block| block.starts_with(begins));
    let block = block.expect("a check");
    let output = seatrial(&["calibrate", "check", "tables:h100_sxm/vllm"]);
    let given = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(given.contains(block.trim_end()), "{given}");
}

#[test]
fn the_fit_shown_is_the_fit_made() {
    let shown = blocks("text");
    let block = shown.iter().find(|block| block.starts_with("Fitted\n"));
    let block = block.expect("a fit");
    let file = "calibration/measured/vllm-gpt-oss-120b-h200.csv";
    let output = seatrial(&["calibrate", "fit", file]);
    let given = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(given.contains(block.trim_end()), "{given}");
}

#[test]
fn what_sweep_size_compare_and_explain_show_is_what_they_print() {
    let folder = tempfile::tempdir().expect("a folder");
    let commands = blocks("sh");
    let commands = commands.iter().flat_map(|block| block.lines());
    let shown = blocks("text");
    for (begins, command) in [
        (
            "Pareto front: ",
            "seatrial sweep experiments/sweeps/nodes-for-azure-conv.toml --out /tmp/azure-nodes",
        ),
        (
            "What moves tpot_ms",
            "seatrial sweep experiments/sweeps/what-to-measure-first.toml --out /tmp/first",
        ),
        (
            "Answers",
            "seatrial size experiments/sizes/interview-nodes.toml",
        ),
        (
            "A: experiments/mmc.toml",
            "seatrial compare experiments/mmc.toml",
        ),
        (
            "azure-conv: where latency.ttft_ms",
            "seatrial explain experiments/azure-conv.toml",
        ),
    ] {
        let line = commands.clone().find(|line| line.starts_with(command));
        let line = line.expect("a command of the README");
        let line = line.replace("/tmp/", &format!("{}/", folder.path().display()));
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let given = String::from_utf8(seatrial(&words).stdout).expect("UTF-8");
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
        let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        assert!(full.exists(), "the README links {path}, which is not there");
    }
}

#[test]
fn the_smallest_scenario_of_the_readme_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("two-servers.toml");
    std::fs::write(&path, &blocks("toml")[0]).expect("written");
    let output = seatrial(&["run", &path.display().to_string()]);
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
        let output = seatrial(&["run", file]);
        let given = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(given.contains(block.trim_end()), "{file}: {given}");
    }
}
