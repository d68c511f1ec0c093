//! A sweep that has begun, or one shard of it: what is there, and what is to be run.

use std::path::{Path, PathBuf};

use super::error::SweepError;
use super::identity::{Header, Shard};
use super::journal::{Journal, read};
use super::outcome::SweepOutcome;
use super::pending::Pending;
use super::point::Found;
use super::run::{Watch, run};
use super::setup::{Checked, Setup};

/// A sweep that has begun, or one shard of it.
#[derive(Debug)]
pub struct Part {
    header: Header,
    path: PathBuf,
    journal: Journal,
    all: usize,
    pending: Pending,
}

impl Part {
    /// Begins it in a folder, or goes on with what is there.
    ///
    /// # Errors
    /// [`SweepError`] when the journal cannot be written, or is of something else.
    pub fn begin(
        setup: &Setup,
        checked: &Checked,
        out: &Path,
        shard: Option<Shard>,
    ) -> Result<Part, SweepError> {
        let header = Header {
            shard,
            ..checked.header.clone()
        };
        std::fs::create_dir_all(out).map_err(|error| SweepError::file(out, "made", error))?;
        let path = Journal::path_in(out, shard);
        let (mut journal, there) = Journal::open(&path, &header)?;
        let has = |index: &usize| shard.is_none_or(|shard| shard.has(*index));
        let mine: Vec<usize> = (0..setup.points.len()).filter(has).collect();
        let (pending, copies) = Pending::of(&setup.points, &mine, &there);
        journal.add(copies)?;
        Ok(Part {
            header,
            path,
            journal,
            all: mine.len(),
            pending,
        })
    }

    /// Its journal.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many points it has.
    pub fn all(&self) -> usize {
        self.all
    }

    /// The points that were still to be run when it began.
    pub fn pending(&self) -> &Pending {
        &self.pending
    }

    /// Runs them on this machine. Returns whether all were run, as [`run`] does.
    ///
    /// # Errors
    /// Those of [`run`].
    pub fn run(&mut self, setup: &Setup, watch: &Watch<'_>) -> Result<bool, SweepError> {
        run(setup, &self.pending, &mut self.journal, watch)
    }

    /// Takes what was found at points elsewhere; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`SweepError::File`].
    pub fn keep(&mut self, found: &[(usize, Found)]) -> Result<(), SweepError> {
        let all = found.iter();
        let all = all.flat_map(|(index, found)| self.pending.found(*index, found));
        self.journal.add(all.collect())
    }

    /// How many of its points are on the disk, however they came there.
    ///
    /// # Errors
    /// Those of [`read`].
    pub fn done(&self) -> Result<usize, SweepError> {
        Ok(read(&self.path)?.points.len())
    }

    /// What comes of a whole sweep, made of what is on the disk.
    ///
    /// # Errors
    /// [`SweepError::Merge`] when points are missing.
    pub fn outcome(self) -> Result<SweepOutcome, SweepError> {
        drop(self.journal);
        SweepOutcome::new(self.header, read(&self.path)?.points)
    }
}
