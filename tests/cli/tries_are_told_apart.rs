//! A try that failed is not lost for looking like the one before, and what a shipper of logs
//! delivers twice is one.

#![allow(clippy::unwrap_used)] // helpers of tests

use seatrial::observed::infer::Inference;
use seatrial::observed::{Ending, Observed, ReadOptions, ReadReport, read_all};
use seatrial::workload::lengths::LengthLaw;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn read(text: &str, format: Option<&str>) -> (Vec<Observed>, ReadReport) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    std::fs::write(&path, text).unwrap();
    let options = ReadOptions {
        log_format: format.map(str::to_owned),
        inference: Inference {
            prompt: Some(LengthLaw::Constant(5)),
            output: Some(LengthLaw::Constant(5)),
            ..Inference::default()
        },
        ..ReadOptions::default()
    };
    read_all(&path, &options).unwrap()
}

/// Tries of each request, and records taken for ones that were delivered twice.
fn told((found, report): &(Vec<Observed>, ReadReport)) -> (Vec<u32>, u64) {
    let tries = found.iter().map(|it| it.attempts.unwrap_or(1)).collect();
    (tries, report.joined.twice)
}

const NGINX: &str = "[$time_local] \"$request\" $status $body_bytes_sent $request_time $http_traceparent $request_id";

fn nginx(second: u32, status: u16, time: &str, ids: &str) -> String {
    format!(
        "[08/Nov/2025:14:16:{second:02} +0000] \"POST /v1/completions HTTP/1.1\" {status} 190 {time} \
         {ids}\n"
    )
}

#[test]
fn an_id_of_each_line_tells_tries_of_one_second_apart() {
    let lines = [
        nginx(18, 503, "0.000", &format!("{TRACE} aa")),
        nginx(18, 503, "0.000", &format!("{TRACE} bb")),
        nginx(20, 200, "1.250", &format!("{TRACE} cc")),
    ]
    .concat();
    let once = read(&lines, Some(NGINX));
    assert_eq!(told(&once), (vec![3], 0));
    assert_eq!(once.0[0].ending, Ending::Completed);
    let twice = read(&lines.repeat(2), Some(NGINX));
    assert_eq!(told(&twice), (vec![3], 3));
    assert_eq!(twice.0, once.0);

    // Without a trace, nothing joins lines of different ids; each may have come twice.
    let bare = [
        nginx(18, 503, "0.000", "- aa"),
        nginx(18, 503, "0.000", "- bb"),
    ]
    .concat();
    let all = read(&bare.repeat(2), Some(NGINX));
    assert_eq!(told(&all), (vec![1, 1], 2));
}

#[test]
fn refusals_that_are_alike_within_a_second_are_tries_and_the_report_says_so() {
    let format = NGINX.trim_end_matches(" $request_id");
    let lines = [
        nginx(18, 503, "0.000", TRACE),
        nginx(18, 503, "0.000", TRACE),
        nginx(20, 200, "1.250", TRACE),
        // That an answer came twice, after as many milliseconds, is the shipper's doing.
        nginx(20, 200, "1.250", TRACE),
    ];
    let found = read(&lines.concat(), Some(format));
    assert_eq!(told(&found), (vec![3], 1));
    let notes = found.1.notes.join("\n");
    assert!(
        notes.contains("1 records are just like one before"),
        "{notes}"
    );
    // A stamp with milliseconds is enough to go by.
    let format = format.replace("[$time_local]", "$msec");
    let stamped = |line: &String| line.replace("[08/Nov/2025:14:16:18 +0000]", "1762611378.123");
    let lines: String = lines[..2].iter().map(stamped).collect();
    let found = read(&lines, Some(&format));
    assert_eq!(told(&found), (vec![1], 1));
    assert!(!found.1.notes.join("\n").contains("just like"));
}

#[test]
fn calls_of_a_trace_in_one_millisecond_are_told_apart_by_their_ids() {
    let format = "[%START_TIME%] \"%REQ(:METHOD)%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_SENT% \
                  %DURATION% %REQ(TRACEPARENT)% %REQ(X-REQUEST-ID)%";
    let line =
        |answer: &str, ids: &str| format!("[2026-03-01T12:00:00.100Z] \"POST\" {answer} 0 {ids}\n");
    let both = |a: &str, b: &str| told(&read(&format!("{a}{b}"), Some(format)));
    let [one, two] = ["id-1", "id-2"].map(|id| line("503 UO 81", &format!("{TRACE} {id}")));
    assert_eq!(both(&one, &two), (vec![2], 0));
    assert_eq!(both(&one, &one), (vec![1], 1));
    // A client may keep its id: then what else is told must be the same.
    for other in ["503 UO 80", "503 RL 81", "429 RL 81"] {
        assert_eq!(
            both(&line("503 UO 81", "- id"), &line(other, "- id")),
            (vec![2], 0),
            "{other}"
        );
    }
    let same = line("503 UO 81", "- id");
    assert_eq!(both(&same, &same), (vec![1], 1));
}

#[test]
fn payloads_of_a_trace_are_told_apart_by_their_ids() {
    let line = |id: &str| {
        format!(
            "{{\"id\":\"{id}\",\"trace_id\":\"t\",\"call_type\":\"acompletion\",\"status\":\"failure\",\
             \"startTime\":1772366400.25,\"endTime\":1772366400.25,\"error_str\":\"429\"}}\n"
        )
    };
    let all = read(&[line("a"), line("b"), line("a")].concat(), None);
    assert_eq!(told(&all), (vec![2], 1));
}
