//! Checking values of a price file, and saying what is wrong with one.

use super::entries::Kind;
use super::error::{BadValue, BookError};
use super::parse::Place;

/// What a number may be, and what to do when it is not.
pub(super) struct Numbers {
    pub(super) ok: fn(f64) -> bool,
    pub(super) allowed: &'static str,
    pub(super) remedy: &'static str,
}

/// An entry of a price file.
pub(super) trait Entry {
    /// The table it stands in.
    const TABLE: &'static str;
    /// What it is an entry for; entries of a table with equal names are for the same thing.
    fn names(&self) -> Vec<String>;
    /// Documented or assumed.
    fn kind(&self) -> Kind;
    /// Whether it holds what it may.
    fn check(&self, at: &Place<'_>) -> Result<(), BookError>;
}

/// The table and the names of an entry, such as `compute aws/h100-sxm/us-east-1`.
pub(super) fn label<T: Entry>(entry: &T) -> String {
    let names = entry.names().join("/");
    format!("{} {names}", T::TABLE).trim_end().to_owned()
}

/// A checker of one entry.
pub(super) struct Check<'a> {
    at: &'a Place<'a>,
    entry: String,
}

impl Check<'_> {
    pub(super) fn of<'a, T: Entry>(entry: &T, at: &'a Place<'a>) -> Check<'a> {
        Check {
            at,
            entry: label(entry),
        }
    }

    pub(super) fn bad(
        &self,
        field: &'static str,
        value: String,
        allowed: &'static str,
        remedy: &'static str,
    ) -> BookError {
        BookError::Value(Box::new(BadValue {
            file: self.at.file().to_owned(),
            line: self.at.line_of(field),
            entry: self.entry.clone(),
            field,
            value,
            allowed,
            remedy,
        }))
    }

    pub(super) fn number(
        &self,
        field: &'static str,
        value: f64,
        range: &Numbers,
    ) -> Result<(), BookError> {
        // Comparisons with NaN are false, and every range has an end: what passes is finite.
        if (range.ok)(value) {
            return Ok(());
        }
        Err(self.bad(field, value.to_string(), range.allowed, range.remedy))
    }

    pub(super) fn maybe(
        &self,
        field: &'static str,
        value: Option<f64>,
        range: &Numbers,
    ) -> Result<(), BookError> {
        value.map_or(Ok(()), |value| self.number(field, value, range))
    }

    pub(super) fn name(&self, field: &'static str, value: &str) -> Result<(), BookError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        if value == "*" || (!value.is_empty() && value.chars().all(allowed)) {
            return Ok(());
        }
        Err(self.bad(
            field,
            format!("\"{value}\""),
            "lower-case letters, digits, '-', '_' and '.', or \"*\" alone",
            "write the name in lower case and without spaces",
        ))
    }

    pub(super) fn source(&self, source: &str) -> Result<(), BookError> {
        if source.trim().is_empty() {
            return Err(self.bad(
                "source",
                format!("\"{source}\""),
                "some text",
                "say where the figure comes from, if only \"own contract\" or \"assumed\"",
            ));
        }
        Ok(())
    }

    pub(super) fn as_of(&self, as_of: Option<&str>) -> Result<(), BookError> {
        match as_of {
            Some(date) if !is_date_or_span(date) => Err(self.bad(
                "as_of",
                format!("\"{date}\""),
                "a date (2026, 2026-04 or 2026-04-30), or two with a '/' between",
                "say when the figure held",
            )),
            _ => Ok(()),
        }
    }
}

fn is_date_or_span(text: &str) -> bool {
    let mut dates = text.split('/');
    dates.by_ref().take(2).all(is_date) && dates.next().is_none()
}

fn is_date(text: &str) -> bool {
    let number = |part: Option<&str>, digits: usize, high: u32| match part {
        Some(part) if part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()) => {
            part.parse::<u32>().is_ok_and(|n| n >= 1 && n <= high)
        }
        Some(_) => false,
        None => true,
    };
    let mut parts = text.split('-');
    number(parts.next(), 4, 9_999)
        && number(parts.next(), 2, 12)
        && number(parts.next(), 2, 31)
        && parts.next().is_none()
}
