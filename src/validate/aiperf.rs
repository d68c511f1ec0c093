//! AIPerf's `profile_export.jsonl`: one record a request, stamps in `metadata`, values with units
//! in `metrics`.

use serde_json::Value;

use super::error::ValidateError;
use super::lines::{json_number, tokens};
use super::measured::{MeasuredRequest, from_clock};

/// Whether a line is such a record.
pub fn is_one(record: &Value) -> bool {
    record.pointer("/metadata/request_start_ns").is_some()
}

/// Reads the records; those of the warm-up are left out.
pub fn requests(
    file: &str,
    records: &[(u64, Value)],
    notes: &mut Vec<String>,
) -> Result<Vec<MeasuredRequest>, ValidateError> {
    let mut timed = Vec::new();
    let (mut failed, mut warmup) = (0_u32, 0_u32);
    for (line, record) in records {
        let place = format!("line {line}");
        let phase = record.pointer("/metadata/benchmark_phase");
        if phase.and_then(Value::as_str) == Some("warmup") {
            warmup += 1;
            continue;
        }
        let start_ns = json_number(file, &place, record, "/metadata/request_start_ns")?;
        let bad = record.get("error").is_some_and(|error| !error.is_null());
        let cancelled = record.pointer("/metadata/was_cancelled") == Some(&Value::Bool(true));
        if bad || cancelled {
            failed += 1;
            continue;
        }
        let prompt = json_number(file, &place, record, "/metrics/input_sequence_length/value")?;
        let output = json_number(
            file,
            &place,
            record,
            "/metrics/output_sequence_length/value",
        )?;
        let request = MeasuredRequest {
            prompt_tokens: tokens(file, &place, "input_sequence_length", prompt)?,
            output_tokens: tokens(file, &place, "output_sequence_length", output)?,
            completed: true,
            ttft_ms: latency_ms(file, &place, record, "time_to_first_token")?,
            e2e_ms: latency_ms(file, &place, record, "request_latency")?,
            ..MeasuredRequest::default()
        };
        timed.push((start_ns / 1e9, request));
    }
    if warmup > 0 {
        notes.push(format!("{warmup} requests of the warm-up are left out"));
    }
    if failed > 0 {
        notes.push(format!(
            "{failed} failed or cancelled requests are left out: their lengths are not known"
        ));
    }
    Ok(from_clock(timed))
}

/// A latency in ms, by its unit; none where it was not measured.
fn latency_ms(
    file: &str,
    place: &str,
    record: &Value,
    name: &str,
) -> Result<Option<f64>, ValidateError> {
    let metric = format!("/metrics/{name}");
    let Some(found) = record.pointer(&metric) else {
        return Ok(None);
    };
    let value = json_number(file, place, record, &format!("{metric}/value"))?;
    let unit = found.get("unit").and_then(Value::as_str).unwrap_or("ms");
    let factor = match unit {
        "ns" => 1e-6,
        "us" => 1e-3,
        "ms" => 1.0,
        "s" | "sec" => 1e3,
        other => {
            return Err(ValidateError::value(
                file,
                format!("{place}, field `{name}.unit`"),
                format!("`{other}`"),
                "ns, us, ms or s",
                "correct it",
            ));
        }
    };
    Ok(Some(value * factor))
}
