//! A row a bin: what `trace import --series` writes, or columns of one's own.

use std::collections::BTreeMap;

use strsim::damerau_levenshtein;

use super::table::Row;
use super::{Level, LevelSample};
use crate::observed::error::ObservedError;

/// The column that says when a bin begins, ns.
pub(super) const START: &str = "start_ns";

/// The columns of levels. What waits is what an engine says: requests that came to a replica.
pub(super) const COLUMNS: [(&str, Level); 4] = [
    ("replicas", Level::Replicas),
    ("waiting", Level::Queue),
    ("running", Level::Running),
    ("kv_usage", Level::KvUsage),
];

/// The most that there can be of anything.
const MOST: f64 = 1e12;

/// Letters that a column's name has wrong at most to be taken for a slip.
const SLIP: usize = 2;

/// Refuses a column that is hardly another than one that is read: it would be passed over.
pub(super) fn refuse_slips(row: &Row<'_>) -> Result<(), ObservedError> {
    let read = |name: &str| COLUMNS.iter().any(|it| it.0 == name);
    for name in row.names().filter(|name| !read(name)) {
        let near = |it: &&(&str, Level)| damerau_levenshtein(&name.to_lowercase(), it.0) <= SLIP;
        if let Some((meant, _)) = COLUMNS.iter().find(near).filter(|it| !row.has(it.0)) {
            let what = format!("the column `{name}` is none that is read; did you mean `{meant}`?");
            return Err(row.refuse(&what, "rename it"));
        }
    }
    Ok(())
}

/// Bins as they come.
#[derive(Debug, Default)]
pub(super) struct Bins {
    starts_ns: Vec<u64>,
    values: Vec<[Option<f64>; COLUMNS.len()]>,
    /// The least between two of them, ns.
    width_ns: Option<u64>,
}

impl Bins {
    pub(super) fn take(&mut self, row: &Row<'_>) -> Result<(), ObservedError> {
        let text = row.text(START);
        let Ok(start_ns) = text.parse::<u64>() else {
            let what = format!("{START} = {text}: must be a whole number of nanoseconds");
            return Err(row.refuse(
                &what,
                "give nanoseconds since 1970, or since the log's zero",
            ));
        };
        if let Some(before_ns) = self.starts_ns.last() {
            let Some(apart_ns) = start_ns.checked_sub(*before_ns).filter(|apart| *apart > 0) else {
                let what =
                    format!("{START} = {start_ns}: is not after the row before ({before_ns})");
                return Err(row.refuse(&what, "sort the rows, one for each instant"));
            };
            let least = self.width_ns.unwrap_or(u64::MAX);
            self.width_ns = Some(least.min(apart_ns));
        }
        let mut values = [None; COLUMNS.len()];
        for (value, (name, level)) in values.iter_mut().zip(COLUMNS) {
            let most = if level == Level::KvUsage { 1.0 } else { MOST };
            *value = row.number(name, (0.0, most))?;
        }
        self.starts_ns.push(start_ns);
        self.values.push(values);
        Ok(())
    }

    pub(super) fn finish(self) -> BTreeMap<Level, Vec<LevelSample>> {
        // One row alone does not say how long it stands for: it is of its instant.
        let width_ns = self.width_ns.unwrap_or(0);
        let of = |column: usize| {
            let rows = self.starts_ns.iter().zip(&self.values);
            let samples = rows.filter_map(|(from_ns, values)| {
                Some(LevelSample {
                    from_ns: *from_ns,
                    to_ns: from_ns.saturating_add(width_ns),
                    value: values[column]?,
                })
            });
            samples.collect()
        };
        let all = COLUMNS.iter().enumerate();
        all.map(|(column, (_, level))| (*level, of(column)))
            .collect()
    }
}
