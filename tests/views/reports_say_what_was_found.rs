//! `report`: what the page and the pictures say of the folders of runs and sweeps, and which folders
//! are refused.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

const RUN: &str = r#"
name = "two-servers"
assumptions = ["<script>alert(1)</script> is no markup."]
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
[cost]
on_demand_usd_per_gpu_hour = 3.20
[[claims]]
id = "instant"
text = "It takes no time."
metric = "latency.e2e_ms.p50"
at_most = 0.001
"#;

/// Two replicas of two servers, some of whose requests are tried again.
const NIGHT: &str = r#"
name = "night"
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
[cost]
on_demand_usd_per_gpu_hour = 3.20
"#;

fn seatrial(folder: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
    (out, err)
}

fn with_run() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("run.toml"), RUN).unwrap();
    seatrial(folder.path(), &["run", "run.toml", "--out", "run"], 1);
    folder
}

/// The charts in a page.
fn charts(page: &str) -> Vec<Value> {
    let begin = "<script type=\"application/json\" id=\"charts\">";
    let from = page.find(begin).unwrap() + begin.len();
    let to = from + page[from..].find("</script>").unwrap();
    serde_json::from_str(&page[from..to]).unwrap()
}

#[test]
fn a_page_has_the_verdicts_the_figures_and_the_curves_of_its_run() {
    let folder = with_run();
    let (told, _) = seatrial(folder.path(), &["report", "run"], 0);
    assert!(told.starts_with("run/report.html: "), "{told}");
    let page = std::fs::read_to_string(folder.path().join("run/report.html")).unwrap();
    for words in [
        "two-servers",
        "It takes no time.",
        "Why: ",
        "0 of 1",
        "as [[pools]] states",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("<script>alert"));
    let result = std::fs::read_to_string(folder.path().join("run/result.json")).unwrap();
    let result: Value = serde_json::from_str(&result).unwrap();
    let charts = charts(&page);
    let chart = |id: &str| charts.iter().find(|it| it["id"] == id).unwrap();
    // The curve goes through the quantiles of the result.
    let e2e = &chart("two-servers-latency")["body"]["series"];
    let e2e = e2e
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "E2E");
    let points = e2e.unwrap()["points"].as_array().unwrap();
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        let expected = result["latency"]["e2e_ms"][name].as_f64().unwrap();
        let at = points
            .iter()
            .find(|it| (it[1].as_f64().unwrap() - share).abs() < 1e-9);
        let found = at.unwrap()[0].as_f64().unwrap();
        assert!(
            (found / expected - 1.0).abs() < 2e-3,
            "{name}: {found} {expected}"
        );
    }
    // The budget's rows sum to what they are of.
    let budget = &chart("two-servers-budget")["body"]["series"];
    let sum: f64 = budget
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["values"][0].as_f64().unwrap_or(0.0))
        .sum();
    let mean = result["latency"]["e2e_ms"]["mean"].as_f64().unwrap();
    assert!((sum / mean - 1.0).abs() < 1e-3, "{sum} {mean}");
    // What was so over time comes to what was so in all.
    let busy = &chart("two-servers-utilization")["body"]["series"][0]["points"];
    let busy: Vec<f64> = busy
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it[1].as_f64())
        .collect();
    let mean = busy.iter().sum::<f64>() / busy.len() as f64;
    let expected = result["pools"][0]["utilization"].as_f64().unwrap();
    assert!(
        busy.len() > 100 && (mean - expected).abs() < 0.02,
        "{mean} {expected}"
    );
    let arrived = &chart("two-servers-rates")["body"]["series"][0]["points"];
    let arrived = arrived.as_array().unwrap();
    let width = arrived[1][0].as_f64().unwrap();
    let all: f64 = arrived
        .iter()
        .map(|it| it[1].as_f64().unwrap() * width)
        .sum();
    let expected = result["requests"]["arrived"].as_f64().unwrap();
    assert!((all / expected - 1.0).abs() < 0.01, "{all} {expected}");
}

/// A night with a crash, replayed without the crash: the folder of the replay is `off`, and `fits` is that
/// with it.
fn with_replays() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let crash = "[[faults.timeline]]\nkind = \"crash\"\ntarget = { pool = \"servers\", replica = 1 }\n\
                 at_s = 60\nfor_s = 40\n";
    let quiet = NIGHT.to_owned();
    std::fs::write(folder.path().join("quiet.toml"), &quiet).unwrap();
    std::fs::write(folder.path().join("night.toml"), quiet + crash).unwrap();
    let run = [
        "run",
        "night.toml",
        "--requests",
        "log.csv",
        "--series",
        "s.csv",
        "--series-interval",
        // One look a stretch: luck, as the simulated nights have it when they are looked at as often.
        "5",
    ];
    seatrial(folder.path(), &run, 1);
    for (scenario, out, code) in [("night.toml", "fits", 0), ("quiet.toml", "off", 1)] {
        let arguments = [
            "replay",
            scenario,
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
            "--what-if",
            "pools.servers.servers=3",
            "--out",
            out,
        ];
        seatrial(folder.path(), &arguments, code);
    }
    folder
}

#[test]
fn a_page_of_a_replay_has_both_sides_the_incident_and_where_not_to_trust_it() {
    let folder = with_replays();
    seatrial(folder.path(), &["report", "off", "--charts", "slides"], 0);
    let page = std::fs::read_to_string(folder.path().join("off/report.html")).unwrap();
    assert!(page.len() < 3_000_000);
    // The verdict comes first, what was read last.
    let places = [
        "THE MODEL DOES NOT FIT",
        "Where the model is not to be trusted",
        "Observed against simulated",
        "Scores inside and outside the incident",
        "Fitted to the calm window",
        "Requests saved and lost",
        "share no prefix",
    ];
    let main = page.find("<main").unwrap();
    let places = places.map(|words| page[main..].find(words).unwrap_or(usize::MAX));
    assert!(places.is_sorted() && places[6] < usize::MAX, "{places:?}");
    let found = std::fs::read_to_string(folder.path().join("off/replay.json")).unwrap();
    let found: Value = serde_json::from_str(&found).unwrap();
    let charts = charts(&page);
    let chart = |id: &str| charts.iter().find(|it| it["id"] == id).unwrap();
    // What is drawn is what was observed and simulated, with the incident marked.
    for (id, name) in [("night-replicas", "replicas"), ("night-e2e-p50", "e2e p50")] {
        let series = found["series"].as_array().unwrap();
        let row = series.iter().find(|it| it["name"] == name).unwrap();
        let drawn = chart(id);
        for (place, field) in ["observed", "simulated"].into_iter().enumerate() {
            let points = drawn["body"]["series"][place]["points"].as_array().unwrap();
            let values: Vec<&Value> = points.iter().map(|point| &point[1]).collect();
            let told: Vec<&Value> = row[field].as_array().unwrap().iter().collect();
            assert_eq!(values, told, "{name} {field}");
        }
        assert_eq!(drawn["spans"][0]["what"], "the incident");
        assert_eq!(
            (&drawn["spans"][0]["from"], &drawn["spans"][0]["to"]),
            (&55.0.into(), &105.0.into())
        );
    }
    // Where a replica was missing the series are marked.
    assert!(chart("night-replicas")["spans"].as_array().unwrap().len() > 1);
    assert!(folder.path().join("slides/night-replicas.svg").is_file());

    let (told, _) = seatrial(folder.path(), &["report", "fits", "off", "--json"], 0);
    let told: Value = serde_json::from_str(&told).unwrap();
    let page = std::fs::read_to_string(folder.path().join(told["page"].as_str().unwrap())).unwrap();
    assert!(page.contains("The model fits"), "{told}");
}

#[test]
fn a_page_of_a_sizing_has_its_answer_and_why_not_less() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("night.toml"), NIGHT).unwrap();
    let size = [
        "size",
        "night.toml",
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
    seatrial(folder.path(), &size, 0);
    seatrial(folder.path(), &["report", "size"], 0);
    let page = std::fs::read_to_string(folder.path().join("size/report.html")).unwrap();
    for words in [
        "Answers",
        "Why not less",
        "the answer",
        "the next less",
        "What was looked at",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert_eq!(charts(&page).len(), 1);
    // Two commands in one folder: which is meant cannot be known.
    std::fs::write(folder.path().join("size/replay.json"), "{}").unwrap();
    let (_, said) = seatrial(folder.path(), &["report", "size"], 2);
    assert!(said.contains("replay.json and size.json"), "{said}");
}

#[test]
fn keeping_what_is_drawn_changes_nothing_of_a_run() {
    let folder = with_run();
    let (bare, _) = seatrial(
        folder.path(),
        &["run", "run.toml", "--json", "--omit-timing"],
        1,
    );
    let kept = std::fs::read_to_string(folder.path().join("run/result.json")).unwrap();
    assert_eq!(bare, kept);
}

#[test]
fn equal_runs_give_equal_pages() {
    let folder = with_run();
    seatrial(
        folder.path(),
        &["run", "run.toml", "--out", "again", "--threads", "1"],
        1,
    );
    for name in ["run", "again"] {
        let out = format!("{name}.html");
        seatrial(folder.path(), &["report", name, "--out", &out], 0);
    }
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert!(read("run.html") == read("again.html"));
}

#[test]
fn every_chart_is_drawn_for_slides_too() {
    let folder = with_run();
    let arguments = ["report", "run", "--charts", "slides", "--json"];
    let (told, _) = seatrial(folder.path(), &arguments, 0);
    let told: Value = serde_json::from_str(&told).unwrap();
    let charts = told["charts"].as_array().unwrap();
    assert!(charts.len() >= 6, "{told}");
    for chart in charts {
        let name = chart.as_str().unwrap();
        let at = |extension| folder.path().join(format!("slides/{name}.{extension}"));
        let svg = std::fs::read_to_string(at("svg")).unwrap();
        assert!(
            svg.contains("<desc>") && svg.matches("<text").count() > 5,
            "{name}"
        );
        let png = std::fs::read(at("png")).unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 5_000, "{name}");
    }
}

#[test]
fn what_is_no_folder_of_a_run_or_sweep_is_refused() {
    let folder = with_run();
    let refused = |name: &str, words: &str| {
        let (_, said) = seatrial(folder.path(), &["report", name], 2);
        assert!(said.contains(words), "{name}: {said}");
    };
    refused("nowhere", "is no folder; give a folder that `run --out`");
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    refused("empty", "has neither result.json nor summary.json");
    let damaged = |name: &str, file: &str, text: &str| {
        let to = folder.path().join(name);
        std::fs::create_dir(&to).unwrap();
        for file in ["result.json", "charts.json"] {
            std::fs::copy(folder.path().join("run").join(file), to.join(file)).unwrap();
        }
        std::fs::write(to.join(file), text).unwrap();
    };
    damaged("cut", "result.json", "{\"schema\": 1,");
    refused("cut", "is not what this version writes");
    damaged("newer", "result.json", "{\"schema\": 99}");
    refused("newer", "`schema` is 99, and this version knows 1");
    damaged("other", "result.json", "{\"schema\": 1, \"digest\": \"0\"}");
    refused("other", "is not of the run that result.json is of");
    damaged("wrong", "charts.json", "{\"schema\": \"one\"}");
    refused("wrong", "charts.json: is not what this version writes");
    std::fs::remove_file(folder.path().join("cut/charts.json")).unwrap();
    std::fs::copy(
        folder.path().join("run/result.json"),
        folder.path().join("cut/result.json"),
    )
    .unwrap();
    refused(
        "cut",
        "charts.json: is not there: an older version wrote this folder",
    );
}
