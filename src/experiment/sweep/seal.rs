//! Lines of a journal: JSON objects, each with a check of what was written.
//!
//! A digit that a disk or an editor changed would be a figure like any other. So each line ends with the
//! start of the SHA-256 of what stands before it.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::SweepError;
use super::identity::{SCHEMA, sha256};

/// What stands between an object and its check.
const CHECK: &str = ",\"check\":\"";
/// Hexadecimal digits of a check.
const DIGITS: usize = 16;

/// Why a line is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It has no check.
    Unchecked,
    /// Its check is of something else.
    Changed,
}

impl Broken {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Broken::Unchecked => "it has no check at its end",
            Broken::Changed => "it is not what was written: its check is of something else",
        }
    }
}

/// A JSON object as a line with its check.
pub fn sealed(object: &str) -> String {
    let open = object.strip_suffix('}').unwrap_or(object);
    format!("{open}{CHECK}{}\"}}\n", check(object))
}

/// The JSON object of a line.
///
/// # Errors
/// [`Broken`] when it is not what was written.
pub fn unsealed(line: &str) -> Result<String, Broken> {
    let line = line.trim_end_matches(['\n', '\r']);
    let inside = line.strip_suffix("\"}").ok_or(Broken::Unchecked)?;
    let (open, written) = inside.rsplit_once(CHECK).ok_or(Broken::Unchecked)?;
    let object = format!("{open}}}");
    match check(&object) == written {
        true => Ok(object),
        false => Err(Broken::Changed),
    }
}

/// The head of a journal, from its first line.
///
/// # Errors
/// [`SweepError`] when it is none, is damaged, or is of another version of the format.
pub fn head<T: DeserializeOwned>(path: &Path, line: &[u8]) -> Result<T, SweepError> {
    let file = path.display().to_string();
    let none = |reason, remedy| SweepError::Head {
        file: file.clone(),
        reason,
        remedy,
    };
    let anew = "run it anew with another --out";
    let text = std::str::from_utf8(line).unwrap_or_default();
    let read: Value = serde_json::from_str(text).unwrap_or_default();
    let has = |field: &str| read.get(field).is_some();
    if has("point") || has("key") {
        let reason =
            "is what was found, not the head of a journal: the line before it was taken away";
        return Err(none(
            reason,
            "put it back, or run it anew with another --out",
        ));
    }
    let object = match (unsealed(text), read.get("schema").and_then(Value::as_u64)) {
        (Ok(object), _) => object,
        (Err(Broken::Unchecked), Some(there)) if there < u64::from(SCHEMA) => {
            return Err(SweepError::Other {
                file,
                what: "version of the format",
                there: there.to_string(),
                here: SCHEMA.to_string(),
            });
        }
        (Err(_), Some(_)) => {
            return Err(none("is damaged: it is not what was written", anew));
        }
        (Err(_), None) => {
            let reason = "is not the head of a journal";
            let remedy = "name a folder that was given with --out, or the journal in it";
            return Err(none(reason, remedy));
        }
    };
    // What was written by a program of this version of the format is read by all.
    serde_json::from_str(&object).map_err(|_| none("is a head of another kind of journal", anew))
}

fn check(object: &str) -> String {
    sha256(object.as_bytes()).chars().take(DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_was_written_or_refused() {
        let object = r#"{"a":1.25,"b":"x,\"check\":\"y"}"#;
        let line = sealed(object);
        assert_eq!(unsealed(&line).as_deref(), Ok(object));
        assert!(serde_json::from_str::<Value>(&line).is_ok());
        for index in 0..line.len() - 1 {
            let mut bytes = line.clone().into_bytes();
            bytes[index] ^= 1;
            assert!(unsealed(std::str::from_utf8(&bytes).unwrap()).is_err());
        }
        assert_eq!(unsealed(object), Err(Broken::Unchecked));
    }
}
