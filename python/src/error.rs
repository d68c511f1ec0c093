//! What goes wrong, as exceptions of Python with the library's own words.

use std::path::Path;

use pyo3::PyErr;
use pyo3::exceptions::{PyFileNotFoundError, PyOSError, PyRuntimeError, PyValueError};
use seatrial::experiment::runner::RunError;
use seatrial::experiment::sweep::error::SweepError;
use seatrial::report::sweep::SweepFileError;
use seatrial::scenario::ScenarioError;

/// An error of the library.
pub struct Raised(PyErr);

impl From<Raised> for PyErr {
    fn from(raised: Raised) -> PyErr {
        raised.0
    }
}

impl From<ScenarioError> for Raised {
    fn from(error: ScenarioError) -> Raised {
        let text = error.to_string();
        Raised(match error {
            ScenarioError::NotReadable { file, .. } if !Path::new(&file).exists() => {
                PyFileNotFoundError::new_err(text)
            }
            _ => PyValueError::new_err(text),
        })
    }
}

impl From<RunError> for Raised {
    fn from(error: RunError) -> Raised {
        let text = error.to_string();
        Raised(match error {
            RunError::Identity(_) => PyRuntimeError::new_err(text),
            _ => PyValueError::new_err(text),
        })
    }
}

impl From<SweepError> for Raised {
    fn from(error: SweepError) -> Raised {
        let text = error.to_string();
        match error {
            SweepError::Scenario(error) => error.into(),
            SweepError::Point { source, .. } if matches!(*source, RunError::Identity(_)) => {
                Raised(PyRuntimeError::new_err(text))
            }
            SweepError::File { .. } => Raised(PyOSError::new_err(text)),
            _ => Raised(PyValueError::new_err(text)),
        }
    }
}

impl From<SweepFileError> for Raised {
    fn from(error: SweepFileError) -> Raised {
        Raised(PyOSError::new_err(error.to_string()))
    }
}

/// An argument that is not as it must be.
pub fn bad_argument(text: impl Into<String>) -> PyErr {
    PyValueError::new_err(text.into())
}
