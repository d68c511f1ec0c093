//! Columns that come one after another and are read side by side.

use std::io::{BufReader, BufWriter, Read, Seek, Write};

use tempfile::SpooledTempFile;

use super::error::ObservedError;

/// Bytes of a column that are held in memory; more are kept on disk.
const IN_MEMORY: usize = 1 << 20;
/// Bytes of a cell: what it is, then a number.
const CELL_BYTES: usize = 9;

/// A value of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// There is none.
    Absent,
    /// There is something else than a value.
    Bad,
    /// A value.
    Number(u64),
}

impl Cell {
    fn to_bytes(self) -> [u8; CELL_BYTES] {
        let (kind, number) = match self {
            Cell::Absent => (0, 0),
            Cell::Bad => (1, 0),
            Cell::Number(number) => (2, number),
        };
        let mut bytes = [kind; CELL_BYTES];
        bytes[1..].copy_from_slice(&number.to_le_bytes());
        bytes
    }

    fn of_bytes([kind, number @ ..]: [u8; CELL_BYTES]) -> Cell {
        match kind {
            0 => Cell::Absent,
            1 => Cell::Bad,
            _ => Cell::Number(u64::from_le_bytes(number)),
        }
    }
}

/// A column as it is written.
#[derive(Debug)]
pub(super) struct Cells {
    out: BufWriter<SpooledTempFile>,
    /// Rows written.
    pub(super) rows: u64,
}

impl Cells {
    pub(super) fn new() -> Cells {
        Cells {
            out: BufWriter::new(SpooledTempFile::new(IN_MEMORY)),
            rows: 0,
        }
    }

    /// Adds the next row's.
    ///
    /// # Errors
    /// When it cannot be kept on disk.
    pub(super) fn push(&mut self, cell: Cell) -> Result<(), ObservedError> {
        self.rows += 1;
        let written = self.out.write_all(&cell.to_bytes());
        written.map_err(|fault| ObservedError::temporary(&fault))
    }

    /// The column, to be read from its first row.
    ///
    /// # Errors
    /// When it cannot be kept on disk.
    pub(super) fn finish(self) -> Result<CellReader, ObservedError> {
        let failed = |fault: &dyn std::fmt::Display| ObservedError::temporary(fault);
        let mut file = self.out.into_inner().map_err(|fault| failed(&fault))?;
        file.rewind().map_err(|fault| failed(&fault))?;
        Ok(CellReader {
            input: BufReader::new(file),
            left: self.rows,
        })
    }
}

/// A column as it is read.
#[derive(Debug)]
pub(super) struct CellReader {
    input: BufReader<SpooledTempFile>,
    left: u64,
}

impl CellReader {
    /// The next row's; absent beyond the last.
    ///
    /// # Errors
    /// When it cannot be read from disk.
    pub(super) fn pull(&mut self) -> Result<Cell, ObservedError> {
        if self.left == 0 {
            return Ok(Cell::Absent);
        }
        self.left -= 1;
        let mut bytes = [0; CELL_BYTES];
        let read = self.input.read_exact(&mut bytes);
        read.map_err(|fault| ObservedError::temporary(&fault))?;
        Ok(Cell::of_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_back_also_from_disk() {
        for rows in [0_u64, 3, 300_000] {
            let cell = |row: u64| match row % 3 {
                0 => Cell::Absent,
                1 => Cell::Bad,
                _ => Cell::Number(u64::MAX - row),
            };
            let mut cells = Cells::new();
            for row in 0..rows {
                cells.push(cell(row)).unwrap();
            }
            let mut reader = cells.finish().unwrap();
            for row in 0..rows {
                assert_eq!(reader.pull().unwrap(), cell(row));
            }
            assert_eq!(reader.pull().unwrap(), Cell::Absent);
        }
    }
}
