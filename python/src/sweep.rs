//! Sweeps and their parts.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use seatrial::experiment::sweep::identity::Shard;
use seatrial::experiment::sweep::merge::merge as put_together;
use seatrial::experiment::sweep::part::Part as SweepPart;
use seatrial::experiment::sweep::point::Found;
use seatrial::experiment::sweep::run::Watch;
use seatrial::experiment::sweep::setup::{Checked, Setup};
use seatrial::report::sweep as files;

use crate::error::{Raised, bad_argument};
use crate::interrupt::interruptible;

/// An experiment with its scenario, read and checked at every point.
#[pyclass(frozen, module = "seatrial._native")]
pub struct Sweep {
    setup: Setup,
    checked: Checked,
}

#[pymethods]
impl Sweep {
    #[new]
    fn new(py: Python<'_>, experiment: PathBuf) -> PyResult<Sweep> {
        let read = interruptible(py, |_| -> Result<Sweep, Raised> {
            let setup = Setup::load(&experiment)?;
            let checked = setup.check(&|| {})?;
            Ok(Sweep { setup, checked })
        });
        Ok(read??)
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.setup.experiment.name
    }

    /// The head of its journal, as JSON.
    #[getter]
    fn header(&self) -> String {
        // A plain struct always serialises.
        serde_json::to_string(&self.checked.header).unwrap_or_default()
    }

    /// Every file that it is made of, the experiment first.
    #[getter]
    fn files(&self) -> Vec<PathBuf> {
        self.setup.files(&self.checked)
    }

    /// Begins it, or one shard of it (its number and how many there are), or goes on with that.
    #[pyo3(signature = (out, shard))]
    fn begin(&self, py: Python<'_>, out: PathBuf, shard: Option<(u32, u32)>) -> PyResult<Part> {
        let shard = match shard {
            None => None,
            Some((index, of)) => {
                let shard = format!("{index}/{of}").parse::<Shard>();
                Some(shard.map_err(|text| bad_argument(format!("shards: {text}")))?)
            }
        };
        let begin = || SweepPart::begin(&self.setup, &self.checked, &out, shard);
        let part = py.detach(begin).map_err(Raised::from)?;
        Ok(Part {
            journal: part.path().to_owned(),
            part: Mutex::new(Some(part)),
        })
    }

    /// Refuses files that have changed since it was read.
    fn still_so(&self, py: Python<'_>) -> PyResult<()> {
        let still_so = py.detach(|| self.checked.still_so());
        Ok(still_so.map_err(Raised::from)?)
    }
}

/// A sweep that has begun, or one shard of it; nobody else can write its journal meanwhile.
#[pyclass(frozen, module = "seatrial._native")]
pub struct Part {
    journal: PathBuf,
    part: Mutex<Option<SweepPart>>,
}

impl Part {
    fn lock(&self) -> PyResult<MutexGuard<'_, Option<SweepPart>>> {
        // Waiting with the interpreter's lock held might wait for ever.
        let busy = |_| PyRuntimeError::new_err("another thread is using this part of the sweep");
        self.part.try_lock().map_err(busy)
    }
}

fn open(part: &mut Option<SweepPart>) -> PyResult<&mut SweepPart> {
    let closed = || PyRuntimeError::new_err("this part of the sweep has been closed");
    part.as_mut().ok_or_else(closed)
}

#[pymethods]
impl Part {
    /// Its journal.
    #[getter]
    fn journal(&self) -> PathBuf {
        self.journal.clone()
    }

    /// The points that are to be run.
    fn pending(&self) -> PyResult<Vec<usize>> {
        let mut part = self.lock()?;
        Ok(open(&mut part)?.pending().points().collect())
    }

    /// Runs them here, so many at once; all that the machine has threads for where none is said.
    /// Ctrl-C finishes and keeps those in flight.
    fn run(&self, py: Python<'_>, sweep: &Sweep, threads: Option<usize>) -> PyResult<()> {
        let mut part = self.lock()?;
        let part = open(&mut part)?;
        let done = interruptible(py, |stop| {
            let watch = Watch {
                threads: threads.unwrap_or_else(rayon::current_num_threads),
                stop,
                progress: &|_| {},
            };
            part.run(&sweep.setup, &watch)
        });
        done?.map_err(Raised::from)?;
        Ok(())
    }

    /// Takes what was found at points elsewhere, by their numbers; it is on the disk when this
    /// returns.
    fn keep(&self, py: Python<'_>, found: Vec<(usize, String)>) -> PyResult<()> {
        let mut part = self.lock()?;
        let part = open(&mut part)?;
        let read = |(index, text): &(usize, String)| Ok((*index, serde_json::from_str(text)?));
        let found: Result<Vec<(usize, Found)>, serde_json::Error> =
            found.iter().map(read).collect();
        let found = found.map_err(|error| bad_argument(format!("found: {error}")))?;
        let kept = py.detach(|| part.keep(&found));
        Ok(kept.map_err(Raised::from)?)
    }

    /// Writes the results of a whole sweep to a folder and closes it.
    fn finish(&self, py: Python<'_>, out: PathBuf) -> PyResult<()> {
        let mut part = self.lock()?;
        open(&mut part)?;
        let Some(part) = part.take() else {
            return Ok(());
        };
        py.detach(|| -> Result<(), Raised> { Ok(files::write(&part.outcome()?, &out)?) })?;
        Ok(())
    }

    /// Lets others write its journal.
    fn close(&self) -> PyResult<()> {
        *self.lock()? = None;
        Ok(())
    }
}

/// Puts journals together and writes the results to a folder.
#[pyfunction]
pub fn merge(py: Python<'_>, journals: Vec<PathBuf>, out: PathBuf) -> PyResult<()> {
    py.detach(|| -> Result<(), Raised> {
        let journals = seatrial::experiment::sweep::merge::journals(&journals)?;
        Ok(files::write(&put_together(&journals, &out)?, &out)?)
    })?;
    Ok(())
}
