//! The page that `report` writes, opened in a headless browser: nothing on its console, nothing
//! fetched, marks in every chart, toggles that work, no serious fault of accessibility. Screenshots
//! are kept in the build folder, `tmp/report-shots`.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Two regions, one of which leaves; language models, prices, and claims with hostile words.
const NIGHT: &str = r#"
name = "a-night"
description = "A region leaves & comes back. </script><script>window.hit = 1</script>"
assumptions = ["Arrivals are Poisson, <b>independent</b> of the fault."]

[run]
horizon_s = 240
warmup_s = 20
replications = 3

[workload]
arrivals = { process = "poisson", rate_per_s = 12 }
prompt_tokens = { law = "constant", tokens = 300 }
output_tokens = { law = "constant", tokens = 60 }

[slo]
ttft_ms = 400
tpot_ms = 50
target = 0.95

[clients]
timeout_ms = 20_000

[[regions]]
name = "east"

[[regions]]
name = "west"

[network]
rtt_ms = { "east/west" = 60 }

[[populations]]
name = "there"
region = "east"

[[populations]]
name = "here"
region = "west"

[[pools]]
name = "llama-east"
region = "east"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
step_model = "roofline"

[[pools]]
name = "llama-west"
region = "west"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
step_model = "roofline"

[cost]
on_demand_usd_per_gpu_hour = 3.20
spot_usd_per_gpu_hour = 1.20
spot_share = 0.5

[[faults.timeline]]
kind = "crash"
target = { region = "east" }
at_s = 80
for_s = 40

[[claims]]
id = "fast"
text = "An answer is fast: </script><img src=x onerror=alert(1)>"
metric = "latency.e2e_ms.p99"
at_most = 1

[[claims]]
id = "answered"
text = "Most are answered."
metric = "requests.completed"
at_least = 100
"#;

const SWEEP: &str = r#"
name = "how-many"
scenario = "plain.toml"
replications = 2

[[axes]]
path = "pools.servers.servers"
name = "servers"
values = [2, 3, 4]

[[axes]]
path = "workload.arrivals.rate_per_s"
name = "rate"
values = [40, 60, 80]

[[metrics]]
name = "servers_bought"
metric = "scenario.pools.servers.servers"
goal = "min"

[[metrics]]
name = "p99_ms"
metric = "latency.e2e_ms.p99"
goal = "min"
"#;

const PLAIN: &str = r#"
name = "plain"
[run]
horizon_s = 60
warmup_s = 6
[workload]
arrivals = { process = "poisson", rate_per_s = 50 }
[slo]
e2e_ms = 250
target = 0.9
[[pools]]
name = "servers"
engine = "abstract"
servers = 2
service = { law = "exponential", mean_ms = 20 }
"#;

/// A replica crashes.
const INCIDENT: &str = r#"
name = "incident"
[run]
horizon_s = 150
warmup_s = 0
[workload]
arrivals = { process = "poisson", rate_per_s = 20 }
[slo]
e2e_ms = 250
[clients]
max_retries = 1
try_timeout_ms = 900
[[pools]]
name = "servers"
engine = "abstract"
replicas = 2
servers = 2
service = { law = "exponential", mean_ms = 60 }
[[faults.timeline]]
kind = "crash"
target = { pool = "servers", replica = 1 }
at_s = 60
for_s = 40
"#;

fn seatrial(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_seatrial"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{arguments:?}: {text}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What `tests/browser/run.sh` found on each page; none where it says that it cannot look.
fn look(pages: &[PathBuf], shots: &Path) -> Option<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/run.sh");
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    let output = Command::new(script)
        .arg(work)
        .arg(shots)
        .args(pages)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(3) {
        eprintln!("SKIPPED: {told}");
        return None;
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{errors}");
    Some(serde_json::from_str(&told).unwrap())
}

#[test]
fn pages_have_marks_that_can_be_toggled_and_no_faults() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("night.toml"), NIGHT).unwrap();
    std::fs::write(at("plain.toml"), PLAIN).unwrap();
    std::fs::write(at("sweep.toml"), SWEEP).unwrap();
    seatrial(folder.path(), &["run", "night.toml", "--out", "night"]);
    seatrial(folder.path(), &["run", "plain.toml", "--out", "plain"]);
    let again = ["run", "plain.toml", "--seed", "2", "--out", "again"];
    seatrial(folder.path(), &again);
    seatrial(folder.path(), &["sweep", "sweep.toml", "--out", "sweep"]);
    seatrial(folder.path(), &["report", "night", "--out", "night.html"]);
    let all = ["report", "plain", "again", "sweep", "--out", "all.html"];
    seatrial(folder.path(), &all);
    std::fs::write(at("incident.toml"), INCIDENT).unwrap();
    let run = [
        "run",
        "incident.toml",
        "--requests",
        "log.csv",
        "--series",
        "s.csv",
    ];
    seatrial(folder.path(), &run);
    let replay = [
        "replay",
        "incident.toml",
        "--trace",
        "log.csv",
        "--calm",
        "0..50",
        "--incident",
        "55..105",
        "--bin",
        "5",
        "--nights",
        "3",
        "--fit",
        "gateway.cost_ms=0..20",
        "--budget",
        "20",
        "--observed-series",
        "s.csv",
        "--set",
        "faults.timeline.0.for_s=5",
        "--what-if",
        "pools.servers.servers=3",
        "--out",
        "replay",
    ];
    seatrial(folder.path(), &replay);
    let size = [
        "size",
        "plain.toml",
        "--knob",
        "pools.servers.servers=1..6",
        "--objective",
        "scenario.pools.servers.servers",
        "--at-most",
        "latency.e2e_ms.p50=60",
        "--out",
        "size",
        "--replications",
        "4",
    ];
    seatrial(folder.path(), &size);
    let both = ["report", "replay", "size", "--out", "incident.html"];
    seatrial(folder.path(), &both);
    let pages = [at("night.html"), at("all.html"), at("incident.html")];
    for page in &pages {
        let size = std::fs::metadata(page).unwrap().len();
        assert!(size < 3_000_000, "{}: {size} bytes", page.display());
    }
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-shots");
    let Some(found) = look(&pages, &shots) else {
        return;
    };
    for page in found.as_array().unwrap() {
        let name = page["page"].as_str().unwrap();
        for nothing in ["console", "requests", "notes"] {
            assert_eq!(page[nothing], serde_json::json!([]), "{name}: {nothing}");
        }
        let serious = page["axe"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|fault| matches!(fault["impact"].as_str(), Some("serious" | "critical")));
        let serious: Vec<&Value> = serious.collect();
        assert!(serious.is_empty(), "{name}: {serious:#?}");
        let charts = page["charts"].as_array().unwrap();
        assert!(charts.len() >= 9, "{name}: {} charts", charts.len());
        for chart in charts {
            // Axes, their ticks and lines are some; what is drawn comes on top.
            assert!(chart["marks"].as_u64() >= Some(4), "{name}: {chart}");
            assert!(chart["texts"].as_u64() >= Some(4), "{name}: {chart}");
        }
        assert!(page["toggles"].as_u64() >= Some(15), "{name}: {page}");
        assert!(
            page["hint"].as_str().unwrap().contains('%'),
            "{name}: {page}"
        );
        for (kind, beyond) in page["wide"].as_object().unwrap() {
            assert!(
                beyond.as_i64() <= Some(0),
                "{name} is too wide for a {kind}"
            );
        }
        for kind in ["light.png", "dark.png", "phone.png"] {
            let shot = shots.join(format!("{name}-{kind}"));
            assert!(
                std::fs::metadata(shot).unwrap().len() > 20_000,
                "{name}-{kind}"
            );
        }
    }
}
