//! The text of a document, and its values with the line each was written on.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::decode::{DecodeError, Kind};
use super::error::{Location, NO_FIELD_HERE, Problem, ScenarioError};
use super::probe::culprit;
use super::suggest::{did_you_mean, listed};
use super::tree::{Lines, Node, Origin, Source, Step};
use crate::inputs::note;

/// Largest file that is read, bytes.
pub const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The text of a file, and what to call the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// The file, as shown to the user.
    pub file: String,
    /// Its text.
    pub text: String,
}

impl SourceText {
    /// Takes a text; a byte-order mark at its start is dropped.
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> SourceText {
        let text = text.into();
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        let file = file.into();
        SourceText { file, text }
    }

    /// Reads a file of UTF-8 text of at most [`MAX_BYTES`].
    pub fn load(path: &Path) -> Result<SourceText, ScenarioError> {
        note(path);
        let file = path.display().to_string();
        let refuse = |reason: String| ScenarioError::NotReadable {
            file: file.clone(),
            reason,
        };
        let describe = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                refuse("there is no such file; check the path and the working directory".to_owned())
            }
            std::io::ErrorKind::PermissionDenied => {
                refuse("no permission to read it; check who owns the file".to_owned())
            }
            _ => refuse(format!("cannot be read: {error}")),
        };
        let metadata = std::fs::metadata(path).map_err(describe)?;
        if metadata.is_dir() {
            return Err(refuse(
                "is a directory; give the path of a file in it".to_owned(),
            ));
        }
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(describe)?;
        if u64::try_from(bytes.len()).is_ok_and(|read| read > MAX_BYTES) {
            return Err(refuse(
                "is larger than 4 MiB; is it the right file? Bulk data belongs in files of its own"
                    .to_owned(),
            ));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(SourceText::new(file.clone(), text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let before = error.as_bytes().get(..at).unwrap_or_default();
                let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
                let start = before
                    .iter()
                    .rposition(|&byte| byte == b'\n')
                    .map_or(0, |newline| newline + 1);
                Err(refuse(format!(
                    "is not UTF-8 text: line {line}, byte {} of the line; save the file as UTF-8",
                    at - start + 1
                )))
            }
        }
    }
}

/// A TOML document: values with the place each was written, and overrides applied to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub(super) file: Arc<str>,
    pub(super) root: Node,
}

impl Document {
    /// Parses TOML.
    pub fn parse(source: SourceText) -> Result<Document, ScenarioError> {
        let SourceText { file, text } = source;
        let lines = Lines::new(&text);
        let syntax = |offset: usize, message: String| {
            let before = text.get(..offset).unwrap_or(&text);
            let start = before.rfind('\n').map_or(0, |newline| newline + 1);
            let column = before.get(start..).unwrap_or_default().chars().count() + 1;
            ScenarioError::Syntax {
                file: file.clone(),
                line: lines.of(offset),
                column: u32::try_from(column).unwrap_or(u32::MAX),
                message,
            }
        };
        let parsed = toml_edit::Document::parse(text.as_str()).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let message: Vec<&str> = error.message().lines().map(str::trim).collect();
            let mut message = message.join(", ");
            if message == "duplicate key" {
                let key: String = text
                    .get(error.span().unwrap_or_default())
                    .map(|key| key.chars().take(80).collect())
                    .unwrap_or_default();
                message = format!("`{key}` is given twice; keep one of them");
            }
            syntax(offset, message)
        })?;
        let root = Source::File(&lines).table(parsed.as_table(), Origin::Root);
        Ok(Document {
            file: Arc::from(file.as_str()),
            root,
        })
    }

    /// The same document without its lines, for a text that no file has.
    pub fn without_lines(mut self) -> Document {
        self.root.forget_lines();
        self
    }

    /// What the file is called.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Reads the document as a type. The error names the field, its place and what is allowed.
    pub fn parse_as<T: DeserializeOwned>(&self) -> Result<T, ScenarioError> {
        T::deserialize(&self.root).map_err(|error: DecodeError| {
            let path = culprit(&self.root, &error, &|changed| {
                T::deserialize(changed).err().map(|error| *error.kind)
            });
            ScenarioError::from(self.explain(&path, &error.kind))
        })
    }

    /// The document with its overrides applied, as TOML.
    pub fn effective_toml(&self) -> String {
        toml::to_string(&self.root).unwrap_or_default()
    }

    /// The document with its overrides applied, as JSON. Dates, and numbers that JSON cannot
    /// hold, become text.
    pub fn to_json(&self) -> serde_json::Value {
        self.root.to_json()
    }

    /// Where a field is written; for one that is not, the innermost table around it that is.
    pub fn locate(&self, path: &str) -> Location {
        let (steps, rest) = self.resolve(path);
        let location = self.location(&steps);
        if rest.is_empty() {
            location
        } else {
            location.as_default()
        }
    }

    /// The place of a node that exists.
    pub(super) fn location(&self, steps: &[Step]) -> Location {
        match self.root.at(steps).map(|node| &node.origin) {
            Some(Origin::Line(line)) => Location::line(Arc::clone(&self.file), *line),
            Some(Origin::Override(path)) => Location::set(Arc::clone(path)),
            Some(Origin::Root) | None => Location::file(Arc::clone(&self.file)),
        }
    }

    fn explain(&self, path: &[Step], kind: &Kind) -> Problem {
        let mut field = self.shown_path(path);
        let node = self.root.at(path);
        let mut value = node.map(Node::shown).unwrap_or_default();
        let (allowed, remedy) = match kind {
            Kind::UnknownField {
                field: unknown,
                known,
            } => {
                let otherwise = "remove it, or move it where it belongs";
                let remedy = did_you_mean(unknown, known.iter().copied(), otherwise);
                let named = listed(known.iter().copied());
                let allowed = if named.is_empty() {
                    format!("{NO_FIELD_HERE}; there are no other fields")
                } else {
                    format!("{NO_FIELD_HERE}; allowed are {named}")
                };
                (allowed, remedy)
            }
            Kind::MissingField(missing) => {
                let table = std::mem::take(&mut field);
                value = String::new();
                let written = node.and_then(|node| node.key_near(missing));
                let remedy = match (written, table.is_empty()) {
                    (Some(key), _) => format!("did you mean it by `{key}`?"),
                    (None, true) => format!("add `{missing}`"),
                    (None, false) => format!("add `{missing}` to `{table}`"),
                };
                field = match table.is_empty() {
                    true => (*missing).to_owned(),
                    false => format!("{table}.{missing}"),
                };
                ("is missing".to_owned(), remedy)
            }
            Kind::UnknownVariant { variant, known } => {
                let named = listed(known.iter().copied());
                let remedy = did_you_mean(variant, known.iter().copied(), "use one of these");
                (format!("is not one of {named}"), remedy)
            }
            Kind::Mismatch { found, wanted } => mismatch(found, wanted),
            Kind::Length { found, wanted } => {
                let wanted = wanted.trim_start_matches("a tuple of size ");
                let wanted = wanted.trim_end_matches("s in sequence");
                let wanted = wanted.trim_end_matches(" element");
                let plural = if *found == 1 { "" } else { "s" };
                let allowed = format!("has {found} element{plural}, must have {wanted}");
                (allowed, "add or remove elements".to_owned())
            }
            Kind::NotFinite => (
                "is no finite number".to_owned(),
                "give a finite number, or take it away".to_owned(),
            ),
            Kind::Other(message) if message.contains("untagged enum") => (
                "is a kind of value that is not allowed here".to_owned(),
                "give a number, or text in quotes".to_owned(),
            ),
            Kind::Other(message) => (format!("is not allowed: {message}"), String::new()),
        };
        if field.is_empty() {
            field = "(the whole document)".to_owned();
        }
        Problem {
            location: self.location(path),
            field,
            value,
            allowed,
            remedy,
        }
    }
}

/// What is allowed and what to do, from serde's words for what it found and wanted.
fn mismatch(found: &str, wanted: &str) -> (String, String) {
    let whole = |high: u64| format!("a whole number, 0 to {}", super::problems::grouped(high));
    let is_text = found.starts_with("string");
    let is_float = found.starts_with("floating point");
    let (wanted, remedy) = match wanted {
        "u8" => (whole(u64::from(u8::MAX)), ""),
        "u16" => (whole(u64::from(u16::MAX)), ""),
        "u32" => (whole(u64::from(u32::MAX)), ""),
        "u64" | "usize" => (whole(u64::MAX), ""),
        "i8" | "i16" | "i32" | "i64" => ("a whole number".to_owned(), ""),
        "f32" | "f64" => ("a number".to_owned(), ""),
        "a string" => ("text".to_owned(), "put it in quotes"),
        "a boolean" => ("`true` or `false`".to_owned(), ""),
        "a sequence" => ("a list".to_owned(), "put it in `[` and `]`"),
        other if other.starts_with("a tuple of size ") => {
            let size = other.trim_start_matches("a tuple of size ");
            (format!("a list of {size} elements"), "")
        }
        other
            if ["struct ", "internally tagged", "a map"]
                .iter()
                .any(|w| other.starts_with(w)) =>
        {
            (
                "a table".to_owned(),
                "give its fields as `{ field = value }`",
            )
        }
        other => (other.to_owned(), ""),
    };
    let number = wanted.contains("number");
    let remedy = match remedy {
        "" if number && is_text => "write it without quotes",
        "" if number && is_float => "write it without a decimal point or exponent",
        "" => "change the value",
        "put it in quotes" if found == "map" || found == "sequence" => "give one text in quotes",
        other => other,
    };
    let allowed = if found == "map" {
        format!("is a table, must be {wanted}")
    } else {
        format!("must be {wanted}")
    };
    (allowed, remedy.to_owned())
}
