//! Files that are read are not written over, nor is one file written twice.

use std::path::{Path, PathBuf};

use super::Failure;

/// Refuses to write a file that is read, or two outputs to one file, before anything is opened. What is
/// written comes with its option; what is left out is none.
///
/// # Errors
/// The option, the file, and what it is.
pub(super) fn spare(read: &[&Path], written: &[(&str, Option<&Path>)]) -> Result<(), Failure> {
    let mut taken: Vec<(PathBuf, &str)> = Vec::new();
    for (option, path) in written {
        let Some(path) = path else { continue };
        let place = place_of(path);
        let refused = |what: &str| {
            let shown = path.display();
            Failure::of(format!("{option} {shown}: is {what}; give another name"))
        };
        // What is no file of anyone's, like /dev/null, may be both.
        let is_device = std::fs::metadata(path).is_ok_and(|about| !about.is_file());
        if is_device {
            continue;
        }
        if read.iter().any(|read| place_of(read) == place) {
            return Err(refused("the file that is read"));
        }
        if let Some((_, other)) = taken.iter().find(|(other, _)| *other == place) {
            return Err(refused(&format!("what {other} writes, too")));
        }
        taken.push((place, option));
    }
    Ok(())
}

/// Where a path leads, links followed as far as there is something.
fn place_of(path: &Path) -> PathBuf {
    if let Ok(place) = path.canonicalize() {
        return place;
    }
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize();
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // helpers of tests

    use super::*;

    #[test]
    fn only_files_that_are_not_read_or_written_twice_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let read = dir.path().join("a.csv");
        std::fs::write(&read, "x").unwrap();
        let other = dir.path().join("b.csv");
        let around = dir.path().join(".").join("b.csv");
        assert!(spare(&[&read], &[("--out", Some(&other)), ("--series", None)]).is_ok());
        assert!(spare(&[&read], &[("--out", Some(&read))]).is_err());
        let twice = [
            ("--out", Some(other.as_path())),
            ("--series", Some(&around)),
        ];
        assert!(spare(&[&read], &twice).is_err());
        #[cfg(unix)]
        {
            let link = dir.path().join("c.csv");
            std::os::unix::fs::symlink(&read, &link).unwrap();
            assert!(spare(&[&read], &[("--out", Some(&link))]).is_err());
            let null = Path::new("/dev/null");
            assert!(spare(&[null], &[("--out", Some(null)), ("--series", Some(null))]).is_ok());
        }
    }
}
