//! Every format of logs is read as its documentation says: a small real-format sample of each.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests

use std::path::PathBuf;

use seatrial::observed::infer::Inference;
use seatrial::observed::prometheus::{ScrapeOptions, ScrapeReport, read_scrapes};
use seatrial::observed::series::MINUTE_NS;
use seatrial::observed::{
    Ending, Observed, ObservedError, ObservedFormat, ReadOptions, ReadReport, read_all,
};

/// 2026-03-01T12:00:00Z.
const NOON_NS: u64 = 1_772_366_400_000_000_000;
const MS: u64 = 1_000_000;

fn sample(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/observed");
    folder.join(name)
}

fn by_bytes() -> ReadOptions {
    ReadOptions {
        inference: Inference {
            bytes_per_prompt_token: Some(4.0),
            bytes_per_output_token: Some(4.0),
            ..Inference::default()
        },
        ..ReadOptions::default()
    }
}

fn requests(name: &str, options: &ReadOptions) -> (Vec<Observed>, ReadReport) {
    read_all(&sample(name), options).unwrap()
}

/// Milliseconds after noon, ending, prompt and output tokens.
fn told(request: &Observed) -> (u64, Ending, u32, u32) {
    (
        (request.t_ns - NOON_NS) / MS,
        request.ending,
        request.prompt.count,
        request.output.count,
    )
}

#[test]
fn otlp_spans_with_old_and_new_names_in_one_document() {
    let (found, report) = requests("otlp.json", &ReadOptions::default());
    assert_eq!(report.format, ObservedFormat::Otlp);
    assert_eq!(found.len(), 2);
    let first = &found[0];
    assert_eq!(told(first), (0, Ending::Completed, 512, 100));
    assert_eq!(first.ttft_ns, Some(250 * MS));
    assert_eq!(first.e2e_ns, Some(2_500 * MS));
    assert_eq!(first.cached_tokens, Some(256));
    assert_eq!(first.session.as_deref(), Some("conv-1"));
    assert_eq!(first.model.as_deref(), Some("llama-3.1-8b"));
    assert_eq!(
        first.attempts,
        Some(1),
        "the engine's span within the gateway's is no second try"
    );
    // An event tells of the first token where no attribute does.
    assert_eq!(told(&found[1]), (1_000, Ending::Completed, 64, 8));
    assert_eq!(found[1].ttft_ns, Some(125 * MS));
    // The health check and the agent's span are no requests to a model.
    assert_eq!(report.skipped.total(), 2);
    assert_eq!(report.joined.within, 1);
    // The engine's clock: begins 270 ms after and ends 230 ms after the span around it.
    let skew = &report.skew[0];
    assert_eq!(
        (skew.of.as_str(), skew.against.as_str()),
        ("vllm", "gateway")
    );
    assert_eq!((skew.pairs, skew.impossible, skew.lead_ms), (1, 1, 250.0));
}

#[test]
fn a_stated_lead_of_a_clock_is_taken_out() {
    let mut options = ReadOptions::default();
    let skews = [("vllm", 250_000_000_i64)];
    options.skews = skews
        .map(|(logger, lead_ns)| seatrial::observed::intake::Skew {
            logger: logger.to_owned(),
            lead_ns,
        })
        .to_vec();
    let (found, report) = requests("otlp.json", &options);
    assert_eq!(told(&found[1]).0, 750);
    assert_eq!(report.skew[0].lead_ms, 0.0);
    assert_eq!(report.skew[0].impossible, 0);
}

#[test]
fn otlp_lines_are_sorted_and_retries_joined_by_trace() {
    let (found, report) = requests("otlp.jsonl", &ReadOptions::default());
    assert_eq!(found.len(), 2);
    assert_eq!(told(&found[0]), (100, Ending::Completed, 40, 12));
    let retried = &found[1];
    assert_eq!(told(retried), (500, Ending::Completed, 30, 20));
    assert_eq!(retried.attempts, Some(2));
    // From the first try's arrival to the last one's end; the first token is the second try's.
    assert_eq!(retried.e2e_ns, Some(2_100 * MS));
    assert_eq!(retried.ttft_ns, Some(1_400 * MS));
    assert_eq!((report.joined.requests, report.joined.retries), (1, 1));
    assert_eq!(report.out_of_order, 1);

    let apart = ReadOptions {
        retry_window_ns: 0,
        ..ReadOptions::default()
    };
    assert_eq!(requests("otlp.jsonl", &apart).0.len(), 3);
}

#[test]
fn flat_spans_without_a_zone_obey_the_offset() {
    let (found, report) = requests("otel-flat.json", &ReadOptions::default());
    assert_eq!(report.format, ObservedFormat::OtelFlat);
    assert_eq!(found.len(), 2, "calls of one conversation are no retries");
    assert!(found.iter().all(|it| it.attempts == Some(1)));
    assert!(report.zone.contains("without a zone"), "{}", report.zone);
    let mut options = ReadOptions::default();
    options.rules.offset_s = 2 * 3600;
    let east = requests("otel-flat.json", &options).0;
    assert_eq!(found[0].t_ns - east[0].t_ns, 7_200_000_000_000);
}

#[test]
fn envoy_access_logs_by_their_default_format() {
    let (found, report) = requests("envoy.log", &by_bytes());
    assert_eq!(report.format, ObservedFormat::Envoy);
    let all: Vec<_> = found.iter().map(told).collect();
    assert_eq!(all.len(), 5);
    // Refused, then answered under the same request id: one request of two tries.
    assert_eq!(all[0], (100, Ending::Completed, 256, 200));
    let tries: Vec<_> = found.iter().map(|it| it.attempts).collect();
    // Its lines have no field for tries: only those that share an id are known.
    assert_eq!(tries, [Some(2), None, None, None, None]);
    assert_eq!(found[0].e2e_ns, Some(2_300 * MS));
    assert_eq!(all[1], (310, Ending::Completed, 512, 100));
    assert!(found[1].prompt.inferred && found[1].output.inferred);
    assert_eq!(all[2].1, Ending::TimedOut);
    assert_eq!(all[4].1, Ending::Cancelled);
    // An answer that never came is given the length of one that did.
    assert!(found[2].output.count > 0 && found[2].output.inferred);
    assert_eq!(report.codes["503 UO"], (Ending::Rejected, 1));
    assert_eq!(report.skipped.total(), 1, "the health check");
    let first = &report.skipped.0.values().next().unwrap().first;
    assert_eq!(first, "line 2: GET");

    let mut options = by_bytes();
    options.rules.paths = vec!["/v1/chat".to_owned()];
    assert_eq!(requests("envoy.log", &options).0.len(), 4);
}

#[test]
fn a_log_without_lengths_is_refused_until_something_tells_them() {
    let refused = read_all(&sample("envoy.log"), &ReadOptions::default()).unwrap_err();
    assert!(matches!(refused, ObservedError::NoTokens { .. }));
    let text = refused.to_string();
    assert!(text.contains("--bytes-per-token"), "{text}");
}

#[test]
fn envoy_access_logs_as_json_have_tokens_of_its_ai_gateway() {
    let (found, report) = requests("envoy.jsonl", &ReadOptions::default());
    assert_eq!(report.format, ObservedFormat::EnvoyJson);
    assert_eq!(told(&found[0]), (310, Ending::Completed, 510, 99));
    assert!(!found[0].prompt.inferred);
    assert_eq!(found[0].model.as_deref(), Some("llama"));
    assert_eq!(found[1].ending, Ending::Rejected);
    assert_eq!((found[1].prompt.count, found[1].output.count), (510, 99));
    assert!(found[1].prompt.inferred && found[1].output.inferred);
}

#[test]
fn envoy_access_logs_by_another_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    std::fs::write(&path, "1772366400.250 POST 200 - 90 110 40 id-1 2\n").unwrap();
    let options = ReadOptions {
        log_format: Some(
            "%START_TIME(%s.%3f)% %REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_FLAGS% %DURATION% \
             %DYNAMIC_METADATA(io.envoy.ai_gateway:llm_input_token)% \
             %DYNAMIC_METADATA(io.envoy.ai_gateway:llm_output_token)% %REQ(X-REQUEST-ID)% \
             %UPSTREAM_REQUEST_ATTEMPT_COUNT%"
                .to_owned(),
        ),
        ..ReadOptions::default()
    };
    let (found, _) = read_all(&path, &options).unwrap();
    assert_eq!(told(&found[0]), (250, Ending::Completed, 110, 40));
    assert_eq!(
        (found[0].e2e_ns, found[0].attempts),
        (Some(90 * MS), Some(2))
    );
}

#[test]
fn tries_are_joined_by_trace_where_each_has_an_id_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let line = |ms: u32, code: u32, trace: &str, id: &str| {
        format!("1772366400.{ms:03} {code} - 90 110 40 00-{trace}-b7ad6b7169203331-01 {id}\n")
    };
    let (a, none) = ("0af7651916cd43dd8448eb211c80319c", "0".repeat(32));
    let lines = [
        line(100, 503, a, "id-1"),
        line(300, 200, a, "id-2"),
        // Tracing is off: these are two requests.
        line(400, 503, &none, "id-3"),
        line(600, 200, &none, "id-4"),
    ];
    std::fs::write(&path, lines.concat()).unwrap();
    let options = ReadOptions {
        log_format: Some(
            "%START_TIME(%s.%3f)% %RESPONSE_CODE% %RESPONSE_FLAGS% %DURATION% \
             %DYNAMIC_METADATA(io.envoy.ai_gateway:llm_input_token)% \
             %DYNAMIC_METADATA(io.envoy.ai_gateway:llm_output_token)% %REQ(TRACEPARENT)% \
             %REQ(X-REQUEST-ID)%"
                .to_owned(),
        ),
        ..ReadOptions::default()
    };
    let (found, report) = read_all(&path, &options).unwrap();
    let all: Vec<_> = found.iter().map(|it| (told(it).0, it.attempts)).collect();
    assert_eq!(all, [(100, Some(2)), (400, None), (600, None)]);
    assert_eq!(report.joined.retries, 1);
}

#[test]
fn what_a_shipper_delivers_twice_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("otlp.json", ReadOptions::default()),
        ("otlp.jsonl", ReadOptions::default()),
        ("envoy.log", by_bytes()),
        ("litellm.jsonl", ReadOptions::default()),
    ] {
        let text = std::fs::read_to_string(sample(name)).unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{text}{text}")).unwrap();
        let (found, report) = read_all(&path, &options).unwrap();
        let (expected, before) = requests(name, &options);
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.t_ns, expected.t_ns, "{name}");
            assert_eq!(found.attempts, expected.attempts, "{name}");
        }
        let records = before.read - before.skipped.total();
        assert_eq!(report.joined.twice, records, "{name}: {:?}", report.joined);
    }
}

#[test]
fn nginx_logs_tell_the_end_and_the_duration() {
    let mut options = by_bytes();
    options.inference.prompt = Some(seatrial::workload::lengths::LengthLaw::Constant(7));
    let (found, report) = requests("nginx.log", &options);
    assert_eq!(report.format, ObservedFormat::Nginx);
    assert_eq!(found.len(), 3);
    // 20:16:18 UTC, and 3.25 s before 20:16:19: the one that ended later came first.
    let end = 1_762_632_978_000_000_000_u64;
    assert_eq!(found[0].t_ns, end + 1_000 * MS - 3_250 * MS);
    assert_eq!(found[0].ending, Ending::Cancelled);
    assert_eq!(found[1].t_ns, end - 640 * MS);
    assert_eq!(found[1].output.count, 1_642);
    assert_eq!((found[1].prompt.count, found[1].prompt.inferred), (7, true));
    assert_eq!(found[2].ending, Ending::Failed);
    assert_eq!(report.prompt.from_law, 3);
}

#[test]
fn load_balancer_logs_tell_when_a_request_came() {
    let (found, report) = requests("alb.log", &by_bytes());
    assert_eq!(report.format, ObservedFormat::Alb);
    assert_eq!(found.len(), 2);
    assert_eq!(told(&found[0]), (15, Ending::Completed, 512, 2_000));
    assert_eq!(found[0].e2e_ns, Some(2_171_641_000));
    assert_eq!(
        found[0].ttft_ns, None,
        "the headers of an answer are no token"
    );
    assert_eq!(told(&found[1]).1, Ending::Rejected);
}

#[test]
fn litellm_payloads_share_a_trace_over_retries() {
    let (found, report) = requests("litellm.jsonl", &ReadOptions::default());
    assert_eq!(report.format, ObservedFormat::LiteLlm);
    assert_eq!(found.len(), 2);
    assert_eq!(told(&found[0]), (250, Ending::Completed, 110, 40));
    assert_eq!(
        (found[0].attempts, found[0].ttft_ns),
        (Some(2), Some(1_125 * MS))
    );
    assert_eq!(found[0].tenant.as_deref(), Some("u1"));
    assert_eq!(told(&found[1]), (500, Ending::Completed, 20, 10));
    assert_eq!(
        found[1].ttft_ns, None,
        "without streaming the whole answer comes at once"
    );
    assert_eq!(report.codes["429"], (Ending::Rejected, 1));
}

/// Of a try that failed no tokens are counted; the next one tells them.
#[test]
fn lengths_are_those_of_the_try_that_tells_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let text = std::fs::read_to_string(sample("envoy.log")).unwrap();
    let first = text.lines().find(|line| line.contains(" 503 UO ")).unwrap();
    let mut cells: Vec<&str> = first.split(' ').collect();
    let flags = cells.iter().position(|cell| *cell == "UO").unwrap();
    cells[flags + 1] = "0";
    std::fs::write(&path, text.replacen(first, &cells.join(" "), 1)).unwrap();
    let found = read_all(&path, &by_bytes()).unwrap().0;
    assert_eq!(told(&found[0]), (100, Ending::Completed, 256, 200));
}

#[test]
fn what_litellm_answered_out_of_its_cache_never_came_to_the_fleet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("litellm.jsonl");
    let text = std::fs::read_to_string(sample("litellm.jsonl")).unwrap();
    let line = text.lines().last().unwrap();
    let field = |value: &str| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        record["cache_hit"] = serde_json::from_str(value).unwrap();
        record["id"] = serde_json::Value::String(format!("id-{value}"));
        record["trace_id"] = record["id"].clone();
        format!("{record}\n")
    };
    let lines = ["true", "\"True\"", "false", "null", "\"False\""].map(field);
    std::fs::write(&path, lines.concat()).unwrap();
    let (found, report) = read_all(&path, &ReadOptions::default()).unwrap();
    assert_eq!(found.len(), 3);
    let skipped =
        &report.skipped.0["answered out of LiteLLM's own cache: the fleet never saw them"];
    assert_eq!(skipped.count, 2);
}

#[test]
fn a_minute_without_a_scrape_is_empty() {
    let at = |minute: u32, done: u32| {
        format!(
            "# scrape 2026-03-01T12:{minute:02}:00Z\nvllm:num_requests_running 3\n\
             vllm:generation_tokens_total {done}\n"
        )
    };
    let text = [at(0, 10), at(1, 10), at(5, 70)].concat();
    let bins = scrape_text(&text, &by_minute()).series.bins;
    let tokens: Vec<_> = bins.iter().map(|bin| bin.output_tokens).collect();
    // What happened over a gap counts where it ends; nothing was generated before it.
    assert_eq!(tokens, [Some(0), None, None, None, Some(60), None]);
    assert!(
        bins.iter()
            .all(|bin| bin.ended == [None; 6] && bin.prompt_tokens.is_none())
    );
}

#[test]
fn aiperf_records_have_units_and_a_warm_up() {
    let (found, report) = requests("aiperf.jsonl", &ReadOptions::default());
    assert_eq!(report.format, ObservedFormat::AiPerf);
    assert_eq!(told(&found[0]), (2_000, Ending::Completed, 550, 150));
    assert_eq!(found[0].ttft_ns, Some(18_260_000));
    assert_eq!(found[0].e2e_ns, Some(1_500 * MS));
    assert_eq!(
        (found[1].ending, found[1].prompt.count),
        (Ending::Rejected, 551)
    );
    assert_eq!(report.skipped.0["of the warm-up"].count, 1);
}

#[test]
fn guidellm_reports_have_all_requests() {
    let (found, report) = requests("guidellm.json", &ReadOptions::default());
    assert_eq!(report.format, ObservedFormat::GuideLlm);
    assert_eq!(told(&found[0]), (500, Ending::Completed, 256, 128));
    assert_eq!(found[0].ttft_ns, Some(250 * MS));
    assert_eq!(found[1].ending, Ending::TimedOut);
    assert_eq!(found[2].ending, Ending::Cancelled);
    assert!(
        found[2].output.inferred,
        "3 tokens are not the whole answer"
    );
}

#[test]
fn vllm_bench_results_have_columns() {
    let (found, report) = requests("vllm-bench.json", &ReadOptions::default());
    assert_eq!(report.format, ObservedFormat::VllmBench);
    let starts: Vec<u64> = found.iter().map(|it| it.t_ns / MS).collect();
    assert_eq!(starts, [1_000_500, 1_001_000, 1_001_500]);
    assert_eq!(found[0].e2e_ns, Some(310 * MS));
    assert_eq!(found[1].ending, Ending::Rejected);
    assert_eq!(found[2].ttft_ns, Some(500 * MS));
}

#[test]
fn conversations_have_blocks_of_their_own() {
    let (found, report) = requests("weka.jsonl", &ReadOptions::default());
    assert_eq!(report.format, ObservedFormat::Weka);
    let starts: Vec<u64> = found.iter().map(|it| it.t_ns / MS).collect();
    assert_eq!(
        starts,
        [0, 5_500, 61_000],
        "a conversation begins each minute"
    );
    let blocks = |at: usize| &found[at].blocks.as_ref().unwrap().hashes;
    assert_eq!(found[0].blocks.as_ref().unwrap().tokens, 64);
    assert_eq!(blocks(0)[..2], blocks(1)[..2]);
    assert_ne!(blocks(0)[2], blocks(1)[2]);
    assert!(blocks(2).iter().all(|hash| !blocks(0).contains(hash)));
}

fn by_minute() -> ScrapeOptions {
    ScrapeOptions {
        bin_ns: MINUTE_NS,
        every_ns: None,
        offset_s: 0,
    }
}

#[test]
fn scrapes_become_series_that_say_what_they_cannot_tell() {
    let report = read_scrapes(&sample("vllm.prom"), &by_minute()).unwrap();
    let series = &report.series;
    assert_eq!((report.scrapes, report.restarts), (3, 1));
    assert_eq!(series.start_ns, NOON_NS);
    assert_eq!(series.bins.len(), 2);
    let first = &series.bins[0];
    assert_eq!(first.arrived, None);
    assert_eq!(first.ended_as(Ending::Completed), Some(4));
    assert_eq!(first.ended_as(Ending::Cancelled), Some(1));
    assert_eq!(
        (first.prompt_tokens, first.output_tokens),
        (Some(600), Some(150))
    );
    // What no counter of vLLM tells is not known to be 0.
    for ending in [Ending::Rejected, Ending::Shed, Ending::TimedOut] {
        assert_eq!(first.ended_as(ending), None, "{}", ending.name());
    }
    assert_eq!(first.retries, None);
    assert_eq!((first.running, first.waiting), (Some(4.0), Some(0.5)));
    assert_eq!((first.kv_usage, first.replicas), (Some(0.5), Some(1.0)));
    assert_eq!(first.ttft.count, 5);
    let median = first.ttft.quantile(0.5).unwrap();
    assert_eq!((median.low_ns, median.high_ns), (100 * MS, Some(250 * MS)));
    let top = first.ttft.quantile(0.99).unwrap();
    assert_eq!((top.low_ns, top.high_ns), (250 * MS, None), "unbounded");
    assert_eq!(first.ttft.mean_ns(), Some(300e6));
    // A counter that fell began anew: what it shows is what happened since.
    assert_eq!(series.bins[1].ended_as(Ending::Completed), Some(2));
    let notes = series.notes.join("\n");
    assert!(notes.contains("the first is 100 ms"), "{notes}");
    assert!(notes.contains("no arrivals"), "{notes}");
}

fn scrape_text(text: &str, options: &ScrapeOptions) -> ScrapeReport {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vllm.prom");
    std::fs::write(&path, text).unwrap();
    read_scrapes(&path, options).unwrap()
}

#[test]
fn a_gauge_that_is_told_by_its_old_and_its_new_name_counts_once() {
    // One replica tells both, one only the old name, one only the new one.
    let text = "\
# scrape 2026-03-01T12:00:15
vllm:num_requests_running{engine=\"0\"} 2
vllm:gpu_cache_usage_perc{engine=\"0\"} 0.1
vllm:kv_cache_usage_perc{engine=\"0\"} 0.5
vllm:gpu_cache_usage_perc{engine=\"1\"} 0.25
vllm:kv_cache_usage_perc{engine=\"2\"} 0.75
# scrape 2026-03-01T12:00:45
vllm:kv_cache_usage_perc{engine=\"0\"} 0.5
vllm:gpu_cache_usage_perc{engine=\"0\"} 0.1
vllm:gpu_cache_usage_perc{engine=\"1\"} 0.25
vllm:kv_cache_usage_perc{engine=\"2\"} 0.75
";
    let report = scrape_text(text, &by_minute());
    let bin = &report.series.bins[0];
    assert_eq!((bin.kv_usage, bin.replicas), (Some(0.5), Some(3.0)));
    let notes = report.series.notes.join("\n");
    assert!(
        notes.contains("2 scrapes tell the use of the KV cache by both"),
        "{notes}"
    );
    // Their stamps have no zone: they are taken for UTC, unless it is said where they were written.
    assert_eq!(report.series.start_ns, NOON_NS);
    assert!(
        notes.contains("without a zone: 2, taken for +00:00"),
        "{notes}"
    );
    let east = ScrapeOptions {
        offset_s: 3600,
        ..by_minute()
    };
    let report = scrape_text(text, &east);
    assert_eq!(report.series.start_ns, NOON_NS - 3_600_000_000_000);
}

#[test]
fn stamps_of_samples_are_in_ms_or_as_open_metrics_has_them_in_s() {
    for (first, then) in [
        ("1772366415000", "1772366445000"),
        ("1772366415.0", "1772366445.0"),
    ] {
        let text = format!(
            "vllm:num_requests_running 3 {first}\nvllm:request_success_total 5 {first}\n\
             vllm:num_requests_running 1 {then}\nvllm:request_success_total 9 {then}\n# EOF\n"
        );
        let report = scrape_text(&text, &by_minute());
        assert_eq!(report.scrapes, 2, "{first}");
        assert_eq!(report.series.start_ns, NOON_NS, "{first}");
        assert_eq!(report.series.bins[0].ended_as(Ending::Completed), Some(4));
        assert_eq!(report.skipped.total(), 0);
    }
}

#[test]
fn an_edge_that_is_new_counts_nothing_by_itself() {
    let bucket =
        |le: &str, n: u32| format!("vllm:time_to_first_token_seconds_bucket{{le=\"{le}\"}} {n}\n");
    let text = [
        "# scrape 1772366415\n".to_owned(),
        bucket("1.0", 100),
        bucket("+Inf", 100),
        "# scrape 1772366445\n".to_owned(),
        bucket("0.5", 90),
        bucket("1.0", 103),
        bucket("+Inf", 104),
    ];
    let report = scrape_text(&text.concat(), &by_minute());
    assert_eq!(
        report.series.bins[0].ttft.count, 4,
        "not the 90 that were there before"
    );
}

#[test]
fn stamps_of_litellm_without_a_zone_obey_the_offset_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("litellm.jsonl");
    let text = std::fs::read_to_string(sample("litellm.jsonl")).unwrap();
    // As Python writes a date and time that knows no zone.
    let text = text
        .replace("1772366400.5,", "\"2026-03-01 12:00:00.500000\",")
        .replace("1772366401.5,", "\"2026-03-01 12:00:01.500000\",");
    std::fs::write(&path, text).unwrap();
    let (found, report) = read_all(&path, &ReadOptions::default()).unwrap();
    assert_eq!(told(&found[1]), (500, Ending::Completed, 20, 10));
    assert!(
        report.zone.contains("without a zone: 3,"),
        "{}",
        report.zone
    );
    assert!(report.zone.contains("--utc-offset"), "{}", report.zone);
    let mut options = ReadOptions::default();
    options.rules.offset_s = 3600;
    let east = read_all(&path, &options).unwrap().0;
    assert_eq!(found[1].t_ns - east[0].t_ns, 3_600_000_000_000);
    assert_eq!(east[1].t_ns, found[0].t_ns, "numbers are of no zone");
}

#[test]
fn a_lead_of_a_clock_that_wrote_nothing_is_refused() {
    let skew = |logger: &str| ReadOptions {
        skews: vec![seatrial::observed::intake::Skew {
            logger: logger.to_owned(),
            lead_ns: 1,
        }],
        ..ReadOptions::default()
    };
    assert!(read_all(&sample("otlp.json"), &skew("vllm")).is_ok());
    let refused = read_all(&sample("otlp.json"), &skew("vlm")).unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("--skew vlm"), "{refused}");
    assert!(refused.contains("it has gateway, vllm"), "{refused}");
}

#[test]
fn byte_order_marks_line_ends_of_dos_and_zones_without_a_colon_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("envoy.log", by_bytes()),
        ("otlp.jsonl", ReadOptions::default()),
        ("otlp.json", ReadOptions::default()),
        ("litellm.jsonl", ReadOptions::default()),
        ("requests.csv", ReadOptions::default()),
        ("azure-2024.csv", ReadOptions::default()),
        ("vllm-bench.json", ReadOptions::default()),
    ] {
        let text = std::fs::read_to_string(sample(name)).unwrap();
        let dos = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        let path = folder.path().join(name);
        std::fs::write(&path, dos).unwrap();
        let (found, report) = read_all(&path, &options).unwrap();
        let (expected, before) = requests(name, &options);
        assert_eq!(found, expected, "{name}");
        assert_eq!(report.skipped.total(), before.skipped.total(), "{name}");
    }
    // Files put one after another, each with its mark.
    let text = std::fs::read_to_string(sample("litellm.jsonl")).unwrap();
    let path = folder.path().join("two.jsonl");
    std::fs::write(&path, format!("\u{feff}{text}\u{feff}{text}")).unwrap();
    let (_, report) = read_all(&path, &ReadOptions::default()).unwrap();
    assert_eq!(report.read, 8);
    assert_eq!(report.skipped.total(), 2, "{}", report.skipped.told());

    let path = folder.path().join("zone.jsonl");
    let text = std::fs::read_to_string(sample("envoy.jsonl")).unwrap();
    let text = text.replace("12:00:00.310Z", "13:00:00.310+0100");
    std::fs::write(&path, text).unwrap();
    let (found, _) = read_all(&path, &ReadOptions::default()).unwrap();
    assert_eq!(found[0].t_ns, NOON_NS + 310 * MS);
}

#[test]
fn a_request_without_a_status_is_said_to_be_taken_for_completed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    std::fs::write(&path, "1772366400.250 POST 90\n").unwrap();
    let mut options = by_bytes();
    options.inference.prompt = Some(seatrial::workload::lengths::LengthLaw::Constant(7));
    options.inference.output = options.inference.prompt.clone();
    options.log_format = Some("%START_TIME(%s.%3f)% %REQ(:METHOD)% %DURATION%".to_owned());
    let (found, report) = read_all(&path, &options).unwrap();
    assert_eq!(found[0].ending, Ending::Completed);
    let notes = report.notes.join("\n");
    assert!(notes.contains("no status and no flags"), "{notes}");
    assert_eq!(report.left_out.total(), 1);
}

#[test]
fn appended_results_of_vllm_bench_are_all_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.json");
    let text = std::fs::read_to_string(sample("vllm-bench.json")).unwrap();
    let later = text.replace("1000.5, 1001.0, 1001.5", "2000.5, 2001.0, 2001.5");
    std::fs::write(&path, format!("{text}{later}")).unwrap();
    let (found, report) = read_all(&path, &ReadOptions::default()).unwrap();
    assert_eq!((found.len(), report.skipped.total()), (6, 0));
    assert_eq!(found[3].t_ns / MS, 2_000_500);
    // Lists of different lengths: what has no start is counted, not dropped.
    let short = text.replace("1000.5, 1001.0, 1001.5", "1000.5, 1001.0");
    std::fs::write(&path, short).unwrap();
    let (found, report) = read_all(&path, &ReadOptions::default()).unwrap();
    assert_eq!((found.len(), report.skipped.total()), (2, 1));
    let reasons = report.skipped.told();
    assert!(reasons.contains("request 2: no `start_times`"), "{reasons}");
}

/// Gzip, as one member of all that is given.
fn gzipped(plain: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

#[test]
fn compressed_logs_and_traces_are_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let plain = std::fs::read(sample("otlp.jsonl")).unwrap();
    let packed = folder.path().join("spans.jsonl.gz");
    // Members may end within a line: they are put together before it is read.
    let (head, tail) = plain.split_at(plain.len() / 2 + 7);
    std::fs::write(&packed, [gzipped(head), gzipped(tail)].concat()).unwrap();
    let zstd = folder.path().join("spans.jsonl.zst");
    let frames = [&plain[..], &plain[..]].map(|it| zstd::encode_all(it, 1).unwrap());
    std::fs::write(&zstd, frames.concat()).unwrap();
    let options = ReadOptions::default();
    let expected = requests("otlp.jsonl", &options).0;
    assert_eq!(read_all(&packed, &options).unwrap().0, expected);
    assert_eq!(read_all(&zstd, &options).unwrap().1.read, 6, "two frames");
    // Tools that pack in parallel begin with a frame that is to be passed over.
    let passed_over = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    std::fs::write(&zstd, [&passed_over, &frames[0][..]].concat()).unwrap();
    assert_eq!(read_all(&zstd, &options).unwrap().0, expected);

    let cut = folder.path().join("cut.zst");
    std::fs::write(&cut, &frames[0][..frames[0].len() / 2]).unwrap();
    let refused = read_all(&cut, &options).unwrap_err().to_string();
    assert!(refused.contains("zstd data is damaged"), "{refused}");

    let trace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("traces/azure-2023-code.csv.gz");
    let (all, report) = read_all(&trace, &options).unwrap();
    assert_eq!((all.len(), report.format.name()), (8_819, "azure-2023"));
}

#[test]
fn the_time_that_a_shipper_of_logs_puts_in_is_no_arrival() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("shipped.jsonl");
    let line = r#"{"@timestamp":"2026-03-01T12:00:09Z","start_time":"2026-03-01T12:00:00Z","method":"POST","response_code":200,"response_flags":"-","duration":2000,"response_duration":300,"prompt_tokens":10,"output_tokens":20}"#;
    // Where nothing else says when it began, it is what there is.
    let alone = line.replace(r#""start_time":"2026-03-01T12:00:00Z","#, "");
    std::fs::write(&log, format!("{line}\n{alone}\n")).unwrap();
    let (found, report) = read_all(&log, &ReadOptions::default()).unwrap();
    assert_eq!(report.format, ObservedFormat::EnvoyJson);
    let arrivals: Vec<u64> = found.iter().map(|it| (it.t_ns - NOON_NS) / MS).collect();
    assert_eq!(arrivals, [0, 9_000]);
    // What is taken for the first token is said to be the first byte, once.
    assert_eq!(found[0].ttft_ns, Some(300 * MS));
    let said = report
        .notes
        .iter()
        .filter(|note| note.contains("first byte"));
    assert_eq!(said.count(), 1, "{:?}", report.notes);
}
