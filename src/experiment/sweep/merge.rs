//! Puts the journals of shards together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::SweepError;
use super::identity::Header;
use super::journal::{Journal, Points, read};
use super::outcome::SweepOutcome;

/// The journals in folders; a file stands for itself.
///
/// # Errors
/// [`SweepError`] for a folder that cannot be read, or has none.
pub fn journals(places: &[PathBuf]) -> Result<Vec<PathBuf>, SweepError> {
    let mut found = BTreeSet::new();
    for place in places {
        if !place.is_dir() {
            found.insert(place.clone());
            continue;
        }
        let mut any = false;
        let failed = |error: std::io::Error| SweepError::file(place, "read", error);
        for entry in std::fs::read_dir(place).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.starts_with("journal") && name.ends_with(".jsonl") {
                any = true;
                found.insert(path);
            }
        }
        if !any {
            return Err(SweepError::Merge(format!(
                "{}: there is no journal in it; give the folders that `sweep --shard` wrote to",
                place.display()
            )));
        }
    }
    Ok(found.into_iter().collect())
}

/// Reads journals, which must be of one sweep, and puts their points together. The whole is written
/// as a journal to `out`, too, so that `sweep` can go on from there. Goals and bounds are those of the
/// first journal.
///
/// # Errors
/// [`SweepError`] when one is damaged or of something else, points differ, or points are missing.
pub fn merge(journals: &[PathBuf], out: &Path) -> Result<SweepOutcome, SweepError> {
    let mut whole: Option<(Header, &Path)> = None;
    let mut points = Points::new();
    let mut shards = BTreeSet::new();
    for path in journals {
        let read = read(path)?;
        let Some(header) = read.header else {
            return Err(SweepError::Merge(format!(
                "{}: has no head: its sweep was cut off at once; run it again",
                path.display()
            )));
        };
        shards.extend(header.shard.map(|shard| (shard.of, shard.index)));
        match &whole {
            None => {
                let shard = None;
                whole = Some((Header { shard, ..header }, path));
            }
            Some((first, named)) => header
                .same(first, path)
                .map_err(|error| unlike(error, named))?,
        }
        for (index, found) in read.points {
            if points.get(&index).is_some_and(|earlier| *earlier != found) {
                return Err(SweepError::Merge(format!(
                    "{}: point {index} differs from that of another journal: they were not run by \
                     the same program; remove one of the two",
                    path.display()
                )));
            }
            points.insert(index, found);
        }
    }
    let Some((header, _)) = whole else {
        return Err(SweepError::Merge(
            "there are no journals; name them".to_owned(),
        ));
    };
    complete(&header, &points, &shards)?;
    let (mut journal, there) = Journal::open(&Journal::path_in(out, None), &header)?;
    let fresh = points
        .iter()
        .filter(|(index, _)| !there.contains_key(index));
    journal.add(
        fresh
            .map(|(index, found)| (*index, found.clone()))
            .collect(),
    )?;
    SweepOutcome::new(header, points)
}

/// What differs from the first journal, in words for one who merges: no other folder would help.
fn unlike(error: SweepError, first: &Path) -> SweepError {
    match error {
        SweepError::Other {
            file,
            what,
            there,
            here,
        } => SweepError::Unlike {
            file,
            first: format!("{} ({here})", first.display()),
            what,
            there,
        },
        other => other,
    }
}

/// Refuses a sweep with points missing, and says whose they are.
fn complete(
    header: &Header,
    points: &Points,
    shards: &BTreeSet<(u32, u32)>,
) -> Result<(), SweepError> {
    let all = header.points as usize;
    let missing: Vec<usize> = (0..all)
        .filter(|index| !points.contains_key(index))
        .collect();
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let whose = match shards.first() {
        None => "run its `sweep` again: it goes on where it stopped".to_owned(),
        Some((of, _)) => {
            let unfinished: BTreeSet<u32> = missing
                .iter()
                .map(|index| (*index % *of as usize) as u32)
                .collect();
            let named: Vec<String> = unfinished
                .iter()
                .take(10)
                .map(|index| format!("{index}/{of}"))
                .collect();
            let more = match unfinished.len() > named.len() {
                true => " and others",
                false => "",
            };
            format!("run `sweep --shard` again for {}{more}", named.join(", "))
        }
    };
    Err(SweepError::Merge(format!(
        "{} of {all} points are missing, the first is point {first}; {whose}",
        missing.len()
    )))
}
