//! Points that are run for a sweep that was begun elsewhere.

use std::path::PathBuf;

use pyo3::prelude::*;
use seatrial::experiment::runner::Control;
use seatrial::experiment::sweep::identity::Header;
use seatrial::experiment::sweep::worker::Worker as SweepWorker;

use crate::error::{Raised, bad_argument};
use crate::interrupt::{interruptible, on_threads};

/// Runs points of a sweep that another process began.
#[pyclass(frozen, module = "seatrial._native")]
pub struct Worker(SweepWorker);

#[pymethods]
impl Worker {
    #[new]
    fn new(py: Python<'_>, experiment: PathBuf, header: &str) -> PyResult<Worker> {
        let header: Header = serde_json::from_str(header)
            .map_err(|error| bad_argument(format!("the head of the sweep's journal: {error}")))?;
        let worker = py.detach(|| SweepWorker::new(&experiment, header));
        Ok(Worker(worker.map_err(Raised::from)?))
    }

    /// What is found at points, by their numbers, as JSON. Replications share so many threads.
    fn find(
        &self,
        py: Python<'_>,
        points: Vec<usize>,
        threads: usize,
    ) -> PyResult<Vec<(usize, String)>> {
        let done = interruptible(py, |stop| -> Result<Vec<(usize, String)>, Raised> {
            let control = Control {
                stop: Some(stop),
                ..Control::default()
            };
            let find = |index: usize| {
                let found = self.0.find(index, control)?;
                // A plain struct always serialises.
                Ok((index, serde_json::to_string(&found).unwrap_or_default()))
            };
            on_threads(Some(threads), || points.into_iter().map(find).collect())
        });
        Ok(done??)
    }
}
