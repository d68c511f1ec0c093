//! Points of another experiment, scenario, input file or version are not mixed, and damaged journals
//! are told from torn ones.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::sweeps;

use std::fs;
use std::path::Path;

use sweeps::{EXPERIMENT, SCENARIO, fine, folder, refused};

const SWEEP: [&str; 4] = ["sweep", "e.toml", "--out", "o"];

/// Changes a file of a finished sweep, and returns what is said of going on.
#[track_caller]
fn changed(file: &str, from: &str, to: &str) -> String {
    let dir = folder(EXPERIMENT);
    fine(dir.path(), &SWEEP);
    rewrite(&dir.path().join(file), from, to);
    if file.ends_with(".jsonl") {
        sweeps::reseal(&dir.path().join(file));
    }
    refused(dir.path(), &SWEEP)
}

#[track_caller]
fn rewrite(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "no {from:?} in {}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn another_scenario_experiment_or_version_is_refused_by_name() {
    for (file, from, to, what) in [
        (
            "s.toml",
            "mean_ms = 20",
            "mean_ms = 21",
            "another scenario (s.toml ",
        ),
        (
            "s.toml",
            "horizon_s = 20",
            "horizon_s = 30",
            "another scenario (",
        ),
        (
            "e.toml",
            "values = [20,",
            "values = [25,",
            "another experiment (small-sweep ",
        ),
        (
            "e.toml",
            "latency.e2e_ms.p99",
            "latency.e2e_ms.p95",
            "another experiment (",
        ),
        (
            "o/journal.jsonl",
            "\"seatrial\":\"",
            "\"seatrial\":\"9",
            "version of seatrial (9",
        ),
        (
            "o/journal.jsonl",
            "\"sources\":\"",
            "\"sources\":\"9",
            "build of seatrial (9",
        ),
    ] {
        let told = changed(file, from, to);
        assert!(
            told.contains(what) && told.contains("must not be mixed"),
            "{told}"
        );
        assert!(told.contains("another --out"), "{told}");
    }
}

#[test]
fn a_file_that_points_read_is_part_of_what_they_are_of() {
    let dir = folder(EXPERIMENT);
    let trace = dir.path().join("t.csv");
    let rows = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00.0000000,100,20\n\
                2023-11-16 18:00:01.0000000,100,20\n2023-11-16 18:00:01.5000000,100,20\n";
    fs::write(&trace, rows).unwrap();
    let scenario = SCENARIO
        .replace(
            "process = \"poisson\", rate_per_s = 50",
            "process = \"trace\", path = \"t.csv\"",
        )
        .replace("horizon_s = 20\nwarmup_s = 2\n", "");
    fs::write(dir.path().join("s.toml"), scenario).unwrap();
    let experiment = EXPERIMENT
        .replace(
            "workload.arrivals.rate_per_s",
            "workload.arrivals.rate_scale",
        )
        .replace("[20, 40, 60, 80]", "[1, 2]");
    fs::write(dir.path().join("e.toml"), experiment).unwrap();
    fine(dir.path(), &SWEEP);
    fine(dir.path(), &SWEEP);
    fs::write(&trace, rows.replace("100,20", "100,21")).unwrap();
    let told = refused(dir.path(), &SWEEP);
    assert!(told.contains("another file that is read (t.csv "), "{told}");
}

#[test]
fn what_decides_no_number_may_change() {
    let dir = folder(EXPERIMENT);
    fine(dir.path(), &SWEEP);
    rewrite(
        &dir.path().join("e.toml"),
        "name = \"p99_ms\"",
        "at_most = 90\nname = \"p99_ms\"",
    );
    let claim = "[[claims]]\nid = 'x'\ntext = 'x'\nmetric = 'latency.e2e_ms.p99'\nat_most = 1\n";
    fs::write(dir.path().join("s.toml"), format!("{SCENARIO}\n{claim}")).unwrap();
    let page = fine(dir.path(), &SWEEP);
    assert!(
        page.contains("within all bounds (p99_ms at most 90)"),
        "{page}"
    );
}

#[test]
fn a_torn_last_line_is_run_again_and_a_damaged_one_before_it_is_told() {
    let dir = folder(EXPERIMENT);
    let out = dir.path().join("o");
    let journal = out.join("journal.jsonl");
    fine(dir.path(), &SWEEP);
    let whole = fs::read(&journal).unwrap();
    let results = sweeps::results(&out);
    // Wherever the last line is cut, be it at its very end, and the head, too.
    let last = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    for length in [last + 1, last + 40, whole.len() - 1, 10] {
        fs::write(&journal, &whole[..length]).unwrap();
        fine(dir.path(), &SWEEP);
        assert!(sweeps::results(&out) == results, "cut at {length}");
        let mut lines: Vec<String> = fs::read_to_string(&journal)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        let mut expected: Vec<&str> = std::str::from_utf8(&whole).unwrap().lines().collect();
        lines.sort();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    }
    let text = String::from_utf8(whole).unwrap();
    fs::write(&journal, text.replacen("\"point\":", "\"pint\":", 1)).unwrap();
    let told = refused(dir.path(), &SWEEP);
    assert!(told.contains("journal.jsonl:2: is damaged"), "{told}");
    // A number of one of two copies of a point changed by another program.
    let second = text.lines().nth(1).unwrap();
    let other = second.replacen("\"value\":", "\"value\":1", 1);
    fs::write(&journal, format!("{text}{other}\n{second}\n")).unwrap();
    sweeps::reseal(&journal);
    let told = refused(dir.path(), &SWEEP);
    assert!(told.contains("is there twice, and differs"), "{told}");
}

#[test]
fn a_digit_that_was_changed_is_noticed() {
    let dir = folder(EXPERIMENT);
    let journal = dir.path().join("o/journal.jsonl");
    fine(dir.path(), &SWEEP);
    let whole = fs::read_to_string(&journal).unwrap();
    let second = whole.lines().nth(1).unwrap();
    let at = second.find("\"value\":").unwrap() + "\"value\":".len();
    let digit = if second.as_bytes()[at] == b'9' {
        "1"
    } else {
        "9"
    };
    let mut other = second.to_owned();
    other.replace_range(at..=at, digit);
    fs::write(&journal, whole.replace(second, &other)).unwrap();
    let told = refused(dir.path(), &SWEEP);
    assert!(
        told.contains("journal.jsonl:2: is damaged (it is not what was written")
            && told.contains("remove the line, and its point is run again"),
        "{told}"
    );
    // What the remedy says.
    let rest: Vec<&str> = whole.lines().filter(|line| *line != second).collect();
    fs::write(&journal, rest.join("\n") + "\n").unwrap();
    fine(dir.path(), &SWEEP);
    // The head is no point: there is nothing that would be run again.
    for (text, said) in [
        (
            whole.replacen("points\":12", "points\":13", 1),
            "1: is damaged: it is not what was written; run it anew",
        ),
        (
            whole.split_once('\n').unwrap().1.to_owned(),
            "the line before it was taken away; put it back",
        ),
        (
            whole
                .replacen("\"schema\":2", "\"schema\":1", 1)
                .lines()
                .map(|line| line.split(",\"check\"").next().unwrap().to_owned() + "}\n")
                .collect(),
            "another version of the format (1; now 2)",
        ),
        (
            "point,rate\n0,20\n".to_owned(),
            "is not the head of a journal; name a folder",
        ),
    ] {
        fs::write(&journal, text).unwrap();
        let told = refused(dir.path(), &SWEEP);
        assert!(told.contains(said), "{told}");
    }
    let told = refused(dir.path(), &["merge", "o/points.csv", "--out", "m"]);
    assert!(
        told.contains("o/points.csv:1: is not the head of a journal"),
        "{told}"
    );
    for told in [told, refused(dir.path(), &SWEEP)] {
        assert!(
            !told.contains("column") && !told.contains("unknown field"),
            "{told}"
        );
    }
}

#[test]
fn parts_of_two_sweeps_are_not_merged() {
    let dir = folder(EXPERIMENT);
    fine(
        dir.path(),
        &["sweep", "e.toml", "--shard", "0/2", "--out", "a"],
    );
    rewrite(&dir.path().join("s.toml"), "mean_ms = 20", "mean_ms = 22");
    fine(
        dir.path(),
        &["sweep", "e.toml", "--shard", "1/2", "--out", "b"],
    );
    let told = refused(dir.path(), &["merge", "a", "b", "--out", "c"]);
    assert!(
        told.contains("b/journal-1-of-2.jsonl: is of another scenario (s.toml ")
            && told.contains("than a/journal-0-of-2.jsonl (s.toml ")
            && told.contains("name the folders of one sweep alone"),
        "{told}"
    );
    assert!(!told.contains("--out"), "{told}");
    let told = refused(dir.path(), &["merge", "a"]);
    assert!(told.contains("6 of 12 points are missing"), "{told}");
    fs::create_dir(dir.path().join("empty")).unwrap();
    let told = refused(dir.path(), &["merge", "empty"]);
    assert!(told.contains("there is no journal in it"), "{told}");
}

#[test]
fn everything_is_checked_before_the_first_point_is_run() {
    let far = EXPERIMENT.replace("from = 2, to = 4, step = 1", "from = 2, to = -1, step = -1");
    for (experiment, says) in [
        (
            far.as_str(),
            "(at point 2: workload.arrivals.rate_per_s=20 pools.servers.servers=0)",
        ),
        (
            &EXPERIMENT.replace("e2e_ms.p99", "e2e_ms.p98"),
            "did you mean `p90`?",
        ),
        (
            &EXPERIMENT.replace(
                "pools.servers.servers\"\nname",
                "pools.servers.serves\"\nname",
            ),
            "e.toml:9: axes.servers: pools.servers.serves = 2: must be a list",
        ),
        (
            &format!("{EXPERIMENT}\n[set]\n\"pools.9.servers\" = 2\n"),
            "e.toml:22: set: pools.9.servers: there is no element 9",
        ),
        (
            &format!("{EXPERIMENT}\n[set]\n\"run.horizon\" = 2\n"),
            "e.toml:22: set: run.horizon = 2: is not a field here",
        ),
        // JSON has no such numbers: a null would take the field away.
        (
            &EXPERIMENT.replace("[20, 40, 60, 80]", "[20, nan]"),
            "e.toml:7: axes.rate.values.1 = nan: is no finite number",
        ),
        (
            &EXPERIMENT.replace(
                "path = \"pools.servers.servers\"\nname = \"servers\"\nrange = { from = 2, to = 4, step = 1 }",
                "name = \"both\"\nzip = { \"pools.servers.servers\" = [2, 3], \"run.horizon_s\" = [20, -inf] }",
            ),
            "run.horizon_s\".1 = -inf: is no finite number",
        ),
        (
            &format!("{EXPERIMENT}\n[set]\n\"run.horizon_s\" = nan\n"),
            "e.toml:22: set.\"run.horizon_s\" = nan: is no finite number",
        ),
        (
            &format!("{EXPERIMENT}\n[set]\n\"workload.lengths\" = {{ mean = inf }}\n"),
            "e.toml:22: set.\"workload.lengths\".mean = inf: is no finite number",
        ),
        // A table has each column once.
        (
            &format!("{EXPERIMENT}\n[[metrics]]\nname = \"p99_ms_low\"\nmetric = \"latency.e2e_ms.p90\"\n"),
            "makes a second column `p99_ms_low` of the results, beside the one of the metric `p99_ms`",
        ),
        (
            &format!("{EXPERIMENT}\n[[metrics]]\nname = \"P99_ms\"\nmetric = \"latency.e2e_ms.p90\"\n"),
            "P99_ms: differs from another in case alone",
        ),
        (
            &EXPERIMENT.replace("name = \"rate\"", "name = \"point\""),
            "makes a second column `point` of the results",
        ),
        (
            &EXPERIMENT.replace("name = \"servers_paid\"", "name = \"rate\""),
            "makes a second column `rate` of the results, beside the one of `axes.0`",
        ),
        (
            &EXPERIMENT.replace("name = \"servers_paid\"", "name = \"replication\""),
            "makes a second column `replication` of the results",
        ),
        (
            &EXPERIMENT.replace("from = 2, to = 4, step = 1", "from = 7, to = 12, step = 2"),
            "axes.servers.range.step = 2: does not reach `to`, which is 12; make `to` 11 or 13",
        ),
        (
            &EXPERIMENT.replace("latency.e2e_ms.p99", "1 / 0"),
            "`1 / 0` is inf, not a finite number",
        ),
        (
            &EXPERIMENT.replace("values = [20, 40, 60, 80]", "values = [20, 20]"),
            "is there twice",
        ),
        (
            &EXPERIMENT.replace("values = [20, 40, 60, 80]", "values = []"),
            "must have a value",
        ),
        (
            &EXPERIMENT.replace(
                "values = [20, 40, 60, 80]",
                "between = { low = 1, high = 2 }",
            ),
            "e.toml:7: axes.rate.between",
        ),
        (
            &EXPERIMENT.replace("step = 1 }", "step = 1, count = 3 }"),
            "must have `step` or `count`",
        ),
        (
            &EXPERIMENT.replace("scenario = \"s", "scenario = \"none"),
            "none.toml: there is no such file",
        ),
        (
            &EXPERIMENT.replace("goal = \"min\"", "goal = \"least\""),
            "is not one of `min` and `max`",
        ),
        (
            &format!("{EXPERIMENT}\n[[axes]]\npath = \"pools.0.servers\"\nvalues = [1]\n"),
            "is set by another axis, too",
        ),
        (
            &format!("{EXPERIMENT}\n[[axes]]\npath = \"run.seed\"\nvalues = [1, 2]\n"),
            "is luck and no design",
        ),
        (
            &format!("{EXPERIMENT}\n[set]\n\"pools.0.servers\" = 1\n"),
            "is set for all points by [set], too",
        ),
        (
            &format!("{EXPERIMENT}\n[set]\n\"workload.arrivals\" = 1\n"),
            "is set for all points by [set]",
        ),
        (
            &format!("{EXPERIMENT}\n[design]\nkind = \"saltelli\"\nbase_points = 100\n"),
            "make it 128",
        ),
        (
            &format!("{EXPERIMENT}\n[design]\nkind = \"sobol\"\npoints = 70000\n"),
            "2 to 65,536",
        ),
    ] {
        let dir = folder(experiment);
        let told = refused(dir.path(), &SWEEP);
        assert!(told.contains(says), "{told}\n{experiment}");
        assert!(!dir.path().join("o/journal.jsonl").exists(), "{told}");
    }
    let dir = folder(EXPERIMENT);
    let output = sweeps::seatrial(dir.path(), &["sweep", "e.toml", "--shard", "3/3"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("must be I/N"));
}

#[test]
fn one_cause_is_told_once() {
    for (from, to, said) in [
        (
            "from = 2, to = 4",
            "from = 2, to = inf",
            "axes.servers.range.to = inf: must be finite",
        ),
        (
            "range = { from = 2, to = 4, step = 1 }",
            "between = { low = 2, high = nan, whole = true }",
            "axes.servers.between.high = NaN: must be finite",
        ),
    ] {
        let design = "\n[design]\nkind = \"sobol\"\npoints = 4\n";
        let dir = folder(&format!("{}{design}", EXPERIMENT.replace(from, to)));
        let told = refused(dir.path(), &SWEEP);
        assert!(told.contains(said), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn two_sweeps_do_not_write_one_journal() {
    let dir = folder(EXPERIMENT);
    fine(dir.path(), &SWEEP);
    let journal = fs::File::open(dir.path().join("o/journal.jsonl")).unwrap();
    journal.lock().unwrap();
    let told = refused(dir.path(), &SWEEP);
    assert!(told.contains("another run is writing it"), "{told}");
    drop(journal);
    fine(dir.path(), &SWEEP);
}
