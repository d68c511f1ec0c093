//! A window for a trace viewer follows the Trace Event Format's definition, and shows what happened.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::process::Command as Program;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

const FLEET: &str = r#"
name = "window"
[run]
horizon_s = 40
warmup_s = 0
[workload]
arrivals = { process = "poisson", rate_per_s = 20 }
prompt_tokens = { law = "lognormal", mean_tokens = 400, cv = 1, max_tokens = 4_000 }
output_tokens = { law = "lognormal", mean_tokens = 40, cv = 1, max_tokens = 400 }
[clients]
max_retries = 2
[[pools]]
name = "llama"
engine = "llm"
replicas = 3
model = "llama-3.1-8b"
accelerator = "h100-sxm"
step_model = "roofline"
[[faults.timeline]]
kind = "crash"
target = { pool = "llama", replica = 1 }
at_s = 12
for_s = 3
"#;

/// Prompts and answers computed apart, in pipelines.
const APART: &str = r#"
name = "apart"
[run]
horizon_s = 20
warmup_s = 0
[workload]
arrivals = { process = "poisson", rate_per_s = 10 }
prompt_tokens = { law = "constant", tokens = 300 }
output_tokens = { law = "constant", tokens = 30 }
[[pools]]
name = "prompts"
engine = "llm"
role = "prefill"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
step_model = "roofline"
[[pools]]
name = "answers"
engine = "llm"
role = "decode"
pp = 2
model = "llama-3.1-8b"
accelerator = "h100-sxm"
step_model = "roofline"
"#;

const SERVERS: &str = r#"
name = "servers"
[run]
horizon_s = 20
warmup_s = 0
[workload]
arrivals = { process = "poisson", rate_per_s = 50 }
[[pools]]
name = "servers"
engine = "abstract"
servers = 2
service = { law = "exponential", mean_ms = 30 }
"#;

fn trace(scenario: &str, more: &[&str], name: &str) -> (Value, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), scenario).unwrap();
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .current_dir(dir.path())
        .args(["run", "s.toml", "--requests", "r.csv", "--perfetto", name])
        .args(more)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{errors}");
    let bytes = std::fs::read(dir.path().join(name)).unwrap();
    let mut text = String::new();
    if name.ends_with(".gz") {
        flate2::read::GzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    (serde_json::from_str(&text).unwrap(), dir)
}

fn events(trace: &Value) -> &Vec<Value> {
    trace["traceEvents"].as_array().unwrap()
}

fn of_phase<'a>(trace: &'a Value, phase: &str) -> Vec<&'a Value> {
    events(trace)
        .iter()
        .filter(|it| it["ph"] == phase)
        .collect()
}

/// Nanoseconds: stamps have three decimals, so that nothing is lost.
fn ns(value: &Value) -> u64 {
    (value.as_f64().unwrap() * 1e3).round() as u64
}

/// What the format's definition asks of each event, by its phase.
#[track_caller]
fn check_format(trace: &Value) {
    assert!(["ms", "ns"].contains(&trace["displayTimeUnit"].as_str().unwrap()));
    assert!(trace["otherData"].is_object());
    let mut named: BTreeSet<u64> = BTreeSet::new();
    // By track: where it has come to. By request: what is open.
    let mut tracks: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut counters: BTreeMap<(u64, String), u64> = BTreeMap::new();
    let mut open: BTreeMap<(u64, String, String), (Vec<String>, u64)> = BTreeMap::new();
    for event in events(trace) {
        let name = event["name"]
            .as_str()
            .unwrap_or_else(|| panic!("no name: {event}"));
        let (pid, tid) = (
            event["pid"].as_u64().unwrap(),
            event["tid"].as_u64().unwrap(),
        );
        assert!(
            event["ts"].is_number() && event["ts"].as_f64().unwrap() >= 0.0,
            "{event}"
        );
        assert!(event["args"].is_object(), "{event}");
        match event["ph"].as_str().unwrap() {
            "M" => {
                assert!(["process_name", "thread_name"].contains(&name), "{event}");
                assert!(event["args"]["name"].is_string(), "{event}");
                named.insert(pid);
            }
            "X" => {
                let (from, dur) = (ns(&event["ts"]), ns(&event["dur"]));
                assert!(dur > 0 && event["cat"].is_string(), "{event}");
                let reached = tracks.entry((pid, tid)).or_default();
                assert!(
                    from >= *reached,
                    "a step begins before the last one ended: {event}"
                );
                *reached = from + dur;
            }
            "C" => {
                let args = event["args"].as_object().unwrap();
                assert!(
                    !args.is_empty() && args.values().all(Value::is_number),
                    "{event}"
                );
                let reached = counters.entry((pid, name.to_owned())).or_default();
                assert!(ns(&event["ts"]) >= *reached, "a counter goes back: {event}");
                *reached = ns(&event["ts"]);
            }
            "i" => assert!(
                ["g", "p", "t"].contains(&event["s"].as_str().unwrap()),
                "{event}"
            ),
            phase @ ("b" | "e") => {
                let id = event["id"].as_str().unwrap().to_owned();
                let key = (pid, event["cat"].as_str().unwrap().to_owned(), id);
                let (stack, reached) = open.entry(key).or_default();
                assert!(ns(&event["ts"]) >= *reached, "a request goes back: {event}");
                *reached = ns(&event["ts"]);
                match phase {
                    "b" => stack.push(name.to_owned()),
                    _ => assert_eq!(stack.pop().as_deref(), Some(name), "{event}"),
                }
            }
            other => panic!("unknown phase {other}: {event}"),
        }
        assert!(named.contains(&pid), "a process without a name: {event}");
    }
    for (key, (stack, _)) in open {
        assert!(stack.is_empty(), "{key:?} is never closed: {stack:?}");
    }
}

#[test]
fn a_window_follows_the_format() {
    for (scenario, window) in [
        (FLEET, "10..16"),
        (APART, "5..7"),
        (SERVERS, "0..1"),
        (FLEET, "39..5000"),
    ] {
        let (trace, _dir) = trace(scenario, &["--window", window], "t.json");
        check_format(&trace);
        assert!(!of_phase(&trace, "b").is_empty(), "{window}");
    }
}

#[test]
fn packed_or_not_it_is_the_same() {
    let (plain, _dir) = trace(FLEET, &["--window", "3..4"], "t.json");
    let (packed, _dir) = trace(FLEET, &["--window", "3..4"], "t.json.gz");
    assert_eq!(plain, packed);
}

#[test]
fn requests_are_those_of_the_window() {
    let (trace, dir) = trace(FLEET, &["--window", "10..16"], "t.json");
    let mut reader = csv::Reader::from_path(dir.path().join("r.csv")).unwrap();
    let head = reader.headers().unwrap().clone();
    let at = |name: &str| head.iter().position(|it| it == name).unwrap();
    let whole: BTreeMap<u64, (u64, u64)> = reader
        .records()
        .map(Result::unwrap)
        .filter(|row| &row[at("status")] == "completed")
        .map(|row| {
            let stamp = |name: &str| row[at(name)].parse::<u64>().unwrap();
            (stamp("id"), (stamp("arrival_ns"), stamp("last_token_ns")))
        })
        .collect();
    let wanted: BTreeSet<u64> = whole
        .iter()
        .filter(|(_, (from, to))| *from < 16_000_000_000 && *to >= 10_000_000_000)
        .map(|(id, _)| *id)
        .collect();
    let mut shown = BTreeSet::new();
    for event in of_phase(&trace, "b")
        .into_iter()
        .filter(|it| it["name"] == "request")
    {
        let id = event["args"]["id"].as_u64().unwrap();
        if event["args"]["status"] == "completed" {
            assert!(shown.insert(id), "{id} twice");
            assert_eq!(ns(&event["ts"]), whole[&id].0);
        }
    }
    assert_eq!(shown, wanted);
    assert!(shown.len() > 50);
    for phase in ["queue", "prefill", "decode"] {
        assert!(
            of_phase(&trace, "b").iter().any(|it| it["name"] == phase),
            "{phase}"
        );
    }
    assert!(
        of_phase(&trace, "b")
            .iter()
            .any(|it| it["name"] == "earlier tries and gateway")
    );
}

#[test]
fn the_tokens_of_the_steps_are_those_of_the_requests() {
    // The whole run: every prompt token is in one iteration, and every output token after the first.
    let calm = FLEET.split("[[faults").next().unwrap();
    let (trace, dir) = trace(calm, &["--window", "0..100"], "t.json");
    let steps = of_phase(&trace, "X");
    let sum = |key: &str| -> u64 {
        steps
            .iter()
            .map(|it| it["args"][key].as_u64().unwrap())
            .sum()
    };
    let mut reader = csv::Reader::from_path(dir.path().join("r.csv")).unwrap();
    let head = reader.headers().unwrap().clone();
    let at = |name: &str| head.iter().position(|it| it == name).unwrap();
    let (mut prompt, mut decoded) = (0, 0);
    for row in reader.records().map(Result::unwrap) {
        assert_eq!(&row[at("status")], "completed");
        prompt += row[at("prompt_tokens")].parse::<u64>().unwrap();
        decoded += row[at("output_tokens")].parse::<u64>().unwrap() - 1;
    }
    assert_eq!(sum("prompt_tokens"), prompt);
    assert_eq!(sum("decoding"), decoded);
    let tracks: BTreeSet<u64> = steps.iter().map(|it| it["tid"].as_u64().unwrap()).collect();
    assert_eq!(tracks.len(), 3);
}

#[test]
fn steps_folded_or_not_are_the_same() {
    let stepped = FLEET.replace(
        "step_model = \"roofline\"",
        "step_model = \"roofline\"\nstep_by_step = true",
    );
    let (folded, _dir) = trace(FLEET, &["--window", "5..9"], "t.json");
    let (stepped, _dir) = trace(&stepped, &["--window", "5..9"], "t.json");
    // Tracks are numbered as their first steps end: names say which is which.
    let spans = |trace: &Value| -> Vec<(String, u64, u64, String)> {
        let threads = of_phase(trace, "M").into_iter();
        let threads = threads.filter(|it| it["name"] == "thread_name");
        let names: BTreeMap<u64, &str> = threads
            .map(|it| {
                (
                    it["tid"].as_u64().unwrap(),
                    it["args"]["name"].as_str().unwrap(),
                )
            })
            .collect();
        let steps = of_phase(trace, "X");
        let mut spans: Vec<_> = steps
            .iter()
            .map(|it| {
                let name = it["name"].as_str().unwrap().to_owned();
                let track = names[&it["tid"].as_u64().unwrap()].to_owned();
                (track, ns(&it["ts"]), ns(&it["dur"]), name)
            })
            .collect();
        spans.sort();
        spans
    };
    let (a, b) = (spans(&folded), spans(&stepped));
    assert!(a.len() > 300, "{}", a.len());
    for (folded, stepped) in a.iter().zip(&b) {
        assert_eq!(folded, stepped);
    }
    assert_eq!(a.len(), b.len());
}

#[test]
fn what_broke_is_marked() {
    let (trace, _dir) = trace(FLEET, &["--window", "10..16"], "t.json");
    let marks = of_phase(&trace, "i");
    let said = |words: &str| {
        marks
            .iter()
            .find(|it| it["name"].as_str().unwrap().contains(words))
    };
    assert_eq!(ns(&said("dies").unwrap()["ts"]), 12_000_000_000);
    assert_eq!(ns(&said("is back").unwrap()["ts"]), 15_000_000_000);
    // Nothing is computed by a dead replica.
    let dead = |it: &&&Value| ns(&it["ts"]) >= 12_000_000_000 && ns(&it["ts"]) < 15_000_000_000;
    let steps = of_phase(&trace, "X");
    let tids: BTreeSet<u64> = steps
        .iter()
        .filter(dead)
        .map(|it| it["tid"].as_u64().unwrap())
        .collect();
    assert_eq!(tids.len(), 2);
}

#[test]
fn handed_over_requests_show_their_way() {
    let (trace, _dir) = trace(APART, &["--window", "5..7"], "t.json");
    let names: BTreeSet<&str> = of_phase(&trace, "b")
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains("decode") && names.contains("prefill"),
        "{names:?}"
    );
    assert!(names.contains("KV transfer"), "{names:?}");
    let threads: Vec<&str> = of_phase(&trace, "M")
        .iter()
        .map(|it| it["args"]["name"].as_str().unwrap())
        .collect();
    assert!(
        threads.contains(&"pool prompts") && threads.contains(&"pool answers"),
        "{threads:?}"
    );
}

/// Perfetto's own trace processor, where `SEATRIAL_READERS` names a virtual environment that has it and
/// its program can be had (`tests/duckdb/install.sh FOLDER` makes one).
#[test]
fn perfetto_itself_opens_a_window() {
    let Some(readers) = std::env::var_os("SEATRIAL_READERS") else {
        eprintln!("SKIPPED: SEATRIAL_READERS names no virtual environment with Perfetto's package");
        return;
    };
    let (trace, dir) = trace(FLEET, &["--window", "10..16"], "t.json");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/duckdb/opens_in_perfetto.py");
    let output = Program::new(Path::new(&readers).join("bin/python"))
        .arg(script)
        .arg(dir.path().join("t.json"))
        .output()
        .unwrap();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let unreachable = ["CalledProcessError", "URLError", "timed out"];
        assert!(unreachable.iter().any(|it| said.contains(it)), "{said}");
        eprintln!("SKIPPED: the trace processor's program cannot be had here");
        return;
    }
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let requests = of_phase(&trace, "b")
        .into_iter()
        .filter(|it| it["name"] == "request")
        .count();
    assert_eq!(found["requests"], requests);
    assert_eq!(found["steps"], of_phase(&trace, "X").len());
    assert_eq!(found["errors"], 0);
}
