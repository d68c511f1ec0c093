//! Folders that other commands wrote, read and checked.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::value::{rows, text, whole};
use crate::experiment::charts::{self, Charts};
use crate::experiment::result;

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct FolderError {
    file: String,
    reason: String,
}

/// What a report is made of.
#[derive(Debug, Clone)]
pub enum Source {
    /// A folder of `run --out`.
    Run(Box<RunFolder>),
    /// A folder of `sweep --out`.
    Sweep(Box<SweepFolder>),
}

/// A folder of `run --out`.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// Its own name.
    pub folder: String,
    /// The result.
    pub result: Value,
    /// What is drawn beside it.
    pub charts: Charts,
}

/// A folder of `sweep --out`.
#[derive(Debug, Clone)]
pub struct SweepFolder {
    /// Its own name.
    pub folder: String,
    /// The summary.
    pub summary: Value,
}

const REMEDY: &str = "give a folder that `run --out` or `sweep --out` wrote";

impl Source {
    /// Reads a folder.
    ///
    /// # Errors
    /// [`FolderError`] where a file is not there, cannot be read, or is not what its name says.
    pub fn read(folder: &Path) -> Result<Source, FolderError> {
        let fail = |name: &str, reason: String| FolderError {
            file: folder.join(name).display().to_string(),
            reason,
        };
        let name = folder_name(folder);
        if folder.join("result.json").is_file() {
            let result: Value = document(folder, "result.json")?;
            check_schema(folder, "result.json", &result, u64::from(result::SCHEMA))?;
            if !folder.join(charts::FILE).is_file() {
                let reason = "is not there: an older version wrote this folder; run its scenario \
                              again with --out";
                return Err(fail(charts::FILE, reason.to_owned()));
            }
            let charts: Charts = document(folder, charts::FILE)?;
            if charts.schema != charts::SCHEMA || charts.digest != text(&result, "digest") {
                let reason = "is not of the run that result.json is of; run its scenario again";
                return Err(fail(charts::FILE, reason.to_owned()));
            }
            return Ok(Source::Run(Box::new(RunFolder {
                folder: name,
                result,
                charts,
            })));
        }
        if folder.join("summary.json").is_file() {
            let summary: Value = document(folder, "summary.json")?;
            check_schema(folder, "summary.json", &summary, 1)?;
            if rows(&summary, "points").is_empty() || text(&summary, "experiment").is_empty() {
                let reason = format!("has no points of an experiment; {REMEDY}");
                return Err(fail("summary.json", reason));
            }
            return Ok(Source::Sweep(Box::new(SweepFolder {
                folder: name,
                summary,
            })));
        }
        let reason = match folder.is_dir() {
            true => format!("has neither result.json nor summary.json; {REMEDY}"),
            false => format!("is no folder; {REMEDY}"),
        };
        Err(FolderError {
            file: folder.display().to_string(),
            reason,
        })
    }

    /// What its author called it.
    pub fn name(&self) -> &str {
        match self {
            Source::Run(run) => text(&run.result, "scenario"),
            Source::Sweep(sweep) => text(&sweep.summary, "experiment"),
        }
    }

    /// The last part of its folder's path.
    pub fn folder_name(&self) -> &str {
        match self {
            Source::Run(run) => &run.folder,
            Source::Sweep(sweep) => &sweep.folder,
        }
    }
}

fn folder_name(folder: &Path) -> String {
    let name = folder.file_name().map(|it| it.to_string_lossy());
    name.map_or_else(|| folder.display().to_string(), |it| it.into_owned())
}

/// A JSON file of a folder.
fn document<T: for<'a> Deserialize<'a>>(folder: &Path, name: &str) -> Result<T, FolderError> {
    let path = folder.join(name);
    crate::inputs::note(&path);
    let fail = |reason: String| FolderError {
        file: path.display().to_string(),
        reason,
    };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| fail(format!("cannot be read: {error}; {REMEDY}")))?;
    serde_json::from_str(&text).map_err(|error| {
        fail(format!(
            "is not what this version writes ({error}); write the folder again"
        ))
    })
}

fn check_schema(
    folder: &Path,
    name: &str,
    document: &Value,
    known: u64,
) -> Result<(), FolderError> {
    match whole(document, "schema") {
        Some(found) if found == known => Ok(()),
        found => Err(FolderError {
            file: folder.join(name).display().to_string(),
            reason: format!(
                "`schema` is {}, and this version knows {known}; write the folder again",
                found.map_or("missing".to_owned(), |it| it.to_string())
            ),
        }),
    }
}
