//! Formats, slicing, scaling, spreading, cloning and importing.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use seatrial::trace::{
    ImportOptions, TraceError, TraceFormat, TraceRecord, TraceSource, import, stats,
};

const OWN: &str = "arrival_ns,prompt_tokens,output_tokens\n";
const S: u64 = 1_000_000_000;

struct Trace {
    dir: tempfile::TempDir,
    source: TraceSource,
}

fn trace(text: impl AsRef<[u8]>) -> Trace {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace");
    std::fs::write(&path, text).unwrap();
    let source = TraceSource::open(&path).unwrap();
    Trace { dir, source }
}

impl Trace {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn own(times: &[u64]) -> Trace {
    let row = |(i, t): (usize, &u64)| format!("{t},{},{}\n", i + 1, 2 * i + 1);
    let rows: String = times.iter().enumerate().map(row).collect();
    trace(OWN.to_owned() + &rows)
}

fn all(source: &TraceSource) -> Vec<TraceRecord> {
    let mut cursor = source.cursor().unwrap();
    std::iter::from_fn(|| cursor.next_record().unwrap()).collect()
}

fn times(source: &TraceSource) -> Vec<u64> {
    all(source).iter().map(|record| record.t_ns).collect()
}

fn shipped(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("traces").join(name)
}

fn is_send_and_sync<T: Send + Sync>(_: &T) {}

#[test]
fn every_format_is_told_by_its_first_lines() {
    let cases = [
        (
            TraceFormat::Azure2023,
            "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:00:00.0000000,7,8\r\n2023-11-16 18:00:01.5000000,9,3\r\n",
        ),
        (
            TraceFormat::Azure2024,
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.000000+00:00,7,8\n2024-05-10 00:00:01.5+00:00,9,3",
        ),
        (
            TraceFormat::Azure2024,
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00+00:00,7,8\n2024-05-10 01:00:01.50+01:00,9,3",
        ),
        (
            TraceFormat::AzureLmm,
            "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n2024-10-01 00:00:00,1,7,8\n2024-10-01 00:00:01.5,0,9,3\n",
        ),
        (
            TraceFormat::Mooncake,
            "{\"timestamp\": 27482, \"input_length\": 7, \"output_length\": 8, \"hash_ids\": [1]}\n{\"timestamp\": 28982.0, \"input_length\": 9, \"output_length\": 3, \"hash_ids\": []}\n",
        ),
        (
            TraceFormat::BurstGpt,
            "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,7,8,15,Conversation log\n6.5,\"GPT-4, new\",9,3,12,API log\n",
        ),
        (
            TraceFormat::Vidur,
            "arrived_at,num_prefill_tokens,num_decode_tokens\n0.25,7,8\n1.75,9.0,3\n",
        ),
        (
            TraceFormat::Seatrial,
            "\u{feff}arrival_ns,prompt_tokens,output_tokens\n3,7,8\n1500000003,9,3\n\n",
        ),
    ];
    for (format, text) in cases {
        let found = trace(text);
        assert_eq!(found.source.format, format);
        let record = |t_ns, prompt_tokens, output_tokens| TraceRecord {
            t_ns,
            prompt_tokens,
            output_tokens,
            // Stretches of 512 tokens are what the format hashes.
            hashed_tokens: if format == TraceFormat::Mooncake {
                512
            } else {
                0
            },
            ..TraceRecord::default()
        };
        let expected = [record(0, 7, 8), record(1_500_000_000, 9, 3)];
        let mut found = all(&found.source);
        found.iter_mut().for_each(|record| record.hashes = None);
        assert_eq!(found, expected, "{format}");
    }
}

#[test]
fn a_given_format_is_obeyed() {
    let found = trace(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00,7,8\n2024-05-10 00:00:01Z,7,8\n",
    );
    assert_eq!(found.source.format, TraceFormat::Azure2023);
    assert!(found.source.scan().is_err());
    let given = TraceSource::open_as(&found.source.path, Some(TraceFormat::Azure2024)).unwrap();
    assert_eq!(times(&given), [0, S]);
}

#[test]
fn failures_are_counted_and_skipped_or_kept() {
    let mut found = trace(
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,A,7,0,7,x\n6,A,0,3,3,x\n7,A,9,3,12,x\n8,A,0,0,0,x\n",
    );
    let scan = found.source.scan().unwrap();
    assert_eq!((scan.requests, scan.first_ns), (1, 2 * S));
    assert_eq!((scan.skipped.no_answer, scan.skipped.empty_prompt), (1, 2));
    assert_eq!(stats(&found.source).unwrap().failed, 3);
    found.source.keep_failed = true;
    let kept = all(&found.source);
    assert_eq!(
        kept.iter().map(|r| r.failed).collect::<Vec<_>>(),
        [true, true, false, true]
    );
}

#[test]
fn several_gzip_members_are_one_trace() {
    let pack = |text: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    let both = [pack(&format!("{OWN}0,1,1\n5,")), pack("1,1\n9,1,1\n")].concat();
    assert_eq!(times(&trace(both).source), [0, 5, 9]);
}

#[test]
fn slices_start_at_their_own_zero() {
    let mut found = own(&[7, 7 + S, 7 + 2 * S, 7 + 2 * S, 7 + 3 * S]);
    assert_eq!(times(&found.source), [0, S, 2 * S, 2 * S, 3 * S]);
    found.source.from_s = 0.5;
    assert_eq!(
        times(&found.source),
        [S / 2, S * 3 / 2, S * 3 / 2, S * 5 / 2]
    );
    found.source.to_s = Some(2.0);
    assert_eq!(times(&found.source), [S / 2]);
    found.source.to_s = Some(2.000000001);
    assert_eq!(times(&found.source), [S / 2, S * 3 / 2, S * 3 / 2]);
    let scan = found.source.scan().unwrap();
    assert_eq!((scan.requests, scan.skipped.outside_slice), (3, 2));
    assert_eq!((scan.first_ns, scan.last_ns), (S / 2, S * 3 / 2));
}

#[test]
fn scaling_divides_times_and_rounds() {
    let mut found = own(&[0, 1, 3, 10, S]);
    found.source.rate_scale = 2.0;
    assert_eq!(times(&found.source), [0, 1, 2, 5, S / 2]);
    found.source.rate_scale = 0.5;
    assert_eq!(times(&found.source), [0, 2, 6, 20, 2 * S]);
    found.source.from_s = 3e-9;
    assert_eq!(times(&found.source), [0, 14, 2 * (S - 3)]);
}

#[test]
fn spreading_fills_the_gap_evenly() {
    let mut found = own(&[0, 0, 0, 9, 10, 10]);
    found.source.dejitter = true;
    assert_eq!(times(&found.source), [0, 3, 6, 9, 10, 10]);
    let mut found = own(&[0, 0, 100, 100, 100, 100]);
    found.source.dejitter = true;
    assert_eq!(times(&found.source), [0, 50, 100, 125, 150, 175]);
    let mut alone = own(&[5, 5, 5]);
    alone.source.dejitter = true;
    assert_eq!(times(&alone.source), [0, 0, 0]);
}

#[test]
fn a_clone_continues_where_its_original_is() {
    let mut source = TraceSource::open(&shipped("azure-2023-code.csv.gz")).unwrap();
    (source.dejitter, source.rate_scale, source.from_s) = (true, 1.7, 60.0);
    let mut cursor = source.cursor().unwrap();
    is_send_and_sync(&cursor);
    for at in 0.. {
        if at % 1500 == 0 {
            let mut twin = cursor.clone();
            assert_eq!(twin.skipped(), cursor.skipped());
            let mut third = twin.clone();
            for _ in 0..20 {
                let next = twin.next_record().unwrap();
                assert_eq!(next, third.next_record().unwrap());
            }
            assert_eq!(twin.yielded(), at + 20);
            let mut twin = cursor.clone();
            let mut ahead = cursor.clone();
            assert_eq!(twin.next_record(), ahead.next_record());
            assert_eq!(twin.next_record(), ahead.next_record());
        }
        if cursor.next_record().unwrap().is_none() {
            break;
        }
    }
    let mut ended = cursor.clone();
    assert_eq!(ended.next_record(), Ok(None));
    assert_eq!(cursor.next_record(), Ok(None));
    assert!(format!("{cursor:?}").contains("TraceCursor"));
}

#[test]
fn a_clone_yields_what_its_original_does_to_the_end() {
    let source = TraceSource::open(&shipped("azure-2023-code.csv.gz")).unwrap();
    let mut cursor = source.cursor().unwrap();
    for _ in 0..4000 {
        cursor.next_record().unwrap();
    }
    let mut twin = cursor.clone();
    while let Some(record) = cursor.next_record().unwrap() {
        assert_eq!(twin.next_record(), Ok(Some(record)));
    }
    assert_eq!(twin.next_record(), Ok(None));
}

#[test]
fn a_changed_file_is_noticed_by_a_clone() {
    let found = own(&[0, 1, 2]);
    let mut cursor = found.source.cursor().unwrap();
    cursor.next_record().unwrap();
    cursor.next_record().unwrap();
    let mut twin = cursor.clone();
    std::fs::write(&found.source.path, format!("{OWN}0,1,1\n1,9,9\n2,1,1\n")).unwrap();
    let fault = twin.next_record().unwrap_err();
    assert!(
        matches!(fault, TraceError::Changed { records: 2, .. }),
        "{fault}"
    );
    assert_eq!(twin.next_record(), Err(fault));
}

#[test]
fn an_import_reads_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["azure-2023-conv.csv.gz", "azure-2023-code.csv.gz"] {
        let source = TraceSource::open(&shipped(name)).unwrap();
        for out in ["out.csv", "out.csv.gz", "again.csv.gz"] {
            let out = dir.path().join(out);
            let report = import(&source.path, None, &out, ImportOptions::default()).unwrap();
            let back = TraceSource::open(&out).unwrap();
            assert_eq!(back.format, TraceFormat::Seatrial);
            assert_eq!(report.written, report.read);
            assert_eq!(source.scan(), back.scan());
            assert_eq!(stats(&source), stats(&back));
        }
        let bytes = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
        assert_eq!(bytes("out.csv.gz"), bytes("again.csv.gz"));
        assert_eq!(bytes("out.csv.gz")[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    }
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 3, "no partial file is left");
}

#[test]
fn an_import_sorts_and_spreads() {
    let found = own(&[20, 0, 20, 10]);
    let out = found.path("out.csv");
    let plain = import(&found.source.path, None, &out, ImportOptions::default());
    assert!(matches!(plain, Err(TraceError::Unsorted { line: 3, .. })));
    assert!(!out.exists() && !found.path("out.csv.partial").exists());
    let mut options = ImportOptions {
        sort: true,
        dejitter: false,
    };
    let report = import(&found.source.path, None, &out, options).unwrap();
    assert_eq!((report.read, report.written, report.span_s), (4, 4, 2e-8));
    let text = std::fs::read_to_string(&out).unwrap();
    assert_eq!(text, format!("{OWN}0,2,3\n10,4,7\n20,1,1\n20,3,5\n"));
    options.dejitter = true;
    import(&found.source.path, None, &out, options).unwrap();
    assert_eq!(times(&TraceSource::open(&out).unwrap()), [0, 10, 20, 25]);
}

#[test]
fn an_import_keeps_failures_apart_and_says_what_it_left_out() {
    let found = trace("Timestamp,Request tokens,Response tokens\n5,0,3\n6,7,0\n7,9,3\n");
    let out = found.path("out.csv");
    let report = import(&found.source.path, None, &out, ImportOptions::default()).unwrap();
    assert_eq!((report.read, report.written), (3, 2));
    assert_eq!((report.no_answer, report.empty_prompt), (1, 1));
    let text = std::fs::read_to_string(&out).unwrap();
    assert_eq!(text, format!("{OWN}0,7,0\n1000000000,9,3\n"));
    let missing = found.path("no/such/folder.csv");
    let fault = import(&found.source.path, None, &missing, ImportOptions::default());
    assert!(matches!(fault, Err(TraceError::Write { .. })));
}

fn rows() -> impl Strategy<Value = Vec<(u64, u32, u32)>> {
    let gap = prop_oneof![Just(0u64), 1..50u64, 1..10 * S];
    prop::collection::vec((gap, 1..=u32::MAX, 1..=u32::MAX), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_back(rows in rows(), start in 0..u64::MAX / 2, gz: bool) {
        let mut now = start;
        let mut text = OWN.to_owned();
        let mut expected = Vec::new();
        for (i, (gap, prompt_tokens, output_tokens)) in rows.into_iter().enumerate() {
            now += if i == 0 { 0 } else { gap };
            text += &format!("{now},{prompt_tokens},{output_tokens}\n");
            let t_ns = now - start;
            expected.push(TraceRecord { t_ns, prompt_tokens, output_tokens, ..TraceRecord::default() });
        }
        let found = trace(text);
        prop_assert_eq!(&all(&found.source), &expected);
        let out = found.path(if gz { "out.csv.gz" } else { "out.csv" });
        import(&found.source.path, None, &out, ImportOptions::default()).unwrap();
        prop_assert_eq!(all(&TraceSource::open(&out).unwrap()), expected);
    }

    #[test]
    fn spreading_keeps_order_and_count_and_never_passes_the_next_stamp(rows in rows()) {
        let mut now = 0;
        let stamps: Vec<u64> = rows.iter().map(|row| { now += row.0; now }).collect();
        let mut found = own(&stamps);
        let plain = all(&found.source);
        found.source.dejitter = true;
        let spread = all(&found.source);
        prop_assert_eq!(plain.len(), spread.len());
        prop_assert!(spread.is_sorted_by_key(|record| record.t_ns));
        for (before, after) in plain.iter().zip(&spread) {
            prop_assert_eq!(before.prompt_tokens, after.prompt_tokens);
            prop_assert!(after.t_ns >= before.t_ns);
            if let Some(next) = plain.iter().find(|other| other.t_ns > before.t_ns) {
                prop_assert!(after.t_ns < next.t_ns);
            }
        }
    }

    #[test]
    fn a_clone_anywhere_continues_identically(rows in rows(), at in 0usize..60, dejitter: bool) {
        let mut now = 0;
        let stamps: Vec<u64> = rows.iter().map(|row| { now += row.0; now }).collect();
        let mut found = own(&stamps);
        found.source.dejitter = dejitter;
        let mut cursor = found.source.cursor().unwrap();
        for _ in 0..at {
            cursor.next_record().unwrap();
        }
        let mut twin = cursor.clone();
        loop {
            let next = cursor.next_record().unwrap();
            prop_assert_eq!(&twin.next_record().unwrap(), &next);
            if next.is_none() {
                break;
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), header in 0usize..4) {
        let start = ["", OWN, "TIMESTAMP,ContextTokens,GeneratedTokens\n", "{\"timestamp\":"][header];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        std::fs::write(&path, [start.as_bytes(), &bytes].concat()).unwrap();
        let scanned = TraceSource::open(&path).and_then(|source| source.scan());
        if let Err(fault) = scanned {
            prop_assert!(fault.to_string().starts_with("trace `"));
        }
    }
}
