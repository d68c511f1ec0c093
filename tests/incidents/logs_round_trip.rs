//! Simulate, write as a real fleet would log it, read it again: arrivals are the same, and so are
//! the observed series, to the resolution of the format.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;
use std::sync::OnceLock;

use assert_cmd::Command;
use seatrial::observed::infer::Inference;
use seatrial::observed::series::{MINUTE_NS, SeriesBuilder};
use seatrial::observed::{Ending, Observed, ObservedSeries, ReadOptions, read_all};
use seatrial::replay::Night;
use seatrial::replay::night::Seen;
use seatrial::replay::series::{Minutes, Series, of_requests};
use seatrial::replay::stage::{Part, Stage};
use seatrial::scenario::{Document, SourceText};
use tempfile::TempDir;

/// 2026-01-01T00:00:00Z, where an export begins unless told otherwise.
const START_NS: u64 = 1_767_225_600_000_000_000;
const MS: u64 = 1_000_000;

/// More than the servers can do for a while: refusals, retries and timeouts.
const BUSY: &str = r#"
name = "busy"
[run]
horizon_s = 130
warmup_s = 0
[workload]
arrivals = { process = "poisson", rate_per_s = 75 }
prompt_tokens = { law = "lognormal", mean_tokens = 300, cv = 1.0 }
output_tokens = { law = "exponential", mean_tokens = 60 }
[clients]
try_timeout_ms = 900
max_retries = 2
backoff = { base_ms = 100, max_ms = 1_000 }
[[pools]]
name = "servers"
engine = "abstract"
servers = 2
queue_capacity = 60
service = { law = "exponential", mean_ms = 33 }
"#;

pub fn seatrial(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A run's requests in a folder of their own, and as they were simulated.
fn simulated() -> &'static (TempDir, Vec<Observed>) {
    static RUN: OnceLock<(TempDir, Vec<Observed>)> = OnceLock::new();
    RUN.get_or_init(simulate)
}

fn simulate() -> (TempDir, Vec<Observed>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("busy.toml"), BUSY).unwrap();
    seatrial(
        folder.path(),
        &["run", "busy.toml", "--requests", "requests.csv"],
    );
    let options = ReadOptions::default();
    let (all, _) = read_all(&folder.path().join("requests.csv"), &options).unwrap();
    for ending in [Ending::Completed, Ending::TimedOut, Ending::Rejected] {
        let count = all.iter().filter(|it| it.ending == ending).count();
        assert!(count > 20, "{count} {}", ending.name());
    }
    assert!(all.iter().any(|it| it.attempts > Some(1)));
    assert!(all.iter().all(|it| it.e2e_ns.is_some()));
    (folder, all)
}

fn series(requests: &[Observed]) -> ObservedSeries {
    ObservedSeries::of_requests(requests, MINUTE_NS).unwrap()
}

/// As it was, but beginning at another time.
fn moved(requests: &[Observed]) -> Vec<Observed> {
    let moved = requests.iter().cloned().map(|mut request| {
        request.t_ns += START_NS;
        request
    });
    moved.collect()
}

#[test]
fn otlp_gives_identical_arrivals_and_equal_series() {
    let (folder, before) = simulated();
    seatrial(
        folder.path(),
        &[
            "trace",
            "export",
            "requests.csv",
            "--to",
            "otlp",
            "--out",
            "spans.jsonl.gz",
        ],
    );
    let path = folder.path().join("spans.jsonl.gz");
    let (after, report) = read_all(&path, &ReadOptions::default()).unwrap();
    assert_eq!(report.skipped.total() + report.left_out.total(), 0);
    assert_eq!(after.len(), before.len());
    for (then, now) in moved(before).iter().zip(&after) {
        assert_eq!(then.t_ns, now.t_ns);
        assert_eq!(then.ending, now.ending);
        assert_eq!((then.ttft_ns, then.e2e_ns), (now.ttft_ns, now.e2e_ns));
        assert_eq!((then.attempts, then.prompt), (now.attempts, now.prompt));
        if then.ending == Ending::Completed {
            assert_eq!(then.output, now.output);
        } else {
            assert!(now.output.inferred, "nobody saw the answer");
        }
    }
    assert_eq!(series(&moved(before)), series(&after));

    // The trace that is made of it has the arrivals of the run.
    seatrial(
        folder.path(),
        &[
            "trace",
            "import",
            "spans.jsonl.gz",
            "--out",
            "trace.csv",
            "--observed",
            "o.parquet",
        ],
    );
    let (trace, _) = read_all(&folder.path().join("trace.csv"), &ReadOptions::default()).unwrap();
    let origin = before[0].t_ns;
    let arrivals = before.iter().map(|it| it.t_ns - origin);
    assert!(arrivals.eq(trace.iter().map(|it| it.t_ns)));
    // And what it writes as observed is what was read.
    for name in ["o.parquet", "o.csv.gz"] {
        if name != "o.parquet" {
            seatrial(
                folder.path(),
                &["trace", "import", "o.parquet", "--observed", name],
            );
        }
        let (again, report) = read_all(&folder.path().join(name), &ReadOptions::default()).unwrap();
        assert_eq!(report.output.before, report.output.inferred());
        assert!(again == after, "{name}");
    }
}

#[test]
fn envoy_logs_give_the_same_arrivals_and_series_to_the_millisecond() {
    let (folder, before) = simulated();
    let text = seatrial(
        folder.path(),
        &[
            "trace",
            "export",
            "requests.csv",
            "--to",
            "envoy",
            "--out",
            "access.log",
        ],
    );
    assert!(text.contains("to the ms"), "{text}");
    let options = ReadOptions {
        inference: Inference {
            bytes_per_prompt_token: Some(4.0),
            bytes_per_output_token: Some(4.0),
            ..Inference::default()
        },
        ..ReadOptions::default()
    };
    let (after, report) = read_all(&folder.path().join("access.log"), &options).unwrap();
    assert_eq!(report.skipped.total(), 0);
    assert_eq!(after.len(), before.len());
    let whole_ms = |ns: u64| ns / MS * MS;
    for (then, now) in moved(before).iter().zip(&after) {
        assert_eq!(whole_ms(then.t_ns), now.t_ns);
        assert_eq!(then.ending, now.ending);
        assert_eq!(then.e2e_ns.map(whole_ms), now.e2e_ns);
        assert_eq!(then.prompt.count, now.prompt.count);
        if then.ending == Ending::Completed {
            assert_eq!(then.output.count, now.output.count);
        }
        assert!(now.prompt.inferred && now.output.inferred);
        assert_eq!(now.ttft_ns, None, "an access log has no first token");
        assert_eq!(
            now.attempts, None,
            "nor tries, unless it has a field for them"
        );
    }
    // To the resolution of the format, the series are equal: only what it does not have is missing.
    let mut builder = SeriesBuilder::new(MINUTE_NS);
    for mut request in moved(before) {
        request.t_ns = whole_ms(request.t_ns);
        request.e2e_ns = request.e2e_ns.map(whole_ms);
        (request.ttft_ns, request.attempts) = (None, None);
        builder.add(&request);
    }
    let (expected, found) = (builder.finish().unwrap(), series(&after));
    assert_eq!(expected.start_ns, found.start_ns);
    for (expected, found) in expected.bins.iter().zip(&found.bins) {
        assert_eq!(expected, found);
    }
}

/// The night of a log, and what is simulated of the same arrivals on the luck of the run.
fn replayed(log: &[Observed], scenario: &str) -> (Vec<Seen>, Vec<Seen>) {
    let start = "2026-01-01T00:00:00Z";
    let night = Night::of(log.to_vec(), Some(start)).unwrap();
    let document = Document::parse(SourceText::new("busy.toml", scenario)).unwrap();
    let stage = Stage::new(&document, Path::new(""), &night).unwrap();
    let plan = stage.plan(&[]).unwrap();
    let simulated = stage.simulate(&plan, Part::Whole, 0).unwrap().requests;
    (night.requests, simulated)
}

/// The series of both sides, by ten seconds.
fn both_sides(log: &[Observed], scenario: &str) -> Vec<(Series, Series)> {
    let (observed, simulated) = replayed(log, scenario);
    let arrivals = |all: &[Seen]| -> Vec<(u64, u32, u32)> {
        let of = all
            .iter()
            .map(|it| (it.t_ns, it.prompt_tokens, it.output_tokens));
        of.collect()
    };
    assert_eq!(arrivals(&observed), arrivals(&simulated));
    let minutes = Minutes {
        bin_s: 10.0,
        count: 14,
    };
    let of = |all: &[Seen]| of_requests(all, &vec![0; all.len()], &[None], minutes);
    of(&observed).into_iter().zip(of(&simulated)).collect()
}

#[test]
fn what_is_replayed_of_otlp_is_what_was_simulated() {
    let (folder, before) = simulated();
    let out = ["--to", "otlp", "--out", "replayed.jsonl"];
    let export = [&["trace", "export", "requests.csv"][..], &out].concat();
    seatrial(folder.path(), &export);
    let path = folder.path().join("replayed.jsonl");
    let (mut log, _) = read_all(&path, &ReadOptions::default()).unwrap();
    assert_eq!(log.len(), before.len());
    // A span that failed has no answer to count: its length is not the run's.
    log.iter_mut()
        .zip(before)
        .for_each(|(log, run)| log.output = run.output);
    for (observed, simulated) in both_sides(&log, BUSY) {
        assert_eq!(observed, simulated, "{}", observed.name);
    }
}

#[test]
fn what_is_replayed_of_envoy_is_what_was_simulated_to_the_millisecond() {
    // Busy, but not so that a millisecond decides between two courses of the night.
    let scenario = BUSY.replace("rate_per_s = 75", "rate_per_s = 45");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("busy.toml"), &scenario).unwrap();
    seatrial(
        folder.path(),
        &["run", "busy.toml", "--requests", "requests.csv"],
    );
    let out = ["--to", "envoy", "--out", "replayed.log"];
    let export = [&["trace", "export", "requests.csv"][..], &out].concat();
    seatrial(folder.path(), &export);
    // As people do it: a log that needs options is imported first, and what was observed replayed.
    let import = [
        "trace",
        "import",
        "replayed.log",
        "--bytes-per-token",
        "4",
        "--observed",
        "replayed.csv",
    ];
    seatrial(folder.path(), &import);
    let path = folder.path().join("replayed.csv");
    let (log, _) = read_all(&path, &ReadOptions::default()).unwrap();
    assert!(log.len() > 5_000, "{}", log.len());
    for (observed, simulated) in both_sides(&log, &scenario) {
        let known = observed.values.iter().zip(&simulated.values);
        let known: Vec<(f64, f64)> = known.filter_map(|(a, b)| a.zip(*b)).collect();
        let off = known.iter().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let name = observed.name.as_str();
        let within = match name {
            "arrivals" => 0.0,
            // None is in the log.
            "tries" | "ttft p50" | "ttft p99" | "tpot p50" => {
                assert!(known.is_empty(), "{name}");
                continue;
            }
            // Arrivals and durations are cut to the millisecond, and one after another waits as long.
            "e2e p50" | "e2e p99" => 3.0,
            "being answered" => 0.1,
            // Requests of ten seconds that end otherwise.
            _ => 0.2 + 1e-9,
        };
        assert!(known.len() > 10, "{name}: {}", known.len());
        assert!(off <= within, "{name}: {off}");
    }
}

#[test]
fn a_request_without_a_duration_has_none_in_any_log() {
    let (_, before) = simulated();
    let folder = tempfile::tempdir().unwrap();
    let mut text = "t_ns,ending,prompt_tokens,output_tokens,e2e_ns\n".to_owned();
    for request in &before[..20] {
        text += &format!("{},completed,3,4,\n", request.t_ns / MS * MS);
    }
    std::fs::write(folder.path().join("o.csv"), text).unwrap();
    let msec = "$msec $request_time $status $request_length $body_bytes_sent $request_id";
    let ended =
        "%START_TIME% %DURATION% %RESPONSE_CODE% %BYTES_RECEIVED% %BYTES_SENT% %REQ(X-REQUEST-ID)%";
    for (to, name, format) in [
        ("otlp", "a.jsonl", None),
        ("envoy", "a.log", Some(ended)),
        ("nginx", "b.log", Some(msec)),
    ] {
        let mut export = vec!["trace", "export", "o.csv", "--to", to, "--out", name];
        export.extend(
            format
                .into_iter()
                .flat_map(|format| ["--log-format", format]),
        );
        let said = seatrial(folder.path(), &export);
        assert!(said.contains("20 requests have no duration"), "{said}");
        let options = ReadOptions {
            log_format: format.map(str::to_owned),
            inference: Inference {
                bytes_per_prompt_token: Some(4.0),
                bytes_per_output_token: Some(4.0),
                ..Inference::default()
            },
            ..ReadOptions::default()
        };
        let (after, report) = read_all(&folder.path().join(name), &options).unwrap();
        assert_eq!((after.len(), report.with_e2e), (20, 0), "{to}");
        for (then, now) in before.iter().zip(&after) {
            assert_eq!(then.t_ns / MS * MS + START_NS, now.t_ns, "{to}");
        }
    }
}

#[test]
fn a_format_string_with_commands_for_them_keeps_tokens_and_first_tokens() {
    let (folder, before) = simulated();
    let format = "%START_TIME% %RESPONSE_CODE% %RESPONSE_FLAGS% %DURATION% %RESPONSE_DURATION% \
                  %REQ(X-REQUEST-ID)% %UPSTREAM_REQUEST_ATTEMPT_COUNT% \
                  %DYNAMIC_METADATA(io.envoy.ai_gateway:llm_input_token)% \
                  %DYNAMIC_METADATA(io.envoy.ai_gateway:llm_output_token)%";
    seatrial(
        folder.path(),
        &[
            "trace",
            "export",
            "requests.csv",
            "--to",
            "envoy",
            "--log-format",
            format,
            "--out",
            "a.log",
        ],
    );
    let options = ReadOptions {
        log_format: Some(format.to_owned()),
        ..ReadOptions::default()
    };
    let (after, _) = read_all(&folder.path().join("a.log"), &options).unwrap();
    assert_eq!(after.len(), before.len());
    for (then, now) in before.iter().zip(&after) {
        assert_eq!((then.attempts, then.prompt), (now.attempts, now.prompt));
        let first = then.ttft_ns.map(|ns| ns / MS);
        assert_eq!(first, now.ttft_ns.map(|ns| ns / MS));
    }
}

#[test]
fn nginx_logs_give_the_same_arrivals_to_the_millisecond() {
    let (folder, before) = simulated();
    let format =
        "$msec $request_time $status \"$request\" $request_length $body_bytes_sent $request_id";
    let export = |log: &str, more: &[&str]| {
        let arguments = [
            "trace",
            "export",
            "requests.csv",
            "--to",
            "nginx",
            "--out",
            log,
        ];
        seatrial(folder.path(), &[&arguments, more].concat())
    };
    let text = export("nginx.log", &["--log-format", format]);
    assert!(text.contains("to the ms by $msec"), "{text}");
    let mut options = ReadOptions {
        log_format: Some(format.to_owned()),
        inference: Inference {
            bytes_per_prompt_token: Some(4.0),
            bytes_per_output_token: Some(4.0),
            ..Inference::default()
        },
        ..ReadOptions::default()
    };
    let (after, report) = read_all(&folder.path().join("nginx.log"), &options).unwrap();
    assert_eq!(report.skipped.total() + report.left_out.total(), 0);
    assert_eq!(after.len(), before.len());
    for (then, now) in moved(before).iter().zip(&after) {
        assert_eq!(then.t_ns / MS * MS, now.t_ns);
        assert_eq!(then.e2e_ns.map(|ns| ns / MS * MS), now.e2e_ns);
        assert_eq!(then.prompt.count, now.prompt.count);
        // It has a status and no flags: what was shed looks as if it had been rejected.
        let shed = then.ending == Ending::Shed && now.ending == Ending::Rejected;
        assert!(shed || then.ending == now.ending, "{:?}", then.ending);
    }
    // Its usual format has seconds, and is found by itself.
    export("usual.log", &[]);
    options.log_format = None;
    options.inference.prompt = Some(seatrial::workload::lengths::LengthLaw::Constant(7));
    let (after, report) = read_all(&folder.path().join("usual.log"), &options).unwrap();
    assert_eq!((report.format.name(), after.len()), ("nginx", before.len()));
    let mut expected: Vec<u64> = moved(before)
        .iter()
        .map(|it| {
            let e2e = it.e2e_ns.unwrap() / MS * MS;
            (it.t_ns / MS * MS + e2e) / 1_000_000_000 * 1_000_000_000 - e2e
        })
        .collect();
    expected.sort_unstable();
    assert!(after.iter().map(|it| it.t_ns).eq(expected));
}
