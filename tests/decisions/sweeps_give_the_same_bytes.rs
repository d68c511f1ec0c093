//! A sweep of a thousand points gives the same bytes on one thread and on two, killed half-way and
//! gone on with, and in three parts that are merged.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::sweeps;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sweeps::{command, fine, folder, lines, results, same, seatrial, shipped};

/// Starts a sweep and waits until its journal has so many points.
fn begun(dir: &Path, arguments: &[&str], journal: &Path, points: usize) -> std::process::Child {
    let mut child = command(dir, arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while lines(journal) <= points {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be stopped"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

#[test]
fn whatever_the_threads_a_kill_or_the_shards() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    let experiment = shipped("experiments/sweeps/servers-and-rates.toml");
    let experiment = experiment.to_str().unwrap();
    let page = fine(
        here,
        &["sweep", experiment, "--out", "one", "--threads", "1"],
    );
    assert!(page.contains("grid of 1,000 points"), "{page}");
    let text = std::fs::read_to_string(here.join("one/summary.txt")).unwrap();
    assert!(page.starts_with(&text));
    assert_eq!(lines(&here.join("one/points.csv")), 1_001);

    // Killed half-way, with no chance to tidy up, and a line half written besides.
    let journal = here.join("two/journal.jsonl");
    let arguments = ["sweep", experiment, "--out", "two", "--threads", "2"];
    let mut child = begun(here, &arguments, &journal, 300);
    child.kill().unwrap();
    child.wait().unwrap();
    let kept = lines(&journal);
    assert!((301..1_001).contains(&kept), "{kept}");
    assert!(!here.join("two/points.csv").exists());
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&journal)
        .unwrap();
    file.write_all(b"{\"point\":999,\"found\":{\"dig").unwrap();
    drop(file);
    fine(here, &arguments);
    same(&here.join("one"), &here.join("two"));
    // What was there is not run again.
    assert_eq!(lines(&journal), 1_001);

    for (shard, out) in [("0/3", "a"), ("1/3", "b"), ("2/3", "b")] {
        let told = fine(here, &["sweep", experiment, "--shard", shard, "--out", out]);
        assert!(told.contains("seatrial merge"), "{told}");
        if shard == "1/3" {
            let early = seatrial(here, &["merge", "a", "b", "--out", "early"]);
            let errors = String::from_utf8(early.stderr).unwrap();
            assert_eq!(early.status.code(), Some(2));
            assert!(
                errors.contains("333 of 1000 points are missing"),
                "{errors}"
            );
            assert!(
                errors.contains("run `sweep --shard` again for 2/3"),
                "{errors}"
            );
        }
    }
    let merged = fine(here, &["merge", "a", "b", "--out", "merged"]);
    same(&here.join("one"), &here.join("merged"));
    assert!(merged.starts_with(&text));
}

#[test]
fn a_sweep_that_is_merged_can_be_gone_on_with() {
    let dir = folder(sweeps::EXPERIMENT);
    let here = dir.path();
    for shard in ["0/2", "1/2"] {
        fine(
            here,
            &["sweep", "e.toml", "--shard", shard, "--out", "parts"],
        );
    }
    fine(here, &["merge", "parts"]);
    let before = results(&here.join("parts"));
    // The whole is there as one journal: nothing is left to run, and other goals are taken up.
    let text = sweeps::EXPERIMENT.replace("goal = \"min\"\n[[", "goal = \"max\"\n[[");
    std::fs::write(here.join("e.toml"), text).unwrap();
    let output = seatrial(here, &["sweep", "e.toml", "--out", "parts"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.starts_with("0 points to run, 12 there already"),
        "{told}"
    );
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains("most p99_ms"), "{page}");
    assert_ne!(before, results(&here.join("parts")));
}

#[test]
fn ctrl_c_finishes_the_points_in_flight() {
    let text = sweeps::EXPERIMENT.replace(
        "values = [20, 40, 60, 80]",
        "range = { from = 20, to = 80, count = 200 }",
    );
    let dir = folder(&text);
    let here = dir.path();
    fine(here, &["sweep", "e.toml", "--out", "whole"]);
    let journal = here.join("stopped/journal.jsonl");
    let arguments = ["sweep", "e.toml", "--out", "stopped", "--threads", "2"];
    let mut child = begun(here, &arguments, &journal, 20);
    let signal = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(signal.unwrap().success());
    // It was not whole, which is told as every failure is.
    assert_eq!(child.wait().unwrap().code(), Some(2));
    let kept = std::fs::read(&journal).unwrap();
    assert!(kept.ends_with(b"\n"), "a line was cut off");
    assert!(lines(&journal) < 601);
    let told = fine(here, &arguments);
    assert!(told.contains("600 points"), "{told}");
    same(&here.join("whole"), &here.join("stopped"));
    // Lines of the first run are still there: no finished point was lost or run again.
    assert!(std::fs::read(&journal).unwrap().starts_with(&kept));
}

#[test]
fn of_points_that_set_the_same_one_is_run() {
    let design = "[design]\nkind = \"sobol\"\npoints = 32\n[[axes]]";
    let text = sweeps::EXPERIMENT
        .replacen("[[axes]]", design, 1)
        .replace("values = [20, 40, 60, 80]", "values = [20, 40]");
    let dir = folder(&text);
    let here = dir.path();
    let output = seatrial(here, &["sweep", "e.toml", "--out", "o"]);
    let told = String::from_utf8(output.stderr).unwrap();
    // Two rates and three numbers of servers.
    let all = "6 points to run, 26 that set the same, 0 there already";
    assert!(told.starts_with(all), "{told}");
    let before = results(&here.join("o"));
    // What is lost is known from what sets the same.
    let journal = here.join("o/journal.jsonl");
    let whole = std::fs::read_to_string(&journal).unwrap();
    assert_eq!(whole.lines().count(), 33);
    let kept: Vec<&str> = whole.lines().take(31).collect();
    std::fs::write(&journal, kept.join("\n") + "\n").unwrap();
    let output = seatrial(here, &["sweep", "e.toml", "--out", "o"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.starts_with("0 points to run, 32 there already"),
        "{told}"
    );
    assert_eq!(before, results(&here.join("o")));
}
