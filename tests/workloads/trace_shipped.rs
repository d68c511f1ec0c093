//! The shipped traces and those of the shared folder, against their published figures.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests

use std::path::{Path, PathBuf};

use seatrial::trace::{TraceFormat, TraceSource, stats};

fn shipped(name: &str) -> TraceSource {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("traces")
        .join(name);
    TraceSource::open(&path).unwrap()
}

/// A file of the shared folder; none, said aloud, where there is no such folder.
fn shared(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let root = std::env::var_os("SEATRIAL_SHARED").map_or_else(beside, PathBuf::from);
    let path = root.join("data/traces").join(name);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there", path.display());
    None
}

#[test]
fn azure_conv_has_its_published_figures() {
    let source = shipped("azure-2023-conv.csv.gz");
    assert_eq!(source.format, TraceFormat::Azure2023);
    let found = stats(&source).unwrap();
    assert_eq!(found.count, 19_366);
    assert_eq!(found.failed, 0);
    assert_eq!(format!("{:.2}", found.interarrival_cv.unwrap()), "1.09");
    assert_eq!((found.prompt.p50, found.output.p50), (1020, 129));
}

#[test]
fn azure_code_has_its_published_figures() {
    let source = shipped("azure-2023-code.csv.gz");
    let found = stats(&source).unwrap();
    assert_eq!(found.count, 8_819);
    assert_eq!(format!("{:.2}", found.interarrival_cv.unwrap()), "13.15");
    assert_eq!(found.rows().len(), 22);
}

#[test]
fn azure_stamps_are_kept_to_100_ns() {
    let mut cursor = shipped("azure-2023-conv.csv.gz").cursor().unwrap();
    let first = cursor.next_record().unwrap().unwrap();
    let second = cursor.next_record().unwrap().unwrap();
    assert_eq!((first.t_ns, second.t_ns), (0, 4_314_579_000));
    assert_eq!((first.prompt_tokens, first.output_tokens), (374, 44));
}

#[test]
fn mooncake_conversation_has_its_published_figures() {
    let Some(path) = shared("mooncake/conversation_trace.jsonl.gz") else {
        return;
    };
    let mut source = TraceSource::open(&path).unwrap();
    assert_eq!(source.format, TraceFormat::Mooncake);
    let found = stats(&source).unwrap();
    assert_eq!(found.count, 12_031);
    assert_eq!(found.prompt.mean.round(), 12_035.0);
    assert_eq!(found.output.mean.round(), 343.0);
    source.dejitter = true;
    let spread = stats(&source).unwrap();
    assert_eq!(spread.count, 12_031);
    assert_eq!(spread.prompt, found.prompt);
    assert!(spread.interarrival_cv.unwrap() < found.interarrival_cv.unwrap());
}

#[test]
fn the_scan_of_a_shipped_trace_does_not_change() {
    let scan = shipped("azure-2023-code.csv.gz").scan().unwrap();
    assert_eq!(scan, shipped("azure-2023-code.csv.gz").scan().unwrap());
    assert_eq!(scan.requests, 8_819);
    assert_eq!(scan.first_ns, 0);
    assert_eq!(scan.last_ns, 3_435_948_056_000);
    assert_eq!(scan.digest, 8_422_149_593_341_204_724);
}
