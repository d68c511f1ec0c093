//! Which columns of a Parquet file are read: those whose values are what they seem to be. A time in
//! us or a decimal is stored as a whole number too, of something else.

use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::schema::types::ColumnDescriptor;

use super::error::ObservedError;

/// Whether the values of a column can be read as they are stored.
///
/// # Errors
/// When they stand for something else, or there may be more than one in a row.
pub(super) fn check(path: &Path, column: &ColumnDescriptor) -> Result<(), ObservedError> {
    let parts = column.path().parts();
    let nested = parts.len() > 1 || column.max_rep_level() > 0 || column.max_def_level() > 1;
    if !nested && is_read(column) {
        return Ok(());
    }
    let (found, remedy) = match nested {
        true => ("lists or tables".to_owned(), "write one value a row"),
        false => (kind(column), remedy(column)),
    };
    Err(ObservedError::ColumnKind {
        path: path.display().to_string().into(),
        column: parts.first().map_or("", String::as_str).into(),
        found: found.into(),
        remedy,
    })
}

fn is_read(column: &ColumnDescriptor) -> bool {
    use LogicalType as L;
    let logical = column.logical_type_ref();
    // Of a column that is all null.
    if matches!(logical, Some(L::Unknown)) {
        return true;
    }
    match (column.physical_type(), logical) {
        (Type::INT32 | Type::INT64, Some(L::Integer(_))) => true,
        (Type::INT64, Some(L::Timestamp(time))) => time.unit == TimeUnit::NANOS,
        (Type::BYTE_ARRAY, Some(L::String | L::Enum | L::Json)) => true,
        (_, Some(_)) => false,
        (physical, None) => is_read_by_old_name(physical, column.converted_type()),
    }
}

/// By what files say that are older than logical types.
fn is_read_by_old_name(physical: Type, name: ConvertedType) -> bool {
    use ConvertedType as C;
    match physical {
        Type::BOOLEAN | Type::FLOAT | Type::DOUBLE => name == C::NONE,
        Type::INT32 | Type::INT64 => matches!(
            name,
            C::NONE
                | C::INT_8
                | C::INT_16
                | C::INT_32
                | C::INT_64
                | C::UINT_8
                | C::UINT_16
                | C::UINT_32
                | C::UINT_64
        ),
        Type::BYTE_ARRAY => matches!(name, C::NONE | C::UTF8 | C::ENUM | C::JSON),
        Type::INT96 | Type::FIXED_LEN_BYTE_ARRAY => false,
    }
}

/// What a column is, as the documentation of the format calls it.
fn kind(column: &ColumnDescriptor) -> String {
    use LogicalType as L;
    let name = match column.logical_type_ref() {
        None => column.converted_type().to_string(),
        Some(L::Decimal(it)) => format!("DECIMAL({}, {})", it.precision, it.scale),
        Some(L::Time(it)) => format!("TIME({:?})", it.unit),
        Some(L::Timestamp(it)) => format!("TIMESTAMP({:?})", it.unit),
        Some(other) => format!("{other:?}").to_ascii_uppercase(),
    };
    let physical = column.physical_type();
    match name.as_str() {
        "NONE" => physical.to_string(),
        _ => format!("{name} in {physical}"),
    }
}

fn remedy(column: &ColumnDescriptor) -> &'static str {
    use ConvertedType as C;
    use LogicalType as L;
    let logical = matches!(
        column.logical_type_ref(),
        Some(L::Timestamp(_) | L::Time(_) | L::Date)
    );
    let old = matches!(
        column.converted_type(),
        C::TIMESTAMP_MILLIS | C::TIMESTAMP_MICROS | C::TIME_MILLIS | C::TIME_MICROS | C::DATE
    );
    match logical || old || column.physical_type() == Type::INT96 {
        true => "write it in ns, as whole numbers or TIMESTAMP(NANOS)",
        false => "write it as whole numbers, DOUBLE or texts",
    }
}
