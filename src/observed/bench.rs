//! Results of load generators: AIPerf's `profile_export.jsonl` and GuideLLM's report.

use serde_json::Value;

use super::attempt::Attempt;
use super::envoy::each_line;
use super::error::ObservedError;
use super::genai::{ending_of_error, whole};
use super::input::Input;
use super::intake::Intake;
use super::items::{self, Beside, Way};
use super::record::Ending;
use super::stamp;

/// Why a record is skipped, and what is there.
pub(super) type Refused = (&'static str, String);

/// Ends that are no time.
pub(super) const NO_END: &str = "ends that are no time";
/// Times to first token that are no time.
pub(super) const NO_FIRST: &str = "times to first token that are none";

/// A number in s, in ns.
pub(super) fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => stamp::number(&number.to_string(), 9).ok(),
        _ => None,
    }
}

/// A number of tokens.
pub(super) fn tokens(value: &Value) -> Option<u32> {
    whole(value).and_then(|it| u32::try_from(it).ok())
}

/// Hands a request over, or counts why it is none.
pub(super) fn hand_over(
    attempt: Result<Attempt, Refused>,
    intake: &mut Intake,
) -> Result<(), ObservedError> {
    match attempt {
        Ok(attempt) => intake.take(attempt),
        Err((reason, what)) => {
            intake.skip(reason, &what);
            Ok(())
        }
    }
}

/// Reads AIPerf's records, one a line.
pub(super) fn read_aiperf(input: &mut Input, intake: &mut Intake) -> Result<(), ObservedError> {
    each_line(input, intake, |line, intake| {
        match serde_json::from_str::<Value>(line) {
            Ok(record) => {
                let attempt = aiperf(&record, intake);
                hand_over(attempt, intake)
            }
            Err(error) => {
                intake.skip(items::fault_of(&error), line);
                Ok(())
            }
        }
    })
}

fn aiperf(record: &Value, intake: &mut Intake) -> Result<Attempt, Refused> {
    let metadata = record.get("metadata").unwrap_or(&Value::Null);
    let phase = metadata.get("benchmark_phase").and_then(Value::as_str);
    if phase == Some("warmup") {
        return Err(("of the warm-up", String::new()));
    }
    let start = metadata.get("request_start_ns").and_then(whole);
    let Some(start) = start else {
        let found = metadata.get("request_start_ns").map(Value::to_string);
        return Err(("without a start", found.unwrap_or_default()));
    };
    let mut attempt = Attempt::at(start);
    attempt.end_ns = end_of(metadata.get("request_end_ns"), whole, intake);
    let metric = |name: &str| record.get("metrics")?.get(name);
    for (name, slot) in [
        ("input_sequence_length", &mut attempt.prompt),
        ("output_sequence_length", &mut attempt.output),
    ] {
        let Some(value) = metric(name).and_then(|it| it.get("value")) else {
            continue;
        };
        let fault = || {
            (
                "with a number of tokens that is none",
                format!("{name} = {value}"),
            )
        };
        *slot = Some(tokens(value).ok_or_else(fault)?);
    }
    if let Some(found) = metric("time_to_first_token") {
        let fault = || ("with a time to first token that is none", found.to_string());
        let ns = with_unit(found).ok_or_else(fault)?;
        attempt.first_token_ns = start.checked_add(ns);
        if attempt.first_token_ns.is_none() {
            intake.leave_out(NO_FIRST, &found.to_string());
        }
    }
    let id = |name: &str| metadata.get(name)?.as_str().map(Box::from);
    attempt.session = id("conversation_id");
    attempt.key = id("x_request_id");
    let error = record.get("error").filter(|it| !it.is_null());
    if metadata.get("was_cancelled") == Some(&Value::Bool(true)) {
        attempt.ending = Ending::Cancelled;
        attempt.code = Some("was_cancelled".into());
    } else if let Some(error) = error {
        let code = error.get("code").and_then(whole).map(|it| it.to_string());
        let kind = error.get("type").and_then(Value::as_str).map(str::to_owned);
        let text = code.or(kind).unwrap_or_else(|| "error".to_owned());
        attempt.ending = ending_of_error(&text);
        attempt.code = Some(text.chars().take(60).collect::<String>().into());
    }
    Ok(attempt)
}

/// An end, where there is one; what is none is counted.
fn end_of(
    value: Option<&Value>,
    read: impl Fn(&Value) -> Option<u64>,
    intake: &mut Intake,
) -> Option<u64> {
    let value = value.filter(|it| !it.is_null())?;
    let end = read(value);
    if end.is_none() {
        intake.leave_out(NO_END, &value.to_string());
    }
    end
}

/// `{"value", "unit"}` in ns.
fn with_unit(metric: &Value) -> Option<u64> {
    let scale = match metric.get("unit").and_then(Value::as_str).unwrap_or("ms") {
        "ns" => 0,
        "us" => 3,
        "ms" => 6,
        "s" | "sec" => 9,
        _ => return None,
    };
    let Value::Number(number) = metric.get("value")? else {
        return None;
    };
    stamp::number(&number.to_string(), scale).ok()
}

const GUIDELLM: Way = Way {
    keys: &[
        &["benchmarks"],
        &["requests"],
        &["successful", "incomplete", "errored"],
    ],
    beside: &[],
};

/// Reads the requests of all benchmarks of a report of GuideLLM.
pub(super) fn read_guidellm(input: &mut Input, intake: &mut Intake) -> Result<(), ObservedError> {
    items::read(input, GUIDELLM, intake, &mut |beside, item, intake| {
        let attempt = guidellm(beside, &item, intake);
        hand_over(attempt, intake)
    })
}

fn guidellm(beside: &Beside, item: &Value, intake: &mut Intake) -> Result<Attempt, Refused> {
    // Names of releases since 0.4, then older ones.
    let field = |names: &[&str]| {
        let mut found = names.iter().filter_map(|name| item.get(name));
        found.find(|it| !it.is_null())
    };
    let timing = |name: &str| item.pointer(&format!("/info/timings/{name}"));
    let start = field(&["request_start_time", "start_time"]).or(timing("request_start"));
    let Some(start_ns) = start.and_then(seconds) else {
        return Err((
            "without a start",
            start.map(Value::to_string).unwrap_or_default(),
        ));
    };
    let mut attempt = Attempt::at(start_ns);
    let end = field(&["request_end_time", "end_time"]).or(timing("request_end"));
    attempt.end_ns = end_of(end, seconds, intake);
    let first = field(&["first_token_time"]).or(timing("first_token_iteration"));
    let first = first.filter(|it| !it.is_null());
    let after = field(&["time_to_first_token_ms"]);
    attempt.first_token_ns = first.and_then(seconds).or_else(|| {
        let Value::Number(ms) = after? else {
            return None;
        };
        start_ns.checked_add(stamp::number(&ms.to_string(), 6).ok()?)
    });
    if let Some(told) = first.or(after)
        && attempt.first_token_ns.is_none()
    {
        intake.leave_out(NO_FIRST, &told.to_string());
    }
    for (name, slot) in [
        ("prompt_tokens", &mut attempt.prompt),
        ("output_tokens", &mut attempt.output),
    ] {
        let Some(value) = field(&[name]) else {
            continue;
        };
        let fault = || {
            (
                "with a number of tokens that is none",
                format!("{name} = {value}"),
            )
        };
        *slot = Some(tokens(value).ok_or_else(fault)?);
    }
    attempt.session = item
        .pointer("/info/conversation_id")
        .and_then(Value::as_str)
        .map(Box::from);
    attempt.ending = match beside.key {
        "successful" => Ending::Completed,
        // The benchmark ended before its answer did.
        "incomplete" => Ending::Cancelled,
        _ => {
            let error = item.pointer("/info/error").or(item.get("error"));
            ending_of_error(error.and_then(Value::as_str).unwrap_or("error"))
        }
    };
    if attempt.ending != Ending::Completed {
        attempt.code = Some(beside.key.into());
    }
    Ok(attempt)
}
