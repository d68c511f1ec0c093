//! Points that are run for a sweep that was begun elsewhere, by another process or machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::SweepError;
use super::identity::{Header, hashes, start_of};
use super::point::Found;
use super::setup::Setup;
use crate::experiment::runner::Control;
use crate::inputs::recorded;

/// Runs points of a sweep that was begun elsewhere.
#[derive(Debug)]
pub struct Worker {
    setup: Setup,
    header: Header,
    /// Files whose content was found to be what it was where the sweep began.
    seen: Mutex<BTreeSet<PathBuf>>,
}

impl Worker {
    /// Reads the experiment that is here, for a sweep whose journal has this head.
    ///
    /// # Errors
    /// [`SweepError`] when it cannot be read, or is not what the sweep is of; or this is another
    /// program than the one that began it.
    pub fn new(experiment: &Path, header: Header) -> Result<Worker, SweepError> {
        let setup = Setup::load(experiment)?;
        let here = Header {
            scenario: header.scenario.clone(),
            files: header.files.clone(),
            confidence: header.confidence,
            ..setup.header()
        };
        header.same(&here, experiment).map_err(elsewhere)?;
        Ok(Worker {
            setup,
            header,
            seen: Mutex::default(),
        })
    }

    /// Runs the point of a number, which the sweep has.
    ///
    /// # Errors
    /// [`SweepError::Point`]; or a file that it reads is not as it was where the sweep began, or
    /// there is no such point.
    pub fn find(&self, index: usize, control: Control<'_>) -> Result<Found, SweepError> {
        let point = self.setup.points.get(index).ok_or_else(|| {
            let count = self.setup.points.len();
            SweepError::Merge(format!("there is no point {index} among the {count}"))
        })?;
        let (plan, files) = recorded(|| self.setup.plan_at(point));
        let plan = plan?;
        self.check(files)?;
        self.setup.find(point, plan, control)
    }

    /// Refuses files that differ from those that the sweep was begun with.
    fn check(&self, mut files: BTreeSet<PathBuf>) -> Result<(), SweepError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|file| !seen.contains(file));
        let hashed = hashes(&files)?;
        let known = &self.header.files;
        if let Some(other) = hashed.iter().find(|file| !known.contains(file)) {
            let there = known.iter().find(|file| file.file == other.file);
            return Err(SweepError::Elsewhere {
                what: "content of the file",
                here: format!("{} {}", other.file, start_of(&other.sha256)),
                there: there.map_or("none".to_owned(), |file| start_of(&file.sha256)),
            });
        }
        seen.extend(files);
        Ok(())
    }
}

/// What differs from a journal's head, in words for a worker.
fn elsewhere(error: SweepError) -> SweepError {
    match error {
        SweepError::Other {
            what, there, here, ..
        } => SweepError::Elsewhere { what, there, here },
        other => other,
    }
}
