//! Fitted engine profiles, shown.

use std::path::Path;

use serde_json::json;

use crate::calibrate::{OverheadEntry, OverheadTable};
use crate::cli::closed_loop::lines;
use crate::cli::{Failure, Finished, json_text};
use crate::report::number::{WIDTH, count, significant, wrap};

/// Shows a file of overheads: a profile of `calibrate fit`, or a table such as the shipped one.
pub fn show(path: &Path, json: bool) -> Result<Finished, Failure> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::of(format!("{file}: cannot be read ({error}); check the path"))
    })?;
    let table = OverheadTable::parse(&file, &text).map_err(Failure::of)?;
    if table.overheads.is_empty() {
        return Err(Failure::of(format!(
            "{file}: has no [[overheads]], and so is no engine profile; give one that `calibrate fit --out` \
             has written"
        )));
    }
    if json {
        let overheads = &table.overheads;
        return Ok(Finished::fine(json_text(
            &json!({ "schema": 1, "overheads": overheads }),
        )));
    }
    let pages: Vec<String> = table.overheads.iter().map(page).collect();
    Ok(Finished::fine(pages.join("\n")))
}

fn page(entry: &OverheadEntry) -> String {
    let ahead = match entry.async_scheduling {
        true => ", the next iteration planned while one runs",
        false => "",
    };
    let of = match entry.fitted_to.as_slice() {
        [] => String::new(),
        models => format!(" ({})", models.join(", ")),
    };
    let heading = format!(
        "{} on {}{ahead}: {} to {} rows of {}{of}",
        entry.engine,
        entry.system,
        entry.provenance.as_deref().unwrap_or("fitted"),
        count(entry.rows as u64),
        entry.source
    );
    let figures = [
        ("fixed_us", entry.fixed_us, "us per iteration"),
        ("per_seq_us", entry.per_seq_us, "us per sequence of it"),
        ("per_request_ms", entry.per_request_ms, "ms per request"),
        (
            "per_1k_tokens_ms",
            entry.per_1k_tokens_ms,
            "ms per 1,000 prompt tokens",
        ),
        (
            "per_prompt_token_us",
            entry.per_prompt_token_us,
            "us per prompt token of an iteration",
        ),
        (
            "prefill_time_factor",
            entry.prefill_time_factor,
            "x kernels of prompts by the step model",
        ),
        (
            "decode_time_factor",
            entry.decode_time_factor,
            "x kernels of decodes by the step model",
        ),
    ];
    let rows = figures.map(|(name, value, unit)| {
        vec![name.to_owned(), significant(Some(value)), unit.to_owned()]
    });
    let mut out = format!("{}\n{}", wrap(&heading, WIDTH, 2), lines(rows.into(), 3));
    if entry.models.is_empty() {
        return out;
    }
    let head = [
        "model",
        "kernels of",
        "ms/request",
        "ms/1k tokens",
        "us/prompt token",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    table.extend(entry.models.iter().map(|own| {
        vec![
            own.model.clone(),
            own.kernels.clone().unwrap_or_else(|| "its own".to_owned()),
            significant(Some(own.per_request_ms)),
            significant(Some(own.per_1k_tokens_ms)),
            significant(Some(own.per_prompt_token_us)),
        ]
    }));
    out.push_str(&lines(table, 2));
    out
}
