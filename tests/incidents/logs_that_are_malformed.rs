//! What is wrong with single records is counted by reason with its place; nothing is dropped
//! without a word, and what is right beside it is kept.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::{Path, PathBuf};

use seatrial::observed::infer::Inference;
use seatrial::observed::{ObservedError, ReadOptions, ReadReport, read_all};
use seatrial::workload::lengths::LengthLaw;

fn options() -> ReadOptions {
    ReadOptions {
        inference: Inference {
            prompt: Some(LengthLaw::Constant(1)),
            output: Some(LengthLaw::Constant(1)),
            ..Inference::default()
        },
        ..ReadOptions::default()
    }
}

fn sample(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/observed");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn read_text(name: &str, text: &str) -> Result<(usize, ReadReport), ObservedError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    read_all(Path::new(&path), &options()).map(|(all, report)| (all.len(), report))
}

/// A sample with a piece replaced, and what the report then says.
fn changed(name: &str, from: &str, to: &str) -> (usize, ReadReport) {
    let text = sample(name);
    assert!(text.contains(from), "{name} has no {from}");
    read_text(name, &text.replacen(from, to, 1)).unwrap()
}

#[test]
fn a_truncated_line_costs_that_line() {
    for name in [
        "otlp.jsonl",
        "envoy.log",
        "envoy.jsonl",
        "nginx.log",
        "alb.log",
        "litellm.jsonl",
        "aiperf.jsonl",
        "weka.jsonl",
    ] {
        let text = sample(name);
        let (whole, before) = read_text(name, &text).unwrap();
        let last = text.trim_end().rfind('\n').unwrap() + 1;
        let cut = &text[..last + 70.min(text.len() - last - 2)];
        let (kept, after) = read_text(name, cut).unwrap();
        assert!(kept <= whole, "{name}");
        let reasons = after.skipped.told();
        let fresh = after.skipped.total() > before.skipped.total()
            || after.read == before.read && reasons != before.skipped.told();
        assert!(fresh, "{name}: {reasons}");
        let line = format!("line {}", text.lines().count());
        assert!(reasons.contains(&line), "{name}: {reasons}");
    }
}

#[test]
fn a_truncated_document_keeps_what_came_before() {
    for (name, cut_at, kept) in [
        ("otlp.json", "\"vllm.llm_engine\"", 1),
        ("otel-flat.json", "\"span_id\": \"second\"", 1),
        ("guidellm.json", "\"request_id\": \"r3\"", 1),
    ] {
        let text = sample(name);
        let cut = &text[..text.find(cut_at).unwrap()];
        let (found, report) = read_text(name, cut).unwrap();
        assert_eq!(found, kept, "{name}");
        let reasons = report.skipped.told();
        assert!(
            reasons.contains("JSON that breaks off"),
            "{name}: {reasons}"
        );
    }
    // Columns are of no use without their ends.
    let text = sample("vllm-bench.json");
    let refused = read_text("vllm-bench.json", &text[..text.len() / 2]).unwrap_err();
    assert!(refused.to_string().contains("breaks off"), "{refused}");
}

#[test]
fn wrong_types_are_counted() {
    let cases = [
        (
            "otlp.jsonl",
            r#""1772366400100000000""#,
            r#"{"a": []}"#,
            1,
            "without a start",
        ),
        (
            "otlp.json",
            r#""1772366401000000000""#,
            "true",
            1,
            "without a start",
        ),
        (
            "otel-flat.json",
            r#""2026-02-25T10:00:03.000000""#,
            "17",
            1,
            "without a start",
        ),
        (
            "envoy.log",
            " 2260 ",
            " soon ",
            4,
            "with a duration that is none",
        ),
        (
            "envoy.jsonl",
            r#""duration":2260"#,
            r#""duration":"soon""#,
            1,
            "with a duration",
        ),
        (
            "nginx.log",
            "0.640 0.640",
            "fast 0.640",
            2,
            "with a duration that is none",
        ),
        (
            "alb.log",
            " 200 200 2048",
            " OK 200 2048",
            1,
            "with a status that is none",
        ),
        (
            "litellm.jsonl",
            "1772366400.5",
            "[]",
            1,
            "with a time that is none",
        ),
        (
            "aiperf.jsonl",
            "\"value\":550",
            "\"value\":\"many\"",
            1,
            "number of tokens",
        ),
        (
            "guidellm.json",
            "\"output_tokens\": 128",
            "\"output_tokens\": -1",
            2,
            "tokens",
        ),
        (
            "vllm-bench.json",
            "[100, 120, 80]",
            "[\"x\", 120, 80]",
            2,
            "number of tokens",
        ),
        (
            "weka.jsonl",
            "\"t\": 5.5",
            "\"t\": null",
            2,
            "with a time that is none",
        ),
    ];
    for (name, from, to, kept, reason) in cases {
        let (found, report) = changed(name, from, to);
        let reasons = report.skipped.told();
        assert!(reasons.contains(reason), "{name}: {reasons}");
        assert_eq!(found, kept, "{name}: {reasons}");
    }
}

#[test]
fn a_request_that_ends_before_it_starts_is_counted() {
    let cases = [
        ("otlp.jsonl", "1772366401000000000", "1772366400000000000"),
        ("otel-flat.json", "10:00:05.000000", "10:00:02.999999"),
        (
            "litellm.jsonl",
            "1772366401.5,\"completionStartTime\":1772366401.5",
            "1772366400.4",
        ),
        ("aiperf.jsonl", "1772366403500000000", "1772366401999999999"),
        (
            "guidellm.json",
            "\"request_end_time\": 1772366402.5",
            "\"request_end_time\": 1.0",
        ),
        (
            "alb.log",
            "2026-03-01T12:00:00.015000Z",
            "2026-03-01T12:00:09.015000Z",
        ),
    ];
    for (name, from, to) in cases {
        let (_, report) = changed(name, from, to);
        let reasons = report.skipped.told();
        assert!(
            reasons.contains("end before they start"),
            "{name}: {reasons}"
        );
    }
    // Access logs have durations, which cannot be negative.
    let (_, report) = changed("envoy.log", " 2260 ", " -2260 ");
    assert!(report.skipped.told().contains("a duration that is none"));
}

#[test]
fn a_time_to_first_token_outside_of_its_request_is_left_out() {
    let (found, report) = changed(
        "otlp.json",
        "\"doubleValue\": 0.25",
        "\"doubleValue\": 99.0",
    );
    assert_eq!(found, 2);
    let reasons = report.left_out.told();
    assert!(reasons.contains("outside of their request"), "{reasons}");
}

#[test]
fn huge_numbers_are_counted() {
    let huge = "99999999999999999999999999";
    let cases = [
        ("otlp.jsonl", "1772366400100000000", huge, "without a start"),
        (
            "otel-flat.json",
            "2026-02-25T10:00:00",
            "9999999-02-25T10:00:00",
            "without a start",
        ),
        (
            "envoy.log",
            " 2260 ",
            " 99999999999999999999 ",
            "a duration that is none",
        ),
        (
            "envoy.log",
            " 2048 ",
            " 99999999999999999999 ",
            "a number of bytes that is none",
        ),
        (
            "nginx.log",
            "0.640 0.640",
            "1e300 0.640",
            "a duration that is none",
        ),
        (
            "nginx.log",
            "08/Nov/2025:14:16:18",
            "08/Nov/99999:14:16:18",
            "no time",
        ),
        (
            "alb.log",
            " 200 200 2048",
            " 200 200 99999999999999999999",
            "bytes that is none",
        ),
        (
            "litellm.jsonl",
            "1772366400.5",
            "1e300",
            "a time that is none",
        ),
        (
            "litellm.jsonl",
            "\"prompt_tokens\":20",
            "\"prompt_tokens\":4294967296",
            "tokens",
        ),
        (
            "aiperf.jsonl",
            "1772366402000000000",
            huge,
            "without a start",
        ),
        (
            "guidellm.json",
            "\"prompt_tokens\": 256",
            "\"prompt_tokens\": 1e30",
            "tokens",
        ),
        ("vllm-bench.json", "1000.5", "1e30", "without a start"),
        (
            "weka.jsonl",
            "\"t\": 5.5",
            "\"t\": 1e30",
            "a time that is none",
        ),
    ];
    for (name, from, to, reason) in cases {
        let (_, report) = changed(name, from, to);
        let reasons = report.skipped.told();
        assert!(reasons.contains(reason), "{name}, {to}: {reasons}");
    }
    // Tokens beyond all bounds: the request is kept, its length is not.
    let text = sample("otlp.jsonl").replace("\"intValue\":\"40\"", "\"intValue\":\"9e99\"");
    let (found, report) = read_text("otlp.jsonl", &text).unwrap();
    assert_eq!((found, report.left_out.total()), (2, 1));
    assert_eq!(report.prompt.from_law, 1);
    // A number that no JSON reader takes costs its line.
    let text = sample("otlp.jsonl").replacen("\"spanId\":\"21\"", "\"x\":1e999", 1);
    let (found, report) = read_text("otlp.jsonl", &text).unwrap();
    assert_eq!(found, 1, "{}", report.skipped.told());
}

#[test]
fn a_log_of_nothing_but_faults_is_refused_with_reasons() {
    let line = "[2026-03-01T12:00:00.310Z] \"GET /health HTTP/1.1\" 200 - 0 2 1 0 \"-\" \"k\" \"i\" \"h\" \"u\"\n";
    let refused = read_text("a.log", &line.repeat(3)).unwrap_err().to_string();
    assert!(refused.contains("3 that are no POST"), "{refused}");
    assert!(refused.contains("line 1"), "{refused}");
    let unknown = read_text("a.log", "what is this?\n").unwrap_err();
    assert!(
        matches!(unknown, ObservedError::UnknownFormat { .. }),
        "{unknown}"
    );
}
