//! Finds out by content what a path holds.

use std::path::Path;

use super::error::ValidateError;
use super::measured::MeasuredRun;
use super::{folder, h100, vllm_run};

const FORMATS: &str = "a folder with run.toml and requests, a folder with meta.json and \
                       requests.jsonl, a folder with configs.json and stages.csv, or a file of \
                       requests beside or with a run.toml";

/// Reads the measured runs at a path. `fleet` is a `run.toml` for files of requests that do not
/// say what they were measured on.
///
/// # Errors
/// [`ValidateError`], naming the file and the place in it.
pub fn open(path: &Path, fleet: Option<&Path>) -> Result<Vec<MeasuredRun>, ValidateError> {
    let runs = found(path, fleet)?;
    for run in &runs {
        if !run.requests.iter().any(|request| request.completed) {
            return Err(ValidateError::Unknown {
                file: path.display().to_string(),
                found: format!("run `{}` has no completed request", run.name),
                allowed: FORMATS,
                remedy: "give a run with requests that ended".to_owned(),
            });
        }
    }
    Ok(runs)
}

fn found(path: &Path, fleet: Option<&Path>) -> Result<Vec<MeasuredRun>, ValidateError> {
    let name = name_of(path);
    let metadata = std::fs::metadata(path).map_err(|error| ValidateError::Read {
        file: path.display().to_string(),
        cause: error.to_string(),
        remedy: "check the path",
    })?;
    if metadata.is_dir() {
        let run_toml = path.join("run.toml");
        if let Some(fleet) = fleet {
            return Ok(vec![folder::read(fleet, Some(&folder::find(path)?), name)?]);
        }
        if run_toml.is_file() {
            return Ok(vec![folder::read(&run_toml, None, name)?]);
        }
        if vllm_run::is_one(path) {
            return Ok(vec![vllm_run::read(path, name)?]);
        }
        if h100::holds_some(path) {
            return h100::read_all(path);
        }
        return Err(unknown(path, "is a folder of no known kind"));
    }
    let beside = path.parent().unwrap_or(Path::new(""));
    let run_toml = beside.join("run.toml");
    if let Some(fleet) = fleet.or(run_toml.is_file().then_some(run_toml.as_path())) {
        let given = (path != fleet).then_some(path);
        return Ok(vec![folder::read(fleet, given, name)?]);
    }
    if h100::holds_some(beside) {
        return Ok(vec![h100::read(path)?]);
    }
    if vllm_run::is_one(beside) {
        return Ok(vec![vllm_run::read(beside, name_of(beside))?]);
    }
    Err(unknown(path, "does not say which fleet it was measured on"))
}

fn unknown(path: &Path, found: &str) -> ValidateError {
    ValidateError::Unknown {
        file: path.display().to_string(),
        found: found.to_owned(),
        allowed: FORMATS,
        remedy: "write a run.toml (see calibration/README.md) and put it there, or give it with \
                 --fleet"
            .to_owned(),
    }
}

fn name_of(path: &Path) -> String {
    let resolved = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = resolved
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| path.display().to_string())
}
