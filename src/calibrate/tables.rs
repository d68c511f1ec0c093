//! Kernel tables of a calibration: as the text that `calibration/kernels` holds, and as what steps
//! are composed of.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use flate2::{Compression, GzBuilder};

use super::gpu::operation::{ExpertSpread, NumberType, Operation};
use super::gpu::record::{self, Calibration, RecordError};
use crate::perf::tables::{KernelBackend, KernelTables, TablesOrigin};

/// How times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digits {
    /// To a thousandth of a microsecond, as in the shipped tables.
    Thousandths,
    /// As many as there are.
    All,
}

/// Why tables could not be loaded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TablesError {
    /// The calibration.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The text of tables.
    #[error("{file}: {reason}; the format is described in calibration/kernels/README.md")]
    Text {
        /// The file.
        file: String,
        /// What is wrong, with the line.
        reason: String,
    },
    /// It has no kernel that steps are composed of.
    #[error(
        "{file}: has no kernel that a step is composed of (gemm, prefill_attention, \
         decode_attention, all_reduce, experts, mla_prefill, mla_decode); measure or import some"
    )]
    Nothing {
        /// The file.
        file: String,
    },
}

/// A part of a key; numbers come before texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Text(&'static str),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The kinds of lines, in the order of the file.
const KINDS: [&str; 13] = [
    "gemm",
    "scale",
    "prefill",
    "decode",
    "allreduce",
    "allgather",
    "reducescatter",
    "moe",
    "mla_prefill",
    "mla_decode",
    "rms_norm",
    "silu_mul",
    "rotary",
];

/// Loads tables from a file: a calibration in JSON, or the text of tables, gzipped or not.
///
/// # Errors
/// It cannot be read, is neither of them, or has no kernel of a step.
pub fn load(path: &Path) -> Result<KernelTables, TablesError> {
    let file = path.display().to_string();
    let text = record::text_of(path).map_err(|why| RecordError::File {
        file: file.clone(),
        cause: why.cause,
        remedy: why.remedy,
    })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut tables = match text.starts_with("table,") {
        true => KernelTables::parse(&text).map_err(|reason| TablesError::Text {
            file: file.clone(),
            reason,
        })?,
        false => of(&Calibration::parse(&file, &text)?).map_err(|reason| TablesError::Text {
            file: file.clone(),
            reason,
        })?,
    };
    if tables.is_empty() {
        return Err(TablesError::Nothing { file });
    }
    tables.origin = match &tables.origin {
        TablesOrigin::Shipped => TablesOrigin::Imported {
            file: name.into_owned(),
            source: "kernel tables".to_owned(),
        },
        TablesOrigin::Captured { tool, .. } => TablesOrigin::Captured {
            file: name.into_owned(),
            tool: tool.clone(),
        },
        TablesOrigin::Imported { source, .. } => TablesOrigin::Imported {
            file: name.into_owned(),
            source: source.clone(),
        },
    };
    Ok(tables)
}

/// The tables of a calibration; empty if it has no kernel of a step.
///
/// # Errors
/// A shape has a number above 4,294,967,295.
pub fn of(calibration: &Calibration) -> Result<KernelTables, String> {
    let mut tables = KernelTables::parse(&text(calibration, Digits::All))?;
    tables.origin = match &calibration.import {
        None => TablesOrigin::Captured {
            file: String::new(),
            tool: calibration.tool.clone(),
        },
        Some(import) => TablesOrigin::Imported {
            file: String::new(),
            source: import.source.clone(),
        },
    };
    Ok(tables)
}

/// The text of the tables of a calibration: lines of one kind after another, each with an axis of
/// all its points, sorted.
#[must_use]
pub fn text(calibration: &Calibration, digits: Digits) -> String {
    let mut kinds: BTreeMap<&'static str, Kind> = BTreeMap::new();
    for row in &calibration.rows {
        if let Some((kind, key, x)) = place(&row.operation, row.dtype) {
            let kind = kinds.entry(kind).or_default();
            kind.axis.insert(x);
            kind.lines.entry(key).or_default().insert(x, row.median_us);
        }
    }
    let mut text = format!("table,1\n{}\n", meta(calibration));
    for name in KINDS {
        if let Some(kind) = kinds.get(name) {
            kind.write(name, digits, &mut text);
        }
    }
    text
}

/// The same, gzipped: the same text gives the same bytes.
///
/// # Errors
/// Never: bytes are written to memory.
pub fn packed(text: &str) -> std::io::Result<Vec<u8>> {
    let mut packer = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), Compression::best());
    packer.write_all(text.as_bytes())?;
    packer.finish()
}

/// System, framework, version and kernels of attention.
fn meta(calibration: &Calibration) -> String {
    let software = &calibration.software;
    let framework = software.framework.as_deref().unwrap_or(&calibration.tool);
    let (framework, version) = framework.split_once(' ').unwrap_or((framework, ""));
    let [wide, narrow] = software.attention_kernels.clone().unwrap_or_default();
    let source = calibration.import.as_ref().map(|import| &import.source);
    // The wheel's tables are of a system, whose name comes last in their source.
    let system = source.and_then(|source| source.rsplit_once(", "));
    let known = KernelBackend::ALL.iter().any(|it| it.name() == framework);
    let system = match system {
        Some((_, system)) if known => system,
        _ => &calibration.device.name,
    };
    let cells = [system, framework, version, &wide, &narrow];
    let plain = cells.map(|cell| cell.replace([',', '\n', '\r'], " "));
    format!("meta,{}", plain.join(","))
}

/// The lines of one kind.
#[derive(Default)]
struct Kind {
    axis: BTreeSet<u64>,
    lines: BTreeMap<Vec<Part>, BTreeMap<u64, f64>>,
}

impl Kind {
    fn write(&self, name: &str, digits: Digits, text: &mut String) {
        text.push_str("axis,");
        text.push_str(name);
        for x in &self.axis {
            text.push_str(&format!(",{x}"));
        }
        text.push('\n');
        for (key, times) in &self.lines {
            let mut line = name.to_owned();
            for part in key {
                line.push_str(&format!(",{part}"));
            }
            for x in &self.axis {
                line.push(',');
                if let Some(us) = times.get(x) {
                    line.push_str(&digits.text(*us));
                }
            }
            text.push_str(line.trim_end_matches(','));
            text.push('\n');
        }
    }
}

impl Digits {
    fn text(self, us: f64) -> String {
        match self {
            Self::All => us.to_string(),
            Self::Thousandths => {
                let text = format!("{us:.3}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        }
    }
}

/// Where an operation stands: its kind, its key and its place on the axis; none of what no step is
/// composed of.
fn place(
    operation: &Operation,
    dtype: Option<NumberType>,
) -> Option<(&'static str, Vec<Part>, u64)> {
    use Part::{Number, Text};
    let name = |dtype: NumberType| Text(dtype.of_kernels().name());
    Some(match *operation {
        Operation::Gemm { m, n, k } => ("gemm", vec![name(dtype?), Number(n), Number(k)], m),
        Operation::FindScale { rows, width } => ("scale", vec![Number(width)], rows),
        Operation::PrefillAttention {
            sequences,
            tokens: length,
            heads,
            kv_heads,
            head_dim,
            kv,
            window,
        }
        | Operation::DecodeAttention {
            sequences,
            context: length,
            heads,
            kv_heads,
            head_dim,
            kv,
            window,
        } => {
            let kind = match operation {
                Operation::PrefillAttention { .. } => "prefill",
                _ => "decode",
            };
            let types = [name(dtype?), name(kv.or(dtype)?)];
            let sizes = [heads, kv_heads, head_dim, window, sequences].map(Number);
            (kind, [&types[..], &sizes[..]].concat(), length)
        }
        Operation::AllReduce { devices, values } => {
            ("allreduce", vec![Number(devices.into())], values)
        }
        Operation::AllGather { devices, values } => {
            ("allgather", vec![Number(devices.into())], values)
        }
        Operation::ReduceScatter { devices, values } => {
            ("reducescatter", vec![Number(devices.into())], values)
        }
        Operation::Experts {
            tokens,
            hidden,
            width,
            per_token,
            experts,
            tp,
            ep,
            spread,
        } => {
            let sizes = [hidden, width, per_token, experts, tp, ep].map(Number);
            let spread = match spread {
                ExpertSpread::Balanced => Text("balanced"),
                ExpertSpread::PowerLaw => Text("power_law_1.2"),
            };
            (
                "moe",
                [&[name(dtype?)], &sizes[..], &[spread]].concat(),
                tokens,
            )
        }
        Operation::MlaPrefill {
            sequences,
            tokens: length,
            heads,
            kv,
        }
        | Operation::MlaDecode {
            sequences,
            context: length,
            heads,
            kv,
        } => {
            let kind = match operation {
                Operation::MlaPrefill { .. } => "mla_prefill",
                _ => "mla_decode",
            };
            let key = vec![
                name(dtype?),
                name(kv.or(dtype)?),
                Number(heads),
                Number(sequences),
            ];
            (kind, key, length)
        }
        Operation::RmsNorm { rows, width } => ("rms_norm", vec![Number(width)], rows),
        Operation::SiluMul { rows, width } => ("silu_mul", vec![Number(width)], rows),
        Operation::Rotary {
            rows,
            heads,
            head_dim,
        } => ("rotary", vec![Number(heads), Number(head_dim)], rows),
        _ => return None,
    })
}
