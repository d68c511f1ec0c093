//! Comma-separated rows with the place of every field, for exact errors.

use crate::fleet::spot::errors::{InputError, excerpt};

/// Nanoseconds in a second.
pub(crate) const NS_PER_SECOND: u64 = 1_000_000_000;

/// Decimal places of a second that a time can hold (nanoseconds), and of a
/// dollar that a price can hold (nano-dollars).
const NANO_DECIMALS: usize = 9;

/// One field of a row: its trimmed text and where it starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'a> {
    /// The text without surrounding white space.
    pub text: &'a str,
    /// Column of its first character, counted from 1.
    pub column: usize,
}

/// One row that holds data.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    /// Line, counted from 1.
    pub line: usize,
    /// The fields between commas.
    pub cells: Vec<Cell<'a>>,
}

/// What one line of a list is.
pub(crate) enum Line<'a> {
    /// Nothing but white space.
    Blank,
    /// Starts with `#`.
    Comment,
    /// Anything else.
    Row(Row<'a>),
}

/// Splits a text into lines and their fields. A byte-order mark is not data.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().enumerate().map(|(index, line)| {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            Line::Blank
        } else if trimmed.starts_with('#') {
            Line::Comment
        } else {
            Line::Row(Row {
                line: index + 1,
                cells: split(line),
            })
        }
    })
}

/// The fields of one line.
fn split(line: &str) -> Vec<Cell<'_>> {
    let mut column = 1;
    line.split(',')
        .map(|raw| {
            let text = raw.trim();
            // An empty field is reported where its comma-separated slot starts.
            let lead = if text.is_empty() {
                0
            } else {
                raw.chars().count() - raw.trim_start().chars().count()
            };
            let cell = Cell {
                text,
                column: column + lead,
            };
            column += raw.chars().count() + 1;
            cell
        })
        .collect()
}

/// Says that a field's value is not accepted.
pub(crate) fn bad(
    file: &str,
    line: usize,
    cell: Cell<'_>,
    field: &str,
    allowed: impl Into<String>,
    remedy: &'static str,
) -> InputError {
    InputError::Value {
        file: file.to_owned(),
        line,
        column: cell.column,
        field: field.to_owned(),
        value: excerpt(cell.text).into(),
        allowed: allowed.into(),
        remedy,
    }
}

/// The row's fields, when there are exactly `N` of them.
pub(crate) fn exactly<'a, const N: usize>(
    file: &str,
    row: &Row<'a>,
    shape: &str,
) -> Result<[Cell<'a>; N], InputError> {
    <[Cell<'a>; N]>::try_from(row.cells.as_slice()).map_err(|_| InputError::Syntax {
        file: file.to_owned(),
        line: row.line,
        column: 1,
        problem: format!(
            "the row has {} fields where `{shape}` has {N}",
            row.cells.len()
        ),
        remedy: "complete or remove the row; a last row like this means a file cut short",
    })
}

/// A non-negative integer up to `limit`; only digits, no sign.
pub(crate) fn integer(text: &str, limit: u64) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&n| n <= limit)
}

/// A non-negative decimal number with at most nine decimals as billionths of
/// its unit, exactly: no binary fraction stands in between.
pub(crate) fn billionths(text: &str, limit: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.len() > NANO_DECIMALS {
        return None;
    }
    let whole = integer(whole, u64::MAX)?.checked_mul(NS_PER_SECOND)?;
    let fraction = integer(&format!("{fraction:0<NANO_DECIMALS$}"), NS_PER_SECOND)?;
    // "1." would otherwise be read as 1: a cut-off number is no number.
    if text.ends_with('.') {
        return None;
    }
    whole.checked_add(fraction).filter(|&n| n <= limit)
}
