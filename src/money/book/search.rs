//! Finding an entry by its names, and what to offer where there is none.

use super::BookError;
use super::check::Entry;
use super::entries::{INTERNET, SAME_REGION};

/// How many entries an error offers.
const OFFERED: usize = 6;

/// How well `entry` answers for `wanted`: `None` if it does not, else the number of names that are equal
/// rather than covered by `*`.
fn answers(entry: &[String], wanted: &[&str]) -> Option<usize> {
    let mut exact = 0;
    for (held, &name) in entry.iter().zip(wanted) {
        // Traffic to the internet or within a region is priced quite unlike that between regions.
        let special = name == INTERNET || name == SAME_REGION;
        if held == name {
            exact += 1;
        } else if held != "*" || special {
            return None;
        }
    }
    Some(exact)
}

/// The entry whose names are `wanted`, or the one with the fewest `*` that covers them; of equals the first.
pub(super) fn find<'a, T: Entry>(entries: &'a [T], wanted: &[&str]) -> Result<&'a T, BookError> {
    let mut best: Option<(usize, &T)> = None;
    for entry in entries {
        if let Some(exact) = answers(&entry.names(), wanted)
            && best.is_none_or(|(most, _)| exact > most)
        {
            best = Some((exact, entry));
        }
    }
    best.map(|(_, entry)| entry)
        .ok_or_else(|| not_found(entries, wanted))
}

fn not_found<T: Entry>(entries: &[T], wanted: &[&str]) -> BookError {
    let mut ranked: Vec<(usize, Vec<String>)> = entries
        .iter()
        .map(|entry| entry.names())
        .map(|names| (likeness(&names, wanted), names))
        .collect();
    // Stable, so that equals stay in the order of the file.
    ranked.sort_by_key(|&(likeness, _)| std::cmp::Reverse(likeness));
    BookError::NotFound {
        table: T::TABLE,
        asked: format!("{} {}", T::TABLE, wanted.join("/")),
        more: ranked.len().saturating_sub(OFFERED),
        nearest: ranked
            .into_iter()
            .take(OFFERED)
            .map(|(_, names)| names.join("/"))
            .collect(),
    }
}

/// How alike names are: an equal one, whatever its case, counts for more than any common beginnings.
fn likeness(names: &[String], wanted: &[&str]) -> usize {
    let alike = |name: &String, wanted: &str| {
        if name.eq_ignore_ascii_case(wanted) {
            return 1_000;
        }
        let pairs = name.bytes().zip(wanted.bytes());
        pairs
            .take_while(|(a, b)| a.eq_ignore_ascii_case(b))
            .count()
            .min(100)
    };
    names
        .iter()
        .zip(wanted)
        .map(|(name, wanted)| alike(name, wanted))
        .sum()
}
