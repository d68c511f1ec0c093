//! `seatrial faults`: what is imported runs, and what breaks is listed.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::io::Write;
use std::path::Path;

use assert_cmd::Command;
use insta::assert_snapshot;
use seatrial::engine::SimTime;
use seatrial::fleet::faults::{FaultSchedule, What};
use serde_json::Value;
use tempfile::TempDir;

use crate::common;

const EVENTS: &str = include_str!("../data/kubernetes-events.json");
const START: &str = "2026-03-01T12:00:00Z";

const NOTICES: &str = r#"{"instance-id": "i-0b", "action": "terminate", "time": "2026-03-01T12:05:00Z"}
{"version": "0", "detail-type": "EC2 Spot Instance Interruption Warning", "time": "2026-03-01T12:01:00Z", "detail": {"instance-id": "i-0a", "instance-action": "hibernate"}}
{"version": "0", "detail-type": "EC2 Instance Rebalance Recommendation", "time": "2026-03-01T12:00:30Z", "detail": {"instance-id": "i-0a"}}
"#;

const FLEET: &str = r#"name = "fleet"

[run]
horizon_s = 600
warmup_s = 0

[workload]
arrivals = { process = "poisson", rate_per_s = 20 }

[[pools]]
name = "nodes"
engine = "abstract"
replicas = 4
service = { law = "exponential", mean_ms = 30 }
"#;

/// Every kind of entry, and a file of faults with more.
const ALL_KINDS: &str = r#"
[[faults.racks]]
name = "r1"
members = [{ pool = "nodes", first_replica = 1, replicas = 3 }]

[[faults.timeline]]
at_s = 300.125
until_s = 360
kind = "slow"
factor = 2.5
target = { rack = "r1" }

[[faults.timeline]]
at_s = 1_200
kind = "drain"
notice_s = 30
target = { pool = "nodes", replica = 3 }

[[faults.timeline]]
at_s = 60
for_s = 120
kind = "oscillating"
period_s = 20
on_share = 0.07
fault = { kind = "packet_loss", probability = 0.07 }
target = { pool = "nodes", share = 0.5 }

[[faults.timeline]]
at_s = 100
for_s = 200
kind = "bad_deploy"
share = 0.01
share_steps = [[150, 0.07], [200, 0.5]]
sticky = false

[[faults.timeline]]
at_s = 400
for_s = 30
kind = "traffic_spike"
factor = 3

[[faults.random]]
name = "gpus"
component = "gpu"
preset = "gpu_h100_llama3"
mttr = { law = "lognormal", mean_ms = 7_200_000, scv = 1 }

[[faults.random]]
name = "switches"
component = "switch"
group_size = 2
mtbf_h = 0.2
mttr_s = 90
fault = { kind = "hang" }
distribution = { law = "weibull", shape = 0.7 }
"#;

struct Ran {
    code: i32,
    out: String,
    errors: String,
}

fn seatrial(dir: &Path, arguments: &[&str]) -> Ran {
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .current_dir(dir)
        .args(arguments)
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder with events, notices, a fleet, and a fleet in which everything breaks.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("events.json", EVENTS);
    write("notices.jsonl", NOTICES);
    write("fleet.toml", FLEET);
    let more = "faults.file = \"more.toml\"\n";
    write("all.toml", &format!("{more}{FLEET}{ALL_KINDS}"));
    let crash = "[[faults.timeline]]\nat_s = 90\nkind = \"crash\"\n\
                 target = { pool = \"nodes\", replica = 0 }\n";
    write("more.toml", crash);
    dir
}

const IMPORT: [&str; 7] = [
    "faults",
    "import",
    "events.json",
    "--start",
    START,
    "--node",
    "gpu-*=nodes",
];

fn fits_the_width(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "too wide: {line}");
        assert_eq!(line, line.trim_end(), "blanks at the end: {line:?}");
    }
}

#[test]
fn the_file_of_events_of_kubernetes() {
    let ran = seatrial(folder().path(), &IMPORT);
    assert_eq!(ran.code, 0, "{}", ran.errors);
    fits_the_width(&ran.out);
    fits_the_width(&ran.errors);
    assert_snapshot!("events_as_faults", ran.out);
    assert_snapshot!("what_is_said_of_events", ran.errors);
}

#[test]
fn the_file_of_spot_notices() {
    let import = [
        "faults",
        "import",
        "notices.jsonl",
        "--start",
        START,
        "--node",
        "i-*=nodes",
    ];
    let ran = seatrial(folder().path(), &import);
    assert_eq!(ran.code, 0, "{}", ran.errors);
    fits_the_width(&ran.out);
    fits_the_width(&ran.errors);
    assert_snapshot!("notices_as_faults", ran.out);
    assert_snapshot!("what_is_said_of_notices", ran.errors);
}

#[test]
fn the_list_of_all_kinds() {
    let dir = folder();
    let ran = seatrial(dir.path(), &["faults", "list", "all.toml"]);
    assert_eq!(ran.code, 0, "{}", ran.errors);
    fits_the_width(&ran.out);
    assert_snapshot!("a_list_of_all_kinds", ran.out);
    let json = seatrial(dir.path(), &["faults", "list", "all.toml", "--json"]);
    assert_snapshot!("a_list_of_all_kinds_as_json", json.out);
    let none = seatrial(dir.path(), &["faults", "list", "fleet.toml"]);
    assert_snapshot!(none.out, @"fleet: nothing breaks; requests arrive for 600 s");
}

#[test]
fn help_pages() {
    let dir = folder();
    let page = |arguments: &[&str]| seatrial(dir.path(), arguments).out;
    assert_snapshot!("help_of_faults", page(&["faults", "--help"]));
    assert_snapshot!("help_of_import", page(&["faults", "import", "--help"]));
    assert_snapshot!("help_of_list", page(&["faults", "list", "--help"]));
}

/// What was imported breaks in the run; the file is looked for beside the scenario, wherever the
/// command runs.
#[test]
fn what_is_imported_runs() {
    let dir = folder();
    let deep = dir.path().join("deep");
    std::fs::create_dir(&deep).unwrap();
    let more = ["--output", "deep/faults.toml", "--scenario", "fleet.toml"];
    let made = seatrial(dir.path(), &[&IMPORT[..], &more].concat());
    assert_eq!(made.code, 0, "{}", made.errors);
    assert!(made.out.starts_with("deep/faults.toml: 4 faults written"));
    let printed = seatrial(dir.path(), &IMPORT).out;
    assert_eq!(
        std::fs::read_to_string(deep.join("faults.toml")).unwrap(),
        printed
    );
    let scenario = format!("faults.file = \"faults.toml\"\n{FLEET}");
    std::fs::write(deep.join("s.toml"), scenario).unwrap();
    // A scenario that names the file already may be checked before it is there.
    let again = ["--output", "deep/again.toml", "--scenario", "deep/s.toml"];
    assert_eq!(
        seatrial(dir.path(), &[&IMPORT[..], &again].concat()).code,
        0
    );

    let run = [
        "run",
        "deep/s.toml",
        "--json",
        "--omit-timing",
        "--out",
        "out",
    ];
    let ran = seatrial(dir.path(), &run);
    assert_eq!(ran.code, 0, "{}", ran.errors);
    let result: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(result["timeline"]["summary"]["faults"], 4);
    let account = result["timeline"]["account"].to_string();
    assert!(
        account.contains("at 180.0 s replica 1 of nodes dies"),
        "{account}"
    );
    assert!(
        account.contains("at 390.0 s replica 1 of nodes is back"),
        "{account}"
    );
    // The scenario that was written runs from any folder, with the same faults.
    let elsewhere = tempfile::tempdir().unwrap();
    let written = dir.path().join("out/scenario.toml");
    let run = ["run", written.to_str().unwrap(), "--json", "--omit-timing"];
    assert_eq!(seatrial(elsewhere.path(), &run).out, ran.out);

    let list = ["faults", "list", "deep/s.toml", "--json"];
    let list: Value = serde_json::from_str(&seatrial(dir.path(), &list).out).unwrap();
    assert_eq!(list["timeline"].as_array().unwrap().len(), 4);
    assert_eq!(list["timeline"][1]["written"], "faults.toml:17");
}

#[test]
fn spot_notices_run() {
    let dir = folder();
    let import = [
        "faults",
        "import",
        "notices.jsonl",
        "--start",
        START,
        "--node",
        "i-*=nodes",
        "-o",
        "f.toml",
    ];
    assert_eq!(seatrial(dir.path(), &import).code, 0);
    let run = ["run", "fleet.toml", "--set", "faults.file=f.toml", "--json"];
    let ran = seatrial(dir.path(), &run);
    assert_eq!(ran.code, 0, "{}", ran.errors);
    let result: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(result["timeline"]["summary"]["most_replicas_down"], 2);
}

#[test]
fn gzip_and_stated_formats_give_the_same() {
    let dir = folder();
    let pack = |name: &str, text: &str| {
        let file = std::fs::File::create(dir.path().join(name)).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap();
    };
    pack("events.json.gz", EVENTS);
    let compact = serde_json::from_str::<Value>(EVENTS).unwrap().to_string();
    std::fs::write(
        dir.path().join("compact.json"),
        format!("\u{feff}{compact}"),
    )
    .unwrap();
    let plain = seatrial(dir.path(), &IMPORT).out;
    for (file, more) in [
        ("events.json.gz", &[][..]),
        ("compact.json", &[]),
        ("events.json", &["--format", "kubernetes"]),
        ("events.json.gz", &["--format", "kubernetes"]),
    ] {
        let mut import = IMPORT;
        import[2] = file;
        let ran = seatrial(dir.path(), &[&import[..], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.errors);
        assert_eq!(ran.out.replace(file, "events.json"), plain);
    }
}

#[test]
fn stated_lengths_are_used() {
    let more = ["--evicted-for-s", "60", "--probe-period-s", "5"];
    let ran = seatrial(folder().path(), &[&IMPORT[..], &more].concat());
    assert!(
        ran.out.contains("at_s = 480.0\nfor_s = 60.0\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("at_s = 240.0\nfor_s = 65.0\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.errors.contains("gone for 60 s (--evicted-for-s)"),
        "{}",
        ran.errors
    );
}

/// What is said about an import that is refused.
fn refusal(file: &str, text: Option<&[u8]>, more: &[&str]) -> String {
    let dir = folder();
    if let Some(text) = text {
        std::fs::write(dir.path().join(file), text).unwrap();
    }
    let ran = seatrial(dir.path(), &[&["faults", "import", file], more].concat());
    assert_eq!(ran.code, 2, "{}", ran.errors);
    assert!(ran.out.is_empty());
    ran.errors.trim_end().to_owned()
}

fn content(text: &[u8]) -> String {
    refusal(
        "x.json",
        Some(text),
        &["--start", START, "--node", "gpu-*=nodes"],
    )
}

fn options(more: &[&str]) -> String {
    refusal("events.json", None, more)
}

fn nodes(rules: &[&str]) -> String {
    let rules = rules.iter().flat_map(|rule| ["--node", rule]);
    options(
        &["--start", START]
            .into_iter()
            .chain(rules)
            .collect::<Vec<_>>(),
    )
}

fn more(more: &[&str]) -> String {
    options(&[&["--start", START, "--node", "gpu-*=nodes"], more].concat())
}

#[test]
fn files_that_hold_no_faults() {
    assert_snapshot!(content(b"name = 3"), @"error: faults `x.json`, line 1, byte 2: not valid JSON (expected ident); write the file anew");
    assert_snapshot!(content(b""), @"error: faults `x.json`: is empty; give a file of events or notices");
    assert_snapshot!(content(b"[]"), @"error: faults `x.json`, line 1: `[]` begins neither events of Kubernetes (the output of `kubectl get events -o json`) nor spot notices (one JSON object a line, with `action` or `detail-type`) nor a timeline (`[[faults.timeline]]`); if it is one of them, say so with --format kubernetes, spot or timeline");
    assert_snapshot!(content(b"{\"items\": []}"), @"error: x.json: holds no fault: 0 events read, none of them left; give a file with faults of nodes or pods");
    assert_snapshot!(content(b"{\n\"items\": [1,]}"), @"error: faults `x.json`, line 2, byte 13: not valid JSON (trailing comma); write the file anew");
    assert_snapshot!(content(b"{\"kind\": \"Pod\"}"), @r#"error: faults `x.json`, line 1: `{"kind": "Pod"}` begins neither events of Kubernetes (the output of `kubectl get events -o json`) nor spot notices (one JSON object a line, with `action` or `detail-type`) nor a timeline (`[[faults.timeline]]`); if it is one of them, say so with --format kubernetes, spot or timeline"#);
    assert_snapshot!(content(b"{\"action\": \"reboot\"}"), @"error: faults `x.json`, line 1, action: `reboot` is not allowed; allowed: terminate, stop or hibernate; correct or remove this line");
    assert_snapshot!(content(b"{\"\xff\": 1}"), @"error: faults `x.json`: line 1 is not UTF-8, the only encoding allowed; convert the file (`iconv -t utf-8`)");
    assert_snapshot!(content(b"\x1f\x8b\x08\x00"), @"error: faults `x.json`: the gzip data is damaged or ends early (unexpected end of file); copy or download the file again");
    let healthy = EVENTS.replace("NodeNotReady", "NodeReady");
    let healthy = healthy
        .replace("Evicted", "Created")
        .replace("Unhealthy", "Created");
    assert_snapshot!(content(healthy.as_bytes()), @r#"error: x.json: holds no fault: 8 events read, none of them left (3 "a reason that is no fault", 1 "no rule fits the node", 4 "ready, and was so before"); give a file with faults of nodes or pods"#);
    let start = ["--start", START, "--node", "gpu-*=nodes"];
    assert_snapshot!(refusal("nope.json", None, &start), @"error: faults `nope.json`: does not exist; check the path");
    assert_snapshot!(refusal(".", None, &start), @"error: faults `.`: is a directory; name one file in it");
}

#[test]
fn options_that_do_not_fit_the_file() {
    assert_snapshot!(options(&["--start", "2027-01-01T00:00:00Z", "--node", "gpu-*=nodes"]), @r#"error: --start 2027-01-01T00:00:00Z: is after all that events.json tells of, 2026-03-01T11:59:30Z to 2026-03-01T12:08:00Z (1 "a reason that is no fault", 1 "no rule fits the node", 4 "over before the start"); give an earlier start"#);
    assert_snapshot!(options(&["--start", "1999-01-01T00:00:00Z", "--node", "gpu-*=nodes"]), @"error: --start 1999-01-01T00:00:00Z: a fault begins 857,218,080 s after it, at most 100,000,000 are allowed; give the start of the run");
    assert_snapshot!(options(&["--start", "yesterday", "--node", "gpu-*=nodes"]), @"error: --start yesterday: must be an RFC 3339 time; write, for example, 2026-03-01T12:00:00Z");
    assert_snapshot!(nodes(&["tpu-*=nodes"]), @"error: --node tpu-*=nodes: fits no node of events.json; its nodes are `cpu-1`, `gpu-a`, `gpu-b`, `gpu-c`; correct the pattern, where * is any text and ? any one character, or remove it");
    assert_snapshot!(nodes(&["gpu-*=nodes", "gpu-a=other"]), @"error: --node gpu-a=other: fits only nodes that an earlier --node fits, too; put it first, or remove it");
    assert_snapshot!(nodes(&["gpu-*"]), @"error: --node gpu-*: must be PATTERN=POOL; write, for example, 'gpu-*=h100'");
    assert_snapshot!(nodes(&["=nodes"]), @"error: --node =nodes: the pattern must not be empty; write, for example, 'gpu-*=h100'");
    assert_snapshot!(nodes(&["gpu-*="]), @"error: --node gpu-*=: the pool must have a name of 1 to 64 letters (a to z), digits, `_` and `-`; write, for example, 'gpu-*=h100'");
    assert_snapshot!(more(&["--evicted-for-s", "0"]), @"error: --evicted-for-s 0: must be above 0 and at most 100,000,000; give a length in seconds");
    assert_snapshot!(more(&["--format", "spot"]), @"error: --format spot: events.json looks like kubernetes; leave --format out (faults `events.json`, line 1, byte 1: not valid JSON (EOF while parsing an object); write the file anew)");
    assert_snapshot!(more(&["--format", "gcp"]), @"error: invalid value 'gcp' for '--format <FORMAT>': must be kubernetes, spot or timeline

For more information, try '--help'.");
    assert_snapshot!(more(&["--output", "f.toml.gz"]), @"error: --output f.toml.gz: a file of faults is not compressed; give a name without .gz");
    assert_snapshot!(more(&["--output", "events.json"]), @"error: --output events.json: is the file that is read; give another name");
    assert!(more(&["--output", "none/f.toml"]).contains("none/f.toml: cannot write"));
    let spot = ["--start", START, "--node", "i-*=nodes", "--back-off-s", "5"];
    assert_snapshot!(refusal("notices.jsonl", None, &spot), @"error: --back-off-s 5: does nothing with spot notices, only with events of Kubernetes; remove it");
}

#[test]
fn pools_that_a_scenario_lacks() {
    let checked =
        |rule: &str| options(&["--start", START, "--node", rule, "--scenario", "fleet.toml"]);
    assert_snapshot!(checked("gpu-*=node"), @"error: --node gpu-*=node: there is no pool `node` in fleet.toml; its pools are `nodes`; did you mean `nodes`?");
    let two = FLEET.replace("replicas = 4", "replicas = 2");
    let dir = folder();
    std::fs::write(dir.path().join("two.toml"), two).unwrap();
    let ran = seatrial(
        dir.path(),
        &[&IMPORT[..], &["--scenario", "two.toml"]].concat(),
    );
    assert_snapshot!(ran.errors.trim_end(), @"error: --node gpu-*=nodes: 3 nodes with events for the 2 replicas of pool `nodes` in two.toml; narrow the pattern, or set pools.nodes.replicas");
    // Unchecked it is the run that refuses it, with the line of the file.
    let made = seatrial(dir.path(), &[&IMPORT[..], &["-o", "f.toml"]].concat());
    assert_eq!(made.code, 0);
    let refused = |command: &[&str]| {
        let more = ["two.toml", "--set", "faults.file=f.toml"];
        let ran = seatrial(dir.path(), &[command, &more].concat());
        assert_eq!(ran.code, 2);
        ran.errors.trim_end().to_owned()
    };
    assert_eq!(refused(&["faults", "list"]), refused(&["run"]));
    assert_snapshot!(refused(&["run"]), @"error: f.toml:35: faults.timeline.3.target.replica = 2: must be 0 to 1; change it to a value in this range");
    let missing = [
        "faults",
        "list",
        "fleet.toml",
        "--set",
        "faults.file=g.toml",
    ];
    let ran = seatrial(dir.path(), &missing);
    assert_eq!(ran.code, 2);
    assert_snapshot!(ran.errors.trim_end(), @"error: g.toml: there is no such file; check the path and the working directory");
}

/// The expected number is that of the failures drawn: groups of different sizes, long repairs.
#[test]
fn the_expected_number_is_the_mean_of_what_is_drawn() {
    let scenario = r#"
name = "random"
[run]
horizon_s = 400_000
[workload]
arrivals = { process = "poisson", rate_per_s = 1 }
[[pools]]
name = "big"
engine = "llm"
model = "llama-3.1-70b"
accelerator = "h100-sxm"
tp = 8
replicas = 3
[[pools]]
name = "small"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
replicas = 5
[[faults.random]]
name = "gpus"
component = "gpu"
mtbf_h = 10
mttr_s = 3_000
"#;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), scenario).unwrap();
    let list = seatrial(dir.path(), &["faults", "list", "s.toml", "--json"]);
    let list: Value = serde_json::from_str(&list.out).unwrap();
    let row = &list["random"][0];
    assert_eq!(row["groups"], 8);
    assert_eq!(row["components"], 29);
    let expected = row["expected"].as_f64().unwrap();
    assert!((expected - 29.0 * 400_000.0 / 36_000.0).abs() < 1e-9);
    let with_repairs = row["expected_with_repairs"].as_f64().unwrap();

    let plan = common::plan_of(scenario);
    let faults = plan.fleet.faults.as_ref().unwrap();
    let drawn: Vec<f64> = (0..100)
        .map(|replication| {
            let mut streams = plan.fleet.streams;
            streams.replication = replication;
            let end = SimTime(400_000_000_000_000);
            let schedule = FaultSchedule::new(&faults.faults, &faults.layout, streams, end);
            let mut schedule = schedule.unwrap();
            let mut begun = 0.0;
            while let Some(change) = schedule.next_change() {
                begun += f64::from(u8::from(matches!(change.what, What::Begin(_))));
            }
            begun
        })
        .collect();
    let mean = drawn.iter().sum::<f64>() / 100.0;
    let variance = drawn.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / 99.0;
    let off = (mean - with_repairs).abs();
    // All begin whole, which is worth less than one failure a group beside the long-run rate.
    assert!(
        off < 4.0 * (variance / 100.0).sqrt() + 3.0,
        "{mean} {with_repairs}"
    );
    assert!(mean < 0.8 * expected, "{mean} {expected}");
}

#[test]
fn a_timeline_written_by_hand_takes_the_clock_of_the_post_mortem() {
    let dir = TempDir::new().unwrap();
    let night = r#"
# The rack lost power; half of the fleet was slow before that.
[[faults.timeline]]
at = 2026-03-01T12:05:00Z
until = "2026-03-01T13:20:00+01:00"
kind = "crash"
target = { pool = "nodes", replica = 2 }

[[faults.timeline]]
at = 2026-03-01T11:59:00Z
for_s = 120
kind = "slow"
factor = 2
target = { pool = "nodes", share = 0.5 }
"#;
    std::fs::write(dir.path().join("night.toml"), night).unwrap();
    let arguments = [
        "faults",
        "import",
        "night.toml",
        "--start",
        START,
        "-o",
        "faults.toml",
    ];
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .current_dir(dir.path())
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("2 faults written"), "{text}");
    assert!(text.contains("1 under way at the start"), "{text}");
    let fleet = FLEET.to_owned() + "\n[faults]\nfile = \"faults.toml\"\n";
    std::fs::write(dir.path().join("fleet.toml"), fleet).unwrap();
    let listed = Command::cargo_bin("seatrial")
        .unwrap()
        .current_dir(dir.path())
        .args(["faults", "list", "fleet.toml"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("300") && listed.contains("900"), "{listed}");
    assert!(listed.contains("slow"), "{listed}");

    let bad = night.replace("2026-03-01T12:05:00Z", "\"five past twelve\"");
    std::fs::write(dir.path().join("bad.toml"), bad).unwrap();
    let refused = Command::cargo_bin("seatrial")
        .unwrap()
        .current_dir(dir.path())
        .args(["faults", "import", "bad.toml", "--start", START])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let errors = String::from_utf8(refused.stderr).unwrap();
    assert!(
        errors.contains("entry 1, at: `five past twelve`"),
        "{errors}"
    );
}

/// What a timeline written by hand is refused for, or how it is imported.
fn timeline(text: &str) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("t.toml"), text).unwrap();
    let import = ["faults", "import", "t.toml", "--start", START];
    seatrial(dir.path(), &import)
}

#[test]
fn a_timeline_whose_time_runs_backwards_or_that_is_cut_short_is_refused() {
    let entry = "[[faults.timeline]]\nat = 2026-03-01T12:05:00Z\nkind = \"crash\"\n\
                 target = { pool = \"n\", replica = 0 }\n";
    for (more, words) in [
        (
            "until = 2026-03-01T12:01:00Z\n",
            "entry 1, until: `2026-03-01T12:01:00Z` is not allowed",
        ),
        (
            "until = 2026-03-01T12:05:00Z\n",
            "a time after the one it begins at",
        ),
        ("until_s = 20\n", "entry 1, until: `20` is not allowed"),
        ("for_s = -3\n", "entry 1, for_s: `-3` is not allowed"),
        // Of `for_s = 1200`.
        (
            "for_s = 12",
            "ends within line 5, `for_s = 12`, which may be cut short",
        ),
    ] {
        let ran = timeline(&format!("{entry}{more}"));
        assert_eq!(ran.code, 2, "{more}: {}", ran.out);
        assert!(ran.errors.contains(words), "{more}: {}", ran.errors);
    }
    for more in [
        "",
        "until = 2026-03-01T12:06:00Z\n",
        "for_s = 12\n",
        "# the end",
    ] {
        let ran = timeline(&format!("{entry}{more}"));
        assert_eq!(ran.code, 0, "{more}: {}", ran.errors);
    }
}
