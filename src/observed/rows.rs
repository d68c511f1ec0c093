//! Rows of seatrial itself, CSV or Parquet: requests of a run (`run --requests`), and requests that
//! an import wrote (`trace import --observed`).

use std::collections::BTreeMap;
use std::path::Path;

use super::attempt::Attempt;
use super::error::ObservedError;
use super::input::Input;
use super::intake::Intake;
use super::parquet_rows;
use super::record::Ending;
use crate::fleet::request::{Outcome, Status};
use crate::trace::parse::decimal;

/// Reads rows; `path` is opened again if it is Parquet.
pub(super) fn read(
    input: &mut Input,
    path: &Path,
    intake: &mut Intake,
) -> Result<(), ObservedError> {
    match input.head().starts_with(b"PAR1") {
        true => read_parquet(path, intake),
        false => read_csv(input, intake),
    }
}

fn read_csv(input: &mut Input, intake: &mut Intake) -> Result<(), ObservedError> {
    // A quote that is not closed makes a row of all that follows it.
    let allowance = input.allowance();
    allowance.begin();
    let mut rows = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(&mut *input);
    let header: Vec<String> = match rows.headers() {
        Ok(header) => header.iter().map(str::to_owned).collect(),
        Err(error) => {
            if let Some(error) = rows.get_mut().take_fault() {
                return Err(error);
            }
            intake.skip("rows that are no CSV", &error.to_string());
            return Ok(());
        }
    };
    let mut row = csv::StringRecord::new();
    loop {
        allowance.begin();
        let read = rows.read_record(&mut row);
        let place = match &read {
            Ok(_) => row.position(),
            Err(error) => error.position(),
        };
        let line = place.map_or(rows.position().line(), csv::Position::line);
        if let Some(error) = rows.get_mut().take_fault() {
            return Err(error);
        }
        let here = intake.place_now();
        intake.set_place(line);
        match read {
            Ok(false) => {
                allowance.lift();
                return Ok(());
            }
            Ok(true) if row.len() != header.len() => {
                let what = format!("{} fields of {}", row.len(), header.len());
                intake.skip("rows with more or fewer fields than the header", &what);
            }
            Ok(true) => {
                let fields = header.iter().map(String::as_str).zip(row.iter());
                take(&fields.collect(), intake)?;
            }
            Err(error) => intake.skip("rows that are no CSV", &error.to_string()),
        }
        intake.return_to(here);
    }
}

/// Columns that are read.
const COLUMNS: [&str; 18] = [
    "arrival_ns",
    "status",
    "first_token_ns",
    "last_token_ns",
    "ended_ns",
    "prompt_tokens",
    "output_tokens",
    "cached_tokens",
    "attempts",
    "tenant",
    "t_ns",
    "ending",
    "ttft_ns",
    "e2e_ns",
    "prompt_inferred",
    "output_inferred",
    "session",
    "model",
];

/// Of these two sets of columns, one must be there: of `run --requests`, and of `trace import
/// --observed`.
const NEEDED: [[&str; 2]; 2] = [["arrival_ns", "status"], ["t_ns", "ending"]];

fn read_parquet(path: &Path, intake: &mut Intake) -> Result<(), ObservedError> {
    let names = parquet_rows::names(path)?;
    let has = |name: &str| names.iter().any(|it| it == name);
    let kind = usize::from(has("t_ns"));
    if !NEEDED[kind].into_iter().all(has) {
        let [requests, observed] = NEEDED.map(|it| it.join(" and "));
        let needed = format!(
            "{requests} (as `run --requests` writes), or {observed} (as `trace import --observed` \
             does)"
        );
        return Err(parquet_rows::lacks(path, &names, needed));
    }
    parquet_rows::read(path, &COLUMNS, &mut |number, texts| {
        intake.set_place(number);
        let fields = texts.iter();
        let fields = fields.map(|(name, text)| (*name, text.unwrap_or("")));
        take(&fields.collect(), intake)
    })
}

type Fields<'a> = BTreeMap<&'a str, &'a str>;

fn take(fields: &Fields<'_>, intake: &mut Intake) -> Result<(), ObservedError> {
    let attempt = if fields.contains_key("t_ns") {
        observed(fields)
    } else {
        request(fields)
    };
    match attempt {
        Ok(attempt) => intake.take(attempt),
        Err((reason, what)) => {
            intake.skip(reason, &what);
            Ok(())
        }
    }
}

type Refused = (&'static str, String);

/// A whole number; none where the field is empty or missing. Tools that know no null in a column of
/// whole numbers write them as `12.0`.
fn number<T: TryFrom<u64>>(fields: &Fields<'_>, name: &str) -> Result<Option<T>, Refused> {
    let text = match fields.get(name).map(|it| it.trim()) {
        None | Some("") => return Ok(None),
        Some(text) => text,
    };
    let whole = match decimal(text, 0) {
        Ok((whole, true)) => T::try_from(whole).ok(),
        _ => None,
    };
    let none = || ("with a number that is none", format!("{name} = {text}"));
    whole.map(Some).ok_or_else(none)
}

fn text(fields: &Fields<'_>, name: &str) -> Option<Box<str>> {
    let text = fields.get(name)?.trim();
    (!text.is_empty()).then(|| text.into())
}

/// A row of `run --requests`.
fn request(fields: &Fields<'_>) -> Result<Attempt, Refused> {
    let Some(start) = number(fields, "arrival_ns")? else {
        return Err(("without a start", "no `arrival_ns`".to_owned()));
    };
    let mut attempt = Attempt::at(start);
    let name = fields.get("status").copied().unwrap_or("");
    if name == "in_flight" {
        return Err((
            "in flight at the end of the run: no log has them",
            String::new(),
        ));
    }
    let status = Status::ALL.into_iter().find(|it| it.name() == name);
    let Some(status) = status else {
        return Err(("with a status that is none", name.to_owned()));
    };
    attempt.ending = Ending::from(status.outcome());
    if attempt.ending != Ending::Completed {
        attempt.code = Some(name.into());
    }
    attempt.first_token_ns = number(fields, "first_token_ns")?;
    let last = number(fields, "last_token_ns")?;
    attempt.end_ns = match attempt.ending {
        Ending::Completed => last,
        _ => number(fields, "ended_ns")?,
    };
    if attempt.ending != Ending::Completed {
        // Tokens of an answer that was never whole.
        attempt.first_token_ns = None;
    }
    attempt.prompt = number(fields, "prompt_tokens")?;
    attempt.output = number(fields, "output_tokens")?;
    attempt.output_is_whole = true;
    attempt.cached = number(fields, "cached_tokens")?;
    tries(fields, &mut attempt)?;
    attempt.tenant = text(fields, "tenant");
    Ok(attempt)
}

/// A row of `trace import --observed`.
fn observed(fields: &Fields<'_>) -> Result<Attempt, Refused> {
    let Some(start) = number::<u64>(fields, "t_ns")? else {
        return Err(("without a start", "no `t_ns`".to_owned()));
    };
    let mut attempt = Attempt::at(start);
    let name = fields.get("ending").copied().unwrap_or("");
    let ending = Ending::ALL.into_iter().find(|it| it.name() == name);
    attempt.ending = ending.ok_or_else(|| ("with an ending that is none", name.to_owned()))?;
    let after = |name| -> Result<Option<u64>, Refused> {
        match number::<u64>(fields, name)?.map(|ns| start.checked_add(ns)) {
            None => Ok(None),
            Some(Some(at)) => Ok(Some(at)),
            Some(None) => Err((
                "with a stamp out of range",
                format!("{name} after {start} ns"),
            )),
        }
    };
    attempt.first_token_ns = after("ttft_ns")?;
    attempt.end_ns = after("e2e_ns")?;
    attempt.prompt = number(fields, "prompt_tokens")?;
    attempt.output = number(fields, "output_tokens")?;
    attempt.output_is_whole = true;
    let yes = |name: &str| fields.get(name).copied() == Some("true");
    attempt.inferred = [yes("prompt_inferred"), yes("output_inferred")];
    attempt.cached = number(fields, "cached_tokens")?;
    tries(fields, &mut attempt)?;
    attempt.tenant = text(fields, "tenant");
    attempt.session = text(fields, "session");
    attempt.model = text(fields, "model");
    Ok(attempt)
}

/// How often it was tried; an import leaves the field empty where its log did not tell.
fn tries(fields: &Fields<'_>, attempt: &mut Attempt) -> Result<(), Refused> {
    let told: Option<u32> = number(fields, "attempts")?;
    attempt.attempts = told.unwrap_or(1).max(1);
    attempt.attempts_told = told.is_some();
    Ok(())
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Ending {
        match outcome {
            Outcome::Completed => Ending::Completed,
            Outcome::Rejected => Ending::Rejected,
            Outcome::Shed => Ending::Shed,
            Outcome::TimedOut => Ending::TimedOut,
            Outcome::Failed => Ending::Failed,
            Outcome::Cancelled => Ending::Cancelled,
        }
    }
}
