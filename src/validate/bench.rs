//! Results of `vllm bench serve --save-result --save-detailed`: one JSON document.

use serde_json::Value;

use super::error::ValidateError;
use super::lines::tokens;
use super::measured::{MeasuredRequest, from_clock};

/// Whether a document is such a result.
pub fn is_one(document: &Value) -> bool {
    [
        "input_lens",
        "ttfts",
        "total_input_tokens",
        "request_throughput",
    ]
    .iter()
    .filter(|field| document.get(field).is_some())
    .count()
        >= 2
}

/// Reads the requests of a result.
pub fn requests(
    file: &str,
    document: &Value,
    notes: &mut Vec<String>,
) -> Result<Vec<MeasuredRequest>, ValidateError> {
    let list = |field: &'static str| -> Result<&Vec<Value>, ValidateError> {
        document.get(field).and_then(Value::as_array).ok_or_else(|| {
            let (allowed, remedy) = match field {
                "start_times" => (
                    "the instant at which each request was sent",
                    "use a version of vllm that saves it, or write the arrivals to a requests.csv",
                ),
                _ => ("one value per request", "save the result with --save-detailed"),
            };
            ValidateError::value(file, format!("field `{field}`"), "missing", allowed, remedy)
        })
    };
    let (inputs, outputs) = (list("input_lens")?, list("output_lens")?);
    let (ttfts, itls) = (list("ttfts")?, list("itls")?);
    let starts = list("start_times")?;
    for (field, values) in [
        ("output_lens", outputs),
        ("ttfts", ttfts),
        ("itls", itls),
        ("start_times", starts),
    ] {
        if values.len() != inputs.len() {
            return Err(ValidateError::value(
                file,
                format!("field `{field}`"),
                format!("has {} values", values.len()),
                format!("{}, as `input_lens` has", inputs.len()),
                "save the result again",
            ));
        }
    }
    let mut timed = Vec::new();
    let mut failed = 0_u32;
    for index in 0..inputs.len() {
        let place = format!("request {index}");
        let number = |field: &str, value: &Value| {
            let seen = value
                .as_f64()
                .filter(|number| number.is_finite() && *number >= 0.0);
            seen.ok_or_else(|| {
                ValidateError::value(
                    file,
                    format!("{place}, field `{field}`"),
                    format!("`{value}`"),
                    "a number of at least 0",
                    "correct or remove it",
                )
            })
        };
        let output = number("output_lens", &outputs[index])?;
        let start_s = number("start_times", &starts[index])?;
        let prompt = number("input_lens", &inputs[index])?;
        let ttft_s = number("ttfts", &ttfts[index])?;
        let gaps = itls[index]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut decode_s = 0.0;
        for gap in gaps {
            decode_s += number("itls", gap)?;
        }
        let completed = output >= 1.0 && ttft_s > 0.0;
        failed += u32::from(!completed);
        let request = MeasuredRequest {
            prompt_tokens: tokens(file, &place, "input_lens", prompt)?,
            output_tokens: tokens(file, &place, "output_lens", output.max(1.0))?,
            completed,
            ttft_ms: completed.then_some(ttft_s * 1e3),
            e2e_ms: completed.then_some((ttft_s + decode_s) * 1e3),
            ..MeasuredRequest::default()
        };
        timed.push((start_s, request));
    }
    if failed > 0 {
        notes.push(format!(
            "{failed} requests without output are taken to have failed; they are offered with one \
             output token and not compared"
        ));
    }
    Ok(from_clock(timed))
}
