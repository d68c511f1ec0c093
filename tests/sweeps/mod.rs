//! Runs the program on experiments in folders of their own.

#![allow(dead_code, clippy::unwrap_used)] // helpers of tests

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The files that a sweep writes, its journal apart.
pub const FILES: [&str; 6] = [
    "points.csv",
    "points.parquet",
    "replications.csv",
    "replications.parquet",
    "summary.json",
    "summary.txt",
];

/// Two exponential servers, 20 s: runs in a few milliseconds.
pub const SCENARIO: &str = r#"
name = "small"
[run]
horizon_s = 20
warmup_s = 2
replications = 3
[workload]
arrivals = { process = "poisson", rate_per_s = 50 }
[slo]
e2e_ms = 200
target = 0.9
[[pools]]
name = "servers"
engine = "abstract"
servers = 2
service = { law = "exponential", mean_ms = 20 }
[cost]
on_demand_usd_per_gpu_hour = 2
"#;

/// Four rates and three numbers of servers.
pub const EXPERIMENT: &str = r#"
name = "small-sweep"
scenario = "s.toml"
[[axes]]
path = "workload.arrivals.rate_per_s"
name = "rate"
values = [20, 40, 60, 80]
[[axes]]
path = "pools.servers.servers"
name = "servers"
range = { from = 2, to = 4, step = 1 }
[[metrics]]
name = "p99_ms"
metric = "latency.e2e_ms.p99"
goal = "min"
[[metrics]]
name = "servers_paid"
metric = "scenario.pools.servers.servers"
goal = "min"
"#;

pub fn folder(experiment: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), SCENARIO).unwrap();
    std::fs::write(dir.path().join("e.toml"), experiment).unwrap();
    dir
}

pub fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    command.current_dir(dir).args(arguments);
    command
}

pub fn seatrial(dir: &Path, arguments: &[&str]) -> Output {
    command(dir, arguments).output().unwrap()
}

/// Standard output of a command that ends with 0.
#[track_caller]
pub fn fine(dir: &Path, arguments: &[&str]) -> String {
    let output = seatrial(dir, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of a command that is refused.
#[track_caller]
pub fn refused(dir: &Path, arguments: &[&str]) -> String {
    let output = seatrial(dir, arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
    assert!(output.stdout.is_empty());
    errors
}

/// Runs `e.toml` and returns its JSON.
#[track_caller]
pub fn swept(experiment: &str) -> Value {
    let dir = folder(experiment);
    serde_json::from_str(&fine(dir.path(), &["sweep", "e.toml", "--json"])).unwrap()
}

/// The bytes of all result files in a folder.
pub fn results(out: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |name: &&str| ((*name).to_owned(), std::fs::read(out.join(name)).unwrap());
    FILES.iter().map(read).collect()
}

/// Gives every line of a journal that was changed the check of what it says now.
pub fn reseal(journal: &Path) {
    let text = std::fs::read_to_string(journal).unwrap();
    let sealed = text.lines().map(|line| {
        let (open, _) = line.rsplit_once(",\"check\":").unwrap();
        seatrial::experiment::sweep::seal::sealed(&format!("{open}}}"))
    });
    std::fs::write(journal, sealed.collect::<String>()).unwrap();
}

#[track_caller]
pub fn same(a: &Path, b: &Path) {
    for ((name, a), (_, b)) in results(a).into_iter().zip(results(b)) {
        assert!(a == b, "{name} differs");
    }
}

pub fn lines(journal: &Path) -> usize {
    let text = std::fs::read(journal).unwrap_or_default();
    text.iter().filter(|byte| **byte == b'\n').count()
}

pub fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
