//! Files that will be written after long work, opened before it.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// A file that can be written. One that was not there before is there, and goes again if nothing has
/// been written to it.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    made: bool,
}

impl Claim {
    /// Claims the files of some options.
    ///
    /// # Errors
    /// One cannot be written, or two are the same.
    pub fn all<'a>(
        files: impl Iterator<Item = (&'static str, &'a Path)>,
    ) -> Result<Vec<Claim>, Failure> {
        let mut claims: Vec<(&str, Claim)> = Vec::new();
        for (option, path) in files {
            if let Some((other, _)) = claims.iter().find(|(_, own)| own.path == path) {
                let path = path.display();
                return Err(Failure::of(format!(
                    "{option} {path}: is the file of {other}, too; give each a file of its own"
                )));
            }
            claims.push((option, Claim::of(option, path)?));
        }
        Ok(claims.into_iter().map(|(_, claim)| claim).collect())
    }

    fn of(option: &str, path: &Path) -> Result<Claim, Failure> {
        let made = !path.exists();
        let opened = OpenOptions::new().append(true).create(true).open(path);
        opened.map_err(|error| {
            let path = path.display();
            Failure::of(format!(
                "{option} {path}: cannot be written ({error}); check the folder and its permissions"
            ))
        })?;
        Ok(Claim {
            path: path.to_owned(),
            made,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let empty = std::fs::metadata(&self.path).is_ok_and(|file| file.len() == 0);
        if self.made && empty {
            // What cannot be removed is an empty file that stays.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
