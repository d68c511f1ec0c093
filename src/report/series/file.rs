//! The file: CSV or Parquet, in long format.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use crate::outputs::Output;

/// Rows of a Parquet row group: what is held in memory before it is written.
const GROUP: usize = 100_000;

/// The columns, in order.
pub const COLUMNS: [&str; 6] = ["t_s", "interval_s", "scope", "name", "metric", "value"];

/// Why a file of intervals could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// The name says neither CSV nor Parquet.
    #[error("--series {0}: must end in .csv, .csv.gz or .parquet; rename it")]
    Extension(String),
    /// The file could not be written.
    #[error("{0}: cannot write: {1}; check the folder and the space left")]
    Write(String, String),
    /// Intervals are too short.
    #[error(
        "--series-interval {interval_s}: must be {least_s} s or more for a run of this length; \
         raise it"
    )]
    Interval {
        /// What was asked for, seconds.
        interval_s: f64,
        /// The least, seconds.
        least_s: f64,
    },
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeriesRow<'a> {
    /// When the interval began, seconds.
    pub(super) t_s: f64,
    /// How long it was, seconds.
    pub(super) interval_s: f64,
    /// What the row is of: `fleet`, `tier`, `region` or `pool`.
    pub(super) scope: &'static str,
    /// Which of those.
    pub(super) name: &'a str,
    /// What is counted.
    pub(super) metric: &'static str,
    /// How much of it.
    pub(super) value: f64,
}

/// A file that rows are written to as they come.
pub struct SeriesFile {
    path: String,
    sink: Sink,
}

enum Sink {
    Csv(Box<csv::Writer<Output>>),
    Parquet {
        writer: Box<SerializedFileWriter<File>>,
        held: Held,
    },
}

/// Rows that are not written yet, column by column.
#[derive(Default)]
struct Held {
    numbers: [Vec<f64>; 3],
    texts: [Vec<ByteArray>; 3],
}

impl SeriesFile {
    pub(super) fn create(path: &Path) -> Result<SeriesFile, SeriesError> {
        let name = path.display().to_string();
        let failed =
            |error: &dyn std::fmt::Display| SeriesError::Write(name.clone(), error.to_string());
        let ends = [".csv.gz", ".csv", ".parquet"];
        let Some(kind) = ends.into_iter().find(|end| name.ends_with(end)) else {
            return Err(SeriesError::Extension(name));
        };
        let file = File::create(path).map_err(|error| failed(&error))?;
        let sink = match kind {
            ".parquet" => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .set_created_by("seatrial".to_owned());
                let schema = Arc::new(schema().map_err(|error| failed(&error))?);
                let writer = SerializedFileWriter::new(file, schema, Arc::new(properties.build()));
                Sink::Parquet {
                    writer: Box::new(writer.map_err(|error| failed(&error))?),
                    held: Held::default(),
                }
            }
            _ => {
                let mut writer = csv::Writer::from_writer(Output::to(file, path));
                let head = writer.write_record(COLUMNS);
                head.map_err(|error| failed(&error))?;
                Sink::Csv(Box::new(writer))
            }
        };
        Ok(SeriesFile { path: name, sink })
    }

    pub(super) fn row(&mut self, row: &SeriesRow<'_>) -> Result<(), SeriesError> {
        let written = match &mut self.sink {
            Sink::Csv(writer) => {
                // Numbers are read back as they were.
                let number = |value: f64| format!("{value:?}");
                let fields = [
                    &number(row.t_s),
                    &number(row.interval_s),
                    row.scope,
                    row.name,
                    row.metric,
                    &number(row.value),
                ];
                let written = writer.write_record(fields);
                written.map_err(|error| error.to_string())
            }
            Sink::Parquet { writer, held } => {
                held.push(row);
                match held.len() >= GROUP {
                    true => held.write(writer).map_err(|error| error.to_string()),
                    false => Ok(()),
                }
            }
        };
        written.map_err(|error| SeriesError::Write(self.path.clone(), error))
    }

    pub(super) fn finish(self) -> Result<(), SeriesError> {
        let written = match self.sink {
            Sink::Csv(writer) => match writer.into_inner() {
                Ok(out) => out.finish().map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            },
            Sink::Parquet {
                mut writer,
                mut held,
            } => held
                .write(&mut writer)
                .and_then(|()| writer.close().map(|_| ()))
                .map_err(|error| error.to_string()),
        };
        written.map_err(|error| SeriesError::Write(self.path, error))
    }
}

/// Numbers are doubles, texts are strings, and no value is missing: what there is nothing of has no
/// row.
fn schema() -> Result<Type, ParquetError> {
    let columns = COLUMNS.iter().map(|name| {
        let builder = match is_text(name) {
            true => Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
                .with_logical_type(Some(LogicalType::String)),
            false => Type::primitive_type_builder(name, Physical::DOUBLE),
        };
        let builder = builder.with_repetition(Repetition::REQUIRED);
        builder.build().map(Arc::new)
    });
    let columns: Result<Vec<Arc<Type>>, ParquetError> = columns.collect();
    Type::group_type_builder("series")
        .with_fields(columns?)
        .build()
}

fn is_text(column: &str) -> bool {
    matches!(column, "scope" | "name" | "metric")
}

impl Held {
    fn len(&self) -> usize {
        self.numbers[0].len()
    }

    fn push(&mut self, row: &SeriesRow<'_>) {
        let numbers = [row.t_s, row.interval_s, row.value];
        for (column, value) in self.numbers.iter_mut().zip(numbers) {
            column.push(value);
        }
        let texts = [row.scope, row.name, row.metric];
        for (column, text) in self.texts.iter_mut().zip(texts) {
            column.push(ByteArray::from(text));
        }
    }

    fn write(&mut self, writer: &mut SerializedFileWriter<File>) -> Result<(), ParquetError> {
        if self.len() == 0 {
            return Ok(());
        }
        let [t_s, interval_s, value] = &self.numbers;
        let [scope, name, metric] = &self.texts;
        let mut group = writer.next_row_group()?;
        write_numbers(&mut group, t_s)?;
        write_numbers(&mut group, interval_s)?;
        for texts in [scope, name, metric] {
            write_texts(&mut group, texts)?;
        }
        write_numbers(&mut group, value)?;
        group.close()?;
        *self = Held::default();
        Ok(())
    }
}

fn write_numbers(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[f64],
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Ok(());
    };
    let typed = column.typed::<DoubleType>();
    typed.write_batch(values, None, None)?;
    column.close()
}

fn write_texts(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[ByteArray],
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Ok(());
    };
    let typed = column.typed::<ByteArrayType>();
    typed.write_batch(values, None, None)?;
    column.close()
}
