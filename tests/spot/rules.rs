//! Laws as written in configuration.

use seatrial::engine::SimDuration;
use seatrial::fleet::spot::availability::Availability;
use seatrial::fleet::spot::errors::RuleError;
use seatrial::fleet::spot::interruption::Interruption;
use seatrial::fleet::spot::market::Market;
use seatrial::fleet::spot::recording::{AfterEnd, RowOrder, TraceOptions};

use super::statistics::seeded;

fn read(text: &str) -> Result<Interruption, serde_json::Error> {
    serde_json::from_str(text)
}

#[test]
fn laws_are_read_and_written_as_named() {
    for text in [
        r#"{"law":"none"}"#,
        r#"{"law":"hazard","per_node_hour":0.25}"#,
        r#"{"law":"weibull","mean_h":6.0,"shape":0.5}"#,
        r#"{"law":"pool_loss","per_hour":0.1,"share":1.0,"per_node_hour":0.0}"#,
        r#"{"law":"trace","file":"a.json","max_nodes":8,"scale":2.0,"after_end":"repeat","time_scale":1.0,"offset_s":0.0,"order":"sort"}"#,
    ] {
        let rule = read(text).unwrap();
        rule.check().unwrap();
        assert_eq!(serde_json::to_string(&rule).unwrap(), text);
    }
}

#[test]
fn a_trace_needs_only_its_file() {
    let rule = read(r#"{"law":"trace","file":"a.json"}"#).unwrap();
    assert_eq!(rule.trace_options(), Some(TraceOptions::default()));
    assert_eq!(rule.capacity(7), Some(7));
    let rule = read(
        r#"{"law":"trace","file":"a","after_end":"repeat","time_scale":2,"offset_s":9,"order":"sort"}"#,
    );
    let expected = TraceOptions {
        time_scale: 2.0,
        offset_s: 9.0,
        after_end: AfterEnd::Repeat,
        order: RowOrder::Sort,
    };
    assert_eq!(rule.unwrap().trace_options(), Some(expected));
    assert_eq!(Interruption::None {}.trace_options(), None);
}

#[test]
fn unknown_laws_and_settings_are_refused() {
    for text in [
        r#"{"law":"none","per_hour":1}"#,
        r#"{"law":"hazard","per_node_hour":1,"share":1}"#,
        r#"{"law":"hazard"}"#,
        r#"{"law":"Hazard","per_node_hour":1}"#,
        r#"{"law":"trace","file":"a","max_node":1}"#,
        r#"{"per_node_hour":1}"#,
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    for (text, field) in [
        (r#"{"law":"hazard","per_node_hour":-1}"#, "per_node_hour"),
        (r#"{"law":"hazard","per_node_hour":4000}"#, "per_node_hour"),
        (r#"{"law":"weibull","mean_h":0,"shape":1}"#, "mean_h"),
        (r#"{"law":"weibull","mean_h":1,"shape":0.01}"#, "shape"),
        (
            r#"{"law":"pool_loss","per_hour":1,"share":1.1,"per_node_hour":0}"#,
            "share",
        ),
        (
            r#"{"law":"pool_loss","per_hour":-1,"share":1,"per_node_hour":0}"#,
            "per_hour",
        ),
        (r#"{"law":"trace","file":"a","max_nodes":0}"#, "max_nodes"),
        (r#"{"law":"trace","file":"a","scale":0}"#, "scale"),
    ] {
        let rule = read(text).unwrap();
        assert_eq!(rule.check().unwrap_err().field, field, "{text}");
        assert!(Market::new(rule, None, seeded(1)).is_err(), "{text}");
    }
    let rule = Interruption::Hazard {
        per_node_hour: f64::NAN,
    };
    assert_eq!(
        rule.check().unwrap_err().to_string(),
        "per_node_hour is NaN; allowed: 0 to 3600 per hour; set it to a number within the range"
    );
    let market = Market::new(Interruption::None {}, None, seeded(1)).unwrap();
    assert!(market.with_refusal_probability(-0.5).is_err());
}

#[test]
fn a_recording_goes_with_a_trace_and_with_no_other_law() {
    let recording = || {
        let options = TraceOptions::default();
        Some(Availability::from_counts(SimDuration(1), &[1], &options).unwrap())
    };
    let field = |market: Result<Market, RuleError>| market.unwrap_err().field;
    let trace = read(r#"{"law":"trace","file":"a"}"#).unwrap();
    assert_eq!(field(Market::new(trace, None, seeded(1))), "availability");
    let none = Interruption::None {};
    assert_eq!(
        field(Market::new(none, recording(), seeded(1))),
        "availability"
    );
}
