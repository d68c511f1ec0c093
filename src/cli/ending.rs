//! Names of files that are written: their ending says how, or must not say otherwise.

use std::path::Path;

use super::Failure;

/// Refuses a name whose ending is none of those allowed, before anything is read or simulated. What is no
/// file of its own, like `/dev/stdout` or a pipe, may have any name.
///
/// # Errors
/// The option, the name, and the endings that are allowed.
pub(super) fn ends(option: &str, path: Option<&Path>, allowed: &[&str]) -> Result<(), Failure> {
    let Some(path) = path else {
        return Ok(());
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // What a shell leads elsewhere is a file to whoever asks, and has no name of its own.
    let is_handed = ["/dev/", "/proc/self/fd/"]
        .iter()
        .any(|it| path.starts_with(it));
    let is_device =
        is_handed || std::fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir());
    if is_device || allowed.iter().any(|ending| name.ends_with(ending)) {
        return Ok(());
    }
    let all = match allowed {
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
        [] => String::new(),
    };
    Err(Failure::of(format!(
        "{option} {}: must end in {all}; rename it",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_that_is_not_known_is_refused_and_a_device_has_none() {
        let check = |name: &str| ends("--out", Some(Path::new(name)), &[".csv", ".csv.gz"]);
        assert!(check("a.csv").is_ok() && check("b/a.b.csv.gz").is_ok());
        assert!(ends("--out", None, &[".csv"]).is_ok());
        for name in ["a.parquet", "a", "a.csv.zst", "csv", ".."] {
            assert!(check(name).is_err(), "{name}");
        }
        if Path::new("/dev/null").exists() {
            assert!(check("/dev/null").is_ok());
        }
    }
}
