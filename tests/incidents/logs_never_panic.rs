//! No input makes an importer panic: arbitrary bytes, and samples with pieces changed.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::io::Cursor;
use std::path::Path;

use proptest::prelude::*;
use seatrial::observed::infer::Inference;
use seatrial::observed::input::Input;
use seatrial::observed::prometheus::read_scrapes_of;
use seatrial::observed::read::read_input;
use seatrial::observed::{ObservedFormat, ReadOptions};
use seatrial::workload::lengths::LengthLaw;

const SAMPLES: [(&str, &[u8]); 13] = [
    ("otlp", include_bytes!("../data/observed/otlp.json")),
    ("otlp", include_bytes!("../data/observed/otlp.jsonl")),
    (
        "otel-flat",
        include_bytes!("../data/observed/otel-flat.json"),
    ),
    ("envoy", include_bytes!("../data/observed/envoy.log")),
    ("envoy-json", include_bytes!("../data/observed/envoy.jsonl")),
    ("nginx", include_bytes!("../data/observed/nginx.log")),
    ("alb", include_bytes!("../data/observed/alb.log")),
    ("litellm", include_bytes!("../data/observed/litellm.jsonl")),
    ("aiperf", include_bytes!("../data/observed/aiperf.jsonl")),
    ("guidellm", include_bytes!("../data/observed/guidellm.json")),
    (
        "vllm-bench",
        include_bytes!("../data/observed/vllm-bench.json"),
    ),
    ("weka", include_bytes!("../data/observed/weka.jsonl")),
    ("prometheus", include_bytes!("../data/observed/vllm.prom")),
];

/// Reads bytes as a format, and finds the format by itself, too.
fn read_both_ways(bytes: &[u8], format: Option<&str>) {
    let mut options = ReadOptions {
        inference: Inference {
            bytes_per_prompt_token: Some(0.001),
            bytes_per_output_token: Some(1e9),
            prompt: Some(LengthLaw::Constant(1)),
            output: Some(LengthLaw::Constant(1)),
        },
        most_held: 3,
        ..ReadOptions::default()
    };
    for format in [format, None] {
        options.format = format.map(|name| name.parse().unwrap());
        let input = Input::new("fuzz".into(), Cursor::new(bytes.to_vec()));
        let Ok(input) = input else { continue };
        let mut last = 0;
        // The file is not there: formats that are opened again refuse.
        let nowhere = Path::new("no-such-file");
        let read = read_input(input, nowhere, &options, &mut |request| {
            assert!(request.t_ns >= last, "by arrival");
            assert!(request.attempts >= 1 && request.prompt.count >= 1);
            last = request.t_ns;
            Ok(())
        });
        if let Ok(report) = read {
            assert!(report.requests <= report.read);
        }
    }
    if format == Some("prometheus") {
        let input = Input::new("fuzz".into(), Cursor::new(bytes.to_vec()));
        if let Ok(input) = input {
            let _ = read_scrapes_of(input, 1_000_000_000, Some(1));
        }
    }
}

#[test]
fn samples_of_all_formats_are_here() {
    for format in ObservedFormat::ALL {
        let any = SAMPLES.iter().any(|(name, _)| *name == format.name());
        assert!(any || format == ObservedFormat::Requests, "{format}");
    }
}

/// What takes the place of a piece.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(b"99999999999999999999999999999".to_vec()),
        Just(b"-1".to_vec()),
        Just(b"1e308".to_vec()),
        Just(b"NaN".to_vec()),
        Just(b"null".to_vec()),
        Just(b"{}".to_vec()),
        Just(b"[[[[".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"\n".to_vec()),
        Just("\u{e9}".as_bytes().to_vec()),
        Just(b"\xff\xfe".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600), which in 0..13_usize) {
        read_both_ways(&bytes, Some(SAMPLES[which].0));
    }

    #[test]
    fn samples_with_pieces_changed(
        which in 0..13_usize,
        changes in proptest::collection::vec((any::<u32>(), 0..24_usize, piece()), 1..6),
        cut in proptest::option::of(any::<u32>()),
    ) {
        let (format, sample) = SAMPLES[which];
        let mut bytes = sample.to_vec();
        for (at, length, piece) in changes {
            let from = at as usize % (bytes.len() + 1);
            let to = (from + length).min(bytes.len());
            bytes.splice(from..to, piece);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut as usize % (bytes.len() + 1));
        }
        read_both_ways(&bytes, Some(format));
    }

    #[test]
    fn format_strings(text in "[%$()A-Z:a-z_ \"?é-]{0,40}", line in "[ -~é]{0,60}") {
        let options = ReadOptions { log_format: Some(text), ..ReadOptions::default() };
        let input = Input::new("fuzz".into(), Cursor::new(line.into_bytes())).unwrap();
        let _ = read_input(input, Path::new("no-such-file"), &options, &mut |_| Ok(()));
    }
}
