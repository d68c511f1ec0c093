//! A file that appears under its name only once it is whole.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::TraceError;
use crate::outputs::Output;

/// Writes a file by `write`, gzipped if its name ends in `.gz`; the same content gives the same
/// bytes. A link, a pipe or a device is written to, not replaced.
///
/// # Errors
/// When the file cannot be written, and what `write` says.
pub fn write_whole<T, E: From<TraceError>>(
    out: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<T, E> {
    let failed = |fault: &io::Error| E::from(write_error(out, fault));
    let in_place = std::fs::symlink_metadata(out).is_ok_and(|kind| !kind.is_file());
    if in_place {
        let file = File::create(out).map_err(|fault| failed(&fault))?;
        return write_file(file, out, write);
    }
    let mut part = out.as_os_str().to_owned();
    part.push(".partial");
    let part = PathBuf::from(part);
    let file = File::create(&part).map_err(|fault| failed(&fault))?;
    let done = write_file(file, out, write).and_then(|done| {
        std::fs::rename(&part, out).map_err(|fault| failed(&fault))?;
        Ok(done)
    });
    if done.is_err() {
        // The error that is reported is the one that came first.
        let _ = std::fs::remove_file(&part);
    }
    done
}

fn write_file<T, E: From<TraceError>>(
    file: File,
    out: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<T, E> {
    let failed = |fault: &io::Error| E::from(write_error(out, fault));
    let mut file = Output::to(file, out);
    let done = write(&mut file)?;
    file.finish().map_err(|fault| failed(&fault))?;
    Ok(done)
}

/// The error of a file that cannot be written.
pub fn write_error(out: &Path, fault: &io::Error) -> TraceError {
    TraceError::Write {
        path: out.display().to_string().into(),
        detail: fault.to_string().into(),
    }
}
