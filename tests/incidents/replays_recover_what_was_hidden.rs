//! A replay finds on a calm window what a scenario does not say, predicts the incident that it never
//! saw, and says so when something happened that the scenario does not have.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::path::{Path, PathBuf};

use crate::logs_round_trip::seatrial;

use assert_cmd::Command;
use seatrial::observed::{ReadOptions, read_all};
use seatrial::replay::fit::fit;
use seatrial::replay::night::Seen;
use seatrial::replay::open::by_default;
use seatrial::replay::stage::Stage;
use seatrial::replay::{Night, Open};
use seatrial::scenario::tries::Clients;
use seatrial::scenario::{Document, SourceText};
use serde_json::Value;
use tempfile::TempDir;

/// Two nodes; one try of five fails at random all night, and for two minutes there is a brown-out.
const KNOWN: &str = r#"
name = "night"
[run]
seed = 5
horizon_s = 900
warmup_s = 0
[workload]
arrivals = { process = "poisson", rate_per_s = 9 }
prompt_tokens = { law = "lognormal", mean_tokens = 600, cv = 1, max_tokens = 4000 }
output_tokens = { law = "lognormal", mean_tokens = 120, cv = 0.7, max_tokens = 800 }
[slo]
ttft_ms = 800
tpot_ms = 60
[router]
policy = "least_request"
choices = 0
[[faults.timeline]]
kind = "bad_deploy"
at_s = 0
share = 0.2
sticky = false
[[faults.timeline]]
kind = "brown_out"
target = { pool = "llama" }
at_s = 600
for_s = 120
share = 0.8
[[pools]]
name = "llama"
engine = "llm"
replicas = 2
model = "llama-3.1-70b"
accelerator = "h100-sxm"
tp = 8
# At like loads it does what a fixed overhead does: it must be known.
overhead_per_seq_us = 60
"#;

/// What the replay is to find: engine, gateway and retries.
const HIDDEN: [(&str, f64); 4] = [
    ("pools.*.overhead_fixed_us", 3_500.0),
    ("gateway.cost_ms", 25.0),
    ("clients.max_retries", 2.0),
    ("clients.backoff.base_ms", 900.0),
];

struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What a fleet with all that is hidden, and more, would have logged. Another seed: its luck is
    /// not that of the replay.
    fn night(&self, more: &str) -> PathBuf {
        let scenario = self.file("truth.toml", &format!("{KNOWN}{more}"));
        let log = self.folder.path().join("night.csv.gz");
        let mut command = Command::cargo_bin("seatrial").unwrap();
        command
            .arg("run")
            .arg(&scenario)
            .args(["--seed", "99", "--requests"])
            .arg(&log);
        for (path, value) in HIDDEN {
            let path = path.replace("pools.*", "pools.llama");
            command.args(["--set", &format!("{path}={value}")]);
        }
        assert!(command.output().unwrap().status.code().unwrap() < 2);
        log
    }

    fn replay(&self, log: &Path, more: &[&str]) -> (i32, Value) {
        let scenario = self.file("known.toml", KNOWN);
        let mut command = Command::cargo_bin("seatrial").unwrap();
        command.arg("replay").arg(&scenario).arg("--trace").arg(log);
        let windows = ["--calm", "0..540", "--incident", "600..780"];
        let output = command
            .args(windows)
            .args(more)
            .arg("--json")
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        let json = serde_json::from_slice(&output.stdout);
        let json: Value = json.unwrap_or_else(|error| panic!("{error}: {errors}"));
        (output.status.code().unwrap(), json)
    }
}

#[test]
fn a_calm_window_gives_what_is_hidden_and_the_incident_is_predicted() {
    let bench = Bench::new();
    let log = bench.night("");
    let (code, found) = bench.replay(&log, &["--what-if", "clients.max_retries=0"]);
    let parameters = found["fit"]["parameters"].as_array().unwrap();
    assert_eq!(parameters.len(), HIDDEN.len(), "{parameters:?}");
    for (parameter, (path, hidden)) in parameters.iter().zip(HIDDEN) {
        assert_eq!(parameter["path"], path);
        let (low, high) = (
            parameter["interval"][0].as_f64().unwrap(),
            parameter["interval"][1].as_f64().unwrap(),
        );
        assert!(low <= hidden && hidden <= high, "{parameter}");
        // An interval as wide as the bounds would recover anything.
        let range = parameter["high"].as_f64().unwrap() - parameter["low"].as_f64().unwrap();
        assert!(high - low < 0.6 * range, "{parameter}");
    }
    assert_eq!(found["verdict"]["fits"], true, "{}", found["verdict"]);
    assert_eq!(code, 0);
    // The incident was one: what is predicted is not that all goes on as before.
    let scores = found["scores"].as_array().unwrap();
    let ttft = |stretch: &str| -> f64 {
        let of_it = |it: &&Value| it["series"] == "ttft p50" && it["stretch"] == stretch;
        scores.iter().find(of_it).unwrap()["observed"]
            .as_f64()
            .unwrap()
    };
    assert!(ttft("incident") > 2.0 * ttft("calm, not fitted to"));
    // Without retries what failed stays failed.
    let change = &found["what_if"][0];
    assert!(change["lost"].as_u64().unwrap() > 100, "{change}");
    assert!(change["net"][1].as_f64().unwrap() < 0.0, "{change}");
}

#[test]
fn a_cause_outside_the_model_is_told() {
    let bench = Bench::new();
    // Besides what the timeline says one of the nodes is slow for a while after the incident.
    let slow = "[[faults.timeline]]\nkind = \"slow\"\ntarget = { pool = \"llama\", replica = 0 }\n\
                at_s = 600\nfor_s = 150\nfactor = 8\n";
    let log = bench.night(slow);
    let (code, found) = bench.replay(&log, &["--nights", "5"]);
    assert_eq!(code, 1);
    assert_eq!(found["verdict"]["fits"], false);
    let bad = found["verdict"]["not_to_be_trusted"].as_array().unwrap();
    let of_incident = bad.iter().filter(|it| it["stretch"] == "incident");
    assert!(of_incident.count() > 0, "{bad:?}");
    let calm = bad.iter().any(|it| it["stretch"] == "calm, not fitted to");
    assert!(!calm, "the calm window is as the scenario has it: {bad:?}");
    let named = bad
        .iter()
        .flat_map(|it| it["windows"].as_array().into_iter().flatten());
    let within = |window: &Value| window["from_s"].as_f64().unwrap() >= 585.0;
    assert!(
        named.clone().count() > 0 && named.clone().all(within),
        "{bad:?}"
    );
}

/// Servers without a queue to speak of, and two tries of five that fail at random all the time.
const FAILING: &str = r#"
name = "failing"
run = { horizon_s = 40, warmup_s = 0 }
workload.arrivals = { process = "poisson", rate_per_s = 12 }
[[faults.timeline]]
kind = "bad_deploy"
at_s = 0
share = 0.4
sticky = false
[[pools]]
name = "nodes"
engine = "abstract"
servers = 40
service = { law = "exponential", mean_ms = 80 }
"#;

/// The night of a scenario with more of it hidden, and a stage of what is not.
fn failing(scenario: &str, hidden: &[&str]) -> (Night, Stage) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
    let mut run = vec!["run", "s.toml", "--seed", "31", "--requests", "log.csv"];
    run.extend(hidden.iter().flat_map(|it| ["--set", *it]));
    seatrial(folder.path(), &run);
    let (log, _) = read_all(&folder.path().join("log.csv"), &ReadOptions::default()).unwrap();
    let night = Night::of(log, None).unwrap();
    let document = Document::parse(SourceText::new("s.toml", scenario)).unwrap();
    let stage = Stage::new(&document, Path::new(""), &night).unwrap();
    (night, stage)
}

#[test]
fn how_often_clients_try_is_told_by_those_that_failed_all_the_same() {
    let hidden = 3.0;
    let (night, stage) = failing(
        FAILING,
        &["clients.max_retries=3", "clients.backoff.base_ms=400"],
    );
    let open = [
        "clients.max_retries=0..8",
        "clients.backoff.base_ms=1..10000",
    ];
    let open = Open::all(&open.map(str::to_owned), &stage).unwrap();
    let all = 0..night.requests.len();
    let found = fit(&stage, &night, all, 0, &open, 40).unwrap();
    let retries = &found.parameters[0];
    assert_eq!(retries.value, hidden, "{retries:?}");
    assert_eq!(retries.interval, (hidden, hidden), "{retries:?}");
}

#[test]
fn those_that_gave_up_tell_the_most_tries() {
    // The scenario says how long waits are at most, and neither how many there are nor the first of them.
    let text = format!("{FAILING}[clients.backoff]\nmax_ms = 4000\n");
    let (night, stage) = failing(&text, &["clients.max_retries=3"]);
    let (open, _) = by_default(&stage, &night.requests).unwrap();
    let named = |path: &str| open.iter().find(|it| it.path == path).unwrap().clone();
    assert_eq!(named("clients.backoff.base_ms").high, 4_000.0);

    let clients = stage
        .plan(&[])
        .unwrap()
        .scenario
        .clients
        .unwrap_or_default();
    let numbers = |requests: &[Seen], clients: &Clients| -> Vec<f64> {
        let mut retries = named("clients.max_retries");
        retries
            .told_by(requests, &night.requests, clients, &[])
            .unwrap();
        retries.numbers().collect()
    };
    assert_eq!(numbers(&night.requests, &clients), [3.0]);
    // Those that were answered tell the least alone, and so do all where something else may end a request.
    let answered = night.requests.iter().filter(|it| it.is_answered());
    let answered: Vec<Seen> = answered.copied().collect();
    let most = answered.iter().filter_map(|it| it.attempts).max().unwrap();
    assert_eq!(numbers(&answered, &clients)[0], f64::from(most - 1));
    assert_eq!(numbers(&answered, &clients).last(), Some(&8.0));
    let impatient = Clients {
        timeout_ms: Some(1e4),
        ..clients.clone()
    };
    assert_eq!(
        numbers(&night.requests, &impatient),
        [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    );
    // One that tried more often, anywhere in the log, says that there is more.
    let mut more = night.requests.clone();
    more[0].attempts = Some(6);
    let mut retries = named("clients.max_retries");
    retries
        .told_by(&night.requests, &more, &clients, &[])
        .unwrap();
    assert_eq!(retries.numbers().last(), Some(8.0));
    // Bounds that the log contradicts are refused.
    let narrow = ["clients.max_retries=0..2".to_owned()];
    let mut narrow = Open::all(&narrow, &stage).unwrap().remove(0);
    let refused = narrow.told_by(&night.requests, &night.requests, &clients, &[]);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("must reach 3"), "{refused}");
    // A log that does not tell tries, or tries at once, leaves all.
    let untold: Vec<Seen> = night
        .requests
        .iter()
        .map(|it| Seen {
            attempts: None,
            ..*it
        })
        .collect();
    assert_eq!(numbers(&untold, &clients).len(), 9);
}

/// A node of three is gone for some minutes, and in the end nobody is answered.
const OVERLOADED: &str = r#"
name = "overloaded"
run = { horizon_s = 1200, warmup_s = 0 }
[workload]
arrivals = { process = "poisson", rate_per_s = 12 }
prompt_tokens = { law = "lognormal", mean_tokens = 600, cv = 0.8 }
output_tokens = { law = "lognormal", mean_tokens = 150, cv = 0.6 }
[clients]
try_timeout_ms = 20_000
max_retries = 2
backoff = { base_ms = 500, max_ms = 8_000 }
[router]
policy = "least_request"
choices = 0
[[pools]]
name = "llama"
engine = "llm"
replicas = 3
model = "llama-3.1-8b"
accelerator = "h100-sxm"
tp = 1
overhead_fixed_us = 9000
max_num_seqs = 12
[[faults.timeline]]
kind = "crash"
target = { pool = "llama", share = 0.34 }
at_s = 600
until_s = 900
"#;

#[test]
fn a_true_model_fits_though_the_log_does_not_tell_the_lengths_of_what_failed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), OVERLOADED).unwrap();
    seatrial(folder.path(), &["run", "s.toml", "--requests", "n.csv"]);
    let export = [
        "trace", "export", "n.csv", "--to", "otlp", "--out", "n.jsonl",
    ];
    seatrial(folder.path(), &export);
    let windows = [
        "--calm",
        "0..540",
        "--incident",
        "600..900",
        "--no-fit",
        "--json",
    ];
    let replay = [&["replay", "s.toml", "--trace", "n.jsonl"], &windows[..]].concat();
    let found = seatrial(folder.path(), &replay);
    let found: Value = serde_json::from_str(&found).unwrap();
    let lengths = &found["log"]["lengths"];
    assert!(
        lengths["answers_drawn"].as_u64().unwrap() > 3_000,
        "{lengths}"
    );
    assert_eq!(lengths["prompts_drawn"], 0, "{lengths}");
    assert_eq!(found["verdict"]["fits"], true, "{}", found["verdict"]);
    let said = found["assumptions"].to_string();
    assert!(said.contains("how long the answers of"), "{said}");
}
