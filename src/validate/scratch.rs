//! A folder for files that live as long as a simulation.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::ValidateError;

static MADE: AtomicU64 = AtomicU64::new(0);

/// A folder of its own, removed when dropped. Its name is in no result.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder among the system's temporary files.
    pub fn new() -> Result<Scratch, ValidateError> {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("seatrial-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).map_err(|error| cannot_write(&path, &error))?;
        Ok(Scratch(path))
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, ValidateError> {
        let path = self.0.join(name);
        std::fs::write(&path, text).map_err(|error| cannot_write(&path, &error))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind is the system's to clean: there is nobody to tell.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> ValidateError {
    ValidateError::Read {
        file: path.display().to_string(),
        cause: error.to_string(),
        remedy: "make room for temporary files, or set TMPDIR to a folder that may be written",
    }
}
