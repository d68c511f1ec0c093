//! Faulty recordings are refused with their place, value and remedy.

use proptest::prelude::*;
use seatrial::engine::{SimDuration, SimTime};
use seatrial::fleet::spot::availability::Availability;
use seatrial::fleet::spot::recording::{MAX_TRACE_BYTES, RowOrder, TraceOptions};

fn error(text: &str) -> String {
    let read = Availability::parse("pool", text, &TraceOptions::default());
    read.unwrap_err().to_string()
}

#[track_caller]
fn assert_said(text: &str, parts: &[&str]) {
    let error = error(text);
    for part in parts {
        assert!(error.contains(part), "{text:?}: {error}");
    }
}

#[test]
fn a_faulty_skypilot_trace_is_refused() {
    let with = |data: &str| format!("{{\"metadata\":{{\"gap_seconds\":300}},\n\"data\":[{data}]}}");
    for (data, value) in [
        ("1,-3,2", "data[1] is -3"),
        ("1,2,1.5", "data[2] is 1.5"),
        ("\"7\"", "data[0] is \"7\""),
        ("1000001", "data[0] is 1000001"),
        ("1e300", "data[0] is 1e300"),
        ("99999999999999999999", "data[0] is 1e20"),
        ("null", "data[0] is null"),
        ("true", "data[0] is true"),
        ("1,[2]", "data[1] is an array"),
        ("{\"a\":1}", "data[0] is an object"),
    ] {
        let allowed = "allowed: a whole number of nodes, 0 to 1000000; correct the count";
        assert_said(&with(data), &["pool:2:", value, allowed]);
    }
    assert_said(&with(""), &["length of data is 0 ticks", "allowed: 1 tick"]);
}

#[test]
fn a_skypilot_trace_without_a_tick_is_refused() {
    for (gap, value) in [
        ("0", "is 0;"),
        ("-300", "is -300;"),
        ("\"300\"", "is \"300\";"),
        ("1e9", "is 1000000000.0;"),
        ("null", "is null;"),
    ] {
        let text = format!("{{\"metadata\":{{\"gap_seconds\":{gap}}},\"data\":[1]}}");
        let allowed = "allowed: a number of seconds, 0.001 to 604800";
        assert_said(&text, &["pool:1:", "metadata.gap_seconds", value, allowed]);
    }
    for (text, problem) in [
        (
            r#"{"metadata":{},"data":[1]}"#,
            "metadata.gap_seconds is missing",
        ),
        (r#"{"data":[1]}"#, "metadata.gap_seconds is missing"),
        (r#"{"metadata":{"gap_seconds":300}}"#, "data is missing"),
        (
            r#"{"metadata":3,"data":[1]}"#,
            "an object with `gap_seconds`",
        ),
        (
            r#"{"metadata":{"gap_seconds":300},"data":7}"#,
            "an array of node counts",
        ),
        (
            r#"{"metadata":{"gap_seconds":9},"data":[1],"data":[2]}"#,
            "data is given twice",
        ),
        (
            r#"{"metadata":{"gap_seconds":9},"metadata":{}}"#,
            "metadata is given twice",
        ),
    ] {
        assert_said(text, &["pool:1:", problem]);
    }
}

#[test]
fn a_skypilot_trace_cut_short_is_refused_wherever_it_is_cut() {
    let text = "{\"metadata\":{\"gap_seconds\":300},\n\"data\":[1,2,\n3]}";
    for length in 1..text.len() {
        assert_said(&text[..length], &["pool:", "EOF", "cut short"]);
    }
    assert_said(
        "{\"metadata\":{\"gap_seconds\":300},\n\"data\":[1,2,",
        &["pool:2:"],
    );
    assert_said(&format!("{text} x"), &["pool:3:5", "trailing characters"]);
}

#[test]
fn a_faulty_membership_list_is_refused() {
    for (text, parts) in [
        (
            "0,add,a\n-5,add,b\n",
            ["pool:2:1: time is \"-5\"", "whole milliseconds"],
        ),
        (
            "0,add,a\n1.5,add,b\n",
            ["pool:2:1: time is \"1.5\"", "whole milliseconds"],
        ),
        (
            "0,add,a\n999999999999999999999,add,b\n",
            ["pool:2:1: time is", "ten years"],
        ),
        (
            "0,add,a\n5,join,b\n",
            ["pool:2:3: event is \"join\"", "add or remove"],
        ),
        ("0,add,a\n5,add,\n", ["pool:2:7: node is empty", "any name"]),
        (
            "0,add,a\n5,add\n",
            ["pool:2:1: the row has 2 fields", "cut short"],
        ),
        (
            "0,add,a\n5,add,a\n",
            ["pool:2:7: node is \"a\"", "not there yet"],
        ),
        (
            "0,add,a\n5,remove,b\n",
            ["pool:2:10: node is \"b\"", "added above"],
        ),
        (
            "9,add,a\n5,add,b\n",
            ["pool:2:1: time is \"5\"", "order `sort`"],
        ),
        (
            "0,add,a\n0,add,b\n",
            ["is 0; allowed: 1 to", "two rows at different times"],
        ),
        ("", ["is 0; allowed: 1 to", "two rows at different times"]),
        (
            "a,b,c,d\n",
            ["pool:1:1: the first row has 4 fields", "SkyPilot's JSON"],
        ),
    ] {
        assert_said(text, &parts);
    }
}

#[test]
fn a_faulty_list_of_counts_is_refused() {
    for (text, parts) in [
        ("0,1\n5,-2\n", ["pool:2:3: count is \"-2\"", "0 to 1000000"]),
        (
            "0,1\n5,1000001\n",
            ["pool:2:3: count is \"1000001\"", "0 to 1000000"],
        ),
        (
            "0,1\n5,x\n",
            ["pool:2:3: count is \"x\"", "correct the count"],
        ),
        ("5,1\n4,2\n", ["pool:2:1: time is \"4\"", "order `sort`"]),
        ("0,1\n5,\n", ["pool:2:3: count is empty", "whole nodes"]),
        (
            "2021-12-11, 11:11:30, 5\n2021-02-29, 11:11:30, 5\n",
            ["pool:2:1: date is", "YYYY-MM-DD"],
        ),
        (
            "2021-12-11, 11:11:30, 5\n2021-12-11, 24:00:00, 5\n",
            ["pool:2:13: time is", "HH:MM:SS"],
        ),
        (
            "2021-12-11, 11:11:30, 5\n2021-12-11, 11:60:00, 5\n",
            ["pool:2:13: time is", "HH:MM:SS"],
        ),
        (
            "2021-12-11, 11:11:30, 5\n2021-12-11, 11:10:30, 5\n",
            ["pool:2:13: time is", "row above"],
        ),
        (
            "2021-12-11, 11:11:30, 5\n2041-12-11, 11:11:30, 5\n",
            ["time from first to last", "ten years"],
        ),
    ] {
        assert_said(text, &parts);
    }
}

#[test]
fn long_faulty_values_are_shown_cut() {
    let text = format!("0,1\n5,{}\n", "9".repeat(500));
    let error = error(&text);
    assert!(error.len() < 200 && error.contains("999..."), "{error}");
}

#[test]
fn a_file_that_is_missing_or_too_large_or_no_text_is_refused() {
    let folder = std::env::temp_dir().join(format!("spot-errors-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let read = |name: &str, bytes: Option<&[u8]>| {
        let path = folder.join(name);
        bytes
            .iter()
            .for_each(|bytes| std::fs::write(&path, bytes).unwrap());
        Availability::read(&path, &TraceOptions::default())
    };
    assert!(read("good", Some(b"0,1\n5,2\n")).is_ok());
    let missing = read("missing", None).unwrap_err().to_string();
    assert!(missing.contains("missing: cannot be read"), "{missing}");
    let binary = read("binary", Some(&[b'0', 0xff])).unwrap_err().to_string();
    assert!(binary.contains("utf-8"), "{binary}");
    let large = vec![b' '; MAX_TRACE_BYTES as usize + 1];
    let large = read("large", Some(&large)).unwrap_err().to_string();
    assert!(
        large.contains("size in bytes is more than 67108864"),
        "{large}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn options_out_of_range_are_refused() {
    let read = |options: TraceOptions| {
        let read = Availability::parse("pool", "0,1\n60,2\n", &options);
        read.unwrap_err().to_string()
    };
    let scaled = |time_scale| TraceOptions {
        time_scale,
        ..TraceOptions::default()
    };
    let offset = |offset_s| TraceOptions {
        offset_s,
        ..TraceOptions::default()
    };
    for value in [0.0, -1.0, 11.0, f64::NAN] {
        assert!(read(scaled(value)).starts_with("pool: time_scale is"));
    }
    for value in [-1.0, 60.0, f64::INFINITY, f64::NAN] {
        assert!(read(offset(value)).starts_with("pool: offset_s is"));
    }
    assert!(serde_json::from_str::<TraceOptions>(r#"{"time_scal":2}"#).is_err());
}

#[test]
fn counts_out_of_range_are_refused() {
    let refused = |gap, counts: &[u32]| {
        let made = Availability::from_counts(SimDuration(gap), counts, &TraceOptions::default());
        made.unwrap_err().field
    };
    assert_eq!(refused(0, &[1]), "gap and counts");
    assert_eq!(refused(1, &[]), "gap and counts");
    assert_eq!(refused(u64::MAX, &[1, 2]), "gap and counts");
    assert_eq!(refused(1, &[1_000_001]), "counts");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_the_reader_panic(
        text in r#"(\{"metadata":\{"gap_seconds":|\{"data":\[)?[0-9,.\-adremov\n:#"\{\}\[\] ]{0,60}"#,
        sort: bool,
        time in any::<u64>(),
    ) {
        let options = TraceOptions {
            order: if sort { RowOrder::Sort } else { RowOrder::Strict },
            ..TraceOptions::default()
        };
        if let Ok(pool) = Availability::parse("pool", &text, &options) {
            let summary = pool.summary();
            prop_assert!(summary.capacity_fraction <= 1.0);
            prop_assert!(summary.net_nodes_lost <= summary.nodes_lost);
            let _ = (pool.at(SimTime(time)), pool.next_change(SimTime(time)));
        }
    }
}
