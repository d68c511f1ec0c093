//! Every way in which a trace is refused, with its message.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use seatrial::trace::{MAX_LINE_BYTES, RecordReader, TraceError, TraceFormat, TraceSource};

const AZURE: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
const OWN: &str = "arrival_ns,prompt_tokens,output_tokens\n";
const BURST: &str = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n";

fn write(dir: &Path, bytes: &[u8]) -> PathBuf {
    let path = dir.join("trace");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn scan(bytes: &[u8]) -> Result<u64, TraceError> {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), bytes);
    TraceSource::open(&path)?.scan().map(|scan| scan.requests)
}

fn count(bytes: impl AsRef<[u8]>) -> u64 {
    scan(bytes.as_ref()).unwrap()
}

/// The message with which `bytes` are refused, without the folder.
fn refusal(bytes: impl AsRef<[u8]>) -> String {
    let message = scan(bytes.as_ref()).unwrap_err().to_string();
    let start = message.find("/trace`").unwrap();
    format!("trace `{}", &message[start + 1..])
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn rows(count: u64) -> String {
    let rows = (0..count).map(|i| format!("{},{},{}\n", i * i * 7919, 1 + i % 977, 1 + i % 31));
    OWN.to_owned() + &rows.collect::<String>()
}

#[test]
fn a_missing_file() {
    let fault = TraceSource::open(Path::new("/nowhere/trace.csv")).unwrap_err();
    let message = "trace `/nowhere/trace.csv` does not exist; check the path";
    assert_eq!(fault.to_string(), message);
}

#[test]
fn a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let fault = TraceSource::open(dir.path()).unwrap_err();
    assert!(matches!(fault, TraceError::IsDirectory { .. }), "{fault}");
    assert!(
        fault
            .to_string()
            .contains("is a directory; name one trace file in it")
    );
}

#[cfg(unix)]
#[test]
fn a_forbidden_file() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), OWN.as_bytes());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
    match TraceSource::open(&path) {
        Ok(_) => eprintln!("skipped: this user may read everything"),
        Err(fault) => assert!(matches!(fault, TraceError::Forbidden { .. }), "{fault}"),
    }
}

#[test]
fn no_requests() {
    let remedy = "at least one is needed, so give another trace";
    let none =
        format!("trace `trace` holds no requests (0 without an answer were skipped); {remedy}");
    for bytes in ["", "\n\n", "\u{feff}", OWN] {
        assert_eq!(refusal(bytes), none, "{bytes:?}");
    }
    assert_eq!(refusal(gz(b"")), none);
    let failed = refusal(format!("{OWN}5,1,0\n"));
    assert!(
        failed.contains("no requests (1 without an answer"),
        "{failed}"
    );
}

#[test]
fn unsorted_stamps() {
    let message = refusal(format!(
        "{AZURE}2023-11-16 18:15:46.6805900,3,4\n2023-11-16 18:15:46.6805899,3,4\n"
    ));
    let expected = "trace `trace`, line 3: stamp `2023-11-16 18:15:46.6805899` comes before \
        `2023-11-16 18:15:46.6805900` of the line above; allowed: stamps in order: sort them with \
        `seatrial trace import --sort`";
    assert_eq!(message, expected);
}

#[test]
fn numbers_that_are_none() {
    let allowed =
        "allowed: a plain number from 0 to 2^64 ns (584 years); correct or remove this line";
    let message = refusal(format!("{BURST}NaN,ChatGPT,3,4,7,API log\n"));
    let place = "trace `trace`, line 2, column 1 (`Timestamp`)";
    assert_eq!(
        message,
        format!("{place}: `NaN` is not a finite number; {allowed}")
    );
    let message = refusal(format!("{BURST}-1,ChatGPT,3,4,7,API log\n"));
    assert_eq!(message, format!("{place}: `-1` is negative; {allowed}"));
    let message = refusal(format!("{BURST}1e30,ChatGPT,3,4,7,API log\n"));
    assert_eq!(message, format!("{place}: `1e30` is too large; {allowed}"));
}

#[test]
fn tokens_that_are_none() {
    let allowed = "allowed: a whole number of tokens from 1 to 4294967295 (an answer may have 0); \
        correct or remove this line";
    let cases = [
        ("-5", "is negative"),
        ("nan", "is not a finite number"),
        ("4294967296", "is too large"),
        ("1.5", "is not a whole number"),
        ("many", "is not a number"),
        ("", "is not a number"),
        ("0", "is an empty prompt"),
    ];
    for (value, why) in cases {
        let message = refusal(format!("{OWN}1,1,1\n1,{value},1\n"));
        let place = "trace `trace`, line 3, column 2 (`prompt_tokens`)";
        assert_eq!(message, format!("{place}: `{value}` {why}; {allowed}"));
    }
    let message = refusal(format!("{OWN}1,1,-5\n"));
    assert!(message.contains("line 2, column 3 (`output_tokens`): `-5` is negative"));
}

#[test]
fn stamps_that_are_none() {
    let message = refusal(format!("{AZURE}2023-02-30 00:00:00,1,1\n"));
    let expected = "column 1 (`TIMESTAMP`): `2023-02-30 00:00:00` has no such day; \
        allowed: YYYY-MM-DD HH:MM:SS.fffffff without a zone";
    assert!(message.contains(expected), "{message}");
    let message = refusal(format!(
        "{AZURE}2023-02-03 00:00:00,1,1\n2023-02-03 00:00:00+00:00,1,1\n"
    ));
    assert!(
        message.contains("line 3, column 1 (`TIMESTAMP`)"),
        "{message}"
    );
    assert!(message.contains("has a zone"), "{message}");
    let long = "9".repeat(5000);
    let message = refusal(format!("{AZURE}{long},1,1\n"));
    assert!(
        message.contains(&format!("`{}...`", "9".repeat(60))),
        "{message}"
    );
}

/// Counts what is read of it.
struct OneLine {
    left: usize,
    read: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Read for OneLine {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let got = into.len().min(self.left);
        into[..got].fill(b'x');
        self.left -= got;
        self.read
            .fetch_add(got, std::sync::atomic::Ordering::Relaxed);
        Ok(got)
    }
}

#[test]
fn a_line_of_10_mb_is_not_read_whole() {
    let read = std::sync::Arc::default();
    let line = OneLine {
        left: 10_000_000,
        read: std::sync::Arc::clone(&read),
    };
    let fault = RecordReader::from_reader("big", line, None).unwrap_err();
    let expected = "trace `big`, line 1: longer than 1048576 bytes, the longest line allowed";
    assert!(fault.to_string().starts_with(expected), "{fault}");
    let read = read.load(std::sync::atomic::Ordering::Relaxed);
    assert!(read < 2 * MAX_LINE_BYTES, "{read} bytes were read");
}

#[test]
fn a_line_of_just_the_longest_length_is_read() {
    let pad = |line: &str, to: usize| line.to_owned() + &" ".repeat(to - line.len());
    let ok = pad("1,2,3", MAX_LINE_BYTES);
    assert_eq!(count(format!("{OWN}{ok}\r\n{ok}\n{ok}")), 3);
    let long = pad("1,2,3", MAX_LINE_BYTES + 1);
    for end in ["", "\n", "\r\n"] {
        let message = refusal(format!("{OWN}{long}{end}"));
        assert!(
            message.starts_with("trace `trace`, line 2: longer than"),
            "{message}"
        );
    }
}

#[test]
fn invalid_utf8() {
    let message = refusal(b"arrival_ns,prompt_tokens,output_tokens\n1,1,1\n2,\xff,1\n");
    let expected = "trace `trace`, line 3, byte 3: 0xFF is not valid UTF-8, the only encoding \
        allowed; convert the file (`iconv -t utf-8`)";
    assert_eq!(message, expected);
}

#[test]
fn truncated_gzip_at_every_length() {
    let whole = gz(rows(300).as_bytes());
    for cut in 2..whole.len() {
        let message = refusal(&whole[..cut]);
        assert!(
            message.contains("the gzip data is truncated: it ends early, after line"),
            "{message}"
        );
    }
    let message = refusal(&whole[..whole.len() - 4]);
    assert!(
        message.contains("after line 301; copy or download the file again"),
        "{message}"
    );
    assert_eq!(count(&whole), 300);
}

#[test]
fn damaged_gzip() {
    let mut bytes = gz(rows(300).as_bytes());
    let last = bytes.len() - 6;
    bytes[last] ^= 1;
    let message = refusal(&bytes);
    assert!(
        message.contains("the gzip data is damaged after line 301"),
        "{message}"
    );
}

#[test]
fn unknown_and_wrong_columns() {
    let message = refusal("when,what\n1,2\n");
    assert!(
        message
            .contains("line 1: `when,what` begins no known format; allowed: seatrial (arrival_ns,")
    );
    let message = refusal("TIMESTAMP,ContextTokens,Generated\n");
    let expected = "trace `trace`, line 1: no column `GeneratedTokens`, which format azure-2023 \
        needs; the nearest here is `Generated`: rename it, or name the right format";
    assert_eq!(message, expected);
    let message = refusal("arrival_ns,prompt_tokens,output_tokens,arrival_ns\n1,1,1,1\n");
    assert!(
        message.contains("column `arrival_ns` is there twice"),
        "{message}"
    );
    let message = refusal(format!("{OWN}1,1\n"));
    assert!(
        message.contains("line 2: 2 fields in `1,1` where the header has 3"),
        "{message}"
    );
}

#[test]
fn a_blank_line_in_the_middle() {
    let message = refusal(format!("{OWN}1,1,1\n\n1,1,1\n"));
    assert!(
        message.starts_with("trace `trace`, line 3: blank, with more lines after it"),
        "{message}"
    );
    assert_eq!(count(format!("{OWN}1,1,1\n1,1,1\n\n  \n\n")), 2);
}

#[test]
fn json_that_is_none() {
    let good = r#"{"timestamp": 0, "input_length": 5, "output_length": 6}"#;
    let message = refusal(format!("{good}\n{{\"timestamp\": NaN}}\n"));
    assert!(
        message.starts_with("trace `trace`, line 2, byte 15: `{\"timestamp\": NaN}` is not"),
        "{message}"
    );
    let message = refusal(format!("{good}\n[1]\n"));
    assert!(
        message.contains("line 2, byte 1: `[1]` is not a JSON object"),
        "{message}"
    );
    let message = refusal(format!(
        "{good}\n{{\"timestamp\":0,\"input_len\":1,\"output_length\":1}}\n"
    ));
    let expected = "line 2: no key `input_length`, which format mooncake needs; the nearest here is `input_len`";
    assert!(message.contains(expected), "{message}");
    let message = refusal(format!(
        "{good}\n{{\"timestamp\":0,\"input_length\":-1,\"output_length\":1}}\n"
    ));
    assert!(
        message.contains("line 2, key `input_length`: `-1` is negative"),
        "{message}"
    );
}

#[test]
fn settings_that_are_not_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(
        dir.path(),
        format!("{OWN}5,1,1\n1000000005,1,1\n").as_bytes(),
    );
    let source = TraceSource::open(&path).unwrap();
    let refuse = |change: &dyn Fn(&mut TraceSource)| {
        let mut source = source.clone();
        change(&mut source);
        source.scan().unwrap_err().to_string()
    };
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let message = refuse(&|s| s.rate_scale = scale);
        assert!(
            message.contains("rate_scale = ") && message.contains("above 0"),
            "{message}"
        );
    }
    assert!(refuse(&|s| s.from_s = -1.0).contains("from_s = -1 is not allowed"));
    assert!(refuse(&|s| s.to_s = Some(0.0)).contains("to_s = 0 is not allowed"));
    assert!(refuse(&|s| s.rate_scale = 1e-300).contains("beyond 2^64 ns"));
    let message = refuse(&|s| (s.from_s, s.to_s) = (2.0, Some(3.5)));
    let expected = "holds no requests from 2 s to 3.5 s, though it holds 2 outside this slice, \
        up to 1 s; widen `from_s` and `to_s`";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn faults_outside_the_slice_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(
        dir.path(),
        format!("{OWN}0,1,1\n5000000000,1,1\n7,1,1\n").as_bytes(),
    );
    let mut source = TraceSource::open(&path).unwrap();
    source.to_s = Some(1.0);
    assert!(matches!(
        source.scan(),
        Err(TraceError::Unsorted { line: 4, .. })
    ));
}

#[test]
fn an_unknown_format_name() {
    let fault = "azure".parse::<TraceFormat>().unwrap_err();
    assert!(fault.contains("`azure` is no trace format; allowed: seatrial, azure-2023"));
    for format in TraceFormat::ALL {
        assert_eq!(format.name().parse(), Ok(format));
        assert_eq!(
            serde_json::to_string(&format).unwrap(),
            format!("\"{format}\"")
        );
    }
}
