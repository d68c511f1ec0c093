//! The files of a sweep: points and replications as CSV and Parquet, the summary as text and JSON.

use std::fmt::Display;
use std::path::Path;

use serde_json::Value;

use super::columns::{Column, Columns, write_whole};
use super::terminal::sweep::render;
use crate::experiment::sweep::outcome::SweepOutcome;
use crate::experiment::sweep::schema::metric_columns;

/// A file of a sweep that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{file}: cannot be written: {cause}; check the folder and the space left")]
pub struct SweepFileError {
    file: String,
    cause: String,
}

/// The files, in the order of writing.
pub const FILES: [&str; 6] = [
    "points.csv",
    "points.parquet",
    "replications.csv",
    "replications.parquet",
    "summary.json",
    "summary.txt",
];

/// Writes all files of a sweep to a folder.
///
/// # Errors
/// [`SweepFileError`] of the first that cannot be written.
pub fn write(outcome: &SweepOutcome, folder: &Path) -> Result<(), SweepFileError> {
    let points = point_columns(outcome);
    let replications = replication_columns(outcome);
    let mut json = serde_json::to_string_pretty(&outcome.to_json()).unwrap_or_default();
    json.push('\n');
    let failed = |name: &str, cause: &dyn Display| SweepFileError {
        file: folder.join(name).display().to_string(),
        cause: cause.to_string(),
    };
    for name in FILES {
        let table = if name.starts_with("points") {
            &points
        } else {
            &replications
        };
        let bytes = match name.rsplit_once('.') {
            Some((_, "csv")) => table.to_csv().map_err(|error| failed(name, &error))?,
            Some((stem, "parquet")) => table
                .to_parquet(stem)
                .map_err(|error| failed(name, &error))?,
            Some((_, "json")) => json.clone().into_bytes(),
            _ => render(outcome).into_bytes(),
        };
        write_whole(&folder.join(name), &bytes).map_err(|error| failed(name, &error))?;
    }
    Ok(())
}

/// What each axis sets: a column for each of its fields, with one value for each row.
fn setting_columns(outcome: &SweepOutcome, rows: &[usize]) -> Vec<(String, Column)> {
    let axes = outcome.header.experiment.axes.iter().enumerate();
    let columns = axes.flat_map(|(axis, spec)| {
        let fields = spec.columns().into_iter().enumerate();
        fields.map(move |(field, name)| {
            let value = |row: &usize| outcome.points[*row].settings[axis].get(field);
            let values: Vec<&Value> = rows
                .iter()
                .map(|row| value(row).unwrap_or(&Value::Null))
                .collect();
            (name, Column::of_values(&values))
        })
    });
    columns.collect()
}

fn point_columns(outcome: &SweepOutcome) -> Columns {
    let all: Vec<usize> = (0..outcome.points.len()).collect();
    let mut columns = Columns::default();
    columns.push(
        "point",
        Column::Int(all.iter().map(|index| whole(*index)).collect()),
    );
    columns.0.extend(setting_columns(outcome, &all));
    for (index, row) in outcome.header.experiment.metrics.iter().enumerate() {
        let found = || outcome.found.iter().map(|found| &found.metrics[index]);
        let values = [
            Column::Float(found().map(|it| it.value).collect()),
            Column::Float(found().map(|it| it.low).collect()),
            Column::Float(found().map(|it| it.high).collect()),
            Column::Text(found().map(|it| it.doubt.clone()).collect()),
        ];
        columns
            .0
            .extend(metric_columns(&row.name).into_iter().zip(values));
    }
    let mut on_front = vec![Some(false); all.len()];
    for index in &outcome.front {
        on_front[*index] = Some(true);
    }
    let partial = outcome.found.iter().map(|found| found.partial.clone());
    let digest = outcome.found.iter().map(|found| Some(found.digest.clone()));
    columns.push("feasible", Column::Bool(outcome.feasible.clone()));
    columns.push("on_front", Column::Bool(on_front));
    columns.push("partial", Column::Text(partial.collect()));
    columns.push("digest", Column::Text(digest.collect()));
    columns
}

fn replication_columns(outcome: &SweepOutcome) -> Columns {
    let mut rows = Vec::new();
    let mut numbers = Vec::new();
    for (point, found) in outcome.found.iter().enumerate() {
        let count = found.metrics.first().map_or(0, |it| it.replications.len());
        rows.extend(std::iter::repeat_n(point, count));
        numbers.extend((0..count).map(whole));
    }
    let mut columns = Columns::default();
    columns.push(
        "point",
        Column::Int(rows.iter().map(|row| whole(*row)).collect()),
    );
    columns.push("replication", Column::Int(numbers));
    columns.0.extend(setting_columns(outcome, &rows));
    for (index, row) in outcome.header.experiment.metrics.iter().enumerate() {
        let values = outcome
            .found
            .iter()
            .flat_map(|it| it.metrics[index].replications.clone());
        columns.push(row.name.as_str(), Column::Float(values.collect()));
    }
    columns
}

/// A number of a point or replication, of which there are never too many.
fn whole(number: usize) -> Option<i64> {
    i64::try_from(number).ok()
}
