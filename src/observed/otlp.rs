//! Spans of OTLP/JSON (`resourceSpans`), and spans written flat.

use serde_json::Value;

use super::attempt::{Again, Attempt};
use super::bench::NO_END;
use super::error::ObservedError;
use super::genai::{self, Attributes, Faults, NoRequest};
use super::input::Input;
use super::intake::Intake;
use super::items::{self, Beside, Way};
use super::stamp;

const OTLP: Way = Way {
    keys: &[
        &["resourceSpans", "resource_spans"],
        &["scopeSpans", "scope_spans", "instrumentationLibrarySpans"],
        &["spans"],
    ],
    beside: &["resource"],
};

const FLAT: Way = Way {
    keys: &[&["spans"]],
    beside: &["trace_id"],
};

/// Reads OTLP/JSON.
pub(super) fn read(input: &mut Input, intake: &mut Intake) -> Result<(), ObservedError> {
    items::read(input, OTLP, intake, &mut |beside, item, intake| {
        span(&Listed(&item), beside, &item, intake)
    })
}

/// Reads flat spans; stamps without a zone are `offset_s` east of UTC.
pub(super) fn read_flat(
    input: &mut Input,
    offset_s: i32,
    intake: &mut Intake,
) -> Result<(), ObservedError> {
    items::read(input, FLAT, intake, &mut |beside, item, intake| {
        flat_span(beside, &item, offset_s, intake)
    })
}

/// Attributes as OTLP lists them: `[{"key", "value": {"intValue": "7"}}]`.
struct Listed<'a>(&'a Value);

impl Attributes for Listed<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        let list = self.0.get("attributes")?.as_array()?;
        let found = list
            .iter()
            .find(|it| it.get("key").and_then(Value::as_str) == Some(name))?;
        let value = found.get("value")?;
        let mut kinds = value.as_object()?.values();
        kinds.next()
    }
}

/// Attributes by name: `{"gen_ai.usage.input_tokens": 7}`.
struct Named<'a>(&'a Value);

impl Attributes for Named<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get("attributes")?.get(name)
    }
}

fn span(
    attributes: &Listed<'_>,
    beside: &Beside,
    item: &Value,
    intake: &mut Intake,
) -> Result<(), ObservedError> {
    if !check_request(attributes, item, intake) {
        return Ok(());
    }
    let nanos = |names: [&str; 2]| {
        let value = names.iter().find_map(|name| item.get(name));
        value.and_then(genai::whole).filter(|ns| *ns > 0)
    };
    let Some(start_ns) = nanos(["startTimeUnixNano", "start_time_unix_nano"]) else {
        let what = item.get("startTimeUnixNano").map(Value::to_string);
        intake.skip("without a start", &what.unwrap_or_default());
        return Ok(());
    };
    let mut attempt = Attempt::at(start_ns);
    let ends = ["endTimeUnixNano", "end_time_unix_nano"];
    attempt.end_ns = nanos(ends);
    let mut faults = Faults::new();
    // An end of 0 is one that is not known.
    let ends = ends.iter().find_map(|name| item.get(name));
    if let Some(told) = ends.filter(|it| !it.is_null() && genai::whole(it) != Some(0))
        && attempt.end_ns.is_none()
    {
        faults.push((NO_END, told.to_string()));
    }
    genai::fill(&mut attempt, attributes, &mut faults);
    attempt.first_token_ns = attempt.first_token_ns.or_else(|| first_token_event(item));
    (attempt.ending, attempt.code) = genai::ending(attributes, is_error(item));
    attempt.key = id(item, &["traceId", "trace_id"]);
    attempt.span = id(item, &["spanId", "span_id"]);
    attempt.parent = id(item, &["parentSpanId", "parent_span_id"]);
    let resource = beside.values.get("resource");
    attempt.logger =
        resource.and_then(|resource| genai::text(&Listed(resource), &["service.name"]));
    hand_over(attempt, faults, intake)
}

/// Whether a span's status is that of an error: a number, or a name with or without what all names
/// begin with.
fn is_error(item: &Value) -> bool {
    match item.pointer("/status/code") {
        Some(Value::String(code)) => {
            let name = code.trim_start_matches("STATUS_CODE_");
            name.eq_ignore_ascii_case("ERROR") || name == "2"
        }
        Some(code) => code.as_u64() == Some(2),
        None => false,
    }
}

/// The stamp of an event that tells of the first token or chunk.
fn first_token_event(item: &Value) -> Option<u64> {
    let events = item.get("events")?.as_array()?;
    let event = events.iter().find(|event| {
        let name = event.get("name").and_then(Value::as_str).unwrap_or("");
        let name = name.to_ascii_lowercase();
        name.contains("first") && (name.contains("token") || name.contains("chunk"))
    })?;
    let stamp = ["timeUnixNano", "time_unix_nano"];
    stamp
        .iter()
        .find_map(|name| event.get(name))
        .and_then(genai::whole)
}

fn flat_span(
    beside: &Beside,
    item: &Value,
    offset_s: i32,
    intake: &mut Intake,
) -> Result<(), ObservedError> {
    let attributes = Named(item);
    if !check_request(&attributes, item, intake) {
        return Ok(());
    }
    let mut zoneless = false;
    let mut faults = Faults::new();
    let mut when = |name: &str| {
        let text = item.get(name)?.as_str()?;
        let (ns, zoned) = stamp::iso(text, offset_s).ok()?;
        zoneless |= !zoned;
        Some(ns)
    };
    let (start, end) = (when("start_time"), when("end_time"));
    if let Some(told) = item.get("end_time").filter(|it| !it.is_null())
        && end.is_none()
    {
        faults.push((NO_END, told.to_string()));
    }
    let Some(start_ns) = start else {
        let what = item.get("start_time").map(Value::to_string);
        intake.skip("without a start", &what.unwrap_or_default());
        return Ok(());
    };
    intake.saw_zone(!zoneless);
    let mut attempt = Attempt::at(start_ns);
    attempt.end_ns = end;
    genai::fill(&mut attempt, &attributes, &mut faults);
    (attempt.ending, attempt.code) = genai::ending(&attributes, is_error(item));
    let trace = beside.values.get("trace_id").and_then(Value::as_str);
    attempt.key = id(item, &["trace_id"]).or_else(|| trace.map(Box::from));
    attempt.span = id(item, &["span_id"]);
    attempt.parent = id(item, &["parent_span_id"]);
    attempt.logger = item
        .pointer("/resource_attributes/service.name")
        .and_then(Value::as_str)
        .map(Box::from);
    hand_over(attempt, faults, intake)
}

/// Whether a span is a request; counts it as skipped otherwise.
fn check_request(attributes: &dyn Attributes, item: &Value, intake: &mut Intake) -> bool {
    let name = item.get("name").and_then(Value::as_str).unwrap_or("");
    match genai::is_request(attributes) {
        Ok(()) => return true,
        Err(NoRequest::NoModel) => intake.skip("spans that ask no model", name),
        Err(NoRequest::OtherOperation) => {
            intake.skip("spans of agents, tools and embeddings", name);
        }
    }
    false
}

fn hand_over(
    mut attempt: Attempt,
    faults: Faults,
    intake: &mut Intake,
) -> Result<(), ObservedError> {
    if attempt.span.is_some() {
        attempt.again = Again::BySpan;
    }
    for (reason, what) in faults {
        intake.leave_out(reason, &what);
    }
    intake.take(attempt)
}

fn id(item: &Value, names: &[&str]) -> Option<Box<str>> {
    let found = names.iter().find_map(|name| item.get(name)?.as_str())?;
    (!found.is_empty()).then(|| found.into())
}
