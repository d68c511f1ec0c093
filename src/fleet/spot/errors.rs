//! Errors that say where a value stands, what it is, what is allowed and what
//! to do about it.

use thiserror::Error;

/// Longest excerpt of a faulty value that an error repeats, characters.
/// A choice of this crate: long enough to recognise, short enough for a line.
const SHOWN_CHARS: usize = 40;

/// A file that could not be read as what it was said to be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InputError {
    /// The operating system would not give the file's content.
    #[error(
        "{file}: cannot be read: {reason}; check the path, its permissions and that it is UTF-8 text"
    )]
    Unreadable {
        /// Path as given.
        file: String,
        /// What the operating system said.
        reason: String,
    },
    /// The file as a whole is larger, longer or shorter than is accepted.
    #[error("{file}: {what} is {found}; allowed: {allowed}; {remedy}")]
    Size {
        /// Path as given.
        file: String,
        /// What was measured, with its unit.
        what: &'static str,
        /// What it measured.
        found: String,
        /// The accepted range.
        allowed: String,
        /// How to get past this error.
        remedy: &'static str,
    },
    /// The text is not in the format at all, for example cut short.
    #[error("{file}:{line}:{column}: {problem}; {remedy}")]
    Syntax {
        /// Path as given.
        file: String,
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
        /// What is wrong there.
        problem: String,
        /// How to get past this error.
        remedy: &'static str,
    },
    /// One field holds a value that is not accepted.
    #[error("{file}:{line}:{column}: {field} is {value}; allowed: {allowed}; {remedy}")]
    Value {
        /// Path as given.
        file: String,
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1: where the field starts in a row of a list,
        /// where it ends in JSON.
        column: usize,
        /// Name of the field.
        field: String,
        /// The faulty value, cut to 40 characters.
        value: Box<str>,
        /// What is accepted.
        allowed: String,
        /// How to get past this error.
        remedy: &'static str,
    },
    /// A reading option, not the file, is out of range.
    #[error("{file}: {source}")]
    Option {
        /// Path as given.
        file: String,
        /// Which option, and what it may be.
        source: RuleError,
    },
}

/// A setting out of its range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field} is {value}; allowed: {allowed}; {remedy}")]
pub struct RuleError {
    /// Name of the setting.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What is accepted.
    pub allowed: &'static str,
    /// How to get past this error.
    pub remedy: &'static str,
}

/// Checks that a number is finite and within `[low, high]`.
///
/// # Errors
/// `RuleError` naming `field` when it is not.
pub(crate) fn check_range(
    field: &'static str,
    value: f64,
    (low, high): (f64, f64),
    allowed: &'static str,
) -> Result<(), RuleError> {
    if value.is_finite() && value >= low && value <= high {
        return Ok(());
    }
    Err(RuleError {
        field,
        value: value.to_string(),
        allowed,
        remedy: "set it to a number within the range",
    })
}

/// The start of a faulty value, for an error text.
pub(crate) fn excerpt(value: &str) -> String {
    if value.is_empty() {
        return String::from("empty");
    }
    let mut shown: String = value.chars().take(SHOWN_CHARS).collect();
    if value.chars().nth(SHOWN_CHARS).is_some() {
        shown.push_str("...");
    }
    format!("{shown:?}")
}
