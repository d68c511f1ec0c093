//! Gathers everything that is wrong with the values of a document.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::error::{Problem, ScenarioError};
use super::text::Document;

/// Collects problems with the fields of one document.
///
/// The helpers return whether the value is fine, and note a problem where it is not. None lets
/// NaN or an infinity through.
#[derive(Debug)]
pub struct Problems<'a> {
    document: &'a Document,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    /// No problem so far.
    pub fn new(document: &'a Document) -> Problems<'a> {
        Problems {
            document,
            found: Vec::new(),
        }
    }

    /// The document whose fields are checked.
    pub fn document(&self) -> &'a Document {
        self.document
    }

    /// Whether none was found so far.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Notes a problem. `allowed` says what the value must be, `remedy` what to do (or nothing).
    pub fn push(&mut self, path: &str, value: impl Display, allowed: &str, remedy: &str) {
        self.found.push(Problem {
            location: self.document.locate(path),
            field: self.document.pretty_path(path),
            value: value.to_string(),
            allowed: allowed.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    /// Above 0 and at most `most`.
    pub fn positive(&mut self, path: &str, value: f64, most: f64) -> bool {
        let fine = value > 0.0 && value <= most;
        self.number(fine, path, value, || {
            format!("must be above 0 and at most {}", number(most))
        })
    }

    /// 0 to `most`.
    pub fn non_negative(&mut self, path: &str, value: f64, most: f64) -> bool {
        self.in_range(path, value, 0.0, most)
    }

    /// `low` to `high`, both allowed.
    pub fn in_range(&mut self, path: &str, value: f64, low: f64, high: f64) -> bool {
        let fine = value >= low && value <= high;
        self.number(fine, path, value, || {
            format!("must be {} to {}", number(low), number(high))
        })
    }

    fn number(
        &mut self,
        fine: bool,
        path: &str,
        value: f64,
        allowed: impl FnOnce() -> String,
    ) -> bool {
        let fine = fine && value.is_finite();
        if !fine {
            let remedy = if value.is_finite() {
                "change it to a value in this range"
            } else {
                "give a finite number"
            };
            self.push(path, number(value), &allowed(), remedy);
        }
        fine
    }

    /// A whole number from `low` to `high`, both allowed.
    pub fn int_in_range(&mut self, path: &str, value: u64, low: u64, high: u64) -> bool {
        let fine = (low..=high).contains(&value);
        if !fine {
            let (allowed, remedy) = match low == high {
                true => (format!("must be {}", grouped(low)), "change it to that"),
                false => (
                    format!("must be {} to {}", grouped(low), grouped(high)),
                    "change it to a value in this range",
                ),
            };
            self.push(path, grouped(value), &allowed, remedy);
        }
        fine
    }

    /// A name: 1 to 64 letters, digits, `_` and `-`.
    pub fn name(&mut self, path: &str, value: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fine = (1..=64).contains(&value.len()) && value.bytes().all(plain);
        if !fine {
            let start: String = value.chars().take(80).collect();
            let allowed = "must be 1 to 64 letters (a to z), digits, `_` and `-`";
            self.push(path, format!("{start:?}"), allowed, "rename it");
        }
        fine
    }

    /// A title: 1 to 100 characters, none of them a control character.
    pub fn title(&mut self, path: &str, value: &str) -> bool {
        let length = value.chars().count();
        let fine = (1..=100).contains(&length) && !value.chars().any(char::is_control);
        if !fine {
            let start: String = value.chars().take(80).collect();
            let allowed = "must be 1 to 100 characters without control characters";
            self.push(path, format!("{start:?}"), allowed, "rename it");
        }
        fine
    }

    /// Names of the elements of a list, in its order, that must all differ.
    pub fn unique<'n>(&mut self, list: &str, names: impl Iterator<Item = &'n str>) -> bool {
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        let mut fine = true;
        for (index, name) in names.enumerate() {
            let Some(&earlier) = first.get(name) else {
                first.insert(name, index);
                continue;
            };
            fine = false;
            let here = self.naming(list, index);
            let there = self.document.locate(&self.naming(list, earlier));
            let allowed = format!("is already the name of `{list}.{earlier}` ({there})");
            self.push(&here, format!("{name:?}"), &allowed, "rename one of them");
        }
        fine
    }

    /// The path of the field that names an element of a list.
    fn naming(&self, list: &str, index: usize) -> String {
        let element = format!("{list}.{index}");
        ["name", "id"]
            .iter()
            .map(|key| format!("{element}.{key}"))
            .find(|path| !self.document.locate(path).is_default())
            .unwrap_or(element)
    }

    /// All problems at once, in the order of their lines; overrides come last.
    pub fn finish(mut self) -> Result<(), ScenarioError> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|problem| problem.location.rank());
        Err(ScenarioError::Invalid(self.found))
    }
}

/// A number as people write it: digits in groups of three, very large and small ones with an
/// exponent.
fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        // As TOML writes it.
        return format!("{value}").to_lowercase();
    }
    if size >= 1e15 || (size > 0.0 && size < 1e-5) {
        return format!("{value:e}");
    }
    let text = format!("{value}");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.as_str()),
    };
    match digits.split_once('.') {
        Some((whole, part)) => format!("{sign}{}.{part}", group(whole)),
        None => format!("{sign}{}", group(digits)),
    }
}

/// A whole number with its digits in groups of three.
pub(in crate::scenario) fn grouped(value: u64) -> String {
    group(&value.to_string())
}

fn group(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
