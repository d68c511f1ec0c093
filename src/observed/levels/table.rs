//! Rows of named fields, from CSV or Parquet.

use std::path::Path;

use super::{bins, intervals};
use crate::observed::error::ObservedError;
use crate::observed::input::Input;
use crate::observed::parquet_rows;
use crate::trace::error::Text;

/// Rows at most: a value each second of two months.
const MOST_ROWS: u64 = 5_000_000;

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

    /// Each column's name.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
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
        true => each_of_parquet(path, input.name(), &mut take),
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
    // A quote that is not closed makes a row of all that follows it.
    let allowance = input.allowance();
    allowance.begin();
    let mut rows = csv::Reader::from_reader(&mut *input);
    let head = rows.headers().cloned();
    if let Some(fault) = rows.get_mut().take_fault() {
        return Err(fault);
    }
    let head = head.map_err(|error| refused(error.to_string()))?;
    let columns: Vec<String> = head.iter().map(|it| it.trim().to_owned()).collect();
    let mut record = csv::StringRecord::new();
    for number in 1.. {
        if number > MOST_ROWS {
            let detail =
                format!("has more than {MOST_ROWS} rows, the most that are held in memory");
            return Err(ObservedError::Levels {
                path: path.clone(),
                detail: detail.into(),
                remedy: "give the part of that night, or values farther apart".into(),
            });
        }
        allowance.begin();
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

fn each_of_parquet(path: &Path, name: &Text, take: Take<'_>) -> Result<(), ObservedError> {
    let wanted: Vec<&'static str> = [bins::START]
        .into_iter()
        .chain(bins::COLUMNS.map(|it| it.0))
        .chain(intervals::COLUMNS)
        .collect();
    parquet_rows::read(path, &wanted, &mut |number, texts| {
        let one = |(column, text): &(&str, Option<&str>)| {
            ((*column).to_owned(), text.unwrap_or_default().to_owned())
        };
        let (columns, fields): (Vec<String>, Vec<String>) = texts.iter().map(one).unzip();
        take(&Row {
            path: name,
            number,
            columns: &columns,
            fields: &fields,
        })
    })
}
