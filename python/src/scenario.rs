//! Runs and estimates of one scenario.

use std::path::{Path, PathBuf};

use pyo3::prelude::*;
use seatrial::experiment::estimate::all_sheets;
use seatrial::experiment::runner::{Control, run_scenario};
use seatrial::experiment::variants::{Overrides, apply};
use seatrial::report::sheets;
use seatrial::scenario::{Document, ScenarioError, SourceText};

use crate::error::{Raised, bad_argument};
use crate::interrupt::{interruptible, on_threads};

/// Simulates a scenario; the result as JSON.
#[pyfunction]
#[pyo3(signature = (scenario, set, seed, replications, threads))]
pub fn run(
    py: Python<'_>,
    scenario: PathBuf,
    set: Option<&str>,
    seed: Option<i64>,
    replications: Option<u32>,
    threads: Option<usize>,
) -> PyResult<String> {
    let mut set = overrides(set)?;
    set.extend(seed.map(|seed| ("run.seed".to_owned(), seed.into())));
    set.extend(replications.map(|it| ("run.replications".to_owned(), it.into())));
    let done = interruptible(py, |stop| -> Result<String, Raised> {
        let (document, folder) = load(&scenario, &set)?;
        let control = Control {
            stop: Some(stop),
            ..Control::default()
        };
        let outcome = on_threads(threads, || run_scenario(&document, folder, control))?;
        Ok(outcome.result.to_json().to_string())
    });
    Ok(done??)
}

/// Closed forms of a scenario; the sheets as JSON.
#[pyfunction]
#[pyo3(signature = (scenario, set))]
pub fn estimate(py: Python<'_>, scenario: PathBuf, set: Option<&str>) -> PyResult<String> {
    let set = overrides(set)?;
    let done = interruptible(py, |_| -> Result<String, Raised> {
        let (document, folder) = load(&scenario, &set)?;
        let (name, all) = all_sheets(&document, folder)?;
        Ok(sheets::to_json(&name, &all).to_string())
    });
    Ok(done??)
}

/// What a JSON object sets: path to value.
fn overrides(set: Option<&str>) -> PyResult<Overrides> {
    let read = set.map(serde_json::from_str).transpose();
    read.map(Option::unwrap_or_default)
        .map_err(|error| bad_argument(format!("set: {error}; give a dict of path to value")))
}

/// A scenario with what is set, and the folder that its paths are relative to.
fn load<'a>(path: &'a Path, set: &Overrides) -> Result<(Document, &'a Path), ScenarioError> {
    let document = Document::parse(SourceText::load(path)?)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok((apply(&document, set)?, folder))
}
