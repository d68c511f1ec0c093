//! `seatrial trace import` and `trace export` on logs: what they print, and what they refuse.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

fn sample(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/observed");
    folder.join(name).display().to_string()
}

/// Standard output where it works, else standard error.
fn seatrial(folder: &TempDir, arguments: &[&str]) -> Result<String, String> {
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .current_dir(folder.path())
        .args(arguments)
        .output()
        .unwrap();
    let [text, errors] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    match output.status.code() {
        Some(0) => Ok(text),
        Some(2) => {
            assert!(text.is_empty() && errors.starts_with("error: "), "{errors}");
            Err(errors)
        }
        other => panic!("{other:?}: {errors}"),
    }
}

#[test]
fn the_report_says_what_was_read_skipped_joined_and_inferred() {
    let folder = TempDir::new().unwrap();
    let log = sample("envoy.log");
    let arguments = [
        "trace",
        "import",
        &log,
        "--bytes-per-token",
        "4",
        "--out",
        "t.csv",
        "--series",
        "s.csv",
    ];
    let text = seatrial(&folder, &arguments).unwrap();
    for words in [
        "5 requests over",
        "from 7 records",
        "1 of 503 UO, taken for rejected",
        "5 inferred from bytes",
        "1 request tried again",
        "no times to first token",
        "the first: line 2: GET",
        "2026-03-01T12:00:00.1Z",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    let trace = std::fs::read_to_string(folder.path().join("t.csv")).unwrap();
    assert_eq!(trace.lines().nth(1), Some("0,256,200,true,true"));
    let series = std::fs::read_to_string(folder.path().join("s.csv")).unwrap();
    assert!(series.starts_with("start_ns,arrived,completed,rejected,shed,"));

    let json = [&arguments[..], &["--json"]].concat();
    let report: Value = serde_json::from_str(&seatrial(&folder, &json).unwrap()).unwrap();
    assert_eq!(report["format"], "envoy");
    assert_eq!(report["output"]["from_others"], 2);
}

#[test]
fn what_would_do_nothing_is_refused() {
    let folder = TempDir::new().unwrap();
    let (spans, scrapes, access) = (
        sample("otlp.json"),
        sample("vllm.prom"),
        sample("envoy.log"),
    );
    for (arguments, words) in [
        (
            &[&spans, "--out", "t.csv", "--sort"][..],
            "--sort: does nothing",
        ),
        (
            &[&spans, "--out", "t.csv", "--bytes-per-token", "4"],
            "--bytes-per-token: does nothing",
        ),
        (
            &[
                &spans,
                "--out",
                "t.csv",
                "--log-format",
                "%START_TIME% x",
                "--format",
                "otlp",
            ],
            "--log-format",
        ),
        (&[&scrapes, "--out", "t.csv"], "--series"),
        (&[&access, "--out", "t.csv"], "--bytes-per-token BYTES, or"),
        (
            &[
                &access,
                "--out",
                "t.csv",
                "--log-format",
                "%DURATION% %RESPONSE_CODE%",
            ],
            "has no time",
        ),
        (
            &[
                &access,
                "--out",
                "t.csv",
                "--output-tokens",
                "{ law = \"none\" }",
            ],
            "--output-tokens",
        ),
        (
            &[&access, "--out", "t.csv", "--utc-offset", "CET"],
            "+02:00",
        ),
        (&[&spans, "--out", "t.csv", "--skew", "vllm"], "NAME=MS"),
        (
            &[&spans, "--out", "t.csv", "--skew", "vlm=250"],
            "it has gateway, vllm",
        ),
        (
            &[
                &access,
                "--out",
                "t.csv",
                "--log-format",
                "%START_TIME(%d.%m.%Y)% %DURATION%",
            ],
            "START_TIME that is written as `%d.%m.%Y`",
        ),
        (
            &[
                &access,
                "--out",
                "t.csv",
                "--log-format",
                "%START_TIME% %RESPONSE_DURATON% %DURATION%",
            ],
            "has the command %RESPONSE_DURATON%, which Envoy has not: did you mean %RESPONSE_DURATION%?",
        ),
        (&[&spans, "--observed", "o.json"], ".parquet"),
        (&["nowhere.log", "--out", "t.csv"], "does not exist"),
    ] {
        let refused = seatrial(&folder, &[&["trace", "import"], arguments].concat());
        let refused = refused.unwrap_err();
        assert!(refused.contains(words), "{arguments:?}: {refused}");
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 0, "{arguments:?} leaves a file");
    }
}

/// Requests with dates keep them, and have no other start.
#[test]
fn what_has_dates_is_exported_with_them() {
    let folder = TempDir::new().unwrap();
    let spans = sample("otlp.json");
    let export = ["trace", "export", &spans, "--to", "envoy", "--out", "a.log"];
    let text = seatrial(&folder, &export).unwrap();
    assert!(
        text.contains("by arrival from 2026-03-01T12:00:00Z"),
        "{text}"
    );
    let log = std::fs::read_to_string(folder.path().join("a.log")).unwrap();
    assert!(log.starts_with("[2026-03-01T12:00:00.000Z]"), "{log}");
    let start = ["--start", "2020-01-01T00:00:00Z"];
    let refused = seatrial(&folder, &[&export[..6], &["b.log"], &start].concat());
    let refused = refused.unwrap_err();
    assert!(
        refused.contains("--start 2020-01-01T00:00:00Z") && refused.contains("have dates"),
        "{refused}"
    );
}

#[test]
fn conversations_keep_their_blocks_in_a_trace_that_runs() {
    let folder = TempDir::new().unwrap();
    let log = sample("weka.jsonl");
    let arguments = [
        "trace",
        "import",
        &log,
        "--out",
        "t.jsonl",
        "--conversations-every-s",
        "2",
    ];
    let text = seatrial(&folder, &arguments).unwrap();
    assert!(text.contains("assumed 2 s apart"), "{text}");
    let scenario = r#"
name = "blocks"
[run]
warmup_s = 0
[workload]
arrivals = { process = "trace", path = "t.jsonl" }
[[pools]]
name = "llama"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
prefix_caching = true
"#;
    std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
    seatrial(&folder, &["run", "s.toml", "--requests", "r.csv"]).unwrap();
    let rows = std::fs::read_to_string(folder.path().join("r.csv")).unwrap();
    let mut rows = csv::Reader::from_reader(rows.as_bytes());
    let place = rows
        .headers()
        .unwrap()
        .iter()
        .position(|it| it == "cached_tokens");
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let mut cached: Vec<u32> = rows
        .iter()
        .map(|row| row[place.unwrap()].parse().unwrap())
        .collect();
    cached.sort_unstable();
    // Two blocks of 64 tokens of the first conversation's second turn, and nothing of the other's.
    assert_eq!(cached, [0, 0, 128]);
}

#[test]
fn a_format_string_of_another_server_is_not_written_by() {
    let folder = TempDir::new().unwrap();
    let observed = sample("observed.csv");
    let export = |to: &str, format: &str| {
        let arguments = ["trace", "export", &observed, "--out", "a.log"];
        seatrial(
            &folder,
            &[&arguments[..], &["--to", to, "--log-format", format]].concat(),
        )
    };
    for (to, format, words) in [
        ("envoy", "$msec $request_time", "write with --to nginx"),
        ("nginx", "%START_TIME% %DURATION%", "write with --to envoy"),
        (
            "envoy",
            "%START_TIME% $status %DURATION%",
            "has `$status`, a variable of nginx's",
        ),
        (
            "envoy",
            "%START_TIME(%s)% %DURATION%",
            "write %START_TIME(%s.%3f)%",
        ),
        (
            "otlp",
            "%START_TIME% %DURATION%",
            "does nothing with --to otlp",
        ),
    ] {
        let refused = export(to, format).unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "a refusal leaves a file");
    // A value that holds what stands between fields would be read as something else.
    let spaced = folder.path().join("spaced.csv");
    let text = std::fs::read_to_string(&observed).unwrap();
    std::fs::write(&spaced, text.replace("acme", "acme inc")).unwrap();
    let spaced = spaced.display().to_string();
    let arguments = [
        "trace", "export", &spaced, "--to", "envoy", "--out", "a.log",
    ];
    let bare = ["--log-format", "%START_TIME% %REQ(X-TENANT-ID)% %DURATION%"];
    let refused = seatrial(&folder, &[&arguments[..], &bare].concat()).unwrap_err();
    assert!(refused.contains("put quotes around"), "{refused}");
    let quoted = [
        "--log-format",
        "%START_TIME% \"%REQ(X-TENANT-ID)%\" %DURATION%",
    ];
    seatrial(&folder, &[&arguments[..], &quoted].concat()).unwrap();
    let log = std::fs::read_to_string(folder.path().join("a.log")).unwrap();
    assert!(log.contains("\"acme inc\" 2500"), "{log}");
}

#[test]
fn what_is_left_out_of_scrapes_is_counted_for_programs_too() {
    let folder = TempDir::new().unwrap();
    let scrapes = folder.path().join("vllm.prom");
    let text = std::fs::read_to_string(sample("vllm.prom")).unwrap();
    std::fs::write(&scrapes, text.replacen("} 10.0", "} NaN", 1)).unwrap();
    let scrapes = scrapes.display().to_string();
    let arguments = ["trace", "import", &scrapes, "--series", "s.csv"];
    let page = seatrial(&folder, &arguments).unwrap();
    assert!(
        page.contains("1 samples that are no finite number"),
        "{page}"
    );
    let json = seatrial(&folder, &[&arguments[..], &["--json"]].concat()).unwrap();
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["scrapes"], 3);
    let reason = "samples that are no finite number (NaN or Inf)";
    assert_eq!(report["skipped"][reason]["count"], 1, "{report}");
}

#[test]
fn scrapes_without_times_are_refused_by_an_option_that_there_is() {
    let folder = TempDir::new().unwrap();
    let text = "vllm:num_requests_running 3\n";
    std::fs::write(folder.path().join("s.prom"), text.repeat(3)).unwrap();
    let arguments = ["trace", "import", "s.prom", "--series", "s.csv"];
    let refused = seatrial(&folder, &arguments).unwrap_err();
    for words in [
        "scrapes `s.prom`",
        "3 without a time",
        "--scrape-interval-s SECONDS",
    ] {
        assert!(refused.contains(words), "no {words:?} in {refused}");
    }
    let stated = [&arguments[..], &["--scrape-interval-s", "15"]].concat();
    seatrial(&folder, &stated).unwrap();
}

#[test]
fn stamps_of_scrapes_without_a_date_are_ms_and_the_report_says_so() {
    let folder = TempDir::new().unwrap();
    let scrapes = [15, 45, 75, 105].map(|s| format!("vllm:num_requests_running 3 {s}000\n"));
    std::fs::write(folder.path().join("s.prom"), scrapes.concat()).unwrap();
    let arguments = ["trace", "import", "s.prom", "--series", "s.csv"];
    let page = seatrial(&folder, &arguments).unwrap();
    for words in ["2 minutes from 4 scrapes", "taken for ms"] {
        assert!(page.contains(words), "no {words:?} in {page}");
    }
}

#[test]
fn what_benchmarks_say_wrong_is_counted() {
    let folder = TempDir::new().unwrap();
    let report = |name: &str, from: &str, to: &str| -> Value {
        let text = std::fs::read_to_string(sample(name)).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(folder.path().join(name), text.replacen(from, to, 1)).unwrap();
        let arguments = ["trace", "import", name, "--observed", "o.csv", "--json"];
        serde_json::from_str(&seatrial(&folder, &arguments).unwrap()).unwrap()
    };
    let errors = ["[\"\", \"Service Unavailable\"", "[\"\", {\"code\": 500}"];
    let found = report("vllm-bench.json", errors[0], errors[1]);
    let reason = "errors that are no text: they are taken for failures";
    assert_eq!(found["left_out"][reason]["count"], 1, "{found}");
    assert_eq!(found["endings"]["failed"], 1, "{found}");
    // Also of a request that had tokens, which else would have completed.
    let found = report("vllm-bench.json", "[\"\", \"S", "[{\"code\": 500}, \"S");
    assert_eq!(found["endings"]["completed"], 1, "{found}");

    // A list that ends early leaves the last requests without what it says.
    let text = std::fs::read_to_string(sample("vllm-bench.json")).unwrap();
    let mut result: Value = serde_json::from_str(&text).unwrap();
    result["ttfts"].as_array_mut().unwrap().pop();
    std::fs::write(folder.path().join("short.json"), result.to_string()).unwrap();
    let arguments = ["trace", "import", "short.json", "--observed", "o.csv"];
    let page = seatrial(&folder, &arguments).unwrap();
    assert!(page.contains("`ttfts` has"), "{page}");

    let ttft = "\"value\":18.26,\"unit\":\"ms\"";
    let found = report("aiperf.jsonl", ttft, "\"value\":17e9,\"unit\":\"s\"");
    let reason = "times to first token that are none";
    assert_eq!(found["left_out"][reason]["count"], 1, "{found}");
}

#[test]
fn the_advice_on_clocks_adds_to_what_was_stated() {
    let folder = TempDir::new().unwrap();
    let spans = sample("otlp.json");
    let page = |skews: &[&str]| {
        let mut arguments = vec!["trace", "import", &spans, "--observed", "o.csv"];
        arguments.extend(skews.iter().flat_map(|skew| ["--skew", skew]));
        let page = seatrial(&folder, &arguments).unwrap();
        page.split_whitespace().collect::<Vec<&str>>().join(" ")
    };
    let bare = page(&[]);
    assert!(
        bare.contains("is 250 ms ahead") && bare.contains("--skew vllm=250 takes it out"),
        "{bare}"
    );
    // All of it was taken out: there is nothing left to advise.
    let all = page(&["vllm=250"]);
    assert!(
        all.contains("with --skew vllm=250 taken out, the clocks of vllm and gateway agree"),
        "{all}"
    );
    // Some of it: the whole is to be stated, not the rest.
    let some = page(&["vllm=100"]);
    assert!(
        some.contains("still 150 ms ahead") && some.contains("--skew vllm=250 takes all of it out"),
        "{some}"
    );
    // Of the other clock: it is the first that is ahead of it all the same.
    let other = page(&["gateway=-50"]);
    assert!(
        other.contains("is 200 ms ahead") && other.contains("--skew vllm=200 takes it out"),
        "{other}"
    );
}

#[test]
fn options_of_traces_say_why_they_do_nothing() {
    let folder = TempDir::new().unwrap();
    let trace = sample("azure-2023.csv");
    for (more, words) in [
        (
            &["--out", "t.jsonl", "--dejitter"][..],
            "--dejitter: is for a trace that is written to --out as .csv alone, and does nothing with --out with a name in .jsonl",
        ),
        (
            &["--out", "t.csv", "--observed", "o.csv", "--dejitter"],
            "nothing with --observed (stamps are left",
        ),
        (
            &["--series", "s.csv", "--sort"],
            "nothing with --series (a trace is always sorted there",
        ),
    ] {
        let refused =
            seatrial(&folder, &[&["trace", "import", &trace], more].concat()).unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn names_of_files_that_say_another_format_are_refused_before_anything_is_done() {
    let folder = TempDir::new().unwrap();
    let (trace, log) = (sample("azure-2023.csv"), sample("observed.csv"));
    let scenario = "name = \"s\"\nworkload.arrivals = { process = \"poisson\", rate_per_s = 1 }\n[[pools]]\n\
                    name = \"a\"\nengine = \"abstract\"\nservice = { law = \"exponential\", mean_ms = 1 }\n";
    std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
    for (arguments, words) in [
        (
            &["trace", "import", &trace, "--out", "t.parquet"][..],
            "--out t.parquet: must end in .csv",
        ),
        (
            &["trace", "import", &trace, "--out", "t.csv.zst"],
            "--out t.csv.zst: must end in .csv",
        ),
        (
            &["trace", "import", &trace, "--series", "t.json"],
            "--series t.json: must end in .csv",
        ),
        (
            &["trace", "synth", "mooncake-conv", "--out", "t.parquet"],
            "--out t.parquet: must end in .csv",
        ),
        (
            &[
                "trace",
                "export",
                &log,
                "--to",
                "otlp",
                "--out",
                "t.parquet",
            ],
            "must end in .jsonl",
        ),
        (
            &["trace", "export", &log, "--to", "envoy", "--out", "t.csv"],
            "must end in .log",
        ),
        (
            &["report", "folder", "--out", "slides.pdf"],
            "--out slides.pdf: must end in .html",
        ),
        (
            &["diagram", "s.toml", "--out", "t.png"],
            "--out t.png: must end in .svg, .mmd",
        ),
        (
            &[
                "faults",
                "import",
                "s.toml",
                "--start",
                "2026-03-01T12:00:00Z",
                "--output",
                "f.json",
            ],
            "--output f.json: must end in .toml",
        ),
        (
            &["run", "s.toml", "--requests", "t.json"],
            "t.json: a request file must end in .csv",
        ),
        (
            &["run", "s.toml", "--series", "t.txt"],
            "--series t.txt: must end in .csv",
        ),
        (
            &["run", "s.toml", "--perfetto", "t.gz", "--window", "1..2"],
            "--perfetto t.gz: must end in .json",
        ),
    ] {
        let refused = seatrial(&folder, arguments).unwrap_err();
        assert!(refused.contains(words), "{arguments:?}: {refused}");
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "{arguments:?}"
        );
    }
}

#[test]
fn what_cannot_help_is_not_advised() {
    let folder = TempDir::new().unwrap();
    // nginx's `combined` has bytes of answers, and none of requests.
    let line = "- - - [01/Jan/2026:00:00:03 +0000] \"POST /v1/chat/completions HTTP/1.1\" 200 832 \"-\" \"-\"\n";
    std::fs::write(folder.path().join("combined.log"), line.repeat(3)).unwrap();
    let arguments = ["trace", "import", "combined.log", "--out", "t.csv"];
    let refused = seatrial(&folder, &arguments).unwrap_err();
    assert!(
        refused.contains("no prompt tokens") && refused.contains("--prompt-tokens LAW"),
        "{refused}"
    );
    assert!(!refused.contains("--bytes-per-token"), "{refused}");
    // It has those of answers.
    let prompts = [&arguments[..], &["--prompt-tokens", "9"]].concat();
    let refused = seatrial(&folder, &prompts).unwrap_err();
    assert!(
        refused.contains("no output tokens") && refused.contains("--bytes-per-token"),
        "{refused}"
    );
    // A log is no trace, and one that ends within its first line has none.
    let log = sample("otlp.jsonl");
    for command in ["fit", "stats"] {
        let refused = seatrial(&folder, &["trace", command, &log]).unwrap_err();
        let advice = format!("seatrial trace import {log} --out trace.csv");
        assert!(
            refused.contains("is no trace, but a log (read as otlp)") && refused.contains(&advice),
            "{refused}"
        );
    }
    let arguments = [
        "trace",
        "export",
        &log,
        "--to",
        "otlp",
        "--out",
        "a.jsonl",
        "--bytes-per-token",
        "3",
    ];
    let refused = seatrial(&folder, &arguments).unwrap_err();
    assert!(
        refused.contains("--bytes-per-token: does nothing with --to otlp"),
        "{refused}"
    );
}

#[test]
fn a_window_for_the_viewer_after_all_was_over_is_told() {
    let folder = TempDir::new().unwrap();
    let scenario = "name = \"s\"\nrun.horizon_s = 10\nworkload.arrivals = { process = \"poisson\", rate_per_s = 5 }\n\
                    [[pools]]\nname = \"a\"\nengine = \"abstract\"\nservice = { law = \"exponential\", mean_ms = 1 }\n";
    std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
    let mut command = Command::cargo_bin("seatrial").unwrap();
    let arguments = ["run", "s.toml", "--perfetto", "t.json", "--window"];
    let said = |window: &str, command: &mut Command| {
        let output = command
            .current_dir(folder.path())
            .args(arguments)
            .arg(window)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stderr).unwrap()
    };
    let late = said("15..16", &mut command);
    assert!(late.contains("warning: t.json: nothing is in it"), "{late}");
    let within = said("5..6", &mut Command::cargo_bin("seatrial").unwrap());
    assert!(!within.contains("warning"), "{within}");
}
