//! Which rows of the wheel's tables are kept, and what they are here.

use std::collections::BTreeSet;
use std::path::Path;

use super::frame::Frame;
use super::kinds::Kind;
use crate::calibrate::gpu::operation::{ExpertSpread, NumberType, Operation};
use crate::calibrate::import::ImportError;
use crate::calibrate::import::gather::{Gather, NO_TIME};
use crate::perf::tables::KernelBackend;

/// Products with fewer columns or summands are no layer's.
const LEAST_WIDTH: i64 = 128;
/// The rows of products that are kept.
const ROWS: [i64; 35] = [
    1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128, 129, 160, 192, 224, 256, 257, 384, 512, 513, 768,
    1024, 1025, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 8192, 16384, 32768,
];
/// Heads and KV heads per device of the model cards at TP 1, 2, 4, 8, or the nearest measured.
const HEADS_OF_128: [(i64, i64); 22] = [
    (4, 1),
    (8, 1),
    (16, 1),
    (16, 2),
    (32, 2),
    (16, 4),
    (32, 4),
    (32, 8),
    (64, 4),
    (64, 8),
    (8, 2),
    (4, 4),
    (8, 8),
    (12, 12),
    (16, 16),
    (24, 24),
    (32, 32),
    (40, 40),
    (48, 48),
    (64, 64),
    (96, 96),
    (96, 8),
];
/// The same of heads of width 64.
const HEADS_OF_64: [(i64, i64); 4] = [(8, 1), (16, 2), (32, 4), (64, 8)];
/// Hidden width, width of an expert, experts per token, experts: of the model cards.
const EXPERTS: [[i64; 4]; 5] = [
    [4096, 14336, 2, 8],
    [2048, 768, 8, 128],
    [4096, 1536, 8, 128],
    [2880, 2880, 4, 128],
    [7168, 2048, 8, 256],
];
/// Heads of MLA blocks.
const MLA_HEADS: [i64; 4] = [16, 32, 64, 128];
/// The most sequences.
const MOST_SEQUENCES: i64 = 1024;

const OTHER_DTYPE: &str = "of other number types";
const OTHER_SHAPE: &str = "of shapes that no model card has";
const OTHER_ROWS: &str = "at other numbers of rows";
const OTHER_DEVICES: &str = "of other numbers of devices";
const OTHER_OPERATION: &str = "of other collective operations";
const EAGER: &str = "launched outside of a captured graph";
const MANY: &str = "of more than 1,024 sequences";

/// The tables of one system and framework on their way to rows.
pub struct Tables<'a> {
    gather: &'a mut Gather,
    /// The files read, below the folder of the system.
    pub files: Vec<String>,
    /// The device, as the tables call it.
    pub device: String,
    /// Kernels of decode attention with a cache of 16 and of 8 bits.
    pub attention_kernels: [String; 2],
}

/// A measurement, or why it is left out.
type Found = Result<(Operation, NumberType), &'static str>;

impl<'a> Tables<'a> {
    /// None yet.
    pub fn new(gather: &'a mut Gather) -> Self {
        Self {
            gather,
            files: Vec::new(),
            device: String::new(),
            attention_kernels: [String::new(), String::new()],
        }
    }

    /// Reads the table of a kind, if the folder has it.
    pub fn read(
        &mut self,
        kind: Kind,
        folder: &Path,
        backend: KernelBackend,
    ) -> Result<(), ImportError> {
        let path = folder.join(kind.file());
        // Only products of TensorRT-LLM include the finding of scales.
        if !path.is_file() || (kind == Kind::Scale && backend != KernelBackend::Trtllm) {
            return Ok(());
        }
        let mut columns = kind.columns().to_vec();
        columns.extend(["kernel_source", "latency", "device"]);
        let frame = Frame::read(&path, &columns)?;
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        let last = &parts[parts.len().saturating_sub(4)..];
        self.files.push(last.join("/"));
        if self.device.is_empty() && frame.has("device") {
            self.device = frame
                .word(frame.texts("device")?.first().copied().flatten())
                .to_owned();
        }
        match kind {
            Kind::Gemm => self.gemm(&frame),
            Kind::Scale => self.scale(&frame),
            Kind::Prefill | Kind::Decode => self.attention(&frame, kind),
            Kind::AllReduce => self.all_reduce(&frame),
            Kind::AllGather | Kind::ReduceScatter => self.collective(&frame, kind),
            Kind::Experts => self.experts(&frame),
            Kind::MlaPrefill | Kind::MlaDecode => self.mla(&frame, kind),
        }
    }

    /// Adds all rows of a table, of which `found` tells what they are and `kernel` by which kernel.
    fn add(
        &mut self,
        frame: &Frame,
        found: impl Fn(usize) -> Found,
        kernel: impl Fn(usize) -> String,
    ) -> Result<(), ImportError> {
        let latency = frame.real("latency")?;
        for (row, ms) in latency.iter().enumerate().take(frame.rows()) {
            let Some(ms) = ms.filter(|ms| *ms > 0.0) else {
                self.gather.skip(NO_TIME);
                continue;
            };
            match found(row) {
                Ok((operation, dtype)) => {
                    let us = ms * 1e3;
                    self.gather
                        .add(operation, Some(dtype), &kernel(row), us, None);
                }
                Err(why) => self.gather.skip(why),
            }
        }
        Ok(())
    }

    fn gemm(&mut self, frame: &Frame) -> Result<(), ImportError> {
        let (dtypes, kernels) = (frame.texts("gemm_dtype")?, frame.texts("kernel_source")?);
        let [m, n, k] = wholes(frame, ["m", "n", "k"])?;
        let found = |row: usize| {
            let dtype = dtype_of(frame.word(dtypes[row])).ok_or(OTHER_DTYPE)?;
            let [m, n, k] = [m[row], n[row], k[row]].map(Option::unwrap_or_default);
            if n < LEAST_WIDTH || k < LEAST_WIDTH {
                return Err(OTHER_SHAPE);
            }
            if !ROWS.contains(&m) {
                return Err(OTHER_ROWS);
            }
            let [m, n, k] = [m, n, k].map(i64::unsigned_abs);
            Ok((Operation::Gemm { m, n, k }, dtype))
        };
        self.add(frame, found, |row| frame.word(kernels[row]).to_owned())
    }

    /// What TensorRT-LLM's `fp8` products spend on finding the scale of their activations.
    fn scale(&mut self, frame: &Frame) -> Result<(), ImportError> {
        let (dtypes, kernels) = (frame.texts("quant_dtype")?, frame.texts("kernel_source")?);
        let [m, k] = wholes(frame, ["m", "k"])?;
        let found = |row: usize| {
            if frame.word(dtypes[row]) != "fp8" {
                return Err(OTHER_DTYPE);
            }
            let [rows, width] = [m[row], k[row]].map(Option::unwrap_or_default);
            if width < LEAST_WIDTH {
                return Err(OTHER_SHAPE);
            }
            if !ROWS.contains(&rows) {
                return Err(OTHER_ROWS);
            }
            let [rows, width] = [rows, width].map(i64::unsigned_abs);
            Ok((Operation::FindScale { rows, width }, NumberType::Fp8E4m3))
        };
        self.add(frame, found, |row| frame.word(kernels[row]).to_owned())
    }

    fn attention(&mut self, frame: &Frame, kind: Kind) -> Result<(), ImportError> {
        let kernels = frame.texts("kernel_source")?;
        let (queries, caches) = (frame.texts("attn_dtype")?, frame.texts("kv_cache_dtype")?);
        let [heads, kv_heads, width, batch, isl, step] = wholes(
            frame,
            [
                "num_heads",
                "num_key_value_heads",
                "head_dim",
                "batch_size",
                "isl",
                "step",
            ],
        )?;
        let windows = match frame.has("window_size") {
            true => frame.whole("window_size")?,
            false => vec![None; frame.rows()],
        };
        if kind == Kind::Decode {
            self.attention_kernels = ["bfloat16", "fp8"].map(|cache| {
                let rows = (0..frame.rows())
                    .filter(|row| frame.word(caches[*row]) == cache && width[*row] == Some(128));
                let names: BTreeSet<&str> = rows.map(|row| frame.word(kernels[row])).collect();
                names.into_iter().collect::<Vec<_>>().join("+")
            });
        }
        let found = |row: usize| {
            let of = |column: &[Option<i64>]| column[row].unwrap_or_default();
            let query = short(frame.word(queries[row])).ok_or(OTHER_DTYPE)?;
            let cache = short(frame.word(caches[row])).ok_or(OTHER_DTYPE)?;
            let (heads, width, window) = (of(&heads), of(&width), of(&windows));
            let kv_heads = match of(&kv_heads) {
                0 => heads,
                some => some,
            };
            let known = match (width, window) {
                (128, 0) => HEADS_OF_128.contains(&(heads, kv_heads)),
                (64, 0 | 128) => HEADS_OF_64.contains(&(heads, kv_heads)),
                _ => false,
            };
            if !known {
                return Err(OTHER_SHAPE);
            }
            let sequences = of(&batch);
            if sequences > MOST_SEQUENCES {
                return Err(MANY);
            }
            let length = match kind {
                Kind::Prefill => of(&isl),
                _ => of(&isl).saturating_add(of(&step)),
            };
            let sizes = [sequences, length, heads, kv_heads, width, window];
            if sequences < 1 || length < 1 {
                return Err(OTHER_SHAPE);
            }
            let [sequences, length, heads, kv_heads, head_dim, window] =
                sizes.map(i64::unsigned_abs);
            let kv = (cache != query).then_some(cache);
            let operation = match kind {
                Kind::Prefill => Operation::PrefillAttention {
                    sequences,
                    tokens: length,
                    heads,
                    kv_heads,
                    head_dim,
                    kv,
                    window,
                },
                _ => Operation::DecodeAttention {
                    sequences,
                    context: length,
                    heads,
                    kv_heads,
                    head_dim,
                    kv,
                    window,
                },
            };
            Ok((operation, query))
        };
        self.add(frame, found, |row| frame.word(kernels[row]).to_owned())
    }

    fn all_reduce(&mut self, frame: &Frame) -> Result<(), ImportError> {
        let kernels = frame.texts("kernel_source")?;
        let [devices, values] = wholes(frame, ["num_gpus", "message_size"])?;
        let found = |row: usize| {
            // Captured graphs, not eager launches: as servers run them.
            if frame.word(kernels[row]).ends_with("_eager") {
                return Err(EAGER);
            }
            let (devices, values) = within_node(devices[row], values[row])?;
            let operation = Operation::AllReduce { devices, values };
            Ok((operation, NumberType::Bf16))
        };
        // The kernels of a message are chosen by the framework, so that they are one here.
        self.add(frame, found, |_| String::new())
    }

    /// All-gathers or reduce-scatters of 16-bit values among the devices of a node.
    fn collective(&mut self, frame: &Frame, kind: Kind) -> Result<(), ImportError> {
        let kernels = frame.texts("kernel_source")?;
        let (names, dtypes) = (frame.texts("op_name")?, frame.texts("nccl_dtype")?);
        let [devices, values] = wholes(frame, ["num_gpus", "message_size"])?;
        let wanted = match kind {
            Kind::AllGather => "all_gather",
            _ => "reduce_scatter",
        };
        let found = |row: usize| {
            if frame.word(names[row]) != wanted {
                return Err(OTHER_OPERATION);
            }
            if frame.word(dtypes[row]) != "half" {
                return Err(OTHER_DTYPE);
            }
            let (devices, values) = within_node(devices[row], values[row])?;
            let operation = match kind {
                Kind::AllGather => Operation::AllGather { devices, values },
                _ => Operation::ReduceScatter { devices, values },
            };
            Ok((operation, NumberType::Bf16))
        };
        self.add(frame, found, |row| frame.word(kernels[row]).to_owned())
    }

    fn experts(&mut self, frame: &Frame) -> Result<(), ImportError> {
        let kernels = frame.texts("kernel_source")?;
        let (dtypes, spreads) = (frame.texts("moe_dtype")?, frame.texts("distribution")?);
        let [tokens, hidden, width, per_token, experts, tp, ep] = wholes(
            frame,
            [
                "num_tokens",
                "hidden_size",
                "inter_size",
                "topk",
                "num_experts",
                "moe_tp_size",
                "moe_ep_size",
            ],
        )?;
        let found = |row: usize| {
            let of = |column: &[Option<i64>]| column[row].unwrap_or_default();
            let dtype = match frame.word(dtypes[row]) {
                "w4a16_mxfp4" | "w4a8_mxfp4_mxfp8" => NumberType::Mxfp4,
                other => dtype_of(other).ok_or(OTHER_DTYPE)?,
            };
            let shape = [of(&hidden), of(&width), of(&per_token), of(&experts)];
            let (tp, ep) = (of(&tp), of(&ep));
            let split = matches!((tp, ep), (1 | 2 | 4 | 8, 1) | (1, 2 | 4 | 8 | 16 | 32 | 64));
            if !EXPERTS.contains(&shape) || !split || of(&tokens) < 1 {
                return Err(OTHER_SHAPE);
            }
            let spread = match frame.word(spreads[row]) {
                "balanced" => ExpertSpread::Balanced,
                "power_law_1.2" => ExpertSpread::PowerLaw,
                _ => return Err("of other ways in which tokens fall on experts"),
            };
            let [hidden, width, per_token, experts] = shape.map(i64::unsigned_abs);
            let operation = Operation::Experts {
                tokens: of(&tokens).unsigned_abs(),
                hidden,
                width,
                per_token,
                experts,
                tp: tp.unsigned_abs(),
                ep: ep.unsigned_abs(),
                spread,
            };
            Ok((operation, dtype))
        };
        // Two number types are one here, whose kernels are still two.
        self.add(frame, found, |row| {
            format!("{} {}", frame.word(dtypes[row]), frame.word(kernels[row]))
        })
    }

    /// The attention block of MLA with its projections (TensorRT-LLM and vLLM).
    fn mla(&mut self, frame: &Frame, kind: Kind) -> Result<(), ImportError> {
        let kernels = frame.texts("kernel_source")?;
        let (types, caches) = (frame.texts("gemm_type")?, frame.texts("kv_cache_dtype")?);
        let [heads, batch, isl, step] = wholes(frame, ["num_heads", "batch_size", "isl", "step"])?;
        let found = |row: usize| {
            let of = |column: &[Option<i64>]| column[row].unwrap_or_default();
            let dtype = dtype_of(frame.word(types[row])).ok_or(OTHER_DTYPE)?;
            let cache = short(frame.word(caches[row])).ok_or(OTHER_DTYPE)?;
            // The length includes the new token in some of the tables and not in others (step even).
            let length = match kind {
                Kind::MlaPrefill => of(&isl),
                _ => of(&step).saturating_add(of(&step) % 2),
            };
            if !MLA_HEADS.contains(&of(&heads)) || of(&batch) < 1 || length < 1 {
                return Err(OTHER_SHAPE);
            }
            let sizes = [of(&batch), length, of(&heads)];
            let [sequences, length, heads] = sizes.map(i64::unsigned_abs);
            let kv = (cache != dtype).then_some(cache);
            let operation = match kind {
                Kind::MlaPrefill => Operation::MlaPrefill {
                    sequences,
                    tokens: length,
                    heads,
                    kv,
                },
                _ => Operation::MlaDecode {
                    sequences,
                    context: length,
                    heads,
                    kv,
                },
            };
            Ok((operation, dtype))
        };
        self.add(frame, found, |row| frame.word(kernels[row]).to_owned())
    }
}

/// Columns of whole numbers.
fn wholes<const N: usize>(
    frame: &Frame,
    names: [&str; N],
) -> Result<[Vec<Option<i64>>; N], ImportError> {
    let mut columns: [Vec<Option<i64>>; N] = std::array::from_fn(|_| Vec::new());
    for (column, name) in columns.iter_mut().zip(names) {
        *column = frame.whole(name)?;
    }
    Ok(columns)
}

/// Devices of a node, and values, of a message.
fn within_node(devices: Option<i64>, values: Option<i64>) -> Result<(u32, u64), &'static str> {
    match (devices, values) {
        (Some(devices @ (2 | 4 | 8)), Some(values)) if values > 0 => {
            Ok((devices as u32, values.unsigned_abs()))
        }
        _ => Err(OTHER_DEVICES),
    }
}

/// Number types of products.
fn dtype_of(text: &str) -> Option<NumberType> {
    Some(match text {
        "bfloat16" => NumberType::Bf16,
        "fp8" => NumberType::Fp8E4m3,
        "fp8_block" => NumberType::Fp8Block,
        "nvfp4" => NumberType::Nvfp4,
        "sq" => NumberType::Int8,
        _ => return None,
    })
}

/// Number types of attention and of caches.
fn short(text: &str) -> Option<NumberType> {
    match text {
        "bfloat16" => Some(NumberType::Bf16),
        "fp8" => Some(NumberType::Fp8E4m3),
        _ => None,
    }
}
