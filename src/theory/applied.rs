//! One formula with its numbers put in, ready to be shown.

use serde::Serialize;

use super::TheoryError;

/// A formula, the same formula with the numbers in place, and what comes out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Applied {
    /// What is computed, such as `mean wait`.
    pub name: String,
    /// The formula in symbols, such as `Wq = C / (c mu - lambda)`.
    pub formula: String,
    /// The formula with numbers and their units, such as `0.4 / (10 x 0.5/s - 4/s)`.
    pub substituted: String,
    /// The result in `unit`; `None` where there is none, and `note` then says why.
    pub value: Option<f64>,
    /// The unit of the value: `ms`, `rps`, `Erlang`, `servers`, `requests`, or `1` for a share.
    pub unit: &'static str,
    /// Where the formula is from.
    pub source: &'static str,
    /// What to know about the value: an approximation, a condition, why it is missing.
    pub note: Option<String>,
}

impl Applied {
    /// A row with a value. A value that is not finite is left out, with a note.
    pub fn new(
        name: impl Into<String>,
        formula: impl Into<String>,
        substituted: impl Into<String>,
        value: f64,
        unit: &'static str,
        source: &'static str,
    ) -> Self {
        let finite = value.is_finite();
        Self {
            name: name.into(),
            formula: formula.into(),
            substituted: substituted.into(),
            value: finite.then_some(value),
            unit,
            source,
            note: (!finite).then(|| "the result is not a finite number".to_owned()),
        }
    }

    /// A row without a value, and why.
    pub fn missing(
        name: impl Into<String>,
        formula: impl Into<String>,
        substituted: impl Into<String>,
        unit: &'static str,
        source: &'static str,
        why: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            formula: formula.into(),
            substituted: substituted.into(),
            value: None,
            unit,
            source,
            note: Some(why.into()),
        }
    }

    /// A row from a formula that may refuse its arguments: the refusal becomes the note.
    pub fn try_new(
        name: impl Into<String>,
        formula: impl Into<String>,
        substituted: impl Into<String>,
        result: Result<f64, TheoryError>,
        unit: &'static str,
        source: &'static str,
    ) -> Self {
        match result {
            Ok(value) => Self::new(name, formula, substituted, value, unit, source),
            Err(error) => {
                Self::missing(name, formula, substituted, unit, source, error.to_string())
            }
        }
    }

    /// The row with a note, after any that it has.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        let note = note.into();
        self.note = Some(match self.note.take() {
            Some(before) => format!("{before}; {note}"),
            None => note,
        });
        self
    }
}

/// A number to about four significant digits, without trailing zeros: `0.4092`, `12.5`, `1200`, `3.2e-7`.
#[must_use]
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs().log10().floor();
    if !(-4.0..=8.0).contains(&size) {
        return format!("{value:.3e}");
    }
    let decimals = (3.0 - size).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (value, text) in [
            (0.0, "0"),
            (0.409_23, "0.4092"),
            (12.5, "12.5"),
            (1200.0, "1200"),
            (123_456.0, "123456"),
            (0.99999, "1"),
            (3.2e-7, "3.200e-7"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_value_that_is_no_number_is_left_out() {
        let row = Applied::new("x", "x", "1 / 0", f64::INFINITY, "ms", "none").with_note("so");
        assert_eq!(row.value, None);
        assert_eq!(
            row.note.as_deref(),
            Some("the result is not a finite number; so")
        );
    }
}
