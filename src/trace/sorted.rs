//! Records in order of their stamps, however many: sorted piece by piece, and merged from disk.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use super::TraceRecord;
use super::error::TraceError;

/// Records that are sorted in memory at once, 64 MiB of them.
const MOST_HELD: usize = 1 << 22;
/// Bytes of a record on disk: its stamp and lengths.
const ROW_BYTES: usize = 16;

/// Takes records in any order and gives them by stamp; those of one stamp in the order taken. Of a
/// record, its stamp and its lengths are kept.
pub(super) struct Sorted {
    held: Vec<Row>,
    most_held: usize,
    runs: Vec<File>,
}

/// Stamp, prompt and output tokens.
type Row = (u64, u32, u32);

impl Sorted {
    pub(super) fn new() -> Sorted {
        Sorted {
            held: Vec::new(),
            most_held: MOST_HELD,
            runs: Vec::new(),
        }
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &TraceRecord) -> Result<(), TraceError> {
        let row = (record.t_ns, record.prompt_tokens, record.output_tokens);
        self.held.push(row);
        if self.held.len() < self.most_held {
            return Ok(());
        }
        self.held.sort_by_key(|row| row.0);
        self.runs
            .push(write_run(&self.held).map_err(|fault| failed(&fault))?);
        self.held.clear();
        Ok(())
    }

    /// All of them, in order.
    pub(super) fn finish(mut self) -> Result<Merged, TraceError> {
        self.held.sort_by_key(|row| row.0);
        let mut merged = Merged {
            runs: self.runs.into_iter().map(BufReader::new).collect(),
            held: self.held.into_iter(),
            next: BinaryHeap::new(),
        };
        for source in 0..=merged.runs.len() {
            merged.pull(source)?;
        }
        Ok(merged)
    }
}

/// A file without a name, which the system removes when it is closed.
fn write_run(rows: &[Row]) -> io::Result<File> {
    let mut out = BufWriter::new(tempfile::tempfile()?);
    for (t_ns, prompt, output) in rows {
        out.write_all(&t_ns.to_le_bytes())?;
        out.write_all(&prompt.to_le_bytes())?;
        out.write_all(&output.to_le_bytes())?;
    }
    let mut file = out.into_inner()?;
    file.rewind()?;
    Ok(file)
}

fn failed(fault: &io::Error) -> TraceError {
    TraceError::Write {
        path: "(temporary, to be sorted; TMPDIR names the folder)".into(),
        detail: fault.to_string().into(),
    }
}

/// Gives the records of sorted runs by stamp.
pub(super) struct Merged {
    runs: Vec<BufReader<File>>,
    held: std::vec::IntoIter<Row>,
    /// The next row of each source, by stamp and source: the held ones came last.
    next: BinaryHeap<Reverse<(u64, usize, u32, u32)>>,
}

impl Merged {
    fn pull(&mut self, source: usize) -> Result<(), TraceError> {
        let row = match self.runs.get_mut(source) {
            None => self.held.next(),
            Some(run) => read_row(run).map_err(|fault| failed(&fault))?,
        };
        if let Some((t_ns, prompt, output)) = row {
            self.next.push(Reverse((t_ns, source, prompt, output)));
        }
        Ok(())
    }

    /// The next record; none at the end.
    pub(super) fn next_record(&mut self) -> Result<Option<TraceRecord>, TraceError> {
        let Some(Reverse((t_ns, source, prompt_tokens, output_tokens))) = self.next.pop() else {
            return Ok(None);
        };
        self.pull(source)?;
        Ok(Some(TraceRecord {
            t_ns,
            prompt_tokens,
            output_tokens,
            failed: prompt_tokens == 0 || output_tokens == 0,
            ..TraceRecord::default()
        }))
    }
}

fn read_row(run: &mut BufReader<File>) -> io::Result<Option<Row>> {
    let mut bytes = [0; ROW_BYTES];
    match run.read_exact(&mut bytes) {
        Ok(()) => {}
        Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(fault) => return Err(fault),
    }
    let [stamp @ .., p0, p1, p2, p3, o0, o1, o2, o3] = bytes;
    Ok(Some((
        u64::from_le_bytes(stamp),
        u32::from_le_bytes([p0, p1, p2, p3]),
        u32::from_le_bytes([o0, o1, o2, o3]),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_whatever_fits_in_memory() {
        for most_held in [1, 7, 1_000] {
            let mut sorted = Sorted {
                most_held,
                ..Sorted::new()
            };
            let rows = (0..200_u32).map(|n| (u64::from(n * 7_919 % 13), n, 9));
            for (t_ns, prompt_tokens, output_tokens) in rows.clone() {
                let record = TraceRecord {
                    t_ns,
                    prompt_tokens,
                    output_tokens,
                    ..TraceRecord::default()
                };
                sorted.push(&record).unwrap();
            }
            let mut merged = sorted.finish().unwrap();
            let mut expected: Vec<Row> = rows.collect();
            expected.sort_by_key(|row| row.0);
            for (t_ns, prompt, output) in expected {
                let next = merged.next_record().unwrap().unwrap();
                let found = (next.t_ns, next.prompt_tokens, next.output_tokens);
                assert_eq!(found, (t_ns, prompt, output), "{most_held}");
            }
            assert!(merged.next_record().unwrap().is_none());
        }
    }
}
