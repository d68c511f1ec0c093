//! The audit log of erasures, as CSV: a line for each erasure and place.

use std::path::Path;

use crate::engine::SimTime;
use crate::fleet::erasure::audit::AuditRow;
use crate::outputs::Output;

/// Names of the columns.
const COLUMNS: [&str; 10] = [
    "erasure",
    "subject",
    "verdict",
    "place",
    "replica",
    "received_ns",
    "erased_up_to_ns",
    "told_ns",
    "unseen_ns",
    "gone_ns",
];

/// Why an audit log could not be written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The name does not say CSV.
    #[error("{0}: an audit log must end in .csv or .csv.gz; rename it")]
    Extension(String),
    /// The file could not be written.
    #[error("{0}: cannot write: {1}; check the folder and the space left")]
    Write(String, String),
}

/// Writes the lines of an audit log to a file.
pub struct AuditFile {
    name: String,
    writer: csv::Writer<Output>,
}

impl AuditFile {
    /// Opens a file.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn create(path: &Path) -> Result<AuditFile, AuditError> {
        let name = path.display().to_string();
        if ![".csv", ".csv.gz"].iter().any(|end| name.ends_with(end)) {
            return Err(AuditError::Extension(name));
        }
        let failed =
            |error: &dyn std::fmt::Display| AuditError::Write(name.clone(), error.to_string());
        let sink = Output::create(path).map_err(|error| failed(&error))?;
        let mut writer = csv::Writer::from_writer(sink);
        writer
            .write_record(COLUMNS)
            .map_err(|error| failed(&error))?;
        Ok(AuditFile { name, writer })
    }

    /// Writes lines; `places` are the names that they point to.
    ///
    /// # Errors
    /// [`AuditError::Write`].
    pub fn write(&mut self, rows: &[AuditRow], places: &[String]) -> Result<(), AuditError> {
        let stamp = |at: Option<SimTime>| at.map_or_else(String::new, |at| at.0.to_string());
        for row in rows {
            let place = row.place.and_then(|place| places.get(usize::from(place)));
            let fields = [
                row.erasure.to_string(),
                row.subject.clone(),
                row.verdict.name().to_owned(),
                place.cloned().unwrap_or_default(),
                row.replica
                    .map_or_else(String::new, |replica| replica.to_string()),
                row.received.0.to_string(),
                stamp(row.stamp),
                stamp(row.told),
                stamp(row.logical),
                stamp(row.physical),
            ];
            self.writer
                .write_record(fields)
                .map_err(|error| AuditError::Write(self.name.clone(), error.to_string()))?;
        }
        Ok(())
    }

    /// Closes the file.
    ///
    /// # Errors
    /// [`AuditError::Write`].
    pub fn finish(self) -> Result<(), AuditError> {
        let AuditFile { name, writer } = self;
        let sink = writer
            .into_inner()
            .map_err(|error| AuditError::Write(name.clone(), error.to_string()))?;
        sink.finish()
            .map_err(|error| AuditError::Write(name, error.to_string()))
    }
}
