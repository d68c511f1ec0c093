//! One side of a comparison: a calibration file, or the kernel tables that come with the program.

use std::path::Path;

use serde::Serialize;

use crate::calibrate::gpu::operation::{NumberType, Operation};
use crate::calibrate::gpu::record::{Calibration, RecordError, Row};
use crate::perf::tables::{
    AttentionKey, AttentionTable, DecodeCurve, KernelBackend, KernelTables, PrefillCurve, Reach,
    nearest_key,
};
use crate::perf::{AcceleratorCard, Dtype, PerfError};

/// What names of kernel tables begin with.
const TABLES: &str = "tables:";

/// How a time was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Measured in the very shape.
    Exact,
    /// Read between measurements.
    Interpolated,
    /// Scaled from the nearest measurement.
    Extrapolated,
}

/// A time, and how it was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Microseconds.
    pub us: f64,
    /// How it was found.
    pub how: How,
    /// Whether it is known to have been measured with what it read in the second-level cache.
    pub in_cache: bool,
}

/// One side.
#[derive(Debug, Clone)]
pub enum Source {
    /// A calibration file.
    File {
        /// Its path.
        path: String,
        /// What it holds.
        calibration: Box<Calibration>,
    },
    /// Kernel tables of a system and framework.
    Tables {
        /// The tables.
        tables: &'static KernelTables,
        /// The card of that system, whose peaks reading between products needs.
        card: Box<AcceleratorCard>,
    },
}

/// Why a side cannot be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SourceError {
    /// The file.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An accelerator card.
    #[error(transparent)]
    Card(#[from] PerfError),
    /// No such tables.
    #[error(
        "`{text}` names no kernel tables: it must be `tables:SYSTEM/BACKEND` with a system of \
         {systems} and a backend of trtllm, vllm, sglang; `tables:h100_sxm/vllm` say"
    )]
    NoTables {
        /// What was given.
        text: String,
        /// The systems there are.
        systems: String,
    },
    /// Both sides are tables.
    #[error(
        "both sides are kernel tables, but one must be a calibration file, whose operations are \
         looked up in the other; write one by `seatrial calibrate gpu --out FILE`"
    )]
    TwoTables,
}

impl Source {
    /// Reads a side from what a user wrote: a path, or `tables:SYSTEM/BACKEND`.
    ///
    /// # Errors
    /// The file cannot be read, or there are no such tables.
    pub fn load(text: &str) -> Result<Source, SourceError> {
        let Some(name) = text.strip_prefix(TABLES) else {
            return Ok(Self::File {
                path: text.to_owned(),
                calibration: Box::new(Calibration::load(Path::new(text))?),
            });
        };
        let found = name.split_once('/').and_then(|(system, backend)| {
            let backend = KernelBackend::ALL.into_iter().find(|b| b.name() == backend);
            KernelTables::builtin(system, backend?)
        });
        let Some(tables) = found else {
            return Err(SourceError::NoTables {
                text: text.to_owned(),
                systems: KernelTables::systems().collect::<Vec<_>>().join(", "),
            });
        };
        Ok(Self::Tables {
            tables,
            card: Box::new(card_of(&tables.system)?),
        })
    }

    /// The rows, if they are a list.
    #[must_use]
    pub fn rows(&self) -> Option<&[Row]> {
        match self {
            Self::File { calibration, .. } => Some(&calibration.rows),
            Self::Tables { .. } => None,
        }
    }

    /// What it is, in a line.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::File { path, calibration } => {
                let device = &calibration.device;
                let software = &calibration.software;
                match &calibration.import {
                    None => format!(
                        "{path} ({}, driver for CUDA {}, cuBLASLt {}, {})",
                        device.name, device.driver_cuda, software.cublaslt, calibration.tool
                    ),
                    Some(import) => format!(
                        "{path} ({}, {}, imported from {})",
                        device.name,
                        software.framework.as_deref().unwrap_or("software not told"),
                        import.source
                    ),
                }
            }
            Self::Tables { tables, .. } => format!(
                "{TABLES}{}/{} (kernels of {} {})",
                tables.system, tables.backend, tables.backend, tables.version
            ),
        }
    }

    /// The time of an operation; none if there is none.
    #[must_use]
    pub fn find(&self, operation: &Operation, dtype: Option<NumberType>) -> Option<Found> {
        match self {
            Self::File { calibration, .. } => {
                let mut rows = calibration.rows.iter();
                let row = rows.find(|row| row.operation == *operation && row.dtype == dtype)?;
                Some(Found {
                    us: row.median_us,
                    how: How::Exact,
                    in_cache: row.in_cache(calibration.device.l2_bytes),
                })
            }
            Self::Tables { tables, card } => {
                let (us, how) = looked_up(tables, card, operation, dtype)?;
                let in_cache = false;
                Some(Found { us, how, in_cache })
            }
        }
    }
}

/// The card whose measured kernels are a system's.
fn card_of(system: &str) -> Result<AcceleratorCard, SourceError> {
    let mut cards = Vec::new();
    for name in AcceleratorCard::names() {
        cards.push(AcceleratorCard::load(name, Path::new(""))?);
    }
    let found = cards
        .into_iter()
        .find(|card| card.kernels.as_deref() == Some(system));
    found.ok_or_else(|| SourceError::NoTables {
        text: system.to_owned(),
        systems: KernelTables::systems().collect::<Vec<_>>().join(", "),
    })
}

/// Nearest to a measurement first.
fn how(exact: bool, reach: Reach, covered: bool) -> How {
    match (exact, reach) {
        (true, _) => How::Exact,
        (false, Reach::Measured | Reach::BetweenShapes) if covered => How::Interpolated,
        (false, _) => How::Extrapolated,
    }
}

/// An operation's time as the tables have it, or as a step reads it between them.
fn looked_up(
    tables: &KernelTables,
    card: &AcceleratorCard,
    operation: &Operation,
    dtype: Option<NumberType>,
) -> Option<(f64, How)> {
    match *operation {
        Operation::Gemm { m, n, k } => product(tables, card, [m, n, k], dtype?),
        Operation::PrefillAttention {
            sequences,
            tokens,
            heads,
            kv_heads,
            head_dim,
            kv,
            window,
        } => {
            let want = key(dtype?, kv, [heads, kv_heads, head_dim, window]);
            prompts(&tables.prefill, &want, [sequences, tokens])
        }
        Operation::DecodeAttention {
            sequences,
            context,
            heads,
            kv_heads,
            head_dim,
            kv,
            window,
        } => {
            let want = key(dtype?, kv, [heads, kv_heads, head_dim, window]);
            decode(&tables.decode, card, &want, [sequences, context])
        }
        Operation::AllReduce { devices, values } => {
            if let Some(us) = tables.allreduce.measured_us(devices, values) {
                return Some((us, How::Exact));
            }
            let curve = tables.allreduce.curve(devices)?;
            let covered = values as f64 <= curve.last_x();
            let us = curve.at(values as f64) / 1e3;
            Some((us, how(false, Reach::Measured, covered)))
        }
        _ => None,
    }
}

/// Attention of those heads, KV heads, width of a head and window.
fn key(dtype: NumberType, kv: Option<NumberType>, shape: [u64; 4]) -> AttentionKey {
    let [heads, kv_heads, head_dim, window] = shape.map(|size| size as u32);
    AttentionKey {
        query: dtype.of_kernels(),
        kv: kv.unwrap_or(dtype).of_kernels(),
        heads,
        kv_heads,
        head_dim,
        window,
    }
}

/// A product; where the finding of scales was measured with it, without that, as steps take it.
fn product(
    tables: &KernelTables,
    card: &AcceleratorCard,
    [m, n, k]: [u64; 3],
    dtype: NumberType,
) -> Option<(f64, How)> {
    let kernel = dtype.of_kernels();
    let flops_per_ns = card.peak_tflops(dtype.rate()) * 1e3;
    let table = &tables.gemm;
    let [rows, columns, summands] = [m as f64, n as f64, k as f64];
    let bandwidth = card.bandwidth_gb_per_s;
    let curve = table.curve(kernel, columns, summands, flops_per_ns, bandwidth)?;
    let scales = (dtype == NumberType::Fp8E4m3)
        .then(|| table.scale_curve(summands))
        .flatten();
    let ns = match scales {
        Some(scales) => curve.ns_less(rows, scales.at(rows)),
        None => curve.ns(rows),
    };
    let exact = table
        .measured_us(kernel, m as u32, n as u32, k as u32)
        .is_some();
    let covered = rows <= curve.last_rows();
    Some((ns / 1e3, how(exact, curve.reach, covered)))
}

fn prompts(
    table: &AttentionTable,
    want: &AttentionKey,
    [sequences, tokens]: [u64; 2],
) -> Option<(f64, How)> {
    if let Some(us) = table.measured_us(want, sequences as u32, tokens as u32) {
        return Some((us, How::Exact));
    }
    let (key, reach) = nearest_key(table, want)?;
    let work = |key: &AttentionKey| f64::from(key.heads) * f64::from(key.head_dim);
    let curve = PrefillCurve::new(table, &key, work(want) / work(&key))?;
    let ns = curve.ns(sequences as f64, tokens as f64);
    Some((
        ns / 1e3,
        attention_how(table, want, reach, [sequences, tokens]),
    ))
}

fn decode(
    table: &AttentionTable,
    card: &AcceleratorCard,
    want: &AttentionKey,
    [sequences, context]: [u64; 2],
) -> Option<(f64, How)> {
    // Where a time was measured it is compared as it is: steps read dips of it raised to what came
    // before.
    if let Some(us) = table.measured_us(want, sequences as u32, context as u32) {
        return Some((us, How::Exact));
    }
    let (key, reach) = nearest_key(table, want)?;
    let bandwidth = card.bandwidth_gb_per_s;
    let flops_per_ns = card.peak_tflops(Dtype::Bf16) * 1e3;
    let work = |key: &AttentionKey| {
        let read = 4.0 * f64::from(key.kv_heads) / bandwidth;
        let multiply = 4.0 * f64::from(key.heads) / flops_per_ns;
        f64::from(key.head_dim) * read.max(multiply)
    };
    let least_slope = 4.0 * f64::from(want.kv_heads) * f64::from(want.head_dim) / bandwidth;
    let curve = DecodeCurve::new(table, &key, work(want) / work(&key), least_slope)?;
    let piece = curve.piece(sequences as f64, context as f64);
    let ns = piece.base + piece.slope * context as f64;
    let how = attention_how(table, want, reach, [sequences, context]);
    Some((ns / 1e3, how))
}

fn attention_how(
    table: &AttentionTable,
    want: &AttentionKey,
    reach: Reach,
    [sequences, length]: [u64; 2],
) -> How {
    let [sequences, length] = [sequences as u32, length as u32];
    how(false, reach, table.covers(want, sequences, length))
}
