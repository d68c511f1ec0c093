//! Columns of a Parquet file.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::guard::unless_it_panics;
use crate::calibrate::import::ImportError;

/// The most rows that a table may have: hundreds of times the largest known.
const MOST_ROWS: i64 = 50_000_000;

/// The values of a column, one for each row.
#[derive(Debug)]
pub enum Values {
    /// Numbers of texts, by [`Frame::word`].
    Texts(Vec<Option<u32>>),
    /// Whole numbers.
    Whole(Vec<Option<i64>>),
    /// Others.
    Real(Vec<Option<f64>>),
}

/// Some columns of a file.
#[derive(Debug)]
pub struct Frame {
    file: String,
    rows: usize,
    columns: BTreeMap<String, Values>,
    words: Vec<String>,
}

/// Texts that were seen, each once.
#[derive(Default)]
struct Words {
    numbers: BTreeMap<Vec<u8>, u32>,
    texts: Vec<String>,
}

impl Words {
    fn number(&mut self, bytes: &ByteArray) -> u32 {
        let bytes = bytes.data();
        if let Some(number) = self.numbers.get(bytes) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(String::from_utf8_lossy(bytes).into_owned());
        self.numbers.insert(bytes.to_owned(), number);
        number
    }
}

impl Frame {
    /// Reads those of the named columns that there are.
    pub fn read(path: &Path, names: &[&str]) -> Result<Self, ImportError> {
        // The library that reads Parquet panics on some damaged files.
        let read = unless_it_panics(|| Self::columns_of(path, names));
        read.unwrap_or_else(|| {
            Err(ImportError::File {
                file: path.display().to_string(),
                cause: "is a damaged Parquet file".to_owned(),
                remedy: "unpack the wheel again",
            })
        })
    }

    fn columns_of(path: &Path, names: &[&str]) -> Result<Self, ImportError> {
        let file = path.display().to_string();
        let broken = |error: ParquetError| ImportError::File {
            file: file.clone(),
            cause: format!("is no Parquet file that can be read ({error})"),
            remedy: "unpack the wheel again",
        };
        let opened = File::open(path).map_err(|error| ImportError::File {
            file: file.clone(),
            cause: format!("cannot be read ({error})"),
            remedy: "unpack the wheel again",
        })?;
        let reader = SerializedFileReader::new(opened).map_err(broken)?;
        let rows = reader.metadata().file_metadata().num_rows();
        if !(0..=MOST_ROWS).contains(&rows) {
            let what = format!("has {rows} rows, and at most {MOST_ROWS} are allowed");
            return Err(broken(ParquetError::General(what)));
        }
        let mut words = Words::default();
        let mut columns: BTreeMap<String, Values> = BTreeMap::new();
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).map_err(broken)?;
            let described = group.metadata().columns();
            for (place, column) in described.iter().enumerate() {
                let name = column.column_descr().name();
                if !names.contains(&name) {
                    continue;
                }
                let nullable = column.column_descr().max_def_level();
                if column.column_descr().max_rep_level() > 0 || nullable > 1 {
                    let what = format!("column {name} has lists");
                    return Err(broken(ParquetError::General(what)));
                }
                let reader = group.get_column_reader(place).map_err(broken)?;
                let rows = group.metadata().num_rows().max(0) as usize;
                let values = column_of(reader, rows, nullable, &mut words).map_err(broken)?;
                match columns.get_mut(name) {
                    None => {
                        columns.insert(name.to_owned(), values);
                    }
                    Some(before) => before.append(values).map_err(broken)?,
                }
            }
        }
        let rows = rows as usize;
        if let Some((name, _)) = columns.iter().find(|(_, values)| values.len() != rows) {
            let what = format!("column {name} has not {rows} values");
            return Err(broken(ParquetError::General(what)));
        }
        Ok(Self {
            file,
            rows,
            columns,
            words: words.texts,
        })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether there is such a column.
    pub fn has(&self, name: &str) -> bool {
        self.columns.contains_key(name)
    }

    /// The text of a number in [`Values::Texts`].
    pub fn word(&self, number: Option<u32>) -> &str {
        let word = number.and_then(|number| self.words.get(number as usize));
        word.map_or("", String::as_str)
    }

    /// A column of texts.
    pub fn texts(&self, name: &str) -> Result<&[Option<u32>], ImportError> {
        match self.column(name)? {
            Values::Texts(texts) => Ok(texts),
            _ => Err(self.refuse(name, "texts")),
        }
    }

    /// A column of whole numbers; those that are texts of numbers, or whole reals, are taken too.
    pub fn whole(&self, name: &str) -> Result<Vec<Option<i64>>, ImportError> {
        match self.column(name)? {
            Values::Whole(numbers) => Ok(numbers.clone()),
            Values::Real(numbers) => {
                let whole = |value: f64| {
                    (value.fract() == 0.0 && value.abs() < 1e15).then_some(value as i64)
                };
                Ok(numbers.iter().map(|value| value.and_then(whole)).collect())
            }
            Values::Texts(texts) => {
                let number = |text: &Option<u32>| self.word(*text).parse().ok();
                Ok(texts.iter().map(number).collect())
            }
        }
    }

    /// A column of numbers.
    pub fn real(&self, name: &str) -> Result<Vec<Option<f64>>, ImportError> {
        match self.column(name)? {
            Values::Real(numbers) => Ok(numbers.clone()),
            Values::Whole(numbers) => Ok(numbers
                .iter()
                .map(|value| value.map(|v| v as f64))
                .collect()),
            Values::Texts(_) => Err(self.refuse(name, "numbers")),
        }
    }

    fn column(&self, name: &str) -> Result<&Values, ImportError> {
        self.columns.get(name).ok_or_else(|| ImportError::Column {
            file: self.file.clone(),
            name: name.to_owned(),
            format: "a table of the wheel",
            columns: self.columns.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    fn refuse(&self, name: &str, allowed: &'static str) -> ImportError {
        ImportError::Field {
            file: self.file.clone(),
            field: name.to_owned(),
            value: "of another type".to_owned(),
            allowed,
            remedy: "unpack the wheel again",
        }
    }
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Texts(values) => values.len(),
            Self::Whole(values) => values.len(),
            Self::Real(values) => values.len(),
        }
    }

    fn append(&mut self, more: Self) -> Result<(), ParquetError> {
        match (self, more) {
            (Self::Texts(values), Self::Texts(more)) => values.extend(more),
            (Self::Whole(values), Self::Whole(more)) => values.extend(more),
            (Self::Real(values), Self::Real(more)) => values.extend(more),
            _ => {
                let what = "row groups of different types".to_owned();
                return Err(ParquetError::General(what));
            }
        }
        Ok(())
    }
}

/// All values of a column of one row group.
fn column_of(
    reader: ColumnReader,
    rows: usize,
    nullable: i16,
    words: &mut Words,
) -> Result<Values, ParquetError> {
    macro_rules! read {
        ($reader:ident, $make:expr) => {{
            let (mut levels, mut values) = (Vec::new(), Vec::new());
            let mut seen = 0;
            while seen < rows {
                let (read, _, _) =
                    $reader.read_records(rows - seen, Some(&mut levels), None, &mut values)?;
                if read == 0 {
                    break;
                }
                seen += read;
            }
            let mut values = values.into_iter();
            let present = |at: usize| nullable == 0 || levels.get(at).copied() == Some(nullable);
            (0..seen)
                .map(|at| present(at).then(|| values.next()).flatten().map($make))
                .collect()
        }};
    }
    Ok(match reader {
        ColumnReader::ByteArrayColumnReader(mut reader) => {
            Values::Texts(read!(reader, |bytes: ByteArray| words.number(&bytes)))
        }
        ColumnReader::Int64ColumnReader(mut reader) => Values::Whole(read!(reader, |v: i64| v)),
        ColumnReader::Int32ColumnReader(mut reader) => Values::Whole(read!(reader, i64::from)),
        ColumnReader::DoubleColumnReader(mut reader) => Values::Real(read!(reader, |v: f64| v)),
        ColumnReader::FloatColumnReader(mut reader) => Values::Real(read!(reader, f64::from)),
        ColumnReader::BoolColumnReader(mut reader) => Values::Whole(read!(reader, i64::from)),
        _ => {
            let what = "a column of an unknown type".to_owned();
            return Err(ParquetError::General(what));
        }
    })
}
