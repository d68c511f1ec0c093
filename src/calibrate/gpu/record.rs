//! The calibration format: what was measured on which device, as one JSON document.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use serde::{Deserialize, Serialize};

use super::operation::{NumberType, Operation};

/// The version of the format that is written, and the only one that is read.
pub const SCHEMA: u32 = 1;

/// How gzipped files begin.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A calibration: rows of one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Version of the format, 1.
    pub schema: u32,
    /// The program that measured, with its version.
    pub tool: String,
    /// How the rows came about, in words.
    pub provenance: String,
    /// The device.
    pub device: DeviceFacts,
    /// The libraries that were called.
    pub software: Software,
    /// What was asked for.
    pub plan: PlanFacts,
    /// What was measured, in the order of the plan.
    pub rows: Vec<Row>,
    /// What could not be measured, and why.
    #[serde(default)]
    pub failures: Vec<Unmeasured>,
}

/// What a device is. Serial numbers and its place in the machine are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceFacts {
    /// The name that the driver gives it.
    pub name: String,
    /// Compute capability, `9.0` say.
    pub compute_capability: String,
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Highest clock of the multiprocessors, MHz (0: not told, here and below).
    pub clock_mhz: u32,
    /// Highest clock of the memory, MHz.
    pub memory_clock_mhz: u32,
    /// Width of the bus to the memory, bits.
    pub memory_bus_bits: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Second-level cache, bytes.
    pub l2_bytes: u64,
    /// The most shared memory a block can have, bytes.
    pub shared_bytes_per_block: u64,
    /// Whether the memory corrects errors.
    pub ecc: bool,
    /// The CUDA version that the driver is for.
    pub driver_cuda: String,
}

/// Versions of the libraries that were called.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// cuBLASLt.
    pub cublaslt: String,
    /// NVRTC.
    pub nvrtc: String,
    /// NCCL, if several devices were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nccl: Option<String>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanFacts {
    /// `quick` or `full`.
    pub effort: String,
    /// The model cards whose shapes were measured.
    pub models: Vec<String>,
    /// The tensor parallelisms whose shapes were measured.
    pub tp: Vec<u32>,
    /// The only operations that were measured; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
}

/// One measured operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The operation with its shape, of one device.
    pub operation: Operation,
    /// Number type of its inputs; null for launches and for bytes that are only moved.
    pub dtype: Option<NumberType>,
    /// Where models use it.
    #[serde(default)]
    pub used_for: Vec<String>,
    /// Median time of one launch, microseconds.
    pub median_us: f64,
    /// 10th percentile, microseconds.
    pub p10_us: f64,
    /// 90th percentile, microseconds.
    pub p90_us: f64,
    /// Samples that the median is of.
    pub samples: u32,
    /// Launches in each sample, the time of which is shared evenly.
    pub launches_per_sample: u32,
    /// Buffers that the launches went through in turn.
    pub buffers: u32,
    /// Bytes of all buffers that the launches of a sample touched: where they are not well above
    /// `device.l2_bytes`, inputs were found in that cache, as they are between the kernels of a
    /// layer whose activations fit it.
    pub footprint_bytes: u64,
    /// Whether the launches were nodes of a captured graph.
    pub graph: bool,
    /// Rate of the least arithmetic the operation takes, 1e12 FLOP/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tflop_per_s: Option<f64>,
    /// Rate of the least bytes the operation moves, 1e9 bytes/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gb_per_s: Option<f64>,
    /// Whether the two halves of the samples differ, also when measured again.
    pub drifted: bool,
    /// How the results compare with a reference in 64 bits, where there are results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Checked>,
}

/// How results compare with a reference in 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    /// Values that were compared.
    pub values: u64,
    /// The largest error, relative to the value plus the root mean square of those compared.
    pub max_error: f64,
    /// The largest error that is allowed.
    pub tolerance: f64,
}

/// An operation that could not be measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unmeasured {
    /// The operation with its shape.
    pub operation: Operation,
    /// Number type of its inputs; null for launches and for bytes that are only moved.
    pub dtype: Option<NumberType>,
    /// Why.
    pub reason: String,
}

/// Why a calibration could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read or written.
    #[error("{file}: {cause}; {remedy}")]
    File {
        /// The file.
        file: String,
        /// What the operating system said.
        cause: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The file is not a calibration.
    #[error(
        "{file}: not a calibration: {reason}; the fields are those of `seatrial schema --of calibration`"
    )]
    Parse {
        /// The file.
        file: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// A field is outside its range.
    #[error("{file}: {place}`{field}` is {value}, but it must be {allowed}; {remedy}")]
    Field {
        /// The file.
        file: String,
        /// The row, empty for the document itself.
        place: String,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
        /// What to do.
        remedy: &'static str,
    },
}

impl Calibration {
    /// Reads a calibration from a file, gzipped or not.
    ///
    /// # Errors
    /// It cannot be read, is no calibration, or a value is outside its range.
    pub fn load(path: &Path) -> Result<Self, RecordError> {
        let file = path.display().to_string();
        let text = text_of(path).map_err(|error| RecordError::File {
            file: file.clone(),
            cause: format!("cannot be read ({error})"),
            remedy: "check the path",
        })?;
        Self::parse(&file, &text)
    }

    /// Reads a calibration from text; `file` is what errors call it.
    ///
    /// # Errors
    /// It is no calibration, or a value is outside its range.
    pub fn parse(file: &str, text: &str) -> Result<Self, RecordError> {
        let version =
            serde_json::from_str::<Version>(text).map_err(|error| not_one(file, &error))?;
        check(
            version.schema == u64::from(SCHEMA),
            file,
            "",
            ("schema", &version.schema.to_string(), "1"),
            "read it with the version of seatrial that wrote it, or measure again",
        )?;
        let calibration: Self =
            serde_json::from_str(text).map_err(|error| not_one(file, &error))?;
        calibration.check(file)?;
        Ok(calibration)
    }

    /// The document as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Checks every row.
    fn check(&self, file: &str) -> Result<(), RecordError> {
        for (index, row) in self.rows.iter().enumerate() {
            let place = format!("rows[{index}] ({}) ", row.operation.text());
            row.check(file, &place)?;
            let twice = self.rows[..index]
                .iter()
                .any(|other| other.operation == row.operation && other.dtype == row.dtype);
            check(
                !twice,
                file,
                &place,
                (
                    "operation",
                    "there twice",
                    "there once for each number type",
                ),
                "keep one of the two",
            )?;
        }
        Ok(())
    }
}

impl Row {
    /// Checks that all numbers are finite and in their ranges.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self, file: &str, place: &str) -> Result<(), RecordError> {
        let positive = [
            ("median_us", Some(self.median_us)),
            ("p10_us", Some(self.p10_us)),
            ("p90_us", Some(self.p90_us)),
            ("tflop_per_s", self.tflop_per_s),
            ("gb_per_s", self.gb_per_s),
        ];
        for (field, value) in positive {
            let value = value.unwrap_or(1.0);
            check(
                value.is_finite() && value > 0.0,
                file,
                place,
                (field, &value.to_string(), "above 0 and finite"),
                "measure it again",
            )?;
        }
        check(
            self.p10_us <= self.median_us && self.median_us <= self.p90_us,
            file,
            place,
            (
                "median_us",
                &self.median_us.to_string(),
                "from `p10_us` to `p90_us`",
            ),
            "measure it again",
        )?;
        let counts = [
            ("samples", self.samples),
            ("launches_per_sample", self.launches_per_sample),
            ("buffers", self.buffers),
        ];
        check(
            self.dtype.is_some() == self.operation.has_dtype(),
            file,
            place,
            (
                "dtype",
                self.dtype.map_or("null", NumberType::name),
                "null for launches and moved bytes, and a number type for the others",
            ),
            "correct the row, or measure it again",
        )?;
        let sizes = self.operation.sizes();
        let counts = counts.map(|(field, value)| (field, u64::from(value)));
        for (field, value) in sizes.into_iter().chain(counts) {
            check(
                value >= 1,
                file,
                place,
                (field, &value.to_string(), "1 or more"),
                "correct the row, or measure it again",
            )?;
        }
        let Some(checked) = self.checked else {
            return Ok(());
        };
        check(
            checked.max_error >= 0.0 && checked.max_error <= checked.tolerance,
            file,
            place,
            (
                "checked.max_error",
                &checked.max_error.to_string(),
                "from 0 to `checked.tolerance`",
            ),
            "do not use a kernel that gives wrong results",
        )
    }
}

/// The only field that is read before the version is known.
#[derive(Deserialize)]
struct Version {
    schema: u64,
}

fn not_one(file: &str, error: &serde_json::Error) -> RecordError {
    RecordError::Parse {
        file: file.to_owned(),
        reason: error.to_string(),
    }
}

fn check(
    holds: bool,
    file: &str,
    place: &str,
    (field, value, allowed): (&'static str, &str, &'static str),
    remedy: &'static str,
) -> Result<(), RecordError> {
    if holds {
        return Ok(());
    }
    Err(RecordError::Field {
        file: file.to_owned(),
        place: place.to_owned(),
        field,
        value: value.to_owned(),
        allowed,
        remedy,
    })
}

/// The text of a file, unpacked where it is gzipped.
fn text_of(path: &Path) -> std::io::Result<String> {
    let bytes = std::fs::read(path)?;
    if !bytes.starts_with(&GZIP) {
        return String::from_utf8(bytes)
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error));
    }
    let mut text = String::new();
    MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?;
    Ok(text)
}
