//! Rows of a Parquet file as texts by column, a few at a time.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArrayType, DataType};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::error::ObservedError;
use super::input::MAX_LINE_BYTES;
use super::parquet_kinds;

/// Rows of a column that are held at once.
const BATCH: usize = 1024;
/// Bytes of texts of a column that are held at once, and one text more.
const BATCH_BYTES: usize = 1 << 20;
/// The most that a column of a row group may unpack to, bytes: its pages are held whole.
const MOST_CHUNK_BYTES: i64 = 512 << 20;

/// The value of each wanted column in one row; none where it is null.
pub(super) type Texts<'a> = [(&'static str, Option<&'a str>)];

/// Takes a row and its number, from 1.
pub(super) type Take<'a> = dyn FnMut(u64, &Texts<'_>) -> Result<(), ObservedError> + 'a;

/// Hands over all rows, of the columns that are wanted and there.
///
/// # Errors
/// When the file cannot be read, has none of the columns, or one of them is of a kind that is not
/// read.
pub(super) fn read(
    path: &Path,
    wanted: &[&'static str],
    take: &mut Take<'_>,
) -> Result<(), ObservedError> {
    let reader = open(path)?;
    check_columns(
        path,
        reader.metadata().file_metadata().schema_descr(),
        wanted,
    )?;
    let mut number = 0;
    for group in 0..reader.num_row_groups() {
        let about = guarded(path, || Ok(reader.metadata().row_group(group)))?;
        check_sizes(path, about, wanted)?;
        let rows = guarded(path, || reader.get_row_group(group))?;
        let mut columns = Vec::new();
        for (place, chunk) in about.columns().iter().enumerate() {
            let descriptor = chunk.column_descr();
            let name = wanted.iter().find(|name| is_named(descriptor, name));
            if let Some(name) = name {
                let reader = guarded(path, || rows.get_column_reader(place))?;
                columns.push(Column::new(name, reader, descriptor));
            }
        }
        while next_row(path, &mut columns, number)? {
            number += 1;
            let texts = columns.iter();
            let texts = texts.map(|column| (column.name, column.now.as_deref()));
            take(number, &texts.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// The names of a file's columns.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn names(path: &Path) -> Result<Vec<String>, ObservedError> {
    let reader = open(path)?;
    Ok(names_of(reader.metadata().file_metadata().schema_descr()))
}

fn names_of(schema: &SchemaDescriptor) -> Vec<String> {
    let fields = schema.root_schema().get_fields();
    fields.iter().map(|field| field.name().to_owned()).collect()
}

/// Why a file without the columns that it must have is refused.
pub(super) fn lacks(path: &Path, names: &[String], needed: String) -> ObservedError {
    let found: String = names.join(", ").chars().take(200).collect();
    ObservedError::Columns {
        path: path.display().to_string().into(),
        found: found.into(),
        needed: needed.into(),
    }
}

fn open(path: &Path) -> Result<SerializedFileReader<File>, ObservedError> {
    let file = File::open(path).map_err(|fault| damaged(path, fault.to_string()))?;
    guarded(path, || SerializedFileReader::new(file))
}

/// All row groups have the columns of the file.
fn check_columns(
    path: &Path,
    schema: &SchemaDescriptor,
    wanted: &[&str],
) -> Result<(), ObservedError> {
    let mut any = false;
    for descriptor in schema.columns() {
        let first = descriptor.path().parts().first();
        if first.is_some_and(|first| wanted.contains(&first.as_str())) {
            any = true;
            parquet_kinds::check(path, descriptor)?;
        }
    }
    match any {
        true => Ok(()),
        false => {
            let needed = format!("some of {}", wanted.join(", "));
            Err(lacks(path, &names_of(schema), needed))
        }
    }
}

fn damaged(path: &Path, detail: String) -> ObservedError {
    ObservedError::Damaged {
        path: path.display().to_string().into(),
        kind: "Parquet",
        line: 0,
        detail: detail.into(),
    }
}

/// Does something of the library's, which panics at some of what a damaged file may hold.
fn guarded<T>(
    path: &Path,
    work: impl FnOnce() -> Result<T, ParquetError>,
) -> Result<T, ObservedError> {
    // What was under way when it panicked is dropped unused.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|fault| damaged(path, fault.to_string())),
        Err(_) => Err(damaged(
            path,
            "its pages are not as its footer says".to_owned(),
        )),
    }
}

fn is_named(descriptor: &ColumnDescriptor, name: &str) -> bool {
    matches!(descriptor.path().parts(), [only] if only == name)
}

fn check_sizes(
    path: &Path,
    group: &RowGroupMetaData,
    wanted: &[&str],
) -> Result<(), ObservedError> {
    let too_large = group.columns().iter().any(|chunk| {
        let named = |name: &&str| is_named(chunk.column_descr(), name);
        chunk.uncompressed_size() > MOST_CHUNK_BYTES && wanted.iter().any(named)
    });
    match too_large {
        true => Err(ObservedError::TooLarge {
            path: path.display().to_string().into(),
            line: 0,
            what: "column of a row group",
            limit: "512 MiB",
            remedy: "write the file again with smaller row groups",
        }),
        false => Ok(()),
    }
}

/// Goes on to the next row; false after the last one.
fn next_row(path: &Path, columns: &mut [Column], number: u64) -> Result<bool, ObservedError> {
    let mut ended = 0;
    for column in columns.iter_mut() {
        if !column.advance(path, number)? {
            ended += 1;
        }
    }
    match ended {
        all if all == columns.len() => Ok(false),
        0 => Ok(true),
        _ => {
            let why = "its columns have different numbers of rows";
            Err(damaged(path, why.to_owned()))
        }
    }
}

/// A column of a row group.
struct Column {
    name: &'static str,
    reader: ColumnReader,
    nulls: i16,
    unsigned: bool,
    held: std::vec::IntoIter<Option<String>>,
    /// The value of the row that it is at.
    now: Option<String>,
}

/// The next values of a column, as many as are held at once.
enum Batch {
    /// None at the end.
    Texts(Vec<Option<String>>),
    /// One text is longer than any row may be, after so many that are not.
    TooLong(usize),
}

impl Column {
    fn new(name: &'static str, reader: ColumnReader, descriptor: &ColumnDescriptor) -> Column {
        let unsigned = match descriptor.logical_type_ref() {
            Some(LogicalType::Integer(kind)) => !kind.is_signed,
            _ => matches!(
                descriptor.converted_type(),
                ConvertedType::UINT_64 | ConvertedType::UINT_32
            ),
        };
        Column {
            name,
            reader,
            nulls: descriptor.max_def_level(),
            unsigned,
            held: Vec::new().into_iter(),
            now: None,
        }
    }

    /// Goes on to the row after those of that number; false after the last one.
    fn advance(&mut self, path: &Path, number: u64) -> Result<bool, ObservedError> {
        if let Some(next) = self.held.next() {
            self.now = next;
            return Ok(true);
        }
        self.held = match guarded(path, || self.batch())? {
            Batch::Texts(texts) => texts.into_iter(),
            Batch::TooLong(after) => {
                return Err(ObservedError::TooLarge {
                    path: path.display().to_string().into(),
                    line: number + after as u64 + 1,
                    what: "text",
                    limit: "16 MiB",
                    remedy: "leave recorded prompts and answers out of it",
                });
            }
        };
        let next = self.held.next();
        let any = next.is_some();
        self.now = next.flatten();
        Ok(any)
    }

    fn batch(&mut self) -> Result<Batch, ParquetError> {
        let (nulls, unsigned) = (self.nulls, self.unsigned);
        let mut texts = Vec::new();
        // Tools that know no null in a column of numbers write NaN.
        match &mut self.reader {
            ColumnReader::ByteArrayColumnReader(reader) => return batch_of_texts(reader, nulls),
            ColumnReader::BoolColumnReader(reader) => {
                pull(reader, nulls, BATCH, &mut texts, |it| Some(it.to_string()))?;
            }
            ColumnReader::Int32ColumnReader(reader) => {
                pull(reader, nulls, BATCH, &mut texts, |it| {
                    Some(match unsigned {
                        true => it.cast_unsigned().to_string(),
                        false => it.to_string(),
                    })
                })?;
            }
            ColumnReader::Int64ColumnReader(reader) => {
                pull(reader, nulls, BATCH, &mut texts, |it| {
                    Some(match unsigned {
                        true => it.cast_unsigned().to_string(),
                        false => it.to_string(),
                    })
                })?;
            }
            ColumnReader::FloatColumnReader(reader) => {
                pull(reader, nulls, BATCH, &mut texts, |it| {
                    (!it.is_nan()).then(|| format!("{it:?}"))
                })?;
            }
            ColumnReader::DoubleColumnReader(reader) => {
                pull(reader, nulls, BATCH, &mut texts, |it| {
                    (!it.is_nan()).then(|| format!("{it:?}"))
                })?;
            }
            ColumnReader::FixedLenByteArrayColumnReader(_) | ColumnReader::Int96ColumnReader(_) => {
                let why = "a column is of another kind than the file says";
                return Err(ParquetError::General(why.to_owned()));
            }
        }
        Ok(Batch::Texts(texts))
    }
}

/// Texts are read one by one: a short page may hold a long text that many rows share, each of
/// which would have a copy of its own.
fn batch_of_texts(
    reader: &mut ColumnReaderImpl<ByteArrayType>,
    nulls: i16,
) -> Result<Batch, ParquetError> {
    let (mut texts, mut bytes) = (Vec::new(), 0);
    let mut one = Vec::with_capacity(1);
    while texts.len() < BATCH && bytes < BATCH_BYTES {
        pull(reader, nulls, 1, &mut one, |it| Some(it.clone()))?;
        let text = match one.pop() {
            None => break,
            Some(None) => None,
            Some(Some(data)) if data.len() > MAX_LINE_BYTES => {
                return Ok(Batch::TooLong(texts.len()));
            }
            Some(Some(data)) => match std::str::from_utf8(data.data()) {
                Ok(text) => Some(text.to_owned()),
                Err(_) => return Err(ParquetError::General("a text is not UTF-8".to_owned())),
            },
        };
        bytes += text.as_ref().map_or(0, String::len);
        texts.push(text);
    }
    Ok(Batch::Texts(texts))
}

/// Reads some rows, none for null, and adds what is shown of them.
fn pull<T: DataType, U>(
    reader: &mut ColumnReaderImpl<T>,
    nulls: i16,
    most: usize,
    into: &mut Vec<Option<U>>,
    show: impl Fn(&T::T) -> Option<U>,
) -> Result<(), ParquetError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (records, ..) = reader.read_records(most, Some(&mut levels), None, &mut values)?;
    let mut values = values.iter();
    for row in 0..records {
        let is_null = nulls > 0 && levels.get(row) != Some(&nulls);
        into.push(match is_null {
            true => None,
            false => {
                let value = values.next();
                let missing = || ParquetError::General("a page has fewer values than rows".into());
                show(value.ok_or_else(missing)?)
            }
        });
    }
    Ok(())
}
