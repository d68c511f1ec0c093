//! `StandardLoggingPayload` of LiteLLM's proxy, one JSON object a line. Tries and fallbacks of a
//! request share its `trace_id`.

use serde_json::Value;

use super::attempt::Attempt;
use super::envoy::each_line;
use super::error::ObservedError;
use super::genai::{ending_of_error, whole};
use super::input::Input;
use super::intake::Intake;
use super::record::Ending;
use super::stamp;

/// Kinds of calls that ask a model for text.
const CALLS: [&str; 10] = [
    "completion",
    "acompletion",
    "text_completion",
    "atext_completion",
    "responses",
    "aresponses",
    "anthropic_messages",
    "generate_content",
    "agenerate_content",
    "",
];

/// Reads payloads, one a line; stamps without a zone are `offset_s` east of UTC.
pub(super) fn read(
    input: &mut Input,
    offset_s: i32,
    intake: &mut Intake,
) -> Result<(), ObservedError> {
    each_line(input, intake, |line, intake| {
        let record = match serde_json::from_str::<Value>(line) {
            Ok(record @ Value::Object(_)) => record,
            Ok(_) => {
                intake.skip("lines that are no JSON object", line);
                return Ok(());
            }
            Err(error) => {
                intake.skip(super::items::fault_of(&error), line);
                return Ok(());
            }
        };
        // A callback may log the payload within what it was given.
        let payload = record.get("standard_logging_object").unwrap_or(&record);
        let mut zones = Zones {
            offset_s,
            seen: Vec::new(),
        };
        match attempt(payload, &mut zones) {
            Ok(attempt) => {
                zones.seen.iter().for_each(|zoned| intake.saw_zone(*zoned));
                intake.take(attempt)
            }
            Err((reason, what)) => {
                intake.skip(reason, &what);
                Ok(())
            }
        }
    })
}

/// How stamps without a zone are read, and whether those that were read had one.
struct Zones {
    offset_s: i32,
    seen: Vec<bool>,
}

fn attempt(payload: &Value, zones: &mut Zones) -> Result<Attempt, (&'static str, String)> {
    let text = |name: &str| payload.get(name).and_then(Value::as_str).unwrap_or("");
    let call = text("call_type");
    if !CALLS.contains(&call) {
        return Err(("calls that ask no model for text", call.to_owned()));
    }
    if was_cached(payload) {
        let what = text("id").to_owned();
        return Err((
            "answered out of LiteLLM's own cache: the fleet never saw them",
            what,
        ));
    }
    let mut when = |name: &str| -> Result<Option<u64>, (&'static str, String)> {
        match payload.get(name).filter(|it| !it.is_null()) {
            None => Ok(None),
            Some(value) => match seconds(value, zones) {
                // It is 0 where nothing is known.
                Some(ns) => Ok(Some(ns).filter(|ns| *ns > 0)),
                None => Err(("with a time that is none", format!("{name} = {value}"))),
            },
        }
    };
    let Some(start) = when("startTime")? else {
        return Err(("without a start", String::new()));
    };
    let mut attempt = Attempt::at(start);
    attempt.end_ns = when("endTime")?;
    // Without streaming it is the end: no time to first token.
    let first = when("completionStartTime")?;
    let streams = payload.get("stream").and_then(Value::as_bool);
    attempt.first_token_ns = first.filter(|at| {
        streams != Some(false) && (streams == Some(true) || Some(*at) != attempt.end_ns)
    });
    for (name, slot) in [
        ("prompt_tokens", &mut attempt.prompt),
        ("completion_tokens", &mut attempt.output),
    ] {
        let Some(value) = payload.get(name).filter(|it| !it.is_null()) else {
            continue;
        };
        let tokens = whole(value).and_then(|it| u32::try_from(it).ok());
        let fault = || {
            (
                "with a number of tokens that is none",
                format!("{name} = {value}"),
            )
        };
        *slot = Some(tokens.ok_or_else(fault)?);
    }
    let ids = |name: &str| Some(text(name)).filter(|it| !it.is_empty()).map(Box::from);
    let (trace, id) = (ids("trace_id"), ids("id"));
    attempt.span = trace.is_some().then(|| id.clone()).flatten();
    attempt.key = trace.or(id);
    attempt.tenant = ids("end_user");
    attempt.model = ids("model_group").or_else(|| ids("model"));
    (attempt.ending, attempt.code) = ending(payload);
    Ok(attempt)
}

/// Whether the proxy answered by itself (`cache_hit`; tables of spend write it as a text).
fn was_cached(payload: &Value) -> bool {
    match payload.get("cache_hit") {
        Some(Value::Bool(hit)) => *hit,
        Some(Value::String(hit)) => hit.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// A stamp in s since 1970, or as ISO 8601: texts come from a clock of Python that knows no zone.
fn seconds(value: &Value, zones: &mut Zones) -> Option<u64> {
    match value {
        Value::Number(number) => stamp::number(&number.to_string(), 9).ok(),
        Value::String(text) => {
            let (ns, zoned) = stamp::iso(text, zones.offset_s).ok()?;
            zones.seen.push(zoned);
            Some(ns)
        }
        _ => None,
    }
}

fn ending(payload: &Value) -> (Ending, Option<Box<str>>) {
    if payload.get("status").and_then(Value::as_str) != Some("failure") {
        return (Ending::Completed, None);
    }
    let information = payload.get("error_information");
    let field = |name: &str| information?.get(name)?.as_str().filter(|it| !it.is_empty());
    let error = field("error_code")
        .filter(|code| code.parse::<u16>().is_ok())
        .or_else(|| field("error_class"))
        .or_else(|| payload.get("error_str")?.as_str())
        .unwrap_or("failure");
    let shown: String = error.chars().take(60).collect();
    (ending_of_error(error), Some(shown.into()))
}
