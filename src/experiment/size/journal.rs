//! The journal of a sizing: every look is on the disk as soon as it is finished.
//!
//! JSON lines, each with a check: a head that says what the looks are of, then one line for each. Bounds, knobs and
//! confidence are no part of the head: a look shows what it shows whatever is asked next.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::look::Look;
use crate::experiment::sweep::error::SweepError;
use crate::experiment::sweep::identity::{FileHash, SOURCES, start_of};
use crate::experiment::sweep::journal::lock;
use crate::experiment::sweep::seal::{head, sealed, unsealed};
use crate::experiment::variants::Overrides;

/// Version of the journal's format.
const SCHEMA: u32 = 2;

/// The head of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    schema: u32,
    seatrial: String,
    /// The sources that the program was built of; empty where an earlier program did not say.
    #[serde(default)]
    sources: String,
    /// The scenario, as the sizing names it.
    scenario: String,
    /// SHA-256 of the scenario of every case with all that is set for its designs, hexadecimal.
    scenario_sha256: String,
    objective: String,
    metrics: String,
    files: Vec<FileHash>,
}

impl Header {
    /// Of what the looks are.
    pub fn new(
        (scenario, scenario_sha256): (String, String),
        (objective, metrics): (String, String),
        files: Vec<FileHash>,
    ) -> Header {
        Header {
            schema: SCHEMA,
            seatrial: env!("CARGO_PKG_VERSION").to_owned(),
            sources: SOURCES.to_owned(),
            scenario,
            scenario_sha256,
            objective,
            metrics,
            files,
        }
    }

    /// Whether looks of the two may be mixed.
    fn same(&self, here: &Header, file: &Path) -> Result<(), SweepError> {
        let files = |header: &Header| json!(header.files).to_string();
        let scenario =
            |header: &Header| format!("{} {}", header.scenario, start_of(&header.scenario_sha256));
        let theirs = here;
        for (what, there, here) in [
            (
                "version of the format",
                self.schema.to_string(),
                here.schema.to_string(),
            ),
            (
                "version of seatrial",
                self.seatrial.clone(),
                here.seatrial.clone(),
            ),
            (
                "build of seatrial",
                self.sources.clone(),
                here.sources.clone(),
            ),
            ("objective", self.objective.clone(), here.objective.clone()),
            ("set of metrics", self.metrics.clone(), here.metrics.clone()),
            ("scenario", scenario(self), scenario(here)),
            ("set of files that are read", files(self), files(here)),
        ] {
            let is_same = match what {
                // Wherever it lies.
                "scenario" => self.scenario_sha256 == theirs.scenario_sha256,
                _ => there == here,
            };
            if !is_same {
                return Err(SweepError::Other {
                    file: file.display().to_string(),
                    what,
                    there,
                    here,
                });
            }
        }
        Ok(())
    }
}

/// Which look it is: the case, what the design sets, and the replications.
pub type Key = String;

/// The key of a look.
pub fn key(case: &str, set: &Overrides, replications: u32) -> Key {
    json!([case, set, replications]).to_string()
}

/// A line after the head.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: Key,
    look: Look,
}

/// A journal that is written. No other process can write it meanwhile.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// The journal in a folder.
    #[must_use]
    pub fn path_in(folder: &Path) -> PathBuf {
        folder.join("looks.jsonl")
    }

    /// Begins a journal, or goes on with the one that is there, and returns what it has. A last line
    /// that was cut off while it was written counts as not there.
    ///
    /// # Errors
    /// [`SweepError`] when it cannot be read or written, is of something else, is damaged before its
    /// last line, or another process writes it.
    pub fn open(
        path: &Path,
        header: &Header,
    ) -> Result<(Journal, BTreeMap<Key, Look>), SweepError> {
        let opened = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path);
        let file = opened.map_err(|error| SweepError::file(path, "written", error))?;
        lock(&file, path)?;
        let bytes = std::fs::read(path).map_err(|error| SweepError::file(path, "read", error))?;
        let (there, looks, whole_bytes) = read(path, &bytes)?;
        if let Some(there) = &there {
            there.same(header, path)?;
        }
        file.set_len(whole_bytes)
            .map_err(|error| SweepError::file(path, "written", error))?;
        let mut journal = Journal {
            file,
            path: path.to_owned(),
        };
        if there.is_none() {
            journal.write(&sealed(&json!(header).to_string()))?;
        }
        Ok((journal, looks))
    }

    /// Adds a look; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`SweepError::File`].
    pub fn add(&mut self, key: &Key, look: &Look) -> Result<(), SweepError> {
        self.write(&sealed(&json!({ "key": key, "look": look }).to_string()))
    }

    fn write(&mut self, text: &str) -> Result<(), SweepError> {
        let written = self.file.write_all(text.as_bytes());
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|error| SweepError::file(&self.path, "written", error))
    }
}

type ReadLines = (Option<Header>, BTreeMap<Key, Look>, u64);

fn read(path: &Path, bytes: &[u8]) -> Result<ReadLines, SweepError> {
    let mut header = None;
    let mut looks = BTreeMap::new();
    let mut whole_bytes = 0;
    let mut lines = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .enumerate()
        .peekable();
    while let Some((index, line)) = lines.next() {
        let last = lines.peek().is_none();
        if last && !line.ends_with(b"\n") {
            break;
        }
        if index == 0 {
            header = Some(head(path, line)?);
        } else {
            match look(line) {
                Ok(Line { key, look }) => _ = looks.insert(key, look),
                Err(_) if last => break,
                Err(reason) => {
                    return Err(SweepError::Damaged {
                        file: path.display().to_string(),
                        line: index + 1,
                        reason: reason.to_owned(),
                    });
                }
            }
        }
        whole_bytes += line.len() as u64;
    }
    Ok((header, looks, whole_bytes))
}

/// A look of a line.
fn look(line: &[u8]) -> Result<Line, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not text")?;
    let object = unsealed(text).map_err(|broken| broken.words())?;
    serde_json::from_str(&object).map_err(|_| "it is no look of a sizing")
}
