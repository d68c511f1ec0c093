//! Rows of named fields, from CSV or Parquet.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::observed::error::ObservedError;
use crate::observed::input::Input;
use crate::trace::error::Text;

/// A row, with its place for errors.
pub(super) struct Row<'a> {
    path: &'a Text,
    number: u64,
    columns: &'a [String],
    fields: &'a [String],
}

impl Row<'_> {
    /// Whether there is a column of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|it| it == name)
    }

    /// The names of the columns.
    pub(super) fn columns(&self) -> String {
        self.columns.join(", ").chars().take(200).collect()
    }

    /// A field as it is written; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        let place = self.columns.iter().position(|it| it == name);
        let field = place.and_then(|place| self.fields.get(place));
        field.map_or("", |it| it.trim())
    }

    /// A number between two; none where the field is empty.
    pub(super) fn number(
        &self,
        name: &str,
        (low, high): (f64, f64),
    ) -> Result<Option<f64>, ObservedError> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(None);
        }
        let number = text.parse::<f64>().ok();
        match number.filter(|it| (low..=high).contains(it)) {
            Some(number) => Ok(Some(number)),
            None => {
                let allowed = format!("{name} = {text}: must be a number from {low} to {high}");
                Err(self.refuse(&allowed, "correct it, or leave it empty"))
            }
        }
    }

    /// Why this row, or its file, is not what it must be.
    pub(super) fn refuse(&self, what: &str, remedy: &str) -> ObservedError {
        ObservedError::Levels {
            path: self.path.clone(),
            detail: format!("row {}: {what}", self.number).into(),
            remedy: remedy.into(),
        }
    }
}

/// Hands over row after row; `path` is opened again if it is Parquet.
pub(super) fn each_row(
    input: &mut Input,
    path: &Path,
    mut take: impl FnMut(&Row<'_>) -> Result<(), ObservedError>,
) -> Result<(), ObservedError> {
    match input.head().starts_with(b"PAR1") {
        true => each_of_parquet(input.name(), path, &mut take),
        false => each_of_csv(input, &mut take),
    }
}

type Take<'a> = &'a mut dyn FnMut(&Row<'_>) -> Result<(), ObservedError>;

fn each_of_csv(input: &mut Input, take: Take<'_>) -> Result<(), ObservedError> {
    let path = input.name().clone();
    let refused = |detail: String| ObservedError::Levels {
        path: path.clone(),
        detail: detail.into(),
        remedy: "give CSV with a head, Parquet, or scrapes of Prometheus".into(),
    };
    let mut rows = csv::Reader::from_reader(&mut *input);
    let head = rows.headers().cloned();
    if let Some(fault) = rows.get_mut().take_fault() {
        return Err(fault);
    }
    let head = head.map_err(|error| refused(error.to_string()))?;
    let columns: Vec<String> = head.iter().map(|it| it.trim().to_owned()).collect();
    let mut record = csv::StringRecord::new();
    for number in 1.. {
        let read = rows.read_record(&mut record);
        if let Some(fault) = rows.get_mut().take_fault() {
            return Err(fault);
        }
        if !read.map_err(|error| refused(error.to_string()))? {
            if number == 1 {
                return Err(refused("has no row".to_owned()));
            }
            break;
        }
        let fields: Vec<String> = record.iter().map(str::to_owned).collect();
        take(&Row {
            path: &path,
            number,
            columns: &columns,
            fields: &fields,
        })?;
    }
    Ok(())
}

fn each_of_parquet(name: &Text, path: &Path, take: Take<'_>) -> Result<(), ObservedError> {
    let damaged = |detail: String| ObservedError::Damaged {
        path: name.clone(),
        kind: "Parquet",
        line: 0,
        detail: detail.into(),
    };
    let file = File::open(path).map_err(|fault| damaged(fault.to_string()))?;
    let reader = SerializedFileReader::new(file).map_err(|fault| damaged(fault.to_string()))?;
    let rows = reader.get_row_iter(None);
    let rows = rows.map_err(|fault| damaged(fault.to_string()))?;
    for (number, row) in (1..).zip(rows) {
        let row = row.map_err(|fault| damaged(fault.to_string()))?;
        let (columns, fields): (Vec<String>, Vec<String>) = row
            .get_column_iter()
            .map(|(name, field)| (name.clone(), text_of(field)))
            .unzip();
        take(&Row {
            path: name,
            number,
            columns: &columns,
            fields: &fields,
        })?;
    }
    Ok(())
}

/// A field of Parquet as CSV would have it.
fn text_of(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        other => other.to_string(),
    }
}
