//! A table of named columns, as CSV or Parquet.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde_json::Value;

/// The values of a column, one for each row.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Whole numbers.
    Int(Vec<Option<i64>>),
    /// Numbers.
    Float(Vec<Option<f64>>),
    /// Yes or no.
    Bool(Vec<Option<bool>>),
    /// Texts.
    Text(Vec<Option<String>>),
}

impl Column {
    /// JSON values by the narrowest kind that holds them all; lists and tables as their text.
    pub fn of_values(values: &[&Value]) -> Column {
        if values.iter().all(|value| value.is_i64()) {
            return Column::Int(values.iter().map(|value| value.as_i64()).collect());
        }
        if values.iter().all(|value| value.is_number()) {
            return Column::Float(values.iter().map(|value| value.as_f64()).collect());
        }
        if values.iter().all(|value| value.is_boolean()) {
            return Column::Bool(values.iter().map(|value| value.as_bool()).collect());
        }
        let text = |value: &&Value| match value {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        Column::Text(values.iter().map(text).collect())
    }

    fn len(&self) -> usize {
        match self {
            Column::Int(values) => values.len(),
            Column::Float(values) => values.len(),
            Column::Bool(values) => values.len(),
            Column::Text(values) => values.len(),
        }
    }

    /// A value as CSV has it; empty for none. Numbers are read back as they were.
    fn cell(&self, row: usize) -> String {
        fn shown<T>(values: &[Option<T>], row: usize, show: impl Fn(&T) -> String) -> String {
            let value = values.get(row).and_then(Option::as_ref);
            value.map(show).unwrap_or_default()
        }
        match self {
            Column::Int(values) => shown(values, row, i64::to_string),
            Column::Float(values) => shown(values, row, |value| format!("{value:?}")),
            Column::Bool(values) => shown(values, row, bool::to_string),
            Column::Text(values) => shown(values, row, String::clone),
        }
    }
}

/// Named columns of one length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns(pub Vec<(String, Column)>);

impl Columns {
    /// Adds a column.
    pub fn push(&mut self, name: impl Into<String>, column: Column) {
        self.0.push((name.into(), column));
    }

    /// As CSV with a head.
    ///
    /// # Errors
    /// What the writer says.
    pub fn to_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.0.iter().map(|(name, _)| name))?;
        self.write_rows(&mut writer)?;
        writer
            .into_inner()
            .map_err(|error| csv::Error::from(error.into_error()))
    }

    /// The rows as CSV, without the head.
    ///
    /// # Errors
    /// What the writer says.
    pub fn rows_as_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        self.write_rows(&mut writer)?;
        writer
            .into_inner()
            .map_err(|error| csv::Error::from(error.into_error()))
    }

    fn write_rows(&self, writer: &mut csv::Writer<Vec<u8>>) -> Result<(), csv::Error> {
        let rows = self.0.first().map_or(0, |(_, column)| column.len());
        for row in 0..rows {
            writer.write_record(self.0.iter().map(|(_, column)| column.cell(row)))?;
        }
        Ok(())
    }

    /// As Parquet: one row group, every column optional.
    ///
    /// # Errors
    /// What the writer says.
    pub fn to_parquet(&self, name: &str) -> Result<Vec<u8>, ParquetError> {
        let mut groups = ParquetGroups::new(Vec::new(), self, name)?;
        groups.write(self)?;
        groups.finish()
    }
}

/// Tables of the same columns as the row groups of one Parquet file, written one after another.
pub struct ParquetGroups<W: Write + Send> {
    writer: SerializedFileWriter<W>,
}

impl<W: Write + Send> ParquetGroups<W> {
    /// For tables with the columns of this one.
    ///
    /// # Errors
    /// What the writer says.
    pub fn new(out: W, table: &Columns, name: &str) -> Result<ParquetGroups<W>, ParquetError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by("seatrial".to_owned());
        let fields = table.0.iter().map(|(name, column)| field(name, column));
        let fields = fields.collect::<Result<Vec<Arc<Type>>, ParquetError>>()?;
        let schema = Type::group_type_builder(name).with_fields(fields).build()?;
        let properties = Arc::new(properties.build());
        Ok(ParquetGroups {
            writer: SerializedFileWriter::new(out, Arc::new(schema), properties)?,
        })
    }

    /// Adds a table as a row group.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&mut self, table: &Columns) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for (_, values) in &table.0 {
            let Some(mut column) = group.next_column()? else {
                break;
            };
            match values {
                Column::Int(values) => {
                    let (there, levels) = split(values, |value| *value);
                    column
                        .typed::<Int64Type>()
                        .write_batch(&there, Some(&levels), None)?;
                }
                Column::Float(values) => {
                    let (there, levels) = split(values, |value| *value);
                    column
                        .typed::<DoubleType>()
                        .write_batch(&there, Some(&levels), None)?;
                }
                Column::Bool(values) => {
                    let (there, levels) = split(values, |value| *value);
                    column
                        .typed::<BoolType>()
                        .write_batch(&there, Some(&levels), None)?;
                }
                Column::Text(values) => {
                    let (there, levels) = split(values, |value| ByteArray::from(value.as_str()));
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&there, Some(&levels), None)?;
                }
            }
            column.close()?;
        }
        group.close()?;
        Ok(())
    }

    /// Writes the end of the file and gives back what it was written to.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(self) -> Result<W, ParquetError> {
        self.writer.into_inner()
    }
}

/// The values that are there, and for each row whether there is one.
fn split<T, U>(values: &[Option<T>], take: impl Fn(&T) -> U) -> (Vec<U>, Vec<i16>) {
    let levels = values
        .iter()
        .map(|value| i16::from(value.is_some()))
        .collect();
    (values.iter().flatten().map(take).collect(), levels)
}

fn field(name: &str, column: &Column) -> Result<Arc<Type>, ParquetError> {
    let (physical, logical) = match column {
        Column::Int(_) => (Physical::INT64, None),
        Column::Float(_) => (Physical::DOUBLE, None),
        Column::Bool(_) => (Physical::BOOLEAN, None),
        Column::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let builder = Type::primitive_type_builder(name, physical)
        .with_logical_type(logical)
        .with_repetition(Repetition::OPTIONAL);
    builder.build().map(Arc::new)
}

/// Writes a file whole or not at all: beside it first, then under its name.
///
/// # Errors
/// What the system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, path)
}
