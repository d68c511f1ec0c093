//! The calibration format: what was measured on which device, as one JSON document.

mod check;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::WRONG;
use super::operation::{NumberType, Operation};
use super::sizes::FOOTPRINT;
use check::{beyond, check};
pub(crate) use text::{text_of, unreadable};

/// The version of the format that is written. Version 1, which had captures alone, is read too.
pub const SCHEMA: u32 = 2;

/// A calibration: rows of one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Version of the format, 2 (or 1: captures alone).
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
    /// Where it was imported from; absent where this program measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<ImportFacts>,
    /// What was measured: of captures in the order of the plan, of imports sorted.
    pub rows: Vec<Row>,
    /// What could not be measured, and why.
    #[serde(default)]
    pub failures: Vec<Unmeasured>,
}

/// Where an import comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportFacts {
    /// The format of the files, with the version of the tool that measured where that is told.
    pub source: String,
    /// Names of the files read.
    pub files: Vec<String>,
    /// Measurements read.
    pub read: u64,
    /// Measurements that are in a row, alone or as one of several that a median is of.
    pub kept: u64,
    /// Measurements left out, by reason. `read` is `kept` and all of these.
    pub skipped: BTreeMap<String, u64>,
}

/// What a device is. Serial numbers and its place in the machine are left out. What an import does
/// not tell is 0 or empty; a capture tells its name, multiprocessors and second-level cache.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecc: Option<bool>,
    /// The CUDA version that the driver is for.
    pub driver_cuda: String,
    /// The driver's own version, `570.86.15` say, where the system tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}

/// Versions of the libraries that were called.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// cuBLASLt, of captures.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cublaslt: String,
    /// NVRTC, of captures.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub nvrtc: String,
    /// NCCL, if several devices were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nccl: Option<String>,
    /// The serving framework whose kernels were measured, with its version: `vllm 0.24.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
    /// The kernels of decode attention with a cache of 16 bits and of 8 bits, joined by `+`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention_kernels: Option<[String; 2]>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanFacts {
    /// `quick` or `full`; `imported` of imports.
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
    /// 10th percentile, microseconds. Absent where it is not told, as all below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p10_us: Option<f64>,
    /// 90th percentile, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_us: Option<f64>,
    /// How far the samples are spread, as another tool tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// Samples that the median is of; of imports at least the values that were read.
    pub samples: u32,
    /// Launches in each sample, the time of which is shared evenly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launches_per_sample: Option<u32>,
    /// Buffers that the launches went through in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffers: Option<u32>,
    /// Bytes of all buffers that the launches of a sample touched: where they are not well above
    /// `device.l2_bytes`, inputs were found in that cache, as they are between the kernels of a
    /// layer whose activations fit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footprint_bytes: Option<u64>,
    /// Whether the launches were nodes of a captured graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<bool>,
    /// The kernel, as the tool that measured calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Rate of the least arithmetic the operation takes, 1e12 FLOP/s, at most 100,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tflop_per_s: Option<f64>,
    /// Rate of the least bytes the operation moves, 1e9 bytes/s, at most 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gb_per_s: Option<f64>,
    /// Whether the two halves of the samples differ, also when measured again.
    #[serde(default)]
    pub drifted: bool,
    /// How the results compare with a reference in 64 bits, where there are results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Checked>,
}

impl Row {
    /// Whether the launches found what they read in the second-level cache, of so many bytes, since
    /// all together they touched less than `FOOTPRINT` times as much. Of operations that do not
    /// read the device's memory, and where it is not told, false.
    #[must_use]
    pub fn in_cache(&self, l2_bytes: u64) -> bool {
        let reads = !matches!(
            self.operation,
            Operation::Launch { .. }
                | Operation::HostToDevice { .. }
                | Operation::DeviceToHost { .. }
        );
        let small = |bytes: u64| bytes < FOOTPRINT.saturating_mul(l2_bytes);
        reads && self.footprint_bytes.is_some_and(small)
    }
}

/// How far samples are spread, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// The least, if it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_us: Option<f64>,
    /// The most, if it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_us: Option<f64>,
    /// The mean.
    pub mean_us: f64,
    /// The standard deviation.
    pub std_us: f64,
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

impl Unmeasured {
    /// Whether results were wrong, which says more than that a kernel or a library was missing.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.reason.contains(WRONG)
    }
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
    /// A number does not fit its field.
    #[error(
        "{file}: `{path}` is {value}, but it must be {allowed}; correct it, or measure it again"
    )]
    Number {
        /// The file.
        file: String,
        /// The field, by its path in the document.
        path: String,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
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
        let text = text_of(path).map_err(|why| RecordError::File {
            file: file.clone(),
            cause: why.cause,
            remedy: why.remedy,
        })?;
        Self::parse(&file, &text)
    }

    /// Reads a calibration from text; `file` is what errors call it.
    ///
    /// # Errors
    /// It is no calibration, or a value is outside its range.
    pub fn parse(file: &str, text: &str) -> Result<Self, RecordError> {
        let version = serde_json::from_str::<Version>(text)
            .map_err(|error| not_one(file, &error.to_string()))?;
        check(
            (1..=u64::from(SCHEMA)).contains(&version.schema),
            file,
            "",
            ("schema", &version.schema.to_string(), "1 or 2"),
            "read it with the version of seatrial that wrote it, or measure again",
        )?;
        let calibration: Self = serde_json::from_str(text)
            .map_err(|error| beyond(file, text, &error).unwrap_or_else(|| misfit(file, text)))?;
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
    pub(crate) fn check(&self, file: &str) -> Result<(), RecordError> {
        self.check_device(file)?;
        self.check_import(file)?;
        let mut seen = BTreeSet::new();
        for (index, row) in self.rows.iter().enumerate() {
            let place = format!("rows[{index}] ({}) ", row.operation.text());
            row.check(file, &place)?;
            check(
                seen.insert((&row.operation, row.dtype)),
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

/// Whether a document looks like a calibration, for who expects another.
pub(crate) fn is_calibration(document: &serde_json::Value) -> bool {
    ["schema", "device", "rows"]
        .iter()
        .all(|field| document.get(field).is_some())
}

/// The only field that is read before the version is known.
#[derive(Deserialize)]
#[serde(expecting = "an object with a field `schema`")]
struct Version {
    schema: u64,
}

fn not_one(file: &str, reason: &str) -> RecordError {
    RecordError::Parse {
        file: file.to_owned(),
        reason: reason.to_owned(),
    }
}

/// What is wrong with a document, read once more to say where: which costs time that is well spent on
/// wrong ones only.
fn misfit(file: &str, text: &str) -> RecordError {
    let mut reader = serde_json::Deserializer::from_str(text);
    let found: Result<Calibration, _> = serde_path_to_error::deserialize(&mut reader);
    match found {
        Err(error) if error.inner().is_data() => {
            not_one(file, &format!("`{}`: {}", error.path(), error.inner()))
        }
        Err(error) => not_one(file, &error.inner().to_string()),
        Ok(_) => not_one(file, "something follows the document"),
    }
}
