//! Results of load generators: AIPerf's `profile_export.jsonl`, GuideLLM's report, and what
//! `vllm bench serve --save-result --save-detailed` saves.

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

type Refused = (&'static str, String);

/// A number in s, in ns.
fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => stamp::number(&number.to_string(), 9).ok(),
        _ => None,
    }
}

fn tokens(value: &Value) -> Option<u32> {
    whole(value).and_then(|it| u32::try_from(it).ok())
}

fn hand_over(attempt: Result<Attempt, Refused>, intake: &mut Intake) -> Result<(), ObservedError> {
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
            Ok(record) => hand_over(aiperf(&record), intake),
            Err(error) => {
                intake.skip(items::fault_of(&error), line);
                Ok(())
            }
        }
    })
}

fn aiperf(record: &Value) -> Result<Attempt, Refused> {
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
    attempt.end_ns = metadata.get("request_end_ns").and_then(whole);
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
        hand_over(guidellm(beside, &item), intake)
    })
}

fn guidellm(beside: &Beside, item: &Value) -> Result<Attempt, Refused> {
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
    attempt.end_ns = end.and_then(seconds);
    let first = field(&["first_token_time"]).or(timing("first_token_iteration"));
    attempt.first_token_ns = first.and_then(seconds).or_else(|| {
        let Value::Number(ms) = field(&["time_to_first_token_ms"])? else {
            return None;
        };
        start_ns.checked_add(stamp::number(&ms.to_string(), 6).ok()?)
    });
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

/// The most of a result of `vllm bench serve` that is read: it is one document of columns.
const MOST_BYTES: u64 = 1 << 30;

/// Reads a result of `vllm bench serve`, which has a list for each column.
pub(super) fn read_vllm(input: &mut Input, intake: &mut Intake) -> Result<(), ObservedError> {
    let limited = std::io::Read::take(&mut *input, MOST_BYTES);
    let parsed = serde_json::from_reader::<_, Value>(std::io::BufReader::new(limited));
    if let Some(error) = input.take_fault() {
        return Err(error);
    }
    let document = match parsed {
        Ok(document) => document,
        Err(error) => {
            intake.skip(items::fault_of(&error), "the whole result is lost");
            return Ok(());
        }
    };
    let list = |name: &str| document.get(name).and_then(Value::as_array);
    let Some(inputs) = list("input_lens") else {
        intake.skip(
            "results without a row for each request: save with --save-detailed",
            "no `input_lens`",
        );
        return Ok(());
    };
    let model = document.get("model_id").and_then(Value::as_str);
    for (index, prompt) in inputs.iter().enumerate() {
        let at = |name: &str| list(name).and_then(|list| list.get(index));
        let attempt = vllm_request(prompt, &at).map(|mut attempt| {
            attempt.model = model.map(Box::from);
            attempt
        });
        let attempt =
            attempt.map_err(|(reason, what)| (reason, format!("request {index}: {what}")));
        hand_over(attempt, intake)?;
    }
    Ok(())
}

fn vllm_request<'a>(
    prompt: &Value,
    at: &dyn Fn(&str) -> Option<&'a Value>,
) -> Result<Attempt, Refused> {
    let found = at("start_times");
    // The clock is that of the client's process: it has no dates.
    let Some(start) = found.and_then(seconds) else {
        let what = found.map_or("no `start_times`".to_owned(), Value::to_string);
        return Err(("without a start", what));
    };
    let mut attempt = Attempt::at(start);
    let bad = |name: &str, value: &Value| {
        (
            "with a number of tokens that is none",
            format!("{name} = {value}"),
        )
    };
    attempt.prompt = Some(tokens(prompt).ok_or_else(|| bad("input_lens", prompt))?);
    if let Some(output) = at("output_lens") {
        attempt.output = Some(tokens(output).ok_or_else(|| bad("output_lens", output))?);
    }
    let error = at("errors").and_then(Value::as_str).unwrap_or("");
    if !error.is_empty() || attempt.output == Some(0) {
        attempt.ending = ending_of_error(error);
        attempt.code = Some("errors".into());
        return Ok(attempt);
    }
    let ttft = at("ttfts").and_then(seconds);
    attempt.first_token_ns = ttft.and_then(|ns| start.checked_add(ns));
    // It saves no end: it is that of the last of the gaps between tokens.
    if let (Some(first), Some(Value::Array(gaps))) = (attempt.first_token_ns, at("itls")) {
        let gaps = gaps
            .iter()
            .map(seconds)
            .try_fold(0_u64, |sum, gap| gap.and_then(|gap| sum.checked_add(gap)));
        attempt.end_ns = gaps.and_then(|ns| first.checked_add(ns));
    }
    Ok(attempt)
}
