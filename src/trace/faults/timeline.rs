//! A timeline of faults written by hand, with the times of a clock.
//!
//! It is the `[[faults.timeline]]` of a scenario, but that an entry may have `at` and `until`, the
//! date and time of a post-mortem, for `at_s` and `until_s`.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use toml::{Table, Value};

use super::{FaultImport, FaultImportError};
use crate::scenario::faults::TimedFault;
use crate::trace::error::shorten;

const STAMP: &str = "a date and time with a zone, 2026-03-01T12:00:00Z";

/// Reads a timeline; `name` stands for the file in errors. Returns its entries in seconds from
/// `start`, in order of time, and the TOML that a scenario reads with `faults.file`.
///
/// # Errors
/// When it is no TOML, or an entry is no fault.
pub fn import_timeline(
    text: &str,
    name: &str,
    start: OffsetDateTime,
) -> Result<(FaultImport, String), FaultImportError> {
    check_end(text, name)?;
    let document: Table = toml::from_str(text).map_err(|error| FaultImportError::Unreadable {
        name: name.into(),
        why: format!("is not TOML ({})", error.message()).into(),
        remedy: "write entries of [[faults.timeline]]",
    })?;
    let list = document
        .get("faults")
        .and_then(|faults| faults.get("timeline"))
        .and_then(Value::as_array);
    let Some(list) = list else {
        return Err(FaultImportError::Shape {
            name: name.into(),
            found: "no `[[faults.timeline]]` in it".into(),
            expected: "entries of `[[faults.timeline]]` with `at`, `until`, `kind` and `target`",
        });
    };
    let mut import = FaultImport::default();
    let mut kept: Vec<(f64, Table)> = Vec::new();
    for (number, value) in (1..).zip(list) {
        import.read += 1;
        let entry = Entry {
            name,
            number,
            start,
        };
        let Some(table) = value.as_table() else {
            return Err(entry.refuse("entry", "", "a table"));
        };
        let mut table = table.clone();
        let at = entry.seconds(&mut table, "at", "at_s", &mut import)?;
        let until = entry.seconds(&mut table, "until", "until_s", &mut import)?;
        let Some(at_s) = at.or_else(|| number_of(&table, "at_s")) else {
            return Err(entry.refuse("at", "", STAMP));
        };
        let until = until.or_else(|| number_of(&table, "until_s"));
        if until.is_some_and(|until| until <= at_s) {
            let shown = value.get("until").or(value.get("until_s"));
            let shown = shown.map_or(String::new(), Value::to_string);
            return Err(entry.refuse("until", &shown, "a time after the one it begins at"));
        }
        if let Some(length) = number_of(&table, "for_s").filter(|length| *length <= 0.0) {
            return Err(entry.refuse("for_s", &length.to_string(), "seconds above 0"));
        }
        if until.is_some_and(|until| until <= 0.0) {
            import.skip("over before the start", 1);
            continue;
        }
        if at_s < 0.0 {
            if let Some(length) = number_of(&table, "for_s") {
                if at_s + length <= 0.0 {
                    import.skip("over before the start", 1);
                    continue;
                }
                table.insert("for_s".to_owned(), Value::Float(at_s + length));
            }
            import.cut_at_start += 1;
        }
        table.insert("at_s".to_owned(), Value::Float(at_s.max(0.0)));
        let fault: TimedFault =
            Value::Table(table.clone())
                .try_into()
                .map_err(|error: toml::de::Error| {
                    let shown = table.get("kind").map_or(String::new(), Value::to_string);
                    FaultImportError::Shape {
                        name: name.into(),
                        found: format!("entry {number} ({shown}): {}", error.message()).into(),
                        expected: "a fault as in a scenario; see `seatrial schema`",
                    }
                })?;
        import.faults.push(fault);
        kept.push((at_s.max(0.0), table));
    }
    kept.sort_by(|a, b| a.0.total_cmp(&b.0));
    import.faults.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    Ok((import, text_of(kept)))
}

/// Refuses a last line without an end: of `for_s = 1200` what is left may be `for_s = 12`.
fn check_end(text: &str, name: &str) -> Result<(), FaultImportError> {
    let last = text.lines().next_back().unwrap_or_default();
    let is_value = last.contains('=') && !last.trim_start().starts_with('#');
    // Text, lists and tables have ends of their own.
    let is_closed = last.trim_end().ends_with(['"', '\'', ']', '}']);
    if text.ends_with('\n') || !is_value || is_closed {
        return Ok(());
    }
    let line = text.lines().count();
    Err(FaultImportError::Unreadable {
        name: name.into(),
        why: format!(
            "ends within line {line}, `{}`, which may be cut short",
            shorten(last.trim())
        )
        .into(),
        remedy: "copy it again, or end its last line",
    })
}

fn number_of(table: &Table, key: &str) -> Option<f64> {
    match table.get(key)? {
        Value::Float(value) => Some(*value),
        Value::Integer(value) => Some(*value as f64),
        _ => None,
    }
}

/// Entries as a scenario reads them.
fn text_of(kept: Vec<(f64, Table)>) -> String {
    let list = kept.into_iter().map(|(_, table)| Value::Table(table));
    let timeline = Table::from_iter([("timeline".to_owned(), Value::Array(list.collect()))]);
    let document = Table::from_iter([("faults".to_owned(), Value::Table(timeline))]);
    // A tree of plain values always serialises.
    toml::to_string(&document).unwrap_or_default()
}

struct Entry<'a> {
    name: &'a str,
    number: usize,
    start: OffsetDateTime,
}

impl Entry<'_> {
    fn refuse(&self, field: &'static str, value: &str, allowed: &'static str) -> FaultImportError {
        FaultImportError::Value {
            name: self.name.into(),
            what: "entry",
            number: self.number,
            field,
            value: shorten(value),
            allowed,
        }
    }

    /// Replaces the instant `key` by seconds from the start under `key_s`.
    fn seconds(
        &self,
        table: &mut Table,
        key: &'static str,
        key_s: &'static str,
        import: &mut FaultImport,
    ) -> Result<Option<f64>, FaultImportError> {
        let Some(value) = table.remove(key) else {
            return Ok(None);
        };
        let text = match &value {
            Value::Datetime(stamp) => stamp.to_string(),
            Value::String(text) => text.clone(),
            other => return Err(self.refuse(key, &other.to_string(), STAMP)),
        };
        let at =
            OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| self.refuse(key, &text, STAMP))?;
        if table.contains_key(key_s) {
            return Err(self.refuse(key, &text, "either a time or seconds, not both"));
        }
        import.tells_of(at);
        let seconds = (at - self.start).as_seconds_f64();
        table.insert(key_s.to_owned(), Value::Float(seconds));
        Ok(Some(seconds))
    }
}
