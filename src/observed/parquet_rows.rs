//! Rows of a Parquet file as texts by column, a few at a time.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::error::ObservedError;

/// Rows that are held at once.
const BATCH: usize = 1024;
/// The most that a column of a row group may unpack to, bytes: its pages are held whole.
const MOST_CHUNK_BYTES: i64 = 512 << 20;

/// The value of each wanted column in one row; none where it is null.
pub(super) type Texts<'a> = [(&'static str, Option<&'a str>)];

/// Takes a row and its number, from 1.
pub(super) type Take<'a> = dyn FnMut(u64, &Texts<'_>) -> Result<(), ObservedError> + 'a;

/// Hands over all rows, of the columns that are wanted and there.
///
/// # Errors
/// When the file cannot be read, or one of the columns is of a kind that is not read.
pub(super) fn read(
    path: &Path,
    wanted: &[&'static str],
    take: &mut Take<'_>,
) -> Result<(), ObservedError> {
    let file = File::open(path).map_err(|fault| damaged(path, fault.to_string()))?;
    let reader = guarded(path, || SerializedFileReader::new(file))?;
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
        loop {
            let batch = guarded(path, || {
                let batch = columns.iter_mut().map(Column::batch);
                batch.collect::<Result<Vec<_>, _>>()
            })?;
            let count = batch.first().map_or(0, Vec::len);
            if batch.iter().any(|texts| texts.len() != count) {
                let why = "its columns have different numbers of rows";
                return Err(damaged(path, why.to_owned()));
            }
            if count == 0 {
                break;
            }
            for row in 0..count {
                number += 1;
                let texts = columns.iter().zip(&batch);
                let texts = texts.map(|(column, texts)| (column.name, texts[row].as_deref()));
                take(number, &texts.collect::<Vec<_>>())?;
            }
        }
    }
    Ok(())
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

/// A column of a row group.
struct Column {
    name: &'static str,
    reader: ColumnReader,
    nulls: i16,
    nested: bool,
    unsigned: bool,
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
            nested: descriptor.max_rep_level() > 0 || descriptor.max_def_level() > 1,
            unsigned,
        }
    }

    /// The next values, none for null; an empty list at the end.
    fn batch(&mut self) -> Result<Vec<Option<String>>, ParquetError> {
        let refuse = |why: &str| ParquetError::General(format!("column `{}` {why}", self.name));
        if self.nested {
            return Err(refuse("holds lists or tables: one value a row is read"));
        }
        let (nulls, unsigned) = (self.nulls, self.unsigned);
        let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(ParquetError::General("a text is not UTF-8".to_owned())),
        };
        match &mut self.reader {
            ColumnReader::BoolColumnReader(it) => batch(it, nulls, |it| Ok(Some(it.to_string()))),
            ColumnReader::Int32ColumnReader(it) => batch(it, nulls, |it| {
                Ok(Some(match unsigned {
                    true => it.cast_unsigned().to_string(),
                    false => it.to_string(),
                }))
            }),
            ColumnReader::Int64ColumnReader(it) => batch(it, nulls, |it| {
                Ok(Some(match unsigned {
                    true => it.cast_unsigned().to_string(),
                    false => it.to_string(),
                }))
            }),
            // Tools that know no null in a column of numbers write NaN.
            ColumnReader::FloatColumnReader(it) => {
                batch(
                    it,
                    nulls,
                    |it| Ok((!it.is_nan()).then(|| format!("{it:?}"))),
                )
            }
            ColumnReader::DoubleColumnReader(it) => {
                batch(
                    it,
                    nulls,
                    |it| Ok((!it.is_nan()).then(|| format!("{it:?}"))),
                )
            }
            ColumnReader::ByteArrayColumnReader(it) => batch(it, nulls, |it| text(it.data())),
            ColumnReader::FixedLenByteArrayColumnReader(_) | ColumnReader::Int96ColumnReader(_) => {
                Err(refuse(
                    "is of a type that is not read: write numbers and texts",
                ))
            }
        }
    }
}

fn batch<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    nulls: i16,
    show: impl Fn(&T::T) -> Result<Option<String>, ParquetError>,
) -> Result<Vec<Option<String>>, ParquetError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (records, ..) = reader.read_records(BATCH, Some(&mut levels), None, &mut values)?;
    let mut values = values.iter();
    let mut texts = Vec::with_capacity(records);
    for row in 0..records {
        let is_null = nulls > 0 && levels.get(row) != Some(&nulls);
        texts.push(match is_null {
            true => None,
            false => {
                let value = values.next();
                let missing = || ParquetError::General("a page has fewer values than rows".into());
                show(value.ok_or_else(missing)?)?
            }
        });
    }
    Ok(texts)
}
