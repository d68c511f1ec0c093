//! What is replayed is what arrived, request by request, and bad input is refused with a remedy.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use assert_cmd::Command;
use proptest::prelude::*;
use seatrial::observed::levels::{Level, ObservedLevels, read_levels};
use seatrial::observed::series::{ObservedBin, ObservedSeries, SeriesSource};
use seatrial::observed::series_file::write_series;
use seatrial::observed::{ReadOptions, read_all};
use seatrial::replay::levels::{Stretches, lay_out, simulated};
use seatrial::replay::series::{Minutes, Series};
use seatrial::replay::stage::{Part, Stage};
use seatrial::replay::{Night, Window};
use seatrial::scenario::{Document, SourceText};

const SCENARIO: &str = r#"
name = "small"
run = { horizon_s = 120, warmup_s = 0 }
workload.arrivals = { process = "poisson", rate_per_s = 20 }
clients = { max_retries = 2, try_timeout_ms = 900 }
slo = { e2e_ms = 800 }
[[pools]]
name = "nodes"
engine = "abstract"
replicas = 3
servers = 2
service = { law = "exponential", mean_ms = 200 }
[[faults.timeline]]
kind = "crash"
target = { pool = "nodes", replica = 1 }
at_s = 60
for_s = 20
"#;

/// The log of a run, and the folder it is in.
fn logged() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (scenario, log) = (folder.path().join("s.toml"), folder.path().join("log.csv"));
    std::fs::write(&scenario, SCENARIO).unwrap();
    let mut command = Command::cargo_bin("seatrial").unwrap();
    let output = command
        .arg("run")
        .arg(&scenario)
        .arg("--requests")
        .arg(&log)
        .arg("--series")
        .arg(folder.path().join("series.csv"))
        .args(["--series-interval", "1"])
        .output();
    assert!(output.unwrap().status.code().unwrap() < 2);
    (folder, log)
}

#[test]
fn the_same_scenario_on_the_same_luck_gives_the_night_back() {
    let (_folder, log) = logged();
    let night = Night::of(read_all(&log, &ReadOptions::default()).unwrap().0, None).unwrap();
    let document = Document::parse(SourceText::new("s.toml", SCENARIO)).unwrap();
    let stage = Stage::new(&document, Path::new(""), &night).unwrap();
    let plan = stage.plan(&[]).unwrap();
    let simulated = stage.simulate(&plan, Part::Whole, 0).unwrap();
    let arrivals = |all: &[seatrial::replay::night::Seen]| -> Vec<(u64, u32, u32)> {
        let of = all.iter();
        of.map(|it| (it.t_ns, it.prompt_tokens, it.output_tokens))
            .collect()
    };
    assert_eq!(arrivals(&night.requests), arrivals(&simulated.requests));
    let ends = |all: &[seatrial::replay::night::Seen]| -> Vec<_> {
        let of = all.iter();
        of.map(|it| (it.ending, it.attempts, it.ttft_ns, it.e2e_ns))
            .collect()
    };
    assert!(ends(&night.requests) == ends(&simulated.requests));
    assert!(night.requests.iter().any(|it| it.attempts > Some(1)));
}

/// The night of [`logged`], and what is simulated of its levels, looked at each second.
fn looked_at(log: &Path, minutes: Minutes) -> (Night, Vec<(Level, Series)>) {
    let night = Night::of(read_all(log, &ReadOptions::default()).unwrap().0, None).unwrap();
    let document = Document::parse(SourceText::new("s.toml", SCENARIO)).unwrap();
    let stage = Stage::new(&document, Path::new(""), &night).unwrap();
    let plan = stage.plan(&[]).unwrap();
    let watched = stage.looking_every(1.0).simulate(&plan, Part::Whole, 0);
    let levels = watched.unwrap().levels.unwrap();
    (night, simulated(&levels, minutes, &Stretches::new()))
}

const MINUTES: Minutes = Minutes {
    bin_s: 20.0,
    count: 6,
};

/// That a file of levels says what was simulated, to within what it resolves.
#[track_caller]
fn same(file: ObservedLevels, log: &Path, levels: &[Level], within: f64) {
    let (night, simulated) = looked_at(log, MINUTES);
    let told = lay_out(&[file], &night, MINUTES).unwrap();
    for level in levels {
        let of = |all: &[(Level, Series)]| -> Vec<f64> {
            let found = all.iter().find(|(it, _)| it == level).unwrap();
            // The last stretch ends with the last arrival, within a second.
            let values = found.1.values.iter().take(MINUTES.count - 1);
            values.map(|value| value.unwrap()).collect()
        };
        let (seen, made) = (of(&told.series), of(&simulated));
        let pairs = seen.iter().zip(&made);
        let apart = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart <= within, "{level:?}: {seen:?} {made:?}");
        assert!(made.iter().any(|value| *value > 0.0), "{level:?}");
    }
}

#[test]
fn the_series_of_a_run_are_those_of_its_replay() {
    let (folder, log) = logged();
    let file = read_levels(&folder.path().join("series.csv"), 1).unwrap();
    let all = [
        Level::Replicas,
        Level::Waiting,
        Level::Queue,
        Level::Running,
    ];
    same(file.clone(), &log, &all, 1e-9);
    // One of three replicas is down from 60 s to 80 s.
    let (night, _) = looked_at(&log, MINUTES);
    let told = lay_out(&[file], &night, MINUTES).unwrap();
    let replicas = &told.series[0].1.values;
    assert_eq!(
        (replicas[2], replicas[3], replicas[4]),
        (Some(3.0), Some(2.0), Some(3.0))
    );
    assert!(told.not_observed.is_empty());
}

/// The levels of [`logged`], second by second.
fn by_second(folder: &Path) -> Vec<[f64; 3]> {
    let file = read_levels(&folder.join("series.csv"), 1).unwrap();
    let of = |level: Level, at: usize| file.levels[&level][at].value;
    let many = file.levels[&Level::Replicas].len();
    let all = [Level::Replicas, Level::Queue, Level::Running];
    (0..many).map(|at| all.map(|level| of(level, at))).collect()
}

#[test]
fn bins_and_scrapes_say_the_same_to_within_what_they_resolve() {
    let (folder, log) = logged();
    let seconds = by_second(folder.path());
    let bins = seconds.iter().map(|it| ObservedBin {
        replicas: Some(it[0]),
        waiting: Some(it[1]),
        running: Some(it[2]),
        ..ObservedBin::default()
    });
    let series = ObservedSeries {
        source: SeriesSource::Scrapes,
        start_ns: 0,
        bin_ns: 1_000_000_000,
        bins: bins.collect(),
        notes: Vec::new(),
    };
    let all = [Level::Replicas, Level::Queue, Level::Running];
    for name in ["bins.csv", "bins.parquet"] {
        let path = folder.path().join(name);
        write_series(&path, &series).unwrap();
        // Each has the level at the end of the second that it stands for.
        same(read_levels(&path, 1).unwrap(), &log, &all, 1e-9);
    }
    // Scrapes every five seconds; what waits anywhere is told by the first replica.
    let mut text = String::new();
    for (second, [replicas, queue, running]) in seconds.iter().enumerate().skip(4).step_by(5) {
        text += &format!("# scrape {}\n", second + 1);
        for replica in 0..*replicas as u32 {
            let first = f64::from(u8::from(replica == 0));
            let labels = format!("{{engine=\"{replica}\"}}");
            text += &format!("vllm:num_requests_running{labels} {}\n", running * first);
            text += &format!("vllm:num_requests_waiting{labels} {}\n", queue * first);
        }
    }
    let path = folder.path().join("scrapes.prom");
    std::fs::write(&path, text).unwrap();
    let file = read_levels(&path, 1_000_000_000).unwrap();
    assert!(!file.notes.is_empty());
    // A scrape counts to the stretch that it begins, and there are four in each.
    same(file.clone(), &log, &[Level::Replicas], 0.26);
    same(file, &log, &[Level::Running], 1.5);
}

#[test]
fn what_is_observed_is_scored_and_what_is_not_is_said() {
    let (folder, log) = logged();
    let scenario = folder.path().join("s.toml");
    let replay = |more: &[&str]| -> serde_json::Value {
        let mut command = Command::cargo_bin("seatrial").unwrap();
        command
            .arg("replay")
            .arg(&scenario)
            .arg("--trace")
            .arg(&log);
        let windows = [
            "--calm",
            "0..50",
            "--incident",
            "55..100",
            "--bin",
            "5",
            "--no-fit",
        ];
        let output = command
            .args(windows)
            .args(["--nights", "3", "--json"])
            .args(more)
            .output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().unwrap() < 2, "{said}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let scored = |found: &serde_json::Value, series: &str| -> Vec<String> {
        let scores = found["scores"].as_array().unwrap().iter();
        let of_it = scores.filter(|it| it["series"] == series);
        of_it
            .map(|it| it["stretch"].as_str().unwrap().to_owned())
            .collect()
    };
    let bare = replay(&[]);
    assert_eq!(
        bare["telemetry"]["not_observed"],
        serde_json::json!(["replicas", "queue"])
    );
    assert!(scored(&bare, "replicas").is_empty());
    assert!(
        bare["notes"]
            .to_string()
            .contains("not observed, and so simulated only: replicas, queue")
    );
    let shares = "no prefix with one another (the log has no hashes";
    assert!(
        bare["assumptions"].to_string().contains(shares),
        "{}",
        bare["assumptions"]
    );

    let series = folder.path().join("series.csv");
    let seen = replay(&["--observed-series", series.to_str().unwrap()]);
    for level in ["replicas", "waiting", "queue", "running"] {
        let stretches = scored(&seen, level);
        assert_eq!(
            stretches,
            ["calm, not fitted to", "incident", "elsewhere"],
            "{level}"
        );
    }
    assert_eq!(seen["telemetry"]["not_observed"], serde_json::json!([]));
    let scores = seen["scores"].as_array().unwrap().iter();
    let mut replicas = scores.filter(|it| it["series"] == "replicas");
    assert!(replicas.all(|it| it["fits"] == true && it["nrmse"].as_f64().unwrap() < 0.02));
    // A fleet that had fewer replicas than the scenario says does not fit.
    let text = std::fs::read_to_string(&series).unwrap();
    let fewer = text
        .replace(",replicas_up,3", ",replicas_up,2")
        .replace(",replicas_up,2.0", ",replicas_up,1.0");
    let file = folder.path().join("fewer.csv");
    std::fs::write(&file, fewer).unwrap();
    let off = replay(&["--observed-series", file.to_str().unwrap()]);
    assert_eq!(off["verdict"]["fits"], false);
    let bad = off["verdict"]["not_to_be_trusted"].as_array().unwrap();
    assert!(bad.iter().any(|it| it["series"] == "replicas"), "{bad:?}");
}

#[test]
fn a_log_without_tries_is_not_scored_by_them_and_retries_are_left_as_they_are() {
    let (folder, log) = logged();
    // Without its column of tries, as an access log has none.
    let text = std::fs::read_to_string(&log).unwrap();
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let head = rows.headers().unwrap().clone();
    let column = head.iter().position(|it| it == "attempts").unwrap();
    let mut bare = csv::Writer::from_writer(Vec::new());
    for row in std::iter::once(head).chain(rows.records().map(Result::unwrap)) {
        let kept = row.iter().enumerate().filter(|(at, _)| *at != column);
        bare.write_record(kept.map(|(_, field)| field)).unwrap();
    }
    let untold = folder.path().join("untold.csv");
    std::fs::write(&untold, bare.into_inner().unwrap()).unwrap();
    let scenario = folder.path().join("s.toml");
    let replay = |log: &Path, more: &[&str]| -> serde_json::Value {
        let mut command = Command::cargo_bin("seatrial").unwrap();
        command.arg("replay").arg(&scenario).arg("--trace").arg(log);
        let given = ["--calm", "0..50", "--bin", "5", "--nights", "3", "--json"];
        let output = command.args(given).args(more).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().unwrap() < 2, "{said}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let series = |found: &serde_json::Value| -> serde_json::Value {
        let all = found["series"].as_array().unwrap().iter();
        all.clone()
            .find(|it| it["name"] == "tries")
            .unwrap()
            .clone()
    };
    let told = replay(&log, &["--no-fit"]);
    assert!(series(&told)["observed"].is_array());
    let found = replay(
        &untold,
        &[
            "--set",
            "clients.max_retries=unset",
            "--set",
            "gateway.cost_ms=0",
        ],
    );
    assert!(series(&found)["observed"].is_null(), "{}", series(&found));
    assert!(found["observed"]["tries_per_request"].is_null());
    let scores = found["scores"].as_array().unwrap().iter();
    assert_eq!(scores.filter(|it| it["series"] == "tries").count(), 0);
    let notes = found["notes"].to_string();
    assert!(
        notes.contains("does not tell how often a request was tried"),
        "{notes}"
    );
    // What the window does not tell is said, with what it was left at.
    let left = found["fit"]["left"].to_string();
    for words in [
        "clients.max_retries at 0",
        "clients.backoff.base_ms at 25",
        "does not tell",
    ] {
        assert!(left.contains(words), "no {words:?} in {left}");
    }
    // So is that three nights tell little of luck.
    let few = found["verdict"]["rests_on"].as_str().unwrap();
    assert!(few.starts_with("3 simulated nights tell little"), "{few}");
}

#[test]
fn scrapes_without_a_zone_say_what_they_were_taken_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.prom");
    let at = |minute: u32| {
        format!("# scrape 2026-03-01T12:{minute:02}:00\nvllm:num_requests_running 3\n")
    };
    std::fs::write(&path, [at(0), at(1), at(2)].concat()).unwrap();
    let notes = read_levels(&path, 60_000_000_000).unwrap().notes.join("; ");
    assert!(
        notes.contains("stamps without a zone: 3, taken for +00:00"),
        "{notes}"
    );
}

#[test]
fn prompts_whose_blocks_a_log_has_share_their_beginnings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let line = |t_ms: u32, first: u32| {
        let hashes: Vec<u32> = (first..first + 8).collect();
        format!(
            "{{\"timestamp\": {t_ms}, \"input_length\": 4096, \"output_length\": 4, \"hash_ids\": {hashes:?}}}\n"
        )
    };
    // The second asks what the first did, the third does not.
    let lines = [line(0, 1), line(10_000, 1), line(20_000, 100)];
    std::fs::write(&path, lines.concat()).unwrap();
    let night = Night::of(read_all(&path, &ReadOptions::default()).unwrap().0, None).unwrap();
    assert_eq!(night.reuse.with_blocks, 3);
    let ttft_ms = |more: &str| -> Vec<f64> {
        let text = format!(
            "name = \"one\"\n{more}[[pools]]\nname = \"llama\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
             accelerator = \"h100-sxm\"\nstep_model = \"roofline\"\nprefix_caching = true\n"
        );
        let document = Document::parse(SourceText::new("s.toml", text)).unwrap();
        let stage = Stage::new(&document, Path::new(""), &night).unwrap();
        let simulated = stage
            .simulate(&stage.plan(&[]).unwrap(), Part::Whole, 0)
            .unwrap();
        let all = simulated.requests.iter();
        all.map(|it| it.ttft_ns.unwrap() as f64 / 1e6).collect()
    };
    let shared = ttft_ms("");
    assert!(
        shared[1] < 0.5 * shared[0] && shared[2] > 0.9 * shared[0],
        "{shared:?}"
    );
    // A scenario that says what prompts share is believed.
    let apart = ttft_ms("workload.prefix = { sharing = \"none\" }\n");
    assert!(apart[1] > 0.9 * apart[0], "{apart:?}");
}

#[test]
fn bad_input_is_refused_with_a_remedy() {
    let (folder, log) = logged();
    let scenario = folder.path().join("s.toml");
    let refused = |more: &[&str]| {
        let mut command = Command::cargo_bin("seatrial").unwrap();
        command
            .arg("replay")
            .arg(&scenario)
            .arg("--trace")
            .arg(&log)
            .args(more);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (arguments, words) in [
        (&["--calm", "60"][..], "must be FROM..TO"),
        (&["--calm", "60..20"], "must begin at 0 or later"),
        (
            &["--calm", "0..60", "--fit", "gateway.cost_ms=5"],
            "PATH=LOW..HIGH",
        ),
        (
            &["--calm", "0..60", "--fit", "slo.e2e_ms=500..900"],
            "`slo` is what both nights are judged by",
        ),
        (
            &[
                "--calm",
                "0..60",
                "--fit",
                "workload.arrivals.rate_per_s=1..9",
            ],
            "`workload` is the log's",
        ),
        (
            &["--calm", "0..60", "--fit", "faults.timeline.0.for_s=1..9"],
            "`faults` is what happened",
        ),
        (
            &["--calm", "0..60", "--fit", "run.seed=1..9"],
            "`run` says how a night is simulated",
        ),
        (
            &[
                "--calm",
                "0..60",
                "--fit",
                "pools.0.service.mean_ms=100..300",
                "--fit",
                "pools.nodes.service.mean_ms=100..400",
            ],
            "--fit pools.0.service.mean_ms opens, too",
        ),
        (
            &["--calm", "0..60", "--fit", "gateway.cst_ms=0..5"],
            "did you mean `cost_ms`",
        ),
        (
            &["--calm", "0..60", "--fit", "pools.*.tp=1..8"],
            "the scenario has none",
        ),
        (
            &["--calm", "0..60", "--what-if", "clients.max_retries"],
            "PATH=VALUE",
        ),
        (
            &["--calm", "0..10", "--fit", "gateway.cost_ms=0..5"],
            "must hold 3 stretches",
        ),
        (
            &[
                "--calm",
                "0..18",
                "--bin",
                "1",
                "--fit",
                "gateway.cost_ms=0..5",
            ],
            "400 requests or more",
        ),
        (&["--calm", "0..60", "--start", "never"], "--start never"),
        (&["--calm", "0..60", "--bin", "0"], "--bin 0"),
        (
            &[
                "--calm",
                "0..60",
                "--set",
                "faults.timeline.0={ kind = \"traffic_spike\", at_s = 9, for_s = 9, factor = 2 }",
            ],
            "the log has all that came",
        ),
    ] {
        let said = refused(arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

proptest! {
    #[test]
    fn no_file_of_levels_panics(text in "(\\PC|[0-9,.\n]){0,80}", which in 0..3_usize) {
        let heads = ["", "start_ns,replicas,kv_usage\n", "t_s,interval_s,scope,name,metric,value\n"];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("levels.csv");
        std::fs::write(&path, format!("{}{text}", heads[which])).unwrap();
        let _ = read_levels(&path, 1_000_000_000);
    }

    #[test]
    fn no_window_text_panics(text in ".{0,40}") {
        let _ = Window::parse("--calm", &text, Some(0));
        let _ = Window::parse("--calm", &format!("{text}..{text}"), None);
    }
}
