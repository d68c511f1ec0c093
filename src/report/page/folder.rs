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
    /// A folder of `replay --out`.
    Replay(Box<ReplayFolder>),
    /// A folder of `size --out`.
    Size(Box<SizeFolder>),
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

/// A folder of `replay --out`.
#[derive(Debug, Clone)]
pub struct ReplayFolder {
    /// Its own name.
    pub folder: String,
    /// What was found.
    pub replay: Value,
}

/// A folder of `size --out`.
#[derive(Debug, Clone)]
pub struct SizeFolder {
    /// Its own name.
    pub folder: String,
    /// The answer.
    pub size: Value,
}

const REMEDY: &str =
    "give a folder that `run --out`, `sweep --out`, `replay --out` or `size --out` wrote";

/// The documents that say what a folder is of.
const DOCUMENTS: [&str; 4] = ["result.json", "summary.json", "replay.json", "size.json"];

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
        let there = DOCUMENTS.iter().filter(|it| folder.join(it).is_file());
        let there: Vec<&str> = there.copied().collect();
        if there.len() > 1 {
            return Err(FolderError {
                file: folder.display().to_string(),
                reason: format!(
                    "has {}, which are of different commands; give each a folder of its own with --out",
                    there.join(" and ")
                ),
            });
        }
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
        if folder.join("replay.json").is_file() {
            let replay: Value = document(folder, "replay.json")?;
            check_schema(folder, "replay.json", &replay, 1)?;
            if rows(&replay, "series").is_empty() || rows(&replay, "stretches").is_empty() {
                let reason =
                    "has no series of a replay, or is an older version's; replay again with --out";
                return Err(fail("replay.json", reason.to_owned()));
            }
            return Ok(Source::Replay(Box::new(ReplayFolder {
                folder: name,
                replay,
            })));
        }
        if folder.join("size.json").is_file() {
            let size: Value = document(folder, "size.json")?;
            check_schema(folder, "size.json", &size, 1)?;
            if rows(&size, "cases").is_empty() || text(&size, "name").is_empty() {
                let reason = format!("has no cases of a sizing; {REMEDY}");
                return Err(fail("size.json", reason));
            }
            return Ok(Source::Size(Box::new(SizeFolder { folder: name, size })));
        }
        let reason = match folder.is_dir() {
            true => format!("has neither {}; {REMEDY}", DOCUMENTS.join(" nor ")),
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
            Source::Replay(replay) => text(&replay.replay, "scenario"),
            Source::Size(size) => text(&size.size, "name"),
        }
    }

    /// The last part of its folder's path.
    pub fn folder_name(&self) -> &str {
        match self {
            Source::Run(run) => &run.folder,
            Source::Sweep(sweep) => &sweep.folder,
            Source::Replay(replay) => &replay.folder,
            Source::Size(size) => &size.folder,
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
