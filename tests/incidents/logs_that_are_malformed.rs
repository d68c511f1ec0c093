//! What is wrong with single records is counted by reason with its place; nothing is dropped
//! without a word, and what is right beside it is kept.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use seatrial::observed::infer::Inference;
use seatrial::observed::prometheus::{ScrapeOptions, ScrapeReport, read_scrapes};
use seatrial::observed::{
    Observed, ObservedError, ObservedFormat, ReadOptions, ReadReport, detect, read_all,
};
use seatrial::report::columns::{Column, Columns};
use seatrial::trace::TraceFormat;
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

/// The sample of scrapes with a piece replaced.
fn scrapes(from: &str, to: &str) -> ScrapeReport {
    let text = sample("vllm.prom");
    assert!(text.contains(from), "no {from}");
    try_scrapes(&text.replacen(from, to, 1)).unwrap()
}

fn try_scrapes(text: &str) -> Result<ScrapeReport, ObservedError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vllm.prom");
    std::fs::write(&path, text).unwrap();
    let options = ScrapeOptions {
        bin_ns: 60_000_000_000,
        every_ns: None,
        offset_s: 0,
    };
    read_scrapes(&path, &options)
}

/// Traces of nothing but arrivals and lengths: a line that is wrong is refused, with its place.
const TRACES: [&str; 7] = [
    "azure-2023.csv",
    "azure-2024.csv",
    "azure-lmm.csv",
    "mooncake.jsonl",
    "burstgpt.csv",
    "vidur.csv",
    "seatrial.csv",
];

/// A Parquet file of three requests with these columns in place of its own.
fn parquet(columns: &[(&str, Column)]) -> Result<(Vec<Observed>, ReadReport), ObservedError> {
    let ints = |values: [i64; 3]| Column::Int(values.map(Some).to_vec());
    let texts = |value: &str| Column::Text(vec![Some(value.to_owned()); 3]);
    let mut table = Columns::default();
    for (name, column) in [
        ("arrival_ns", ints([10, 20, 30])),
        ("first_token_ns", ints([11, 21, 31])),
        ("last_token_ns", ints([15, 25, 35])),
        ("prompt_tokens", ints([5, 6, 7])),
        ("output_tokens", ints([3, 3, 3])),
        ("status", texts("completed")),
    ] {
        let changed = columns.iter().find(|(changed, _)| *changed == name);
        table.push(name, changed.map_or(column, |(_, column)| column.clone()));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.parquet");
    std::fs::write(&path, table.to_parquet("requests").unwrap()).unwrap();
    read_all(&path, &options())
}

/// Every format of logs has a sample among these names; Parquet is a form of `requests`.
fn assert_all_logs<'a>(names: impl IntoIterator<Item = &'a str>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/observed");
    let found: BTreeSet<&str> = names
        .into_iter()
        .map(|name| detect(&folder.join(name), &options()).unwrap().name())
        .collect();
    let all: BTreeSet<&str> = ObservedFormat::ALL.map(ObservedFormat::name).into();
    assert_eq!(found, all);
}

#[test]
fn every_format_of_traces_has_a_sample() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/observed");
    let found = TRACES.map(|name| detect(&folder.join(name), &options()).unwrap().name());
    let mut all = TraceFormat::ALL.map(TraceFormat::name).to_vec();
    all.retain(|name| !found.contains(name));
    assert!(all.is_empty(), "{all:?}");
}

const LINES: [&str; 10] = [
    "otlp.jsonl",
    "envoy.log",
    "envoy.jsonl",
    "nginx.log",
    "alb.log",
    "litellm.jsonl",
    "aiperf.jsonl",
    "weka.jsonl",
    "requests.csv",
    "observed.csv",
];
const DOCUMENTS: [(&str, &str, usize); 3] = [
    ("otlp.json", "\"vllm.llm_engine\"", 1),
    ("otel-flat.json", "\"span_id\": \"second\"", 1),
    ("guidellm.json", "\"request_id\": \"r3\"", 1),
];

#[test]
fn a_truncated_line_costs_that_line() {
    let documents = DOCUMENTS.map(|it| it.0);
    let named = ["vllm-bench.json", "vllm.prom"];
    assert_all_logs(LINES.into_iter().chain(documents).chain(named));
    for name in LINES {
        let text = sample(name);
        let (whole, before) = read_text(name, &text).unwrap();
        let last = text.trim_end().rfind('\n').unwrap() + 1;
        let cut = &text[..last + 70.min((text.len() - last) / 2)];
        let (kept, after) = read_text(name, cut).unwrap();
        assert!(kept <= whole, "{name}");
        let reasons = after.skipped.told();
        let fresh = after.skipped.total() > before.skipped.total()
            || after.read == before.read && reasons != before.skipped.told();
        assert!(fresh, "{name}: {reasons}");
        let line = format!("line {}", text.lines().count());
        assert!(reasons.contains(&line), "{name}: {reasons}");
    }
    // The first of two lines: the second is read all the same.
    let text = sample("otlp.jsonl");
    let (first, rest) = text.split_once('\n').unwrap();
    let cut = format!("{}\n{rest}", &first[..first.len() / 2]);
    let (kept, report) = read_text("otlp.jsonl", &cut).unwrap();
    assert_eq!((kept, report.skipped.total()), (2, 1));

    // A number without a line end may be cut short, and nobody can tell.
    let text = sample("vllm.prom");
    let report = try_scrapes(text.trim_end()).unwrap();
    let reasons = report.skipped.told();
    assert!(reasons.contains("1 last lines without an end"), "{reasons}");
    assert_eq!(report.skipped.total(), 1);
}

#[test]
fn a_truncated_trace_is_refused_with_its_line() {
    for name in TRACES {
        let text = sample(name);
        let last = text.trim_end().rfind('\n').unwrap() + 1;
        let refused = read_text(name, &text[..last + 8]).unwrap_err().to_string();
        assert!(
            refused.contains("line 4") || name == "mooncake.jsonl",
            "{refused}"
        );
        assert!(refused.contains("allowed: "), "{refused}");
    }
}

#[test]
fn truncated_parquet_is_refused() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/observed");
    for name in ["requests.parquet", "observed.parquet"] {
        let whole = std::fs::read(folder.join(name)).unwrap();
        let cut = tempfile::tempdir().unwrap();
        let path = cut.path().join(name);
        for length in [whole.len() - 1, whole.len() / 2, 9] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let refused = read_all(&path, &options()).unwrap_err().to_string();
            assert!(refused.contains("Parquet data is damaged"), "{refused}");
        }
    }
}

#[test]
fn a_truncated_document_keeps_what_came_before() {
    for (name, cut_at, kept) in DOCUMENTS {
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
        (
            "requests.csv",
            ",1000000,",
            ",soon,",
            2,
            "1 with a number that is none, the first at line 2: arrival_ns = soon",
        ),
        (
            "requests.csv",
            ",rejected_queue_full,",
            ",fine,",
            2,
            "with a status that is none",
        ),
        (
            "observed.csv",
            "timed_out",
            "17",
            2,
            "with an ending that is none",
        ),
    ];
    assert_all_logs(cases.map(|it| it.0).into_iter().chain(["vllm.prom"]));
    for (name, from, to, kept, reason) in cases {
        let (found, report) = changed(name, from, to);
        let reasons = report.skipped.told();
        assert!(reasons.contains(reason), "{name}: {reasons}");
        assert_eq!(found, kept, "{name}: {reasons}");
    }
    for (from, to, reason) in [
        (
            "model_name=\"m\"} 3.0",
            "model_name=\"m\"} three",
            "lines that are no sample",
        ),
        ("le=\"0.1\"", "le=\"low\"", "without an upper edge"),
        ("} 10.0", "} NaN", "that are no finite number (NaN or Inf)"),
        ("} 10.0", "} +Inf", "that are no finite number (NaN or Inf)"),
        ("} 10.0", "} -1", "out of range"),
        ("} 0.25", "} 25", "above 1"),
    ] {
        let report = scrapes(from, to);
        let reasons = report.skipped.told();
        assert!(reasons.contains(reason), "{to}: {reasons}");
        assert_eq!(report.skipped.total(), 1, "{to}: {reasons}");
        assert_eq!(report.scrapes, 3);
    }
    let texts = Column::Text(["10", "x", "30"].map(|it| Some(it.to_owned())).to_vec());
    let (kept, report) = parquet(&[("arrival_ns", texts)]).unwrap();
    assert_eq!((kept.len(), report.skipped.total()), (2, 1));
    let reasons = report.skipped.told();
    assert!(reasons.contains("line 2: arrival_ns = x"), "{reasons}");
}

#[test]
fn a_trace_with_a_wrong_type_is_refused_with_its_line() {
    for (name, from, to, words) in [
        (
            "azure-2023.csv",
            "2023-11-16 18:17:04.03",
            "17",
            "line 3, column 1",
        ),
        ("azure-2024.csv", "2399", "many", "line 3, column 2"),
        ("azure-lmm.csv", ",340", ",-340", "line 3, column 4"),
        ("mooncake.jsonl", "7322", "[]", "line 2, key `input_length`"),
        ("burstgpt.csv", "45,", "x,", "line 3, column 1"),
        ("vidur.csv", "3180", "31.5", "line 3, column 2"),
        ("seatrial.csv", "52000000", "", "line 3, column 1"),
    ] {
        let text = sample(name).replacen(from, to, 1);
        let refused = read_text(name, &text).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
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
        ("requests.csv", ",826000000,", ",900000,"),
    ];
    for (name, from, to) in cases {
        let (_, report) = changed(name, from, to);
        let reasons = report.skipped.told();
        assert!(
            reasons.contains("end before they start"),
            "{name}: {reasons}"
        );
    }
    let ends = Column::Int([15, 19, 35].map(Some).to_vec());
    let (kept, report) = parquet(&[("last_token_ns", ends)]).unwrap();
    assert_eq!((kept.len(), report.skipped.total()), (2, 1));
    // Some have durations, which cannot be negative.
    let durations = [
        ("envoy.log", " 2260 ", " -2260 ", "a duration that is none"),
        ("envoy.jsonl", ":2260", ":-2260", "a duration that is none"),
        (
            "nginx.log",
            " 0.640 ",
            " -0.640 ",
            "a duration that is none",
        ),
        (
            "observed.csv",
            ",2500000000,",
            ",-2,",
            "a number that is none",
        ),
    ];
    for (name, from, to, reason) in durations {
        let (_, report) = changed(name, from, to);
        let reasons = report.skipped.told();
        assert!(reasons.contains(reason), "{name}: {reasons}");
    }
    // A result has the time to the first token instead.
    let (kept, report) = changed("vllm-bench.json", "[0.25, ", "[-0.25, ");
    assert_eq!(kept, 3);
    let reasons = report.left_out.told();
    assert!(
        reasons.contains("times to first token that are none"),
        "{reasons}"
    );
    // What only stands later than what began later is put in order.
    let early = [
        ("vllm-bench.json", "1001.5", "999.5"),
        ("weka.jsonl", "5.5", "-0"),
    ];
    for (name, from, to) in early {
        let (kept, report) = changed(name, from, to);
        assert_eq!(kept, 3, "{name}");
        let expected = u64::from(name == "vllm-bench.json");
        assert_eq!(report.out_of_order, expected, "{name}");
    }
    // Counters between scrapes that are out of order tell nothing, and the report says so.
    let report = scrapes(
        "# scrape 2026-03-01T12:00:45Z",
        "# scrape 2026-03-01T11:59:45Z",
    );
    let notes = report.series.notes.join("\n");
    assert!(notes.contains("1 scrapes are not after"), "{notes}");
    let names = cases
        .iter()
        .map(|it| it.0)
        .chain(durations.iter().map(|it| it.0));
    let names = names.chain(early.iter().map(|it| it.0));
    assert_all_logs(names.chain(["vllm.prom"]));
}

#[test]
fn a_trace_out_of_order_is_put_in_order_as_a_log() {
    for name in TRACES {
        let text = sample(name);
        let mut lines: Vec<&str> = text.lines().collect();
        let last = lines.len() - 1;
        lines.swap(last - 1, last);
        let (kept, report) = read_text(name, &format!("{}\n", lines.join("\n"))).unwrap();
        assert_eq!((kept, report.out_of_order), (3, 1), "{name}");
    }
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
        (
            "envoy.jsonl",
            "\"bytes_received\":2048",
            "\"bytes_received\":1e300",
            "a number of bytes that is none",
        ),
        (
            "requests.csv",
            ",1000000,",
            ",1e300,",
            "a number that is none",
        ),
        (
            "observed.csv",
            ",250000000,",
            ",18446744073709551615,",
            "a stamp out of range",
        ),
    ];
    assert_all_logs(cases.map(|it| it.0).into_iter().chain(["vllm.prom"]));
    for (name, from, to, reason) in cases {
        let (_, report) = changed(name, from, to);
        let reasons = report.skipped.told();
        assert!(reasons.contains(reason), "{name}, {to}: {reasons}");
    }
    for (from, to, reason) in [
        ("} 10.0", "} 1e300", "out of range"),
        ("} 10.0", "} 1e999", "no finite number"),
        (
            "} 3.0",
            "} 3.0 99999999999999999999",
            "lines that are no sample",
        ),
    ] {
        let report = scrapes(from, to);
        let reasons = report.skipped.told();
        assert!(reasons.contains(reason), "{to}: {reasons}");
    }
    let report = scrapes(
        "# scrape 2026-03-01T12:00:15Z",
        "# scrape 99999999999999999999",
    );
    assert_eq!(report.scrapes, 2);
    assert!(report.skipped.told().contains("scrapes without a stamp"));
    assert!(report.left_out.told().contains("that are no time"));
    let floats = Column::Float([10.0, 1e30, 30.0].map(Some).to_vec());
    let (kept, report) = parquet(&[("arrival_ns", floats)]).unwrap();
    assert_eq!((kept.len(), report.skipped.total()), (2, 1));
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

#[test]
fn a_trace_with_a_huge_number_is_refused_with_its_line() {
    for (name, from, to, words) in [
        (
            "azure-2023.csv",
            "2023-11-16 18:17:04.03",
            "9999-11-16 18:17:04.03",
            "line 3",
        ),
        ("azure-2024.csv", "2399", "4294967296", "line 3"),
        ("azure-lmm.csv", ",340", ",99999999999999999999", "line 3"),
        ("mooncake.jsonl", "7322", "1e300", "line 2"),
        ("burstgpt.csv", "45,", "1e300,", "line 3"),
        ("vidur.csv", "0.052", "99999999999999999999", "line 3"),
        ("seatrial.csv", "52000000", "18446744073709551616", "line 3"),
    ] {
        let text = sample(name).replacen(from, to, 1);
        let refused = read_text(name, &text).unwrap_err().to_string();
        assert!(
            refused.contains(words) && refused.contains("allowed: "),
            "{refused}"
        );
    }
}

#[test]
fn text_in_another_encoding_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let text = sample("envoy.log");
    let wide = text.encode_utf16().flat_map(u16::to_le_bytes);
    let bytes: Vec<u8> = [0xff, 0xfe].into_iter().chain(wide).collect();
    std::fs::write(&path, bytes).unwrap();
    let refused = read_all(&path, &options()).unwrap_err().to_string();
    assert!(refused.contains("iconv -f utf-16"), "{refused}");
}
