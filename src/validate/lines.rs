//! Text files, plain or gzipped, as CSV rows or JSON lines with the place of every fault.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use flate2::read::MultiGzDecoder;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::error::ValidateError;

/// Largest text that is read, bytes after decompression.
const MOST_BYTES: u64 = 1 << 30;

/// The text of a file, gunzipped if it is gzipped.
pub fn read_text(path: &Path) -> Result<String, ValidateError> {
    let file = path.display().to_string();
    let refuse = |cause: String| ValidateError::Read {
        file: file.clone(),
        cause,
        remedy: "check the path and that the file is whole, UTF-8 text, plain or gzipped",
    };
    let mut bytes = Vec::new();
    let mut opened = File::open(path).map_err(|error| refuse(error.to_string()))?;
    let take = |input: &mut dyn Read, bytes: &mut Vec<u8>| {
        let got = input.take(MOST_BYTES + 1).read_to_end(bytes);
        match got {
            Ok(_) if bytes.len() as u64 > MOST_BYTES => Err("larger than 1 GiB".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    };
    take(&mut opened, &mut bytes).map_err(&refuse)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        take(&mut MultiGzDecoder::new(bytes.as_slice()), &mut plain).map_err(&refuse)?;
        bytes = plain;
    }
    let text = String::from_utf8(bytes).map_err(|error| refuse(error.to_string()))?;
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    Ok(plain_ends(text))
}

/// A text whose lines end as everywhere: of those that end in two characters a reader of CSV counts one less.
pub fn plain_ends(text: String) -> String {
    match text.contains("\r\n") {
        true => text.replace("\r\n", "\n"),
        false => text,
    }
}

/// A CSV file with a header.
#[derive(Debug)]
pub struct Table {
    file: String,
    header: Vec<String>,
    rows: Vec<(u64, csv::StringRecord)>,
}

impl Table {
    /// Reads a table; every row must have as many fields as the header.
    pub fn read(path: &Path) -> Result<Table, ValidateError> {
        Table::parse(&path.display().to_string(), &read_text(path)?)
    }

    /// Reads a table from text.
    pub fn parse(file: &str, text: &str) -> Result<Table, ValidateError> {
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let fault = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            let problem = match error.kind() {
                csv::ErrorKind::UnequalLengths {
                    expected_len, len, ..
                } => format!("{len} fields where the header has {expected_len}"),
                _ => error.to_string(),
            };
            ValidateError::value(
                file,
                format!("line {line}"),
                problem,
                "one row a line with as many fields as the header",
                "correct or remove this line",
            )
        };
        let header = reader.headers().map_err(fault)?;
        let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(fault)?;
            let line = record.position().map_or(0, csv::Position::line);
            rows.push((line, record));
        }
        Ok(Table {
            file: file.to_owned(),
            header,
            rows,
        })
    }

    /// The names of the columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Whether there is a column of that name.
    pub fn has(&self, column: &str) -> bool {
        self.header.iter().any(|name| name == column)
    }

    /// Refuses a table that lacks a column, naming the nearest.
    pub fn need(&self, columns: &[&str]) -> Result<(), ValidateError> {
        for wanted in columns {
            if self.has(wanted) {
                continue;
            }
            let near = crate::scenario::nearest(wanted, self.header.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!(" (nearest: `{near}`)"));
            return Err(ValidateError::value(
                &self.file,
                "line 1",
                format!("there is no column `{wanted}`{near}"),
                columns.join(","),
                "add or rename the column",
            ));
        }
        Ok(())
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|(line, record)| Row {
            table: self,
            line: *line,
            record,
        })
    }
}

/// A row of a table.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    table: &'a Table,
    /// Its line in the file.
    pub line: u64,
    record: &'a csv::StringRecord,
}

impl<'a> Row<'a> {
    /// The text in a column, trimmed; empty where the column or value is missing.
    pub fn text(&self, column: &str) -> &'a str {
        let header = &self.table.header;
        let index = header.iter().position(|name| name == column);
        index
            .and_then(|index| self.record.get(index))
            .map_or("", str::trim)
    }

    /// The number in a column, none where it is empty.
    pub fn number<T: FromStr>(
        &self,
        column: &str,
        allowed: &str,
        accept: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, ValidateError> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<T>() {
            Ok(value) if accept(&value) => Ok(Some(value)),
            _ => Err(self.fault(column, allowed)),
        }
    }

    /// A count; whole numbers written with `.0` are taken too.
    pub fn count(&self, column: &str) -> Result<Option<u32>, ValidateError> {
        let whole = |value: &f64| value.fract() == 0.0 && (0.0..=4e9).contains(value);
        let value = self.number::<f64>(column, "a whole number, 0 to 4e9, or nothing", whole)?;
        Ok(value.map(|value| value as u32))
    }

    /// A finite number of at least 0.
    pub fn measure(&self, column: &str) -> Result<Option<f64>, ValidateError> {
        let fine = |value: &f64| value.is_finite() && (0.0..=1e18).contains(value);
        self.number::<f64>(column, "a number of at least 0, or nothing", fine)
    }

    /// What to say of a value that is not allowed.
    pub fn fault(&self, column: &str, allowed: &str) -> ValidateError {
        let text: String = self.text(column).chars().take(60).collect();
        ValidateError::value(
            &self.table.file,
            format!("line {}, column `{column}`", self.line),
            format!("`{text}`"),
            allowed,
            "correct or remove this line",
        )
    }
}

/// JSON lines with their line numbers.
pub fn json_lines(file: &str, text: &str) -> Result<Vec<(u64, Value)>, ValidateError> {
    let lines = text.lines().zip(1_u64..);
    lines
        .filter(|(line, _)| !line.trim().is_empty())
        .map(|(line, number)| {
            let parsed = serde_json::from_str::<Once>(line);
            let value = parsed.map(|once| once.0).map_err(|error| {
                let column = error.column();
                ValidateError::value(
                    file,
                    format!("line {number}, byte {column}"),
                    error.to_string(),
                    "one JSON object a line",
                    "correct or remove this line",
                )
            })?;
            Ok((number, value))
        })
        .collect()
}

/// A JSON value none of whose fields is there twice at its top: which of two is meant, nothing tells.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Once;

            fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                to.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Once, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = from.next_entry::<String, Value>()? {
                    if fields.contains_key(&name) {
                        let twice = format!("field `{name}` is there twice");
                        return Err(A::Error::custom(twice));
                    }
                    fields.insert(name, value);
                }
                Ok(Once(Value::Object(fields)))
            }
        }
        from.deserialize_map(Fields)
    }
}

/// The number at a pointer of a JSON value.
pub fn json_number(
    file: &str,
    place: &str,
    value: &Value,
    pointer: &str,
) -> Result<f64, ValidateError> {
    let found = value.pointer(pointer);
    match found.and_then(Value::as_f64) {
        Some(number) if number.is_finite() => Ok(number),
        _ => Err(ValidateError::value(
            file,
            format!("{place}, field `{}`", pointer.trim_start_matches('/')),
            found.map_or_else(|| "missing".to_owned(), |found| format!("`{found}`")),
            "a number",
            "correct or remove it",
        )),
    }
}

/// A token count of at least 1 from a number.
pub fn tokens(file: &str, place: &str, field: &str, value: f64) -> Result<u32, ValidateError> {
    if value.fract() == 0.0 && (1.0..=4e9).contains(&value) {
        return Ok(value as u32);
    }
    Err(ValidateError::value(
        file,
        format!("{place}, field `{field}`"),
        format!("`{value}`"),
        "a whole number of tokens, at least 1",
        "correct or remove it",
    ))
}
