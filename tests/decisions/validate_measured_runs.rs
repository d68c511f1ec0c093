//! `seatrial validate` reads measured runs of every documented format, and a run that was simulated
//! is found equal to itself.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use seatrial::validate::{MeasuredRun, open};
use serde_json::Value;
use tempfile::TempDir;

const POOL: &str = r#"
[[pools]]
name = "llama"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
max_num_seqs = 32
"#;

fn seatrial(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    command.args(arguments);
    command
}

fn validated(arguments: &[&str]) -> Value {
    let mut all = vec!["validate", "--json"];
    all.extend(arguments);
    let output = seatrial(&all).assert().success().get_output().clone();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(path: &Path) -> String {
    let output = seatrial(&["validate"])
        .arg(path)
        .assert()
        .code(2)
        .get_output()
        .clone();
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn folder_with(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn only(folder: &TempDir) -> MeasuredRun {
    let mut runs = open(folder.path(), None).unwrap();
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

#[test]
fn a_simulated_run_is_equal_to_itself() {
    let folder = folder_with(&[("run.toml", POOL)]);
    let scenario = format!(
        "name = \"itself\"\nrun.horizon_s = 60\nrun.warmup_s = 0\n\
         workload.arrivals = {{ process = \"gamma\", rate_per_s = 20, cv = 2 }}\n\
         workload.prompt_tokens = {{ law = \"lognormal\", mean_tokens = 600, cv = 1.2 }}\n\
         workload.output_tokens = {{ law = \"exponential\", mean_tokens = 150 }}\n{POOL}"
    );
    let path = folder.path().join("scenario.toml");
    std::fs::write(&path, scenario).unwrap();
    let requests = folder.path().join("requests.csv.gz");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    seatrial(&["run", &text(&path), "--requests", &text(&requests)])
        .assert()
        .success();
    let result = validated(&[&text(folder.path())]);
    for metric in ["ttft_ms", "tpot_ms", "e2e_ms", "queue_ms"] {
        for figure in ["mean", "p50", "p90", "p99"] {
            let error = &result["errors_pct"][metric][figure];
            let observed = result["observed"][metric][figure].as_f64().unwrap();
            assert!(
                error.as_f64() == Some(0.0) || observed == 0.0,
                "{metric} {figure}: {error}"
            );
        }
        assert_eq!(result["ks"][metric].as_f64(), Some(0.0));
    }
    assert_eq!(result["throughput"]["error_pct"].as_f64(), Some(0.0));
    assert!(result["requests"]["compared"].as_u64().unwrap() > 1_000);
    // With another fleet it is not equal, and --within says so by the exit code.
    let slower = ["--set", "pools.0.overhead_fixed_us=9000", "--within", "5"];
    let mut command = seatrial(&["validate", &text(folder.path())]);
    command.args(slower).assert().code(1);
    let mut command = seatrial(&["validate", &text(folder.path()), "--within", "5"]);
    command.assert().code(0);
}

#[test]
fn requests_of_the_warm_up_are_simulated_and_not_compared() {
    // The first two requests took a second more than they should have.
    let mut requests =
        "arrival_ns,prompt_tokens,output_tokens,first_token_ns,last_token_ns\n".to_owned();
    let folder = folder_with(&[("run.toml", POOL)]);
    let file = folder.path().join("requests.csv");
    let write = |slow_ms: u64, text: &mut String| {
        for index in 0..40_u64 {
            let arrival = index * 500_000_000;
            let slow = if index < 2 { slow_ms * 1_000_000 } else { 0 };
            let first = arrival + 20_000_000 + slow;
            let last = first + 400_000_000;
            text.push_str(&format!("{arrival},300,50,{first},{last}\n"));
        }
        std::fs::write(&file, &text).unwrap();
    };
    write(1_000, &mut requests);
    let path = folder.path().to_str().unwrap();
    let mean = |warmup_s: &str| {
        let result = validated(&[path, "--warmup-s", warmup_s]);
        let counts = &result["requests"];
        let observed = result["observed"]["ttft_ms"]["mean"].as_f64().unwrap();
        let numbers = ["offered", "compared", "warmup"].map(|key| counts[key].as_u64().unwrap());
        (observed, numbers)
    };
    assert_eq!(mean("0"), (70.0, [40, 40, 0]));
    assert_eq!(mean("1"), (20.0, [40, 38, 2]));
    let page = seatrial(&["validate", path, "--warmup-s", "1"]).assert();
    let text = String::from_utf8(page.success().get_output().stdout.clone()).unwrap();
    assert!(text.contains("2 requests of the warm-up"), "{text}");
    for wrong in ["-1", "inf", "NaN"] {
        let argument = format!("--warmup-s={wrong}");
        seatrial(&["validate", path, &argument]).assert().code(2);
    }
}

#[test]
fn what_was_not_compared_is_not_within_anything() {
    let text = "arrival_ns,prompt_tokens,output_tokens,first_token_ns,last_token_ns\n\
                0,300,50,20000000,400000000\n500000000,300,50,520000000,900000000\n";
    let folder = folder_with(&[("run.toml", POOL), ("requests.csv", text)]);
    let path = folder.path().to_str().unwrap();
    let code = |more: &[&str]| {
        let mut all = vec!["validate", path];
        all.extend(more);
        seatrial(&all).output().unwrap().status.code()
    };
    assert_eq!(code(&["--within", "1000"]), Some(0));
    // Nothing after the warm-up; nothing that fits the cache; no stamps at all.
    assert_eq!(code(&["--within", "1000", "--warmup-s", "100"]), Some(1));
    assert_eq!(
        code(&["--within", "1000", "--set", "pools.0.kv_blocks=3"]),
        Some(1)
    );
    let bare = folder_with(&[
        ("run.toml", POOL),
        (
            "requests.csv",
            "arrival_ns,prompt_tokens,output_tokens\n0,300,50\n",
        ),
    ]);
    let page = seatrial(&["validate", bare.path().to_str().unwrap(), "--within", "5"]);
    let mut page = page;
    assert_eq!(page.output().unwrap().status.code(), Some(1));
    for wrong in [&["--within=nan"][..], &["--within=-1"], &["--fit"]] {
        assert_eq!(code(wrong), Some(2), "{wrong:?}");
    }
}

#[test]
fn tables_that_would_do_nothing_are_refused() {
    let requests = "arrival_ns,prompt_tokens,output_tokens\n0,300,50\n";
    for (more, place) in [
        ("workload.max_requests = 5", "workload"),
        ("[[claims]]\nid = \"a\"", "claims"),
        (
            "[[measured.stages]]\nname = \"a\"\nfrom_s = 5\nto_s = 2",
            "stages.0",
        ),
        (
            "[[measured.stages]]\nname = \"a\"\nfrom_s = 0\nto_s = 2\n\
             [[measured.stages]]\nname = \"a\"\nfrom_s = 2\nto_s = 3",
            "stages.1",
        ),
    ] {
        // Tables last, bare keys first.
        let run = match more.starts_with('[') {
            true => format!("{POOL}\n{more}\n"),
            false => format!("{more}\n{POOL}"),
        };
        let folder = folder_with(&[("run.toml", &run), ("requests.csv", requests)]);
        let said = refused(folder.path());
        assert!(said.contains(place), "{said}");
    }
}

#[test]
fn the_page_is_at_most_100_columns_wide_and_draws_both_distributions() {
    let rows: String = (0_u64..200)
        .map(|i| {
            let (at, first) = (i * 50_000_000, 20_000_000 + (i * i * 7_919) % 90_000_000);
            let last = at + first + 900_000_000;
            format!("{at},{},{at},{},{last},100\n", at + 1_000_000, at + first)
        })
        .collect();
    let header = "arrival_ns,scheduled_ns,queued_ns,first_token_ns,last_token_ns,output_tokens";
    let rows: String = rows
        .lines()
        .map(|row| {
            let f: Vec<&str> = row.split(',').collect();
            format!(
                "{},{},{},{},{},{},500\n",
                f[0], f[1], f[2], f[3], f[4], f[5]
            )
        })
        .collect();
    let csv = format!("{header},prompt_tokens\n{rows}");
    let folder = folder_with(&[("run.toml", POOL), ("requests.csv", &csv)]);
    let output = seatrial(&["validate"])
        .arg(folder.path())
        .assert()
        .success()
        .get_output()
        .clone();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(
        page.lines().all(|line| line.chars().count() <= 100),
        "{page}"
    );
    for word in [
        "TTFT, ms: KS distance",
        "  measured ",
        "  simulated ",
        "requests/s:",
        "█",
    ] {
        assert!(page.contains(word), "{word}: {page}");
    }
}

#[test]
fn results_of_vllm_bench_serve_are_read() {
    let json = r#"{"num_prompts": 3, "request_throughput": 1.5, "total_input_tokens": 60,
        "input_lens": [10, 20, 30], "output_lens": [3, 1, 0], "ttfts": [0.5, 0.25, 0.0],
        "itls": [[0.1, 0.2], [], []], "start_times": [100.0, 102.5, 101.0],
        "errors": ["", "", "timeout"]}"#;
    let run = only(&folder_with(&[("run.toml", POOL), ("result.json", json)]));
    assert_eq!(run.format, "vllm-bench");
    let read = run
        .requests
        .iter()
        .map(|r| (r.arrival_ns, r.prompt_tokens, r.output_tokens));
    let expected = [(0, 10, 3), (1_000_000_000, 30, 1), (2_500_000_000, 20, 1)];
    assert_eq!(read.collect::<Vec<_>>(), expected);
    assert_eq!(run.requests[0].ttft_ms, Some(500.0));
    assert!((run.requests[0].tpot_ms().unwrap() - 150.0).abs() < 1e-9);
    assert!((run.requests[0].e2e_ms.unwrap() - 800.0).abs() < 1e-9);
    assert!(!run.requests[1].completed && run.requests[2].tpot_ms().is_none());
    // Without the instants of sending nothing can be replayed.
    let without = json.replace("start_times", "starts");
    let folder = folder_with(&[("run.toml", POOL), ("result.json", &without)]);
    assert!(refused(folder.path()).contains("field `start_times`: missing"));
    let short = json.replace("[0.5, 0.25, 0.0]", "[0.5]");
    let folder = folder_with(&[("run.toml", POOL), ("result.json", &short)]);
    assert!(refused(folder.path()).contains("field `ttfts`: has 1 values; allowed: 3"));
}

#[test]
fn aiperf_records_are_read() {
    let record = |start: u64, phase: &str, error: &str, ttft: &str| {
        format!(
            r#"{{"metadata": {{"request_start_ns": {start}, "benchmark_phase": "{phase}"}}, "metrics": {{"input_sequence_length": {{"value": 550, "unit": "tokens"}}, "output_sequence_length": {{"value": 11, "unit": "tokens"}}, "time_to_first_token": {ttft}, "request_latency": {{"value": 600.0, "unit": "ms"}}}}, "error": {error}}}"#
        ) + "\n"
    };
    let ms = r#"{"value": 100.0, "unit": "ms"}"#;
    let seconds = r#"{"value": 0.1, "unit": "s"}"#;
    let text = [
        record(1_000, "warmup", "null", ms),
        record(5_000_000_000, "profiling", "null", ms),
        record(4_000_000_000, "profiling", "null", seconds),
        record(6_000_000_000, "profiling", r#"{"code": 500}"#, ms),
    ]
    .concat();
    let run = only(&folder_with(&[
        ("run.toml", POOL),
        ("profile_export.jsonl", &text),
    ]));
    assert_eq!((run.format, run.requests.len()), ("aiperf", 2));
    for request in &run.requests {
        assert_eq!((request.prompt_tokens, request.output_tokens), (550, 11));
        assert!((request.ttft_ms.unwrap() - 100.0).abs() < 1e-9);
        assert!((request.tpot_ms().unwrap() - 50.0).abs() < 1e-9);
    }
    assert_eq!(run.requests[1].arrival_ns, 1_000_000_000);
    let bad = text.replace("\"value\": 550", "\"value\": 0.5");
    let folder = folder_with(&[("run.toml", POOL), ("profile_export.jsonl", &bad)]);
    let error = refused(folder.path());
    assert!(
        error.contains("line 2, field `input_sequence_length`: `0.5`"),
        "{error}"
    );
}

#[test]
fn folders_of_vllm_runs_are_read_and_their_clocks_joined() {
    let meta = r#"{"model": "meta-llama/Llama-3.1-8B", "engine_kwargs": {"tensor_parallel_size": 1,
        "max_num_seqs": 256, "max_num_batched_tokens": 2048, "max_model_len": null,
        "kv_cache_dtype": "auto"}, "kv_cache": {"num_gpu_blocks": 2588, "block_size": 16},
        "hardware": {"device_name": "NVIDIA GeForce RTX 4090"}}"#;
    let requests = "{\"input_toks\": 100, \"output_toks\": 11, \"arrival_time\": 1000.0, \"queued_ts\": 50.5, \"scheduled_ts\": 50.75, \"first_token_ts\": 51.0, \"last_token_ts\": 52.0}\n\
                    {\"input_toks\": 200, \"output_toks\": 5, \"arrival_time\": 1001.0, \"queued_ts\": 51.0, \"scheduled_ts\": 51.0, \"first_token_ts\": 51.25, \"last_token_ts\": 52.25}\n";
    let folder = folder_with(&[("meta.json", meta), ("requests.jsonl", requests)]);
    let run = only(&folder);
    // The second request reached the engine at once, so the clocks are 950 s apart.
    let first = run.requests[0];
    assert_eq!(
        (first.queue_ms, first.ttft_ms, first.e2e_ms),
        (Some(750.0), Some(1000.0), Some(2000.0))
    );
    assert_eq!(first.tpot_ms(), Some(100.0));
    assert_eq!(run.requests[1].arrival_ns, 1_000_000_000);
    let result = validated(&[folder.path().to_str().unwrap()]);
    assert_eq!(result["requests"]["compared"].as_u64(), Some(2));
}

#[test]
fn malformed_runs_are_refused_with_the_place() {
    let csv = "arrival_ns,prompt_tokens,output_tokens,first_token_ns,last_token_ns\n";
    for (rows, wanted) in [
        (
            "0,10,x,1,2\n",
            "requests.csv, line 2, column `output_tokens`: `x`; allowed: a whole number",
        ),
        (
            "0,10,5,1,2\n-1,10,5,1,2\n",
            "line 3, column `arrival_ns`: `-1`",
        ),
        ("0,10,0,1,2\n", "line 2, column `output_tokens`: `0`"),
        ("0,10,5,1\n", "line 2: 4 fields where the header has 5"),
        ("0,10,5,9,2\n", "line 2, column `last_token_ns`: `2`"),
        ("", "has no completed request"),
    ] {
        let folder = folder_with(&[
            ("run.toml", POOL),
            ("requests.csv", &format!("{csv}{rows}")),
        ]);
        let error = refused(folder.path());
        assert!(error.contains(wanted), "{rows}: {error}");
    }
    let headless = "arrival,prompt_tokens,output_tokens\n1,2,3\n";
    let folder = folder_with(&[("run.toml", POOL), ("requests.csv", headless)]);
    let error = refused(folder.path());
    assert!(
        error.contains("no column `arrival_ns` (nearest: `arrival`)"),
        "{error}"
    );
    let folder = folder_with(&[("run.toml", "[[pools]]\nnam = 1\n"), ("requests.csv", csv)]);
    assert!(refused(folder.path()).contains("has no completed request"));
    let whole = format!("{csv}0,10,5,1,2\n");
    let folder = folder_with(&[
        ("run.toml", "[[pools]]\nnam = 1\n"),
        ("requests.csv", &whole),
    ]);
    let error = refused(folder.path());
    assert!(error.contains("run.toml"), "{error}");
    let folder = folder_with(&[
        ("run.toml", "[measured]\nrequest = 1\n"),
        ("requests.csv", &whole),
    ]);
    assert!(refused(folder.path()).contains("[measured]: unknown field `request`"));
    let empty = tempfile::tempdir().unwrap();
    assert!(refused(empty.path()).contains("is a folder of no known kind"));
    assert!(refused(&empty.path().join("none")).contains("cannot be read"));
    let folder = folder_with(&[("run.toml", POOL), ("requests.csv", "{\"a\": 1}\n")]);
    assert!(refused(folder.path()).contains("JSON of no known kind"));
}

/// A folder of measured data beside the project, if it is there.
fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(folder);
    match path.is_dir() {
        true => Some(path),
        false => {
            println!("skipped: there is no ../shared/data/{folder}");
            None
        }
    }
}

#[test]
fn the_real_runs_are_read_whole() {
    let Some(folder) = shared("vllm_runs") else {
        return;
    };
    for name in ["RTX4090_Llama-3.1-8B", "RTXPRO6000_Llama-3.1-8B"] {
        let path = folder.join(name);
        let result = validated(&[path.to_str().unwrap()]);
        assert_eq!(result["requests"]["compared"].as_u64(), Some(300), "{name}");
        assert_eq!(
            result["saturated"]["observed"].as_bool(),
            Some(true),
            "{name}"
        );
    }
}

#[test]
fn the_saturated_run_is_recognised_as_saturated() {
    let Some(folder) = shared("h100_runs") else {
        return;
    };
    let result = validated(&[folder.to_str().unwrap()]);
    let runs = result["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 6);
    for run in runs {
        let saturated = run["run"].as_str().unwrap().contains("reasoning");
        assert_eq!(
            run["saturated"]["observed"].as_bool(),
            Some(saturated),
            "{}",
            run["run"]
        );
        if saturated {
            assert_eq!(run["saturated"]["simulated"].as_bool(), Some(true));
        }
    }
    // 600 s at 5 a second, then 600 s at 10 a second.
    let stages = runs[0]["stages"].as_array().unwrap();
    let offered = stages
        .iter()
        .map(|stage| stage["requests"]["offered"].as_u64());
    assert_eq!(offered.collect::<Vec<_>>(), [Some(3_000), Some(6_000)]);
}
