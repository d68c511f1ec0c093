//! What programs may rely on: the keys of the JSON, the columns of request files, the files of
//! `--out`, the speed on standard error, and reports of runs that were cut short.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;
use std::path::Path;

use assert_cmd::Command;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;
use tempfile::TempDir;

const SMALL: &str = r#"
name = "small"
[run]
horizon_s = 60
warmup_s = 6
[workload]
arrivals = { process = "poisson", rate_per_s = 50 }
[slo]
e2e_ms = 500
target = 0.9
[network]
to_replica_ms = 0.5
from_replica_ms = 0.25
[[pools]]
name = "servers"
engine = "abstract"
servers = 2
queue_capacity = 6
service = { law = "exponential", mean_ms = 30 }
[[claims]]
id = "mean"
text = "It is fast enough."
metric = "latency.e2e_ms.mean"
at_most = 1_000
"#;

/// More than it can do, and cut off at the horizon: requests stay in flight.
const MODEL: &str = r#"
name = "model"
[run]
horizon_s = 5
warmup_s = 0
drain_limit_s = 0
[workload]
arrivals = { process = "poisson", rate_per_s = 20 }
prompt_tokens = { law = "constant", tokens = 200 }
output_tokens = { law = "constant", tokens = 40 }
[[pools]]
name = "llama"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
"#;

const COLUMNS: [&str; 17] = [
    "id",
    "region",
    "tier",
    "pool",
    "replica",
    "arrival_ns",
    "gateway_ns",
    "queued_ns",
    "scheduled_ns",
    "first_token_ns",
    "last_token_ns",
    "prompt_tokens",
    "output_tokens",
    "cached_tokens",
    "preemptions",
    "attempts",
    "status",
];

type Row = BTreeMap<String, String>;

fn folder(scenario: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), scenario).unwrap();
    dir
}

struct Ran {
    code: i32,
    out: String,
    errors: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

fn run(dir: &Path, more: &[&str]) -> Ran {
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .current_dir(dir)
        .args(["run", "s.toml"])
        .args(more)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{errors}");
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        errors,
    }
}

#[track_caller]
fn has(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "no `{key}` in {value}");
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn the_result_has_every_key() {
    let result = run(folder(SMALL).path(), &["--json"]).json();
    has(&result, &["schema", "scenario", "seed", "digest", "sim"]);
    has(&result, &["requests", "latency", "budget", "slo", "pools"]);
    has(&result, &["regions", "cost", "erasure", "claims"]);
    has(
        &result["sim"],
        &["horizon_s", "warmup_s", "events", "cpu_s"],
    );
    has(&result["sim"], &["requests_per_cpu_s", "peak_rss_mb"]);
    has(&result["requests"], &["arrived", "completed", "rejected"]);
    has(&result["requests"], &["shed", "timed_out", "failed"]);
    has(&result["requests"], &["cancelled", "in_flight"]);
    for latency in ["ttft_ms", "tpot_ms", "e2e_ms", "queue_ms"] {
        let summary = &result["latency"][latency];
        has(
            summary,
            &["mean", "p50", "p90", "p95", "p99", "p999", "max"],
        );
    }
    has(&result["budget"][0], &["part", "mean_ms", "at_p99_ms"]);
    has(&result["slo"][0], &["tier", "attained", "target", "met"]);
    has(&result["claims"][0], &["id", "text", "verdict", "observed"]);
    has(&result["claims"][0], &["expected", "why"]);
    assert_eq!(result["scenario"], "small");
    assert_eq!(result["seed"], 1);
    assert_eq!(result["digest"].as_str().unwrap().len(), 16);
    assert_eq!(result["pools"][0]["name"], "servers");
    assert_eq!(result["regions"][0]["name"], "default");
}

#[test]
fn timing_is_left_out_when_asked() {
    let result = run(folder(SMALL).path(), &["--json", "--omit-timing"]).json();
    for key in ["cpu_s", "requests_per_cpu_s", "peak_rss_mb"] {
        assert!(result["sim"].get(key).is_none(), "{key}");
    }
}

#[test]
fn every_request_that_arrived_is_counted_once() {
    for scenario in [SMALL, MODEL] {
        let requests = run(folder(scenario).path(), &["--json"]).json()["requests"].clone();
        let ways = ["completed", "rejected", "shed", "timed_out", "failed"];
        let sum: u64 = ways
            .iter()
            .chain(&["cancelled", "in_flight"])
            .map(|way| requests[*way].as_u64().unwrap())
            .sum();
        assert_eq!(requests["arrived"], sum, "{requests}");
        assert!(sum > 0);
    }
}

#[test]
fn the_budget_adds_up_to_the_mean_latency() {
    for scenario in [SMALL, MODEL] {
        let result = run(folder(scenario).path(), &["--json"]).json();
        let budget = result["budget"].as_array().unwrap();
        let sum: f64 = budget.iter().map(|row| number(&row["mean_ms"])).sum();
        let mean = number(&result["latency"]["e2e_ms"]["mean"]);
        assert!((sum / mean - 1.0).abs() < 1e-3, "{sum} {mean}");
    }
}

#[test]
fn overrides_and_seeds_change_the_run() {
    let dir = folder(SMALL);
    let result = |more: &[&str]| run(dir.path(), &[&["--json"], more].concat()).json();
    let plain = result(&[]);
    let seeded = result(&["--seed", "7"]);
    assert_eq!(seeded["seed"], 7);
    assert_ne!(seeded["digest"], plain["digest"]);
    let set = result(&["--set", "run.seed=7"]);
    assert_eq!(set["digest"], seeded["digest"]);
    let more = result(&["--set", "pools.servers.servers=4"]);
    assert_eq!(more["pools"][0]["servers"], 4);
    let rejected = |result: &Value| result["requests"]["rejected"].as_u64().unwrap();
    assert!(rejected(&more) < rejected(&plain));
}

#[test]
fn the_exit_code_is_1_when_a_claim_or_an_objective_does_not_hold() {
    let dir = folder(SMALL);
    assert_eq!(run(dir.path(), &[]).code, 0);
    let claim = ["--set", "claims.mean.at_most=1"];
    assert_eq!(run(dir.path(), &claim).code, 1);
    let objective = ["--set", "slo.e2e_ms=1"];
    assert_eq!(run(dir.path(), &objective).code, 1);
}

#[test]
fn a_claim_may_name_a_way_to_end_in_which_nothing_ended() {
    let places = "[[regions]]\nname = \"here\"\n[[populations]]\nname = \"all\"\nregion = \"here\"\n\
                  [steering]\nvia = \"dns\"\n[clients]\nmax_retries = 1\n";
    let mut scenario = SMALL.replace("[[pools]]", &format!("{places}[[pools]]"));
    scenario = scenario.replace("[[pools]]\n", "[[pools]]\nregion = \"here\"\n");
    for (id, metric) in [
        ("a", "regions.here.tries.failed_dns"),
        ("b", "populations.all.requests.failed_dns"),
        ("c", "requests.tries.ended.failed_dns"),
    ] {
        scenario.push_str(&format!(
            "[[claims]]\nid = \"{id}\"\ntext = \"None.\"\nmetric = \"{metric}\"\nequals = 0\n"
        ));
    }
    let result = run(folder(&scenario).path(), &["--json"]).json();
    for claim in result["claims"].as_array().unwrap() {
        assert_eq!(claim["verdict"], "holds", "{claim}");
    }
    // Every way to end is there, and together they are all that was made.
    let tries = result["regions"][0]["tries"].as_object().unwrap();
    assert_eq!(tries.len(), 2 + seatrial::fleet::request::Status::COUNT);
    let sum: u64 = tries.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(sum, 2 * tries["made"].as_u64().unwrap());
}

#[test]
fn every_run_tells_its_speed_on_standard_error() {
    let dir = folder(SMALL);
    for more in [&[][..], &["--json"], &["--json", "--omit-timing"]] {
        let ran = run(dir.path(), more);
        assert!(ran.errors.contains("requests/CPU-second"), "{}", ran.errors);
        assert!(!ran.out.contains("CPU-second"));
    }
}

fn csv_rows(path: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    for column in COLUMNS {
        assert!(header.iter().any(|name| name == column), "{column}");
    }
    let row = |record: csv::StringRecord| {
        let pairs = header.iter().zip(record.iter());
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    reader
        .records()
        .map(|record| row(record.unwrap()))
        .collect()
}

fn parquet_rows(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let row = |row: parquet::record::Row| {
        let columns = row.get_column_iter();
        columns
            .map(|(name, field)| {
                let value = match field {
                    Field::Null => String::new(),
                    Field::Str(text) => text.clone(),
                    other => other.to_string(),
                };
                (name.clone(), value)
            })
            .collect()
    };
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|found| row(found.unwrap())).collect()
}

#[test]
fn csv_and_parquet_hold_the_same_rows_of_every_request() {
    for scenario in [SMALL, MODEL] {
        let dir = folder(scenario);
        let result = run(dir.path(), &["--json", "--requests", "r.csv"]).json();
        run(dir.path(), &["--requests", "r.parquet"]);
        run(dir.path(), &["--requests", "r.csv.gz"]);
        let rows = csv_rows(&dir.path().join("r.csv"));
        assert_eq!(rows, parquet_rows(&dir.path().join("r.parquet")));
        let plain = std::fs::read(dir.path().join("r.csv")).unwrap();
        let packed = std::fs::File::open(dir.path().join("r.csv.gz")).unwrap();
        let mut unpacked = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(packed);
        std::io::Read::read_to_end(&mut reader, &mut unpacked).unwrap();
        assert!(plain == unpacked, "CSV and its compressed form");
        // One row each, whatever became of it.
        let requests = &result["requests"];
        assert_eq!(requests["arrived"], rows.len());
        let of = |status: &str| rows.iter().filter(|row| row["status"] == status).count();
        assert_eq!(requests["completed"], of("completed"));
        assert_eq!(requests["in_flight"], of("in_flight"));
        let ids: std::collections::BTreeSet<&str> =
            rows.iter().map(|row| row["id"].as_str()).collect();
        assert_eq!(ids.len(), rows.len());
    }
}

#[test]
fn requests_in_flight_are_among_the_rows() {
    let dir = folder(MODEL);
    run(dir.path(), &["--requests", "r.csv"]);
    let rows = csv_rows(&dir.path().join("r.csv"));
    assert!(rows.iter().any(|row| row["status"] == "in_flight"));
}

#[test]
fn latencies_worked_out_from_the_rows_are_those_of_the_result() {
    for (scenario, warmup_ns) in [(SMALL, 6e9), (MODEL, 0.0)] {
        let dir = folder(scenario);
        let result = run(dir.path(), &["--json", "--requests", "r.csv"]).json();
        let rows = csv_rows(&dir.path().join("r.csv"));
        let at = |row: &Row, column: &str| row[column].parse::<f64>().unwrap();
        let measured: Vec<&Row> = rows
            .iter()
            .filter(|row| row["status"] == "completed" && at(row, "arrival_ns") >= warmup_ns)
            .collect();
        // Tokens are stamped when they reach the user: the way back is in it.
        let mean = |from: &str, to: &str| {
            let sum: f64 = measured.iter().map(|row| at(row, to) - at(row, from)).sum();
            sum / measured.len() as f64 / 1e6
        };
        let latency = &result["latency"];
        let same = |name: &str, mean: f64| {
            let told = number(&latency[name]["mean"]);
            assert!((mean / told - 1.0).abs() < 1e-6, "{name}: {mean} {told}");
        };
        assert_eq!(latency["e2e_ms"]["count"], measured.len());
        same("ttft_ms", mean("arrival_ns", "first_token_ns"));
        same("e2e_ms", mean("arrival_ns", "last_token_ns"));
        same("queue_ms", mean("queued_ns", "scheduled_ns"));
    }
}

#[test]
fn the_folder_of_a_run_is_enough_to_repeat_it() {
    let dir = folder(SMALL);
    let arguments = [
        "--json",
        "--omit-timing",
        "--seed",
        "5",
        "--out",
        "deep/out",
    ];
    let first = run(dir.path(), &arguments);
    let out = dir.path().join("deep/out");
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert_eq!(read("result.json"), first.out);
    assert!(read("report.txt").contains("small: seed 5"));
    std::fs::write(out.join("s.toml"), read("scenario.toml")).unwrap();
    let again = run(&out, &["--json", "--omit-timing"]);
    assert_eq!(again.json()["digest"], first.json()["digest"]);
    assert_eq!(again.out, first.out);
}

#[test]
fn a_run_out_of_events_is_told_to_be_partial() {
    let dir = folder(SMALL);
    let few = ["--set", "run.max_events=500"];
    let page = run(dir.path(), &few);
    assert!(page.out.starts_with("PARTIAL RESULT: "), "{}", page.out);
    assert!(page.out.contains("run.max_events"), "{}", page.out);
    // Its claim could not be tested.
    assert_eq!(page.code, 1);
    let json = run(dir.path(), &[&few[..], &["--json"]].concat()).json();
    assert!(json["partial"].as_str().unwrap().contains("event budget"));
    assert_eq!(json["sim"]["events"], 500);
    assert_eq!(json["claims"][0]["verdict"], "untested");
}

#[test]
fn a_partial_result_counts_what_was_present_no_longer_than_it_ran() {
    let dir = folder(SMALL);
    let few = ["--json", "--set", "run.max_events=5000"];
    let result = run(dir.path(), &few).json();
    // Two in service and six waiting at most.
    let present = number(&result["pools"][0]["mean_in_system"]);
    assert!(present <= 8.0, "{present}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_gives_a_partial_report() {
    use std::io::Read;
    use std::process::{Command as Process, Stdio};
    use std::time::Duration;

    let dir = folder(&SMALL.replace("horizon_s = 60", "horizon_s = 90_000_000"));
    let mut child = Process::new(assert_cmd::cargo::cargo_bin!("seatrial"))
        .current_dir(dir.path())
        .args(["run", "s.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let sent = Process::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    let ended = (0..200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        child.try_wait().unwrap()
    });
    if ended.is_none() {
        child.kill().unwrap();
    }
    assert!(sent.unwrap().success());
    assert_eq!(ended.unwrap().code(), Some(1));
    let mut page = String::new();
    child.stdout.unwrap().read_to_string(&mut page).unwrap();
    assert!(
        page.starts_with("PARTIAL RESULT: interrupted at "),
        "{page}"
    );
    assert!(page.contains("Requests"), "{page}");
}
