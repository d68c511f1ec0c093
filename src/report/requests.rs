//! One row per request, as CSV or Parquet.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use crate::fleet::outcome::RequestRow;
use crate::outputs::Output;
use crate::scenario::resolve::Plan;

/// Rows of a Parquet row group: what is held in memory before it is written.
const GROUP: usize = 100_000;

/// Columns of texts, then of numbers, by the row's names for them.
const COLUMNS: [&str; 20] = [
    "id",
    "region",
    "tier",
    "pool",
    "replica",
    "arrival_ns",
    "gateway_ns",
    "queued_ns",
    "scheduled_ns",
    "first_token_ns",
    "last_token_ns",
    "prompt_tokens",
    "output_tokens",
    "cached_tokens",
    "preemptions",
    "attempts",
    "status",
    "population",
    "tenant",
    "ended_ns",
];

/// Why a request file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RequestFileError {
    /// The name says neither CSV nor Parquet.
    #[error("{0}: a request file must end in .csv, .csv.gz or .parquet; rename it")]
    Extension(String),
    /// The file could not be written.
    #[error("{0}: cannot write: {1}; check the folder and the space left")]
    Write(String, String),
}

/// Names by the indices that rows hold.
#[derive(Debug, Clone)]
pub struct Names {
    /// Tiers.
    pub tiers: Vec<String>,
    /// Pools.
    pub pools: Vec<String>,
    /// Regions.
    pub regions: Vec<String>,
    /// Populations of clients.
    pub populations: Vec<String>,
    /// Tenants; none where none are stated.
    pub tenants: Vec<String>,
}

impl Names {
    /// Those of a plan.
    pub fn of(plan: &Plan) -> Names {
        let fleet = &plan.fleet;
        let admission = plan.scenario.admission.as_ref();
        let tenants = admission.iter().flat_map(|admission| &admission.tenants);
        let topology = &fleet.topology;
        let populations = topology.populations.iter();
        Names {
            tiers: fleet.tiers.iter().map(|tier| tier.name.clone()).collect(),
            pools: fleet.pools.iter().map(|pool| pool.name.clone()).collect(),
            regions: topology.regions.iter().map(|it| it.name.clone()).collect(),
            populations: populations.map(|it| it.name.clone()).collect(),
            tenants: tenants.map(|tenant| tenant.name.clone()).collect(),
        }
    }
}

/// One value of a row.
enum Field<'a> {
    Text(&'a str),
    Number(Option<i64>),
}

/// Writes requests to a file as they come.
pub struct RequestFile {
    name: String,
    names: Names,
    sink: Sink,
}

enum Sink {
    Csv(Box<csv::Writer<Output>>),
    Parquet {
        writer: Box<SerializedFileWriter<File>>,
        held: Vec<RequestRow>,
    },
}

impl RequestFile {
    /// Opens a file; its extension says which kind.
    ///
    /// # Errors
    /// [`RequestFileError`].
    pub fn create(path: &Path, names: Names) -> Result<RequestFile, RequestFileError> {
        let name = path.display().to_string();
        let failed = |error: &dyn std::fmt::Display| {
            RequestFileError::Write(name.clone(), error.to_string())
        };
        let kind = [".csv.gz", ".csv", ".parquet"]
            .into_iter()
            .find(|end| name.ends_with(end));
        let Some(kind) = kind else {
            return Err(RequestFileError::Extension(name));
        };
        let file = File::create(path).map_err(|error| failed(&error))?;
        let sink = match kind {
            ".parquet" => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .set_created_by("seatrial".to_owned());
                let schema = schema().map_err(|error| failed(&error))?;
                let writer =
                    SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build()))
                        .map_err(|error| failed(&error))?;
                Sink::Parquet {
                    writer: Box::new(writer),
                    held: Vec::new(),
                }
            }
            _ => {
                let mut writer = csv::Writer::from_writer(Output::to(file, path));
                writer
                    .write_record(COLUMNS)
                    .map_err(|error| failed(&error))?;
                Sink::Csv(Box::new(writer))
            }
        };
        Ok(RequestFile { name, names, sink })
    }

    /// Writes rows.
    ///
    /// # Errors
    /// [`RequestFileError::Write`].
    pub fn write(&mut self, rows: &[RequestRow]) -> Result<(), RequestFileError> {
        let result = match &mut self.sink {
            Sink::Csv(writer) => rows
                .iter()
                .try_for_each(|row| {
                    writer.write_record(fields(row, &self.names).map(|field| match field {
                        Field::Text(text) => text.to_owned(),
                        Field::Number(value) => {
                            value.map(|value| value.to_string()).unwrap_or_default()
                        }
                    }))
                })
                .map_err(|error| error.to_string()),
            Sink::Parquet { writer, held } => {
                held.extend_from_slice(rows);
                match held.len() >= GROUP {
                    true => write_group(writer, held, &self.names).map_err(|e| e.to_string()),
                    false => Ok(()),
                }
            }
        };
        result.map_err(|error| RequestFileError::Write(self.name.clone(), error))
    }

    /// Writes what is left and closes the file.
    ///
    /// # Errors
    /// [`RequestFileError::Write`].
    pub fn finish(self) -> Result<(), RequestFileError> {
        let result = match self.sink {
            Sink::Csv(writer) => match writer.into_inner() {
                Ok(out) => out.finish().map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            },
            Sink::Parquet {
                mut writer,
                mut held,
            } => write_group(&mut writer, &mut held, &self.names)
                .and_then(|()| writer.close().map(|_| ()))
                .map_err(|error| error.to_string()),
        };
        result.map_err(|error| RequestFileError::Write(self.name, error))
    }
}

fn fields<'a>(row: &RequestRow, names: &'a Names) -> [Field<'a>; 20] {
    let stamp = |ns: Option<u64>| Field::Number(ns.and_then(|ns| i64::try_from(ns).ok()));
    let small = |value: u32| Field::Number(Some(i64::from(value)));
    let name = |list: &'a [String], index: Option<u16>| {
        let name = index.and_then(|index| list.get(usize::from(index)));
        Field::Text(name.map_or("", String::as_str))
    };
    [
        stamp(Some(row.id)),
        name(&names.regions, row.region),
        name(&names.tiers, Some(row.tier)),
        name(&names.pools, row.pool),
        Field::Number(row.replica.map(i64::from)),
        stamp(Some(row.arrival_ns)),
        stamp(row.gateway_ns),
        stamp(row.queued_ns),
        stamp(row.scheduled_ns),
        stamp(row.first_token_ns),
        stamp(row.last_token_ns),
        small(row.prompt_tokens),
        small(row.output_tokens),
        small(row.cached_tokens),
        small(u32::from(row.preemptions)),
        small(u32::from(row.attempts)),
        Field::Text(row.status),
        name(&names.populations, Some(row.population)),
        name(
            &names.tenants,
            row.tenant.and_then(|it| u16::try_from(it).ok()),
        ),
        stamp(row.ended_ns),
    ]
}

const TEXTS: [&str; 6] = ["region", "tier", "pool", "status", "population", "tenant"];

fn schema() -> Result<Type, ParquetError> {
    let columns: Result<Vec<Arc<Type>>, ParquetError> = COLUMNS
        .iter()
        .map(|name| {
            let builder = if TEXTS.contains(name) {
                Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
                    .with_logical_type(Some(parquet::basic::LogicalType::String))
                    .with_repetition(Repetition::REQUIRED)
            } else {
                Type::primitive_type_builder(name, Physical::INT64)
                    .with_repetition(Repetition::OPTIONAL)
            };
            builder.build().map(Arc::new)
        })
        .collect();
    Type::group_type_builder("requests")
        .with_fields(columns?)
        .build()
}

fn write_group(
    writer: &mut SerializedFileWriter<File>,
    held: &mut Vec<RequestRow>,
    names: &Names,
) -> Result<(), ParquetError> {
    if held.is_empty() {
        return Ok(());
    }
    let mut group = writer.next_row_group()?;
    for (index, column) in COLUMNS.iter().enumerate() {
        write_column(&mut group, index, TEXTS.contains(column), held, names)?;
    }
    group.close()?;
    held.clear();
    Ok(())
}

fn write_column(
    group: &mut SerializedRowGroupWriter<'_, File>,
    index: usize,
    is_text: bool,
    held: &[RequestRow],
    names: &Names,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Ok(());
    };
    let mut texts: Vec<ByteArray> = Vec::new();
    let mut numbers: Vec<i64> = Vec::new();
    let mut levels: Vec<i16> = Vec::new();
    for row in held {
        match fields(row, names).into_iter().nth(index) {
            Some(Field::Text(text)) => texts.push(ByteArray::from(text)),
            Some(Field::Number(value)) => {
                levels.push(i16::from(value.is_some()));
                numbers.extend(value);
            }
            None => {}
        }
    }
    if is_text {
        column
            .typed::<ByteArrayType>()
            .write_batch(&texts, None, None)?;
    } else {
        column
            .typed::<Int64Type>()
            .write_batch(&numbers, Some(&levels), None)?;
    }
    column.close()
}
