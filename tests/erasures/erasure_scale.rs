//! A million people with a hundred million records fit in a gigabyte.

#![allow(clippy::unwrap_used)] // helpers of tests

use assert_cmd::Command;
use serde_json::Value;

#[test]
fn a_hundred_million_records_of_a_million_people() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scale.toml");
    let text = r#"
name = "scale"
[run]
horizon_s = 600
warmup_s = 0
[workload]
arrivals = { process = "poisson", rate_per_s = 10 }
[[pools]]
name = "p"
engine = "abstract"
service = { law = "exponential", mean_ms = 10 }
[erasure]
subjects = 1_000_000
activity = { law = "zipf", exponent = 0.7 }
[[erasure.bursts]]
name = "storm"
start_s = 10
duration_s = 500
requests_per_s = 1
[[erasure.stores]]
kind = "request_log"
name = "log"
record_bytes = 500
records_before = 100
records_per_s = 2_000
lsm = { delete_persistence_s = 300, bandwidth_mb_per_s = 2_000 }
"#;
    std::fs::write(&path, text).unwrap();
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .args(["run", path.to_str().unwrap(), "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let log = &result["erasure"]["stores"][1];
    assert!(log["records"].as_u64().unwrap() > 100_000_000);
    assert_eq!(result["erasure"]["pending"], 0);
    assert_eq!(result["erasure"]["deadline_misses"], 0);
    assert!(result["erasure"]["done"].as_u64().unwrap() > 300);
    assert!(result["sim"]["peak_rss_mb"].as_f64().unwrap() < 1_000.0);
}
