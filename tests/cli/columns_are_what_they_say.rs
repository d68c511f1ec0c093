//! A column of Parquet is read as what it stands for, or refused: a time in us is stored as a whole
//! number as one in ns is.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, Int96};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{PrimitiveTypeBuilder, Type, TypePtr};
use seatrial::observed::{Observed, ObservedError, ReadOptions, read_all};

fn primitive(name: &str, physical: Physical) -> PrimitiveTypeBuilder<'_> {
    Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL)
}

fn field(name: &str, physical: Physical, logical: Option<LogicalType>) -> TypePtr {
    let field = primitive(name, physical).with_logical_type(logical);
    Arc::new(field.build().unwrap())
}

/// Writes rows of 7, 14, ... in every column that is not one of texts.
fn write(path: &Path, fields: Vec<TypePtr>, rows: usize) {
    let schema = Type::group_type_builder("rows").with_fields(fields);
    let schema = Arc::new(schema.build().unwrap());
    let file = std::fs::File::create(path).unwrap();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let there = vec![1; rows];
    let levels = Some(&there[..]);
    let numbers: Vec<i64> = (1..).map(|row| 7 * row).take(rows).collect();
    while let Some(mut column) = group.next_column().unwrap() {
        match column.untyped() {
            ColumnWriter::Int64ColumnWriter(out) => {
                out.write_batch(&numbers, levels, None).unwrap();
            }
            ColumnWriter::Int32ColumnWriter(out) => {
                let numbers: Vec<i32> = numbers.iter().map(|it| *it as i32).collect();
                out.write_batch(&numbers, levels, None).unwrap();
            }
            ColumnWriter::Int96ColumnWriter(out) => {
                out.write_batch(&vec![Int96::new(); rows], levels, None)
                    .unwrap();
            }
            ColumnWriter::ByteArrayColumnWriter(out) => {
                let texts = vec![ByteArray::from("completed"); rows];
                out.write_batch(&texts, levels, None).unwrap();
            }
            _ => {}
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

fn text(name: &str) -> TypePtr {
    field(name, Physical::BYTE_ARRAY, Some(LogicalType::String))
}

fn int(name: &str) -> TypePtr {
    field(name, Physical::INT64, None)
}

fn read(fields: Vec<TypePtr>, rows: usize) -> Result<Vec<Observed>, ObservedError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.parquet");
    write(&path, fields, rows);
    read_all(&path, &ReadOptions::default()).map(|(found, _)| found)
}

/// Requests whose arrivals are in this column.
fn with_arrival(arrival: TypePtr) -> Result<Vec<Observed>, ObservedError> {
    let columns = ["prompt_tokens", "output_tokens"].map(int);
    let mut fields = vec![arrival, text("status")];
    fields.extend(columns);
    read(fields, 3)
}

#[test]
fn a_column_that_stands_for_something_else_is_refused() {
    let timed = |unit| Some(LogicalType::timestamp(true, unit));
    let name = "arrival_ns";
    let long = |logical| field(name, Physical::INT64, logical);
    let old = |kind| {
        let field = primitive(name, Physical::INT64).with_converted_type(kind);
        Arc::new(field.build().unwrap())
    };
    let decimal = primitive(name, Physical::INT64)
        .with_logical_type(Some(LogicalType::decimal(2, 10)))
        .with_precision(10)
        .with_scale(2);
    let ns = "write it in ns";
    for (arrival, found, remedy) in [
        (
            long(timed(TimeUnit::MICROS)),
            "TIMESTAMP(MICROS) in INT64",
            ns,
        ),
        (
            long(timed(TimeUnit::MILLIS)),
            "TIMESTAMP(MILLIS) in INT64",
            ns,
        ),
        (
            old(ConvertedType::TIMESTAMP_MICROS),
            "TIMESTAMP_MICROS in INT64",
            ns,
        ),
        (
            long(Some(LogicalType::time(true, TimeUnit::NANOS))),
            "TIME(NANOS) in INT64",
            ns,
        ),
        (
            field(name, Physical::INT32, Some(LogicalType::Date)),
            "DATE in INT32",
            ns,
        ),
        (field(name, Physical::INT96, None), "INT96", ns),
        (
            Arc::new(decimal.build().unwrap()),
            "DECIMAL(10, 2) in INT64",
            "write it as whole numbers",
        ),
    ] {
        let refused = with_arrival(arrival).unwrap_err().to_string();
        for words in ["r.parquet", "`arrival_ns`", found, "allowed: ", remedy] {
            assert!(refused.contains(words), "no {words:?} in {refused}");
        }
    }
    let within = Type::group_type_builder("tenant").with_fields(vec![text("name")]);
    let within = within.with_repetition(Repetition::REQUIRED).build();
    let fields = vec![int(name), text("status"), Arc::new(within.unwrap())];
    let refused = read(fields, 3).unwrap_err().to_string();
    assert!(refused.contains("`tenant` is lists or tables"), "{refused}");
}

#[test]
fn a_column_of_numbers_is_read_as_it_stands() {
    let name = "arrival_ns";
    let arrivals = |arrival| -> Vec<u64> {
        let found = with_arrival(arrival).unwrap();
        found.iter().map(|it| it.t_ns).collect()
    };
    let old = primitive(name, Physical::INT64).with_converted_type(ConvertedType::UINT_64);
    for arrival in [
        int(name),
        field(
            name,
            Physical::INT64,
            Some(LogicalType::timestamp(false, TimeUnit::NANOS)),
        ),
        field(name, Physical::INT64, Some(LogicalType::integer(64, false))),
        field(name, Physical::INT32, Some(LogicalType::integer(16, true))),
        Arc::new(old.build().unwrap()),
    ] {
        assert_eq!(arrivals(Arc::clone(&arrival)), [7, 14, 21], "{arrival:?}");
    }
}

#[test]
fn a_file_of_other_columns_is_refused_with_their_names() {
    for columns in [
        vec![int("when"), int("how_long")],
        vec![int("arrival_ns"), int("prompt_tokens")],
        vec![int("t_ns"), text("status"), int("arrival_ns")],
    ] {
        let names: Vec<String> = columns.iter().map(|it| it.name().to_owned()).collect();
        let refused = read(columns, 3).unwrap_err().to_string();
        let words = [
            &format!("has columns {};", names.join(", ")),
            "arrival_ns and status",
            "t_ns and ending",
        ];
        for words in words {
            assert!(refused.contains(words), "no {words:?} in {refused}");
        }
    }
    let fields = ["arrival_ns", "prompt_tokens", "output_tokens"].map(int);
    let fields = fields.into_iter().chain([text("status")]);
    let refused = read(fields.collect(), 0).unwrap_err().to_string();
    assert!(
        refused.contains("0 records read: there is none"),
        "{refused}"
    );
}
