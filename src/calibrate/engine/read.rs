//! Files of measurements: seatrial's own rows (JSON Lines or CSV), results of `vllm bench serve`, and
//! tables with the columns of aiconfigurator's `silicon_sample.csv`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::measurement::{FIELDS, Fault, Given, MOST_FAILED, Measurement, Observed};
use crate::calibrate::gpu::record::is_calibration;
use crate::scenario::nearest;
use crate::validate::ValidateError;
use crate::validate::cards::{accelerator_card, model_card};
use crate::validate::closed_loop::case::case;
use crate::validate::closed_loop::row;
use crate::validate::lines::{Row, Table, json_lines, read_text};

/// What is to be done about a row that is wrong.
const REMEDY: &str = "correct or remove this row (see calibration/README.md)";

/// What is to be done about a file without rows.
const NO_ROWS: &str =
    "measure some by `seatrial calibrate endpoint URL --out FILE`, or leave it out";

/// Rows of some files, and what was left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// Those that can be simulated.
    pub observed: Vec<Observed>,
    /// Rows that were left out, by reason.
    pub left_out: BTreeMap<String, usize>,
}

impl Rows {
    fn leave_out(&mut self, reason: impl Into<String>) {
        *self.left_out.entry(reason.into()).or_default() += 1;
    }
}

/// Reads files, one after the other.
///
/// # Errors
/// A file that is of no known kind, or a value that is not allowed, with its line.
pub fn read(files: &[impl AsRef<Path>], given: &Given) -> Result<Rows, ValidateError> {
    let mut rows = Rows::default();
    for (at, file) in files.iter().enumerate() {
        let file = file.as_ref();
        let own = |file: &Path| file.canonicalize().unwrap_or_else(|_| file.to_owned());
        if files[..at]
            .iter()
            .any(|other| own(other.as_ref()) == own(file))
        {
            return Err(ValidateError::value(
                &file.display().to_string(),
                "the whole file",
                "it is named twice",
                "each file once, for its rows would count twice",
                "leave it out once",
            ));
        }
        read_one(file, given, &mut rows)?;
    }
    Ok(rows)
}

fn read_one(path: &Path, given: &Given, rows: &mut Rows) -> Result<(), ValidateError> {
    let file = path.display().to_string();
    let text = read_text(path)?;
    let no_rows = || {
        let allowed = "a row at least";
        ValidateError::value(&file, "the whole file", "it has no rows", allowed, NO_ROWS)
    };
    if text.trim().is_empty() {
        return Err(no_rows());
    }
    if !text.trim_start().starts_with('{') {
        let table = Table::parse(&file, &text)?;
        if table.has("silicon_ttft_ms") {
            return silicon(path, given, rows);
        }
        check_columns(&file, &table)?;
        if table.rows().next().is_none() {
            return Err(no_rows());
        }
        for line in table.rows() {
            let place = format!("line {}", line.line);
            take(&file, &place, of_row(&line)?, given, rows)?;
        }
        return Ok(());
    }
    if let Ok(document) = serde_json::from_str::<Value>(&text) {
        if document.get("mean_ttft_ms").is_some() {
            let measurement = of_bench(&file, &document)?;
            return take(&file, "the result", measurement, given, rows);
        }
        if is_calibration(&document) {
            return Err(ValidateError::value(
                &file,
                "the whole file",
                "it is a calibration, which has the times of kernels",
                "rows with the latencies of servers",
                NO_ROWS,
            ));
        }
    }
    for (line, value) in json_lines(&file, &text)? {
        let place = format!("line {line}");
        let measurement: Measurement = serde_path_to_error::deserialize(value)
            .map_err(|error| misfit(&file, &place, &error))?;
        take(&file, &place, measurement, given, rows)?;
    }
    Ok(())
}

/// What is wrong with a line of JSON, and with which of its fields.
fn misfit(
    file: &str,
    place: &str,
    error: &serde_path_to_error::Error<serde_json::Error>,
) -> ValidateError {
    let field = error.path().to_string();
    // Of what is no object there is no path.
    let place = match FIELDS.contains(&field.as_str()) {
        true => format!("{place}, field `{field}`"),
        false => place.to_owned(),
    };
    let allowed = format!("an object of {}", FIELDS.join(", "));
    ValidateError::value(file, place, error.inner().to_string(), allowed, REMEDY)
}

/// Refuses columns that would be passed over, naming the nearest.
fn check_columns(file: &str, table: &Table) -> Result<(), ValidateError> {
    let unknown = table
        .header()
        .iter()
        .find(|name| !FIELDS.contains(&name.as_str()));
    let Some(unknown) = unknown else {
        return Ok(());
    };
    let near = nearest(unknown, FIELDS.into_iter());
    let near = near.map_or_else(String::new, |near| format!(" (nearest: `{near}`)"));
    Err(ValidateError::value(
        file,
        "line 1",
        format!("column `{unknown}` is not known{near}"),
        FIELDS.join(", "),
        "rename or remove it",
    ))
}

fn of_row(row: &Row<'_>) -> Result<Measurement, ValidateError> {
    let text = |column: &str| {
        let value = row.text(column);
        (!value.is_empty()).then(|| value.to_owned())
    };
    Ok(Measurement {
        engine: text("engine"),
        version: text("version"),
        model: text("model"),
        accelerator: text("accelerator"),
        tp: row.count("tp")?,
        weight_dtype: text("weight_dtype"),
        kv_dtype: text("kv_dtype"),
        prompt_tokens: row.count("prompt_tokens")?,
        output_tokens: row.count("output_tokens")?,
        length_spread: row.measure("length_spread")?,
        concurrency: row.count("concurrency")?,
        batch: row.count("batch")?,
        requests: row.count("requests")?,
        ttft_ms: row.measure("ttft_ms")?,
        tpot_ms: row.measure("tpot_ms")?,
        source: text("source"),
    })
}

/// A result of `vllm bench serve --save-result`: one row, whose accelerator and parallelism it does
/// not say.
fn of_bench(file: &str, document: &Value) -> Result<Measurement, ValidateError> {
    let number = |field: &'static str| document.get(field).and_then(Value::as_f64);
    let need = |field: &'static str| {
        number(field).filter(|value| *value > 0.0).ok_or_else(|| {
            let found = document.get(field);
            let found = found.map_or_else(|| "missing".to_owned(), |found| format!("`{found}`"));
            let place = format!("field `{field}`");
            ValidateError::value(file, place, found, "a number above 0", "measure it again")
        })
    };
    let Some(users) = number("max_concurrency") else {
        return Err(ValidateError::value(
            file,
            "field `max_concurrency`",
            "missing or null: requests came at a rate, not from a number of users",
            "the users of `vllm bench serve --max-concurrency`",
            "measure with --max-concurrency, or hold the run against a simulation by `seatrial validate`",
        ));
    };
    let refuse = |field: &str, allowed: &str, remedy: &str| {
        let found = document
            .get(field)
            .map_or_else(String::new, Value::to_string);
        let place = format!("field `{field}`");
        Err(ValidateError::value(
            file,
            place,
            format!("`{found}`"),
            allowed,
            remedy,
        ))
    };
    if number("request_rate").is_some() {
        return refuse(
            "request_rate",
            "\"inf\": users who each send the next request as soon as they are answered",
            "measure with --max-concurrency and no --request-rate",
        );
    }
    let completed = need("completed")?;
    let failed = number("failed").unwrap_or(0.0);
    if failed > MOST_FAILED * (completed + failed) {
        return refuse(
            "failed",
            "at most 5 % of the requests: the others were faster for it",
            "see why they failed, and measure again",
        );
    }
    let mean = |total: f64| (total / completed).round() as u32;
    let text = |field: &str| {
        document
            .get(field)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Ok(Measurement {
        engine: Some("vllm".to_owned()),
        model: text("model_id"),
        prompt_tokens: Some(mean(need("total_input_tokens")?)),
        output_tokens: Some(mean(need("total_output_tokens")?)),
        concurrency: Some(users as u32),
        requests: Some((completed as u32).max(users as u32)),
        ttft_ms: Some(need("mean_ttft_ms")?),
        tpot_ms: Some(need("mean_tpot_ms")?),
        source: text("date").map(|date| format!("vllm bench serve, {date}")),
        ..Measurement::default()
    })
}

/// Takes rows in that are in no file.
///
/// # Errors
/// A value that is not allowed.
pub fn take_all(
    name: &str,
    measurements: &[Measurement],
    given: &Given,
    rows: &mut Rows,
) -> Result<(), ValidateError> {
    for (measurement, number) in measurements.iter().zip(1_u32..) {
        let place = format!("row {number}");
        take(name, &place, measurement.clone(), given, rows)?;
    }
    Ok(())
}

/// Takes a row in, leaves it out because it is of another server than asked for, or refuses it.
fn take(
    file: &str,
    place: &str,
    measurement: Measurement,
    given: &Given,
    rows: &mut Rows,
) -> Result<(), ValidateError> {
    let measurement = measurement.filled(given);
    let observed = measurement
        .observed(format!("{file} {place}"))
        .map_err(|fault: Fault| {
            let place = format!("{place}, field `{}`", fault.field);
            ValidateError::value(file, place, fault.value, fault.allowed, REMEDY)
        })?;
    keep(observed, given, rows);
    Ok(())
}

fn keep(observed: Observed, given: &Given, rows: &mut Rows) {
    let card = |name: &str| accelerator_card(name).unwrap_or(name).to_owned();
    let model = |name: &str| model_card(name).unwrap_or(name).to_owned();
    let server = &observed.case.server;
    let other = |asked: &Option<String>, own: &str, same: &dyn Fn(&str) -> String| {
        let asked = asked.as_ref();
        asked.is_some_and(|asked| same(asked) != same(own))
    };
    let plain = |name: &str| name.to_owned();
    if other(&given.engine, &observed.engine, &plain) {
        rows.leave_out("another engine");
    } else if other(&given.accelerator, &observed.accelerator, &card) {
        rows.leave_out("another accelerator");
    } else if other(&given.model, &server.model, &model) {
        rows.leave_out("another model");
    } else if given.tp.is_some_and(|tp| tp != server.tp) {
        rows.leave_out("another tensor parallelism");
    } else {
        rows.observed.push(observed);
    }
}

/// A table of servers, as `validate --closed-loop` reads it. Rows whose client is not known are left
/// out, as that command's fit does.
fn silicon(path: &Path, given: &Given, rows: &mut Rows) -> Result<(), ValidateError> {
    for row in row::read(path)? {
        if !row.client_is_known() {
            rows.leave_out("the client is not known");
            continue;
        }
        match case(&row) {
            Err(reason) => rows.leave_out(reason),
            Ok(case) => {
                let observed = Observed {
                    place: format!("{} line {}", path.display(), row.line),
                    engine: row.backend.clone(),
                    version: row.version.clone(),
                    accelerator: row.system.clone(),
                    case,
                    server: row.server_key(),
                };
                keep(observed, given, rows);
            }
        }
    }
    Ok(())
}
