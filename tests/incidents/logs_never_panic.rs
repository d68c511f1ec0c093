//! No input makes an importer panic: arbitrary bytes, and samples with pieces changed.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::io::Cursor;
use std::path::Path;

use proptest::prelude::*;
use seatrial::observed::infer::Inference;
use seatrial::observed::input::Input;
use seatrial::observed::prometheus::{ScrapeOptions, read_scrapes_of};
use seatrial::observed::read::read_input;
use seatrial::observed::{
    Observed, ObservedError, ObservedFormat, ReadOptions, ReadReport, read_all,
};
use seatrial::trace::{ImportOptions, RecordReader, TraceFormat, import_to};
use seatrial::workload::lengths::LengthLaw;

macro_rules! sample {
    ($format:literal, $file:literal) => {
        ($format, include_bytes!(concat!("../data/observed/", $file)))
    };
}

const SAMPLES: [(&str, &[u8]); 24] = [
    sample!("otlp", "otlp.json"),
    sample!("otlp", "otlp.jsonl"),
    sample!("otel-flat", "otel-flat.json"),
    sample!("envoy", "envoy.log"),
    sample!("envoy-json", "envoy.jsonl"),
    sample!("nginx", "nginx.log"),
    sample!("alb", "alb.log"),
    sample!("litellm", "litellm.jsonl"),
    sample!("aiperf", "aiperf.jsonl"),
    sample!("guidellm", "guidellm.json"),
    sample!("vllm-bench", "vllm-bench.json"),
    sample!("weka", "weka.jsonl"),
    sample!("prometheus", "vllm.prom"),
    sample!("requests", "requests.csv"),
    sample!("requests", "observed.csv"),
    sample!("requests", "requests.parquet"),
    sample!("requests", "observed.parquet"),
    sample!("azure-2023", "azure-2023.csv"),
    sample!("azure-2024", "azure-2024.csv"),
    sample!("azure-lmm", "azure-lmm.csv"),
    sample!("mooncake", "mooncake.jsonl"),
    sample!("burstgpt", "burstgpt.csv"),
    sample!("vidur", "vidur.csv"),
    sample!("seatrial", "seatrial.csv"),
];

fn options() -> ReadOptions {
    ReadOptions {
        inference: Inference {
            bytes_per_prompt_token: Some(0.001),
            bytes_per_output_token: Some(1e9),
            prompt: Some(LengthLaw::Constant(1)),
            output: Some(LengthLaw::Constant(1)),
        },
        // So little that everything is sorted, and waits, on disk.
        most_held: 3,
        most_held_bytes: 900,
        ..ReadOptions::default()
    }
}

fn check(read: &Result<(Vec<Observed>, ReadReport), ObservedError>) {
    let Ok((requests, report)) = read else {
        return;
    };
    assert!(requests.is_sorted_by_key(|it| it.t_ns), "by arrival");
    for request in requests {
        assert!(request.attempts != Some(0) && request.prompt.count >= 1);
    }
    assert_eq!(report.requests, requests.len() as u64);
    assert!(report.requests <= report.read);
}

/// Reads bytes as a format, and finds the format by itself, too: from a reader, and from a file,
/// which some formats open again.
fn read_both_ways(bytes: &[u8], format: Option<&str>) {
    let mut options = options();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    for format in [format, None] {
        options.format = format.map(|name| name.parse().unwrap());
        check(&read_all(file.path(), &options));
        let input = Input::new("fuzz".into(), Cursor::new(bytes.to_vec()));
        let Ok(input) = input else { continue };
        let mut requests = Vec::new();
        // The file is not there: formats that are opened again refuse.
        let nowhere = Path::new("no-such-file");
        let read = read_input(input, nowhere, &options, &mut |request| {
            requests.push(request);
            Ok(())
        });
        check(&read.map(|report| (requests, report)));
    }
    if format == Some("prometheus") {
        for every_ns in [None, Some(1)] {
            let options = ScrapeOptions {
                bin_ns: 1_000_000_000,
                every_ns,
                offset_s: -3600,
            };
            if let Ok(input) = Input::new("fuzz".into(), Cursor::new(bytes.to_vec())) {
                let _ = read_scrapes_of(input, &options);
            }
        }
    }
    if let Some(format) = format.and_then(|name| name.parse::<TraceFormat>().ok()) {
        import_bare(bytes, Some(format));
        import_bare(bytes, None);
    }
}

/// As `trace import` reads a trace that it need not sort.
fn import_bare(bytes: &[u8], format: Option<TraceFormat>) {
    for (sort, dejitter) in [(false, false), (true, true)] {
        let reader = RecordReader::from_reader("fuzz", Cursor::new(bytes.to_vec()), format);
        let Ok(reader) = reader else { continue };
        let options = ImportOptions { sort, dejitter };
        let mut out = Vec::new();
        if let Ok(report) = import_to(reader, Path::new("out"), &mut out, options) {
            let lines = out.split(|byte| *byte == b'\n').count() as u64;
            assert_eq!(
                lines,
                report.written + 2,
                "a header, and what is after the last"
            );
        }
    }
}

#[test]
fn samples_of_all_formats_are_here_and_are_read() {
    let known = |name: &str| SAMPLES.iter().any(|(sample, _)| *sample == name);
    for format in ObservedFormat::ALL {
        assert!(known(format.name()), "{format}");
    }
    for format in TraceFormat::ALL {
        assert!(known(format.name()), "{format}");
    }
    for (name, bytes) in SAMPLES {
        if name == "prometheus" {
            continue;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let (requests, report) = read_all(file.path(), &options()).unwrap();
        assert_eq!(report.format.name(), name);
        assert!(requests.len() > 1, "{name}");
    }
}

/// What takes the place of a piece.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(b"99999999999999999999999999999".to_vec()),
        Just(b"18446744073709551615".to_vec()),
        Just(b"-1".to_vec()),
        Just(b"1e308".to_vec()),
        Just(b"NaN".to_vec()),
        Just(b"null".to_vec()),
        Just(b"{}".to_vec()),
        Just(b"[[[[".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"\n".to_vec()),
        Just("\u{e9}".as_bytes().to_vec()),
        Just("\u{feff}".as_bytes().to_vec()),
        Just(b"\xff\xfe".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

type Changes = Vec<(u32, usize, Vec<u8>)>;

fn changes() -> impl Strategy<Value = (Changes, Option<u32>)> {
    let one = (any::<u32>(), 0..24_usize, piece());
    let cut = proptest::option::of(any::<u32>());
    (proptest::collection::vec(one, 1..6), cut)
}

/// A sample with pieces changed and, maybe, its end cut off.
fn changed(sample: &[u8], (changes, cut): (Changes, Option<u32>)) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for (at, length, piece) in changes {
        let from = at as usize % (bytes.len() + 1);
        let to = (from + length).min(bytes.len());
        bytes.splice(from..to, piece);
    }
    if let Some(cut) = cut {
        bytes.truncate(cut as usize % (bytes.len() + 1));
    }
    bytes
}

/// Samples of Parquet, whose parts are found by their places: only bytes that keep them matter.
fn parquet() -> impl Iterator<Item = &'static [u8]> {
    let samples = SAMPLES.into_iter().map(|(_, bytes)| bytes);
    samples.filter(|bytes| bytes.starts_with(b"PAR1"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        which in 0..SAMPLES.len(),
        magic in any::<bool>(),
    ) {
        let (format, sample) = SAMPLES[which];
        let begin = if magic { &sample[..4] } else { &[] };
        read_both_ways(&[begin, &bytes].concat(), Some(format));
    }

    #[test]
    fn format_strings(text in "[%$()A-Z:a-z_ \"?é-]{0,40}", line in "[ -~é]{0,60}") {
        let options = ReadOptions { log_format: Some(text), ..ReadOptions::default() };
        let input = Input::new("fuzz".into(), Cursor::new(line.into_bytes())).unwrap();
        let _ = read_input(input, Path::new("no-such-file"), &options, &mut |_| Ok(()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    // Every case changes every sample: no importer is left to chance.
    #[test]
    fn samples_with_pieces_changed(changes in changes()) {
        for (format, sample) in SAMPLES {
            read_both_ways(&changed(sample, changes.clone()), Some(format));
        }
    }

    #[test]
    fn parquet_with_bytes_changed(
        changes in proptest::collection::vec((any::<u32>(), any::<u8>()), 1..8),
    ) {
        for sample in parquet() {
            let mut bytes = sample.to_vec();
            for (at, byte) in &changes {
                let at = *at as usize % bytes.len();
                bytes[at] = *byte;
            }
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &bytes).unwrap();
            check(&read_all(file.path(), &options()));
        }
    }
}
