//! Files for other programs: their columns are those of docs/formats.md, they add up to the result, and
//! writing them changes nothing.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command as Program;

use assert_cmd::Command;
use parquet::basic::{LogicalType, Type as Physical};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use seatrial::report::series::{COLUMNS, METRICS};
use serde_json::Value;
use tempfile::TempDir;

const PAGE: &str = include_str!("../../docs/formats.md");

/// Two regions, two tiers, two pools, clients that try again, and a crash: everything has a row.
const FLEET: &str = r#"
name = "fleet"
[run]
horizon_s = 120
warmup_s = 0
[workload]
arrivals = { process = "poisson", rate_per_s = 20 }
prompt_tokens = { law = "lognormal", mean_tokens = 200, cv = 1, max_tokens = 2_000 }
output_tokens = { law = "lognormal", mean_tokens = 30, cv = 1, max_tokens = 300 }
[[tiers]]
name = "gold"
slo = { ttft_ms = 300, e2e_ms = 3_000, target = 0.9 }
[[tiers]]
name = "rest"
share = 3
slo = { e2e_ms = 2_000, target = 0.9 }
[clients]
max_retries = 1
timeout_ms = 20_000
[network]
rtt_ms = { "a/b" = 40 }
[[regions]]
name = "a"
[[regions]]
name = "b"
[[populations]]
name = "near-a"
region = "a"
[[populations]]
name = "near-b"
region = "b"
[[pools]]
name = "pa"
engine = "llm"
region = "a"
replicas = 2
model = "llama-3.1-8b"
accelerator = "h100-sxm"
step_model = "roofline"
[[pools]]
name = "pb"
engine = "llm"
region = "b"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
step_model = "roofline"
[[faults.timeline]]
kind = "crash"
target = { pool = "pb" }
at_s = 60
for_s = 20
"#;

fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), FLEET).unwrap();
    dir
}

fn run(dir: &Path, more: &[&str]) -> Value {
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .current_dir(dir)
        .args(["run", "s.toml", "--json", "--omit-timing"])
        .args(more)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(dir: &Path, more: &[&str]) -> String {
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .current_dir(dir)
        .args(["run", "s.toml"])
        .args(more)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

/// The first two cells of the rows of a table that has this head.
fn table(head: &str) -> Vec<(String, String)> {
    let mut lines = PAGE.lines().skip_while(|line| !line.starts_with(head));
    assert!(lines.next().is_some(), "no table {head}");
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        (cells[1].trim_matches('`').to_owned(), cells[2].to_owned())
    })
    .collect()
}

fn section(name: &str) -> &'static str {
    let from = PAGE.find(name).unwrap();
    let rest = &PAGE[from + 3..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

/// Columns and their types, as a Parquet file has them.
fn columns(path: &Path) -> Vec<(String, String)> {
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let columns = schema.columns().iter();
    columns
        .map(|column| {
            let kind = match (column.physical_type(), column.logical_type_ref()) {
                (Physical::BYTE_ARRAY, Some(LogicalType::String)) => "STRING",
                (Physical::INT64, _) => "INT64",
                (Physical::DOUBLE, _) => "DOUBLE",
                other => panic!("{other:?}"),
            };
            (column.name().to_owned(), kind.to_owned())
        })
        .collect()
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    t_s: f64,
    interval_s: f64,
    scope: String,
    name: String,
    metric: String,
    value: f64,
}

fn parquet_rows(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| {
        let row = row.unwrap();
        let fields: Vec<&Field> = row.get_column_iter().map(|(_, field)| field).collect();
        let number = |at: usize| match fields[at] {
            Field::Double(value) => *value,
            other => panic!("{other:?}"),
        };
        let text = |at: usize| match fields[at] {
            Field::Str(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        Row {
            t_s: number(0),
            interval_s: number(1),
            scope: text(2),
            name: text(3),
            metric: text(4),
            value: number(5),
        }
    })
    .collect()
}

fn csv_rows(path: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    assert_eq!(reader.headers().unwrap(), COLUMNS.as_slice());
    let records = reader.records().map(Result::unwrap);
    records
        .map(|it| Row {
            t_s: it[0].parse().unwrap(),
            interval_s: it[1].parse().unwrap(),
            scope: it[2].to_owned(),
            name: it[3].to_owned(),
            metric: it[4].to_owned(),
            value: it[5].parse().unwrap(),
        })
        .collect()
}

fn sum(rows: &[Row], scope: &str, name: &str, metric: &str) -> f64 {
    let own = rows.iter();
    let own = own.filter(|it| {
        (it.scope.as_str(), it.name.as_str(), it.metric.as_str()) == (scope, name, metric)
    });
    own.map(|it| it.value).sum()
}

#[test]
fn documented_columns_are_those_written() {
    let dir = folder();
    run(
        dir.path(),
        &["--requests", "r.parquet", "--series", "t.parquet"],
    );
    assert!(section("## Requests").contains("| `id` | INT64 |"));
    let documented = table("| column | type |");
    assert_eq!(documented, columns(&dir.path().join("r.parquet")));
    let from = PAGE.find("## Time series").unwrap();
    let series: Vec<(String, String)> = PAGE[from..]
        .lines()
        .skip_while(|line| !line.starts_with("| column | type |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (cells[1].trim_matches('`').to_owned(), cells[2].to_owned())
        })
        .collect();
    assert_eq!(series, columns(&dir.path().join("t.parquet")));
    assert_eq!(
        series.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(),
        COLUMNS
    );
}

#[test]
fn documented_metrics_are_those_written() {
    let dir = folder();
    run(
        dir.path(),
        &["--series", "t.parquet", "--series-interval", "5"],
    );
    let mut written: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in parquet_rows(&dir.path().join("t.parquet")) {
        written.entry(row.metric).or_default().insert(row.scope);
    }
    let documented = table("| metric | of |");
    let names: Vec<&str> = documented.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(names, METRICS.map(|it| it.0));
    assert_eq!(
        written.keys().cloned().collect::<BTreeSet<_>>(),
        names.iter().map(|it| (*it).to_owned()).collect()
    );
    for (metric, of) in documented {
        let scopes: BTreeSet<String> = match of.as_str() {
            "all" => ["fleet", "tier", "region", "pool"]
                .map(str::to_owned)
                .into(),
            list => list.split(", ").map(str::to_owned).collect(),
        };
        assert_eq!(written[&metric], scopes, "{metric}");
    }
}

#[test]
fn series_add_up_to_the_result() {
    let dir = folder();
    let result = run(
        dir.path(),
        &["--series", "t.csv", "--series-interval", "7.5"],
    );
    let rows = csv_rows(&dir.path().join("t.csv"));
    let count = |key: &str| result["requests"][key].as_f64().unwrap();
    for metric in [
        "arrived",
        "completed",
        "rejected",
        "shed",
        "timed_out",
        "failed",
        "cancelled",
    ] {
        assert_eq!(
            sum(&rows, "fleet", "all", metric),
            count(metric),
            "{metric}"
        );
        let tiers = sum(&rows, "tier", "gold", metric) + sum(&rows, "tier", "rest", metric);
        assert_eq!(tiers, count(metric), "{metric}");
    }
    assert!(
        count("failed") > 0.0,
        "nothing failed: the crash is no test"
    );
    for (tier, row) in ["gold", "rest"]
        .iter()
        .zip(result["slo"].as_array().unwrap())
    {
        let (attained, counted) = (
            row["attained"].as_f64().unwrap(),
            row["counted"].as_f64().unwrap(),
        );
        assert_eq!(
            sum(&rows, "tier", tier, "good"),
            (attained * counted).round()
        );
    }
    let done = sum(&rows, "pool", "pa", "completed") + sum(&rows, "pool", "pb", "completed");
    assert_eq!(done, count("completed"));
    for (index, name) in ["a", "b"].iter().enumerate() {
        let made = result["regions"][index]["tries"]["made"].as_f64().unwrap();
        assert_eq!(sum(&rows, "region", name, "tries"), made);
    }
    // Work of a pool over the measured time is that of its intervals.
    let busy: f64 = rows
        .iter()
        .filter(|it| it.name == "pa" && it.metric == "utilization")
        .map(|it| it.value * it.interval_s * 2.0)
        .sum();
    let whole = result["pools"][0]["utilization"].as_f64().unwrap() * 120.0 * 2.0;
    assert!((busy - whole).abs() < 1e-6 * whole, "{busy} {whole}");
    // A crash is seen where it is, and intervals follow one another.
    let up = |at: f64| {
        rows.iter()
            .find(|it| it.t_s == at && it.name == "pb" && it.metric == "replicas_up")
            .unwrap()
            .value
    };
    assert_eq!((up(45.0), up(60.0), up(90.0)), (1.0, 0.0, 1.0));
    let ticks: Vec<&Row> = rows
        .iter()
        .filter(|it| it.scope == "fleet" && it.metric == "arrived")
        .collect();
    for (index, row) in ticks.iter().enumerate() {
        assert_eq!(row.t_s, 7.5 * index as f64);
        assert!(row.interval_s == 7.5 || index + 1 == ticks.len());
    }
    // A quantile of one interval lies between the least and the most of its requests.
    for it in rows.iter().filter(|it| it.metric == "e2e_p99_ms") {
        let of = |metric: &str| {
            rows.iter()
                .find(|other| {
                    (other.t_s, &other.scope, &other.name, other.metric.as_str())
                        == (it.t_s, &it.scope, &it.name, metric)
                })
                .unwrap()
                .value
        };
        assert!(
            of("e2e_p50_ms") <= of("e2e_p90_ms") && of("e2e_p90_ms") <= it.value,
            "{it:?}"
        );
    }
}

#[test]
fn csv_and_parquet_say_the_same() {
    let dir = folder();
    run(
        dir.path(),
        &["--series", "t.csv", "--series-interval", "1.3"],
    );
    run(
        dir.path(),
        &["--series", "t.parquet", "--series-interval", "1.3"],
    );
    let (csv, parquet) = (
        csv_rows(&dir.path().join("t.csv")),
        parquet_rows(&dir.path().join("t.parquet")),
    );
    assert_eq!(csv.len(), parquet.len());
    assert_eq!(csv, parquet);
}

#[test]
fn writing_files_changes_nothing() {
    let dir = folder();
    let alone = run(dir.path(), &[]);
    let files = [
        "--requests",
        "r.csv",
        "--series",
        "t.csv.gz",
        "--series-interval",
        "0.7",
        "--perfetto",
        "p.json.gz",
        "--window",
        "50..70",
    ];
    let written = run(dir.path(), &files);
    assert_eq!(alone, written);
}

#[test]
fn wrong_files_and_intervals_are_refused() {
    let dir = folder();
    let said = refused(dir.path(), &["--series", "t.json"]);
    assert!(
        said.contains("must end in .csv, .csv.gz or .parquet"),
        "{said}"
    );
    for interval in ["0", "-1", "NaN", "1e-9"] {
        let option = format!("--series-interval={interval}");
        let said = refused(dir.path(), &["--series", "t.csv", &option]);
        assert!(
            said.contains("--series-interval") && said.contains("raise it"),
            "{said}"
        );
    }
    let said = refused(dir.path(), &["--perfetto", "t.pb", "--window", "1..2"]);
    assert!(said.contains(".json or .json.gz"), "{said}");
    for window in ["2..1", "1", "a..b", "1..1", "1..-2", "1e99..2e99", "NaN..2"] {
        let said = refused(
            dir.path(),
            &["--perfetto", "t.json", &format!("--window={window}")],
        );
        assert!(said.contains("--window"), "{said}");
    }
    let said = refused(
        dir.path(),
        &["--perfetto", "t.json", "--window", "100000..100001"],
    );
    assert!(said.contains("before the run does"), "{said}");
    let said = refused(dir.path(), &["--replications", "2", "--series", "t.csv"]);
    assert!(said.contains("needs one replication"), "{said}");
}

/// DuckDB, where `SEATRIAL_READERS` names a virtual environment that has it (`tests/duckdb/install.sh
/// FOLDER` makes one).
#[test]
fn duckdb_runs_the_documented_queries() {
    let Some(folder_of_readers) = std::env::var_os("SEATRIAL_READERS") else {
        eprintln!("SKIPPED: SEATRIAL_READERS names no virtual environment with DuckDB");
        return;
    };
    let dir = folder();
    let result = run(
        dir.path(),
        &[
            "--requests",
            "requests.parquet",
            "--series",
            "series.parquet",
        ],
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Program::new(Path::new(&folder_of_readers).join("bin/python"))
        .current_dir(dir.path())
        .arg(root.join("tests/duckdb/query.py"))
        .arg(root.join("docs/formats.md"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["requests_rows"], result["requests"]["arrived"]);
    let queries = found["queries"].as_array().unwrap();
    assert_eq!(queries.len(), 2);
    let minutes = queries[0].as_array().unwrap();
    let good: f64 = minutes.iter().map(|row| row[1].as_f64().unwrap()).sum();
    let slo = result["slo"].as_array().unwrap().iter();
    let all: f64 = slo
        .map(|row| (row["attained"].as_f64().unwrap() * row["counted"].as_f64().unwrap()).round())
        .sum();
    assert_eq!(good, all);
    assert!(minutes.len() >= 2 && minutes[1][2].as_f64().unwrap() > 0.0);
    let slowest = queries[1].as_array().unwrap();
    assert_eq!(slowest.len(), 10);
    let first = slowest[0][2].as_f64().unwrap();
    // Stamps are the gateway's: half a millisecond of way to its client is not in them.
    let whole = result["latency"]["e2e_ms"]["max"].as_f64().unwrap();
    assert!((whole - first - 0.5).abs() < 1e-3, "{whole} {first}");
    for (name, kinds) in [
        ("requests", ["BIGINT", "VARCHAR"]),
        ("series", ["DOUBLE", "VARCHAR"]),
    ] {
        for column in found[name].as_array().unwrap() {
            assert!(kinds.contains(&column[1].as_str().unwrap()), "{column}");
        }
    }
}
