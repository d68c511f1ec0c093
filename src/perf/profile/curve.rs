//! Piecewise linear curves, and tables of them by name.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::error::PerfError;
use super::read_text;

/// A piecewise linear function of a non-negative number, that goes on beyond its last point along
/// its last two, and below its first as there.
#[derive(Debug, Clone, Default)]
pub(super) struct Curve {
    points: Vec<(f64, f64)>,
}

impl Curve {
    pub fn zero() -> Curve {
        Curve {
            points: vec![(0.0, 0.0)],
        }
    }

    pub fn at(&self, x: f64) -> f64 {
        let index = self.points.partition_point(|point| point.0 <= x);
        match (index, &self.points[..]) {
            (_, []) => 0.0,
            (0, points) => points[0].1,
            (_, [only]) => only.1,
            (index, points) => {
                let right = index.min(points.len() - 1);
                let ((x0, y0), (x1, y1)) = (points[right - 1], points[right]);
                y0 + (y1 - y0) * (x - x0) / (x1 - x0)
            }
        }
    }

    /// Adds `factor` times another curve: exact, at the points of both.
    pub fn add(&mut self, other: &Curve, factor: f64) {
        let mut xs: Vec<f64> = self.points.iter().map(|point| point.0).collect();
        xs.extend(other.points.iter().map(|point| point.0));
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        let sum = |x: f64| (x, self.at(x) + factor * other.at(x));
        self.points = xs.into_iter().map(sum).collect();
    }
}

/// The curves of a file by the name of their kernel.
pub(super) struct Table {
    file: String,
    curves: BTreeMap<String, Curve>,
}

impl Table {
    pub fn read(folder: &Path, name: &str, columns: [&'static str; 3]) -> Result<Table, PerfError> {
        let (file, text) = read_text(folder, name)?;
        let mut curves: BTreeMap<String, Curve> = BTreeMap::new();
        for row in records(&file, &text, &columns)? {
            let (line, fields) = row;
            let x = number(&file, line, columns[1], &fields[1])?;
            let us = number(&file, line, columns[2], &fields[2])?;
            curves
                .entry(fields[0].clone())
                .or_default()
                .points
                .push((x, us));
        }
        for curve in curves.values_mut() {
            curve.points.sort_by(|a, b| a.0.total_cmp(&b.0));
            curve.points.dedup_by_key(|point| point.0.to_bits());
        }
        Ok(Table { file, curves })
    }

    pub fn curve(&self, name: &str) -> Result<Curve, PerfError> {
        let found = self.curves.get(name).cloned();
        found.ok_or_else(|| PerfError::Field {
            file: self.file.clone(),
            field: "layer",
            value: format!("no rows of `{name}`"),
            allowed: "a profile with every kernel of a dense model".into(),
            remedy: "profile the model again, or leave `profile` out".into(),
        })
    }
}

/// The records of a CSV text with their lines, after checking its header.
pub(super) fn records(
    file: &str,
    text: &str,
    columns: &[&str],
) -> Result<Vec<(u64, Vec<String>)>, PerfError> {
    let fail = |line: u64, value: String, allowed: String| PerfError::Field {
        file: format!("{file}:{line}"),
        field: "profile",
        value,
        allowed,
        remedy: "profile the model again".into(),
    };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| {
        fail(
            1,
            error.to_string(),
            format!("the header {}", columns.join(",")),
        )
    })?;
    if !header.iter().eq(columns.iter().copied()) {
        let value = header.iter().collect::<Vec<_>>().join(",");
        return Err(fail(1, value, format!("the header {}", columns.join(","))));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            fail(line, error.to_string(), format!("{} fields", columns.len()))
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        rows.push((line, record.iter().map(str::to_owned).collect()));
    }
    Ok(rows)
}

/// A finite number of at least 0.
pub(super) fn number(
    file: &str,
    line: u64,
    field: &'static str,
    text: &str,
) -> Result<f64, PerfError> {
    let parsed = text.trim().parse::<f64>().ok();
    parsed
        .filter(|value| value.is_finite() && *value >= 0.0)
        .ok_or_else(|| PerfError::Field {
            file: format!("{file}:{line}"),
            field,
            value: text.to_owned(),
            allowed: "a finite number of at least 0".into(),
            remedy: "profile the model again".into(),
        })
}
