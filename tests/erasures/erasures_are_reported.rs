//! What is said of erasures is what became of them: nothing is told of those that are not done, and the
//! audit log has a line for each erasure and place.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// A log whose purges wait for ordinary compactions, so that some are not done, and copies of it.
fn scenario(erasure: &str, claims: &str) -> String {
    format!(
        r#"
name = "reported"
[run]
horizon_s = 200
warmup_s = 0
drain_limit_s = 100
[workload]
arrivals = {{ process = "poisson", rate_per_s = 20 }}
[[pools]]
name = "p"
engine = "abstract"
service = {{ law = "exponential", mean_ms = 10 }}
[erasure]
subjects = 500
requests_per_million_per_year = 0
deadline_days = 0.0015
slo_s = 60
{erasure}
[[erasure.bursts]]
name = "mail"
start_s = 5
duration_s = 150
requests_per_s = 1
[[erasure.stores]]
kind = "request_log"
name = "log"
record_bytes = 500
records_before = 50
records_per_s = 100
lsm = {{ memtable_mb = 0.2, size_ratio = 4 }}
[[erasure.stores]]
kind = "session_state"
name = "sessions"
ttl_s = 5
[[erasure.stores]]
kind = "backup"
name = "copies"
of = "log"
interval_s = 20
retention_s = 30
{claims}
"#
    )
}

fn run(folder: &Path, text: &str, more: &[&str]) -> Value {
    let path = folder.join("reported.toml");
    std::fs::write(&path, text).unwrap();
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .args(["run", path.to_str().unwrap(), "--json"])
        .args(more)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn whole(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap()
}

#[test]
fn the_audit_log_has_a_line_for_each_erasure_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.csv");
    let verified = "verification = { law = \"exponential\", mean_ms = 30_000 }";
    let result = run(
        folder.path(),
        &scenario(verified, ""),
        &["--audit", file.to_str().unwrap()],
    );
    let mut lines: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut cases = std::collections::BTreeSet::new();
    let mut reader = csv::Reader::from_path(&file).unwrap();
    for row in reader.records() {
        let row = row.unwrap();
        cases.insert(row[0].to_owned());
        let key = (row[3].to_owned(), row[2].to_owned());
        *lines.entry(key).or_default() += 1;
        assert_eq!(&row[2] == "done", !row[9].is_empty(), "{row:?}");
    }
    let erasure = &result["erasure"];
    assert_eq!(cases.len() as u64, whole(erasure, "requested"));
    let count = |place: &str, verdict: &str| {
        let key = (place.to_owned(), verdict.to_owned());
        lines.get(&key).copied().unwrap_or(0)
    };
    assert_eq!(count("", "rejected"), whole(erasure, "rejected"));
    let mut pending = 0;
    for place in erasure["places"].as_array().unwrap() {
        let name = place["name"].as_str().unwrap();
        assert_eq!(count(name, "done"), whole(place, "done"), "{name}");
        assert_eq!(count(name, "pending"), whole(place, "pending"), "{name}");
        pending += whole(place, "pending");
    }
    assert!(pending > 0 && whole(erasure, "pending") > 0);
}

#[test]
fn quantiles_that_fall_among_the_pending_are_not_known() {
    let folder = tempfile::tempdir().unwrap();
    let claims = r#"
[[claims]]
id = "p99"
text = "Gone within the hour."
metric = "erasure.physical_s.p99"
at_most = 3600
[[claims]]
id = "in-time"
text = "All in time."
metric = "erasure.in_time"
at_least = 1
[[claims]]
id = "objective"
text = "All within the objective."
metric = "erasure.slo.attained"
at_least = 1
"#;
    let verdicts = |result: &Value| -> Vec<String> {
        let claims = result["claims"].as_array().unwrap().iter();
        claims
            .map(|claim| claim["verdict"].as_str().unwrap().to_owned())
            .collect()
    };
    let result = run(folder.path(), &scenario("", claims), &[]);
    let erasure = &result["erasure"];
    let accepted = whole(erasure, "accepted");
    let pending = whole(erasure, "pending");
    assert!(pending * 100 > accepted && pending * 2 < accepted);
    // What is done in time, late, or neither yet is all there is; pending past the deadline is late.
    assert_eq!(whole(erasure, "undecided"), 0);
    let in_time = erasure["in_time"].as_f64().unwrap();
    let late = whole(erasure, "deadline_misses");
    assert!(late >= pending);
    assert!((in_time - (accepted - late) as f64 / accepted as f64).abs() < 1e-12);
    let physical = &erasure["physical_s"];
    assert!(physical["p50"].is_f64() && physical["p99"].is_null() && physical["max"].is_null());
    // Reads see nothing, whatever is pending.
    assert!(erasure["logical_ms"]["p99"].is_f64());
    assert_eq!(verdicts(&result), ["untested", "fails", "fails"]);
    // With a deadline that has not come, nothing is decided of those that are pending.
    let longer = scenario("", claims).replace("deadline_days = 0.0015", "deadline_days = 30");
    let result = run(folder.path(), &longer, &[]);
    assert_eq!(whole(&result["erasure"], "undecided"), pending);
    assert!(result["erasure"]["in_time"].is_null());
    assert_eq!(verdicts(&result), ["untested", "untested", "fails"]);
    // Where nobody asks, or all are turned down, nothing is shown.
    for nobody in ["traffic = false", "rejection = 1"] {
        let result = run(folder.path(), &scenario(nobody, claims), &[]);
        assert_eq!(verdicts(&result), ["untested"; 3], "{nobody}");
    }
}

#[test]
fn an_audit_is_of_one_replication_and_of_erasures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reported.toml");
    std::fs::write(&path, scenario("", "")).unwrap();
    let refused = |file: &str, more: &[&str]| {
        let output = Command::cargo_bin("seatrial")
            .unwrap()
            .args(["run", path.to_str().unwrap(), "--audit"])
            .arg(folder.path().join(file))
            .args(more)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let several = refused("a.csv", &["--replications", "2"]);
    assert!(
        several.contains("needs one replication, but run.replications is 2"),
        "{several}"
    );
    let kind = refused("a.parquet", &[]);
    assert!(kind.contains("must end in .csv or .csv.gz"), "{kind}");
    let nowhere = refused("nowhere/a.csv", &[]);
    assert!(nowhere.contains("cannot write"), "{nowhere}");
}
