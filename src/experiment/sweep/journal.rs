//! The journal of a sweep: every point is on the disk as soon as it is finished.
//!
//! JSON lines: a head that says what the sweep is of, then a line for each point, in the order in
//! which they were finished, each with a check (in `seal.rs`).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::SweepError;
use super::identity::{Header, Shard};
use super::point::Found;
use super::seal::{head, sealed, unsealed};

/// What was found, by the number of the point.
pub type Points = BTreeMap<usize, Found>;

/// A line after the head.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    point: usize,
    found: Found,
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
    pub fn path_in(folder: &Path, shard: Option<Shard>) -> PathBuf {
        folder.join(match shard {
            None => "journal.jsonl".to_owned(),
            Some(Shard { index, of }) => format!("journal-{index}-of-{of}.jsonl"),
        })
    }

    /// Begins a journal, or goes on with the one that is there, and returns what it has.
    ///
    /// # Errors
    /// [`SweepError`] when it cannot be read or written, is of something else, is damaged before its
    /// last line, or another process writes it.
    pub fn open(path: &Path, header: &Header) -> Result<(Journal, Points), SweepError> {
        let opened = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path);
        let file = opened.map_err(|error| SweepError::file(path, "written", error))?;
        lock(&file, path)?;
        let read = read(path)?;
        if let Some(there) = &read.header {
            there.same(header, path)?;
        }
        let torn = match read.header {
            Some(_) => Vec::new(),
            None => std::fs::read(path).map_err(|error| SweepError::file(path, "read", error))?,
        };
        if read.header.is_some() {
            file.set_len(read.whole_bytes)
                .map_err(|error| SweepError::file(path, "written", error))?;
        }
        let mut journal = Journal {
            file,
            path: path.to_owned(),
        };
        if read.header.is_none() {
            let line = sealed(&serde_json::to_string(header).unwrap_or_default());
            if !line.as_bytes().starts_with(&torn) {
                return Err(SweepError::Damaged {
                    file: path.display().to_string(),
                    line: 1,
                    reason: "it is no journal of this sweep".to_owned(),
                });
            }
            journal
                .file
                .set_len(0)
                .map_err(|error| SweepError::file(path, "written", error))?;
            journal.write(&line)?;
            journal.keep_name();
        }
        Ok((journal, read.points))
    }

    /// Adds points; they are on the disk when this returns.
    ///
    /// # Errors
    /// [`SweepError::File`].
    pub fn add(&mut self, points: Vec<(usize, Found)>) -> Result<(), SweepError> {
        let lines = points.into_iter().map(|(point, found)| {
            // Plain structs of numbers and texts always serialise.
            sealed(&serde_json::to_string(&Line { point, found }).unwrap_or_default())
        });
        self.write(&lines.collect::<String>())
    }

    fn write(&mut self, text: &str) -> Result<(), SweepError> {
        if text.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(text.as_bytes());
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|error| SweepError::file(&self.path, "written", error))
    }

    /// Makes the name of a new file durable, too, where folders can be synced.
    fn keep_name(&self) {
        if let Some(folder) = self
            .path
            .parent()
            .and_then(|folder| File::open(folder).ok())
        {
            let _ = folder.sync_all();
        }
    }
}

pub(in crate::experiment) fn lock(file: &File, path: &Path) -> Result<(), SweepError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(SweepError::File {
            file: path.display().to_string(),
            what: "locked",
            cause: "another run is writing it".to_owned(),
            remedy: "wait for that, or give another --out",
        }),
        // File systems without locks exist on clusters: one process for each shard is the user's part.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// A journal that was read.
#[derive(Debug)]
pub struct Read {
    /// Its head; none where not even that is whole.
    pub header: Option<Header>,
    /// Its points.
    pub points: Points,
    /// How much of the file is whole lines.
    whole_bytes: u64,
}

/// Reads a journal. A last line that was cut off while it was written counts as not there.
///
/// # Errors
/// [`SweepError`] when it cannot be read, or a line before the last is damaged.
pub fn read(path: &Path) -> Result<Read, SweepError> {
    let bytes = std::fs::read(path).map_err(|error| SweepError::file(path, "read", error))?;
    let mut read = Read {
        header: None,
        points: Points::new(),
        whole_bytes: 0,
    };
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
            read.header = Some(head(path, line)?);
        } else if let Err(reason) = take(&mut read, line) {
            if last {
                break;
            }
            return Err(SweepError::Damaged {
                file: path.display().to_string(),
                line: index + 1,
                reason,
            });
        }
        read.whole_bytes += line.len() as u64;
    }
    Ok(read)
}

fn take(read: &mut Read, line: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not text".to_owned())?;
    let object = unsealed(text).map_err(|broken| broken.words().to_owned())?;
    let line: Line =
        serde_json::from_str(&object).map_err(|_| "it is no point of a sweep".to_owned())?;
    let header = read.header.as_ref().ok_or("there is no head")?;
    let outside = line.point as u64 >= header.points;
    if outside || header.shard.is_some_and(|shard| !shard.has(line.point)) {
        return Err(format!("there is no point {} in it", line.point));
    }
    if line.found.metrics.len() != header.experiment.metrics.len() {
        return Err("it has another number of metrics".to_owned());
    }
    match read.points.insert(line.point, line.found.clone()) {
        Some(earlier) if earlier != line.found => {
            Err(format!("point {} is there twice, and differs", line.point))
        }
        _ => Ok(()),
    }
}
