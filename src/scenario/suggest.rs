//! The name someone probably meant.

use strsim::{damerau_levenshtein, jaro_winkler};

/// Longest name that is compared; longer ones are never near anything.
const LONGEST: usize = 128;

/// The name closest to `wanted`, or `None` when nothing is near.
///
/// Near means few edits for the length (one, and one more for every three letters), or a high
/// Jaro-Winkler similarity. Of equally near names the first wins.
pub fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if wanted.is_empty() || wanted.len() > LONGEST {
        return None;
    }
    let lower = wanted.to_lowercase();
    let mut best: Option<(f64, &'a str)> = None;
    for name in names.filter(|name| !name.is_empty() && name.len() <= LONGEST) {
        let other = name.to_lowercase();
        let similarity = jaro_winkler(&lower, &other);
        let edits = damerau_levenshtein(&lower, &other);
        let shorter = lower.chars().count().min(other.chars().count());
        let near = similarity >= 0.88 || (similarity > 0.6 && edits <= 1 + shorter / 3);
        if near && best.is_none_or(|(most, _)| similarity > most) {
            best = Some((similarity, name));
        }
    }
    best.map(|(_, name)| name)
}

/// `did you mean ...?`, or `otherwise` when nothing is near.
pub(super) fn did_you_mean<'a>(
    wanted: &str,
    names: impl Iterator<Item = &'a str>,
    otherwise: &str,
) -> String {
    match nearest(wanted, names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => otherwise.to_owned(),
    }
}

/// `` `a`, `b` and `c` ``; a long list is cut.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 40;
    let names: Vec<&str> = names.collect();
    let mut out = String::new();
    for (index, name) in names.iter().take(MOST).enumerate() {
        if index > 0 {
            out.push_str(if index + 1 == names.len() {
                " and "
            } else {
                ", "
            });
        }
        out.push('`');
        out.push_str(name);
        out.push('`');
    }
    if names.len() > MOST {
        out.push_str(&format!(" and {} more", names.len() - MOST));
    }
    out
}
