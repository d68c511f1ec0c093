//! Sorting more attempts than memory holds: sorted runs on disk, merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, Write};

use super::attempt::Attempt;
use super::error::ObservedError;

/// Runs of one level that are merged to one of the next: each is an open file. A record is written
/// again once a level, of which there are as many as the logarithm of the log's size.
const MOST_RUNS: usize = 32;

/// Takes attempts in any order and gives them by start; those of one start in the order taken.
#[derive(Debug)]
pub(super) struct Sorter {
    held: Vec<Attempt>,
    held_bytes: usize,
    most_held: usize,
    most_bytes: usize,
    /// Runs on disk by level: those of a level were merged from those of the level before.
    levels: Vec<Vec<File>>,
    /// Runs of what did not fit in memory; those merged of others do not count.
    pub(super) written: u64,
}

impl Sorter {
    /// A sorter that holds so many in memory, 1 or more, of so many bytes at most (and one more).
    pub(super) fn new(most_held: usize, most_bytes: usize) -> Sorter {
        Sorter {
            held: Vec::new(),
            held_bytes: 0,
            most_held: most_held.max(1),
            most_bytes,
            levels: Vec::new(),
            written: 0,
        }
    }

    pub(super) fn push(&mut self, attempt: Attempt) -> Result<(), ObservedError> {
        self.held_bytes += attempt.bytes();
        self.held.push(attempt);
        if self.held.len() < self.most_held && self.held_bytes < self.most_bytes {
            return Ok(());
        }
        self.held.sort_by_key(key);
        self.held_bytes = 0;
        let held = std::mem::take(&mut self.held);
        let mut run = write_run(held.into_iter().map(Ok))?;
        self.written += 1;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(run);
            if self.levels[level].len() < MOST_RUNS {
                break;
            }
            let runs = std::mem::take(&mut self.levels[level]);
            run = write_run(Merge::new(runs, Vec::new())?)?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Merge, ObservedError> {
        self.held.sort_by_key(key);
        Merge::new(self.levels.into_iter().flatten().collect(), self.held)
    }
}

fn key(attempt: &Attempt) -> (u64, u64) {
    (attempt.start_ns, attempt.number)
}

/// Writes a run to a file without a name, which the system removes when it is closed.
fn write_run(
    attempts: impl Iterator<Item = Result<Attempt, ObservedError>>,
) -> Result<File, ObservedError> {
    let file = tempfile::tempfile().map_err(|fault| ObservedError::temporary(&fault))?;
    let mut out = BufWriter::new(file);
    for attempt in attempts {
        serde_json::to_writer(&mut out, &attempt?)
            .map_err(|fault| ObservedError::temporary(&fault))?;
        out.write_all(b"\n")
            .map_err(|fault| ObservedError::temporary(&fault))?;
    }
    let mut file = out
        .into_inner()
        .map_err(|fault| ObservedError::temporary(&fault))?;
    file.rewind()
        .map_err(|fault| ObservedError::temporary(&fault))?;
    Ok(file)
}

/// Gives the attempts of sorted runs by start.
#[derive(Debug)]
pub(super) struct Merge {
    runs: Vec<BufReader<File>>,
    held: std::vec::IntoIter<Attempt>,
    /// The next of each source, by start, number and source; the held ones are the last source.
    next: BinaryHeap<Reverse<(u64, u64, usize)>>,
    heads: Vec<Option<Attempt>>,
    line: String,
}

impl Merge {
    fn new(runs: Vec<File>, held: Vec<Attempt>) -> Result<Merge, ObservedError> {
        let sources = runs.len() + 1;
        let mut merge = Merge {
            runs: runs.into_iter().map(BufReader::new).collect(),
            held: held.into_iter(),
            next: BinaryHeap::new(),
            heads: vec![None; sources],
            line: String::new(),
        };
        for source in 0..sources {
            merge.pull(source)?;
        }
        Ok(merge)
    }

    /// Reads the next of a source.
    fn pull(&mut self, source: usize) -> Result<(), ObservedError> {
        let attempt = match self.runs.get_mut(source) {
            None => self.held.next(),
            Some(run) => {
                self.line.clear();
                let read = run.read_line(&mut self.line);
                let read = read.map_err(|fault| ObservedError::temporary(&fault))?;
                let parsed = (read > 0).then(|| serde_json::from_str(&self.line));
                parsed
                    .transpose()
                    .map_err(|fault| ObservedError::temporary(&fault))?
            }
        };
        if let Some(attempt) = &attempt {
            let (start, number) = key(attempt);
            self.next.push(Reverse((start, number, source)));
        }
        self.heads[source] = attempt;
        Ok(())
    }
}

impl Iterator for Merge {
    type Item = Result<Attempt, ObservedError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((_, _, source)) = self.next.pop()?;
        let attempt = self.heads[source].take()?;
        match self.pull(source) {
            Ok(()) => Some(Ok(attempt)),
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_sorted_on_disk() {
        for (most_held, most_bytes) in [
            (1, usize::MAX),
            (7, usize::MAX),
            (100, usize::MAX),
            (10_000, usize::MAX),
            (10_000, 2_000),
        ] {
            let mut sorter = Sorter::new(most_held, most_bytes);
            for number in 0..500_u64 {
                let mut attempt = Attempt::at(number * 7919 % 101);
                attempt.number = number;
                sorter.push(attempt).unwrap();
            }
            let open: usize = sorter.levels.iter().map(Vec::len).sum();
            assert!(open < 3 * MOST_RUNS, "{open} open files");
            let on_disk = sorter.written > 0;
            assert_eq!(on_disk, most_held <= 500 || most_bytes < usize::MAX);
            let sorted: Vec<(u64, u64)> = sorter
                .finish()
                .unwrap()
                .map(|it| key(&it.unwrap()))
                .collect();
            assert_eq!(sorted.len(), 500);
            assert!(sorted.is_sorted(), "{most_held}");
        }
    }
}
