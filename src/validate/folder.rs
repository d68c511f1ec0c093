//! seatrial's own folders of measured runs: `run.toml` and the requests beside it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::scenario::{Document, SourceText};

use super::error::ValidateError;
use super::lines::{Row, Table, json_lines, read_text};
use super::measured::{EngineSample, MeasuredRequest, MeasuredRun, Stage};
use super::{aiperf, bench};

/// The formats that files of requests may have.
const FORMATS: &str = "a CSV with arrival_ns, prompt_tokens and output_tokens, a result of `vllm \
                       bench serve --save-detailed`, or AIPerf's profile_export.jsonl";

/// `[measured]` of a `run.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Measured {
    requests: Option<String>,
    engine: Option<String>,
    source: Option<String>,
    stages: Vec<Stage>,
}

/// Reads the fleet from `run_toml`, and the requests from `given` or the file it names.
pub fn read(
    run_toml: &Path,
    given: Option<&Path>,
    name: String,
) -> Result<MeasuredRun, ValidateError> {
    let file = run_toml.display().to_string();
    let folder = run_toml.parent().unwrap_or(Path::new(""));
    let failed = |error| ValidateError::scenario(&file, error);
    let source = SourceText::load(run_toml).map_err(failed)?;
    let mut fleet = Document::parse(source).map_err(failed)?;
    let measured = fleet.to_json().get("measured").cloned();
    let measured: Measured = match measured {
        None => Measured::default(),
        Some(value) => {
            fleet.unset("measured").map_err(failed)?;
            serde_json::from_value(value).map_err(|error| {
                ValidateError::value(
                    &file,
                    "[measured]",
                    error.to_string(),
                    "requests, engine, source, and stages of name, from_s and to_s",
                    "correct the table",
                )
            })?
        }
    };
    check(&file, &fleet, &measured)?;
    let mut notes: Vec<String> = measured.source.into_iter().collect();
    let path = match (given, &measured.requests) {
        (Some(given), _) => given.to_owned(),
        (None, Some(name)) => folder.join(name),
        (None, None) => find(folder)?,
    };
    let (format, requests) = requests(&path, &mut notes)?;
    Ok(MeasuredRun {
        name,
        format,
        fleet,
        base_dir: folder.to_owned(),
        requests,
        stages: measured.stages,
        engine: match measured.engine {
            Some(name) => engine(&folder.join(name))?,
            None => Vec::new(),
        },
        notes,
    })
}

/// Refuses what would do nothing: a workload or claims, which a replay does not have, and stages
/// that are empty or of one name.
fn check(file: &str, fleet: &Document, measured: &Measured) -> Result<(), ValidateError> {
    let fail = |place: &str, value: String, allowed: &str, remedy: &str| {
        Err(ValidateError::value(file, place, value, allowed, remedy))
    };
    for table in ["workload", "claims"] {
        if fleet.to_json().get(table).is_some() {
            let allowed = "nothing: the requests are those measured";
            return fail(table, "given".to_owned(), allowed, "take it away");
        }
    }
    for (index, stage) in measured.stages.iter().enumerate() {
        let place = format!("measured.stages.{index}");
        if !(stage.from_s >= 0.0 && stage.to_s > stage.from_s) {
            let value = format!("from_s = {}, to_s = {}", stage.from_s, stage.to_s);
            let allowed = "0 or more seconds, and to_s above from_s";
            return fail(&place, value, allowed, "correct the two");
        }
        let before = &measured.stages[..index];
        if before.iter().any(|other| other.name == stage.name) {
            let (allowed, remedy) = ("names that differ", "give it another name");
            return fail(&place, format!("name = {:?}", stage.name), allowed, remedy);
        }
    }
    Ok(())
}

/// The file of requests in a folder whose `run.toml` names none.
pub fn find(folder: &Path) -> Result<PathBuf, ValidateError> {
    const NAMES: [&str; 5] = [
        "requests.csv",
        "requests.csv.gz",
        "requests.jsonl",
        "profile_export.jsonl",
        "result.json",
    ];
    let found = NAMES.iter().map(|name| folder.join(name));
    found
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| ValidateError::Unknown {
            file: folder.display().to_string(),
            found: format!("has none of {}", NAMES.join(", ")),
            allowed: FORMATS,
            remedy: "name the file in run.toml: [measured] requests = \"...\"".to_owned(),
        })
}

/// Reads requests in whatever format they are.
pub fn requests(
    path: &Path,
    notes: &mut Vec<String>,
) -> Result<(&'static str, Vec<MeasuredRequest>), ValidateError> {
    let file = path.display().to_string();
    let text = read_text(path)?;
    if !text.trim_start().starts_with('{') {
        let table = Table::parse(&file, &text)?;
        return Ok(("seatrial", own(&table)?));
    }
    // One document, or one a line: the first line says which, unless it is the only one.
    if let Ok(document) = serde_json::from_str::<Value>(&text)
        && bench::is_one(&document)
    {
        return Ok(("vllm-bench", bench::requests(&file, &document, notes)?));
    }
    let records = json_lines(&file, &text)?;
    if records
        .first()
        .is_some_and(|(_, record)| aiperf::is_one(record))
    {
        return Ok(("aiperf", aiperf::requests(&file, &records, notes)?));
    }
    Err(ValidateError::Unknown {
        file,
        found: "is JSON of no known kind".to_owned(),
        allowed: FORMATS,
        remedy: "convert it to a CSV".to_owned(),
    })
}

/// seatrial's own columns, those that `run --requests` writes.
fn own(table: &Table) -> Result<Vec<MeasuredRequest>, ValidateError> {
    table.need(&["arrival_ns", "prompt_tokens", "output_tokens"])?;
    let mut stamped = Vec::new();
    for row in table.rows() {
        let length = |column: &str| match row.count(column)? {
            Some(tokens) if tokens > 0 => Ok(tokens),
            _ => Err(row.fault(column, "a whole number of tokens, at least 1")),
        };
        let arrival = stamp(&row, "arrival_ns")?
            .ok_or_else(|| row.fault("arrival_ns", "whole nanoseconds"))?;
        let since = |from: Option<u64>, to: Option<u64>, column: &str| match (from, to) {
            (Some(from), Some(to)) if to >= from => Ok(Some((to - from) as f64 / 1e6)),
            (Some(_), Some(_)) => Err(row.fault(column, "a stamp not before the one it follows")),
            _ => Ok(None),
        };
        let status = row.text("status");
        let queued = stamp(&row, "queued_ns")?;
        let first = stamp(&row, "first_token_ns")?;
        let last = stamp(&row, "last_token_ns")?;
        let request = MeasuredRequest {
            arrival_ns: arrival,
            prompt_tokens: length("prompt_tokens")?,
            output_tokens: length("output_tokens")?,
            prompt_id: row.count("prompt_id")?,
            completed: status.is_empty() || status == "completed",
            ttft_ms: since(Some(arrival), first, "first_token_ns")?,
            e2e_ms: since(Some(arrival), last, "last_token_ns")?,
            queue_ms: since(queued, stamp(&row, "scheduled_ns")?, "scheduled_ns")?,
        };
        since(first, last, "last_token_ns")?;
        stamped.push((
            row.number::<u64>("id", "a whole number, or nothing", |_| true)?,
            request,
        ));
    }
    // Of requests that arrive at one instant the one with the lower number came first.
    stamped.sort_by_key(|(id, request)| (request.arrival_ns, *id));
    let mut stamped: Vec<MeasuredRequest> =
        stamped.into_iter().map(|(_, request)| request).collect();
    let start = stamped.first().map_or(0, |first| first.arrival_ns);
    for request in &mut stamped {
        request.arrival_ns -= start;
    }
    Ok(stamped)
}

fn stamp(row: &Row<'_>, column: &str) -> Result<Option<u64>, ValidateError> {
    row.number::<u64>(column, "whole nanoseconds, or nothing", |_| true)
}

fn engine(path: &Path) -> Result<Vec<EngineSample>, ValidateError> {
    let table = Table::read(path)?;
    table.need(&["t_s", "running", "waiting"])?;
    let mut samples = Vec::new();
    for row in table.rows() {
        let value = |column: &str| {
            let value = row.measure(column)?;
            value.ok_or_else(|| row.fault(column, "a number of at least 0"))
        };
        samples.push(EngineSample {
            t_s: value("t_s")?,
            running: value("running")?,
            waiting: value("waiting")?,
        });
    }
    Ok(samples)
}
