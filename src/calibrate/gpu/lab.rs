//! A device made ready to measure: its buffers full of random numbers, its kernels loaded.

use std::cell::Cell;

use super::device::{Arg, Blas, Buffer, Device, Kernel, Module, Span, compile, compiler_version};
use super::error::GpuError;
use super::numbers::filled;
use super::operation::NumberType;
use super::plan::Plan;
use super::record::{Checked, DeviceFacts, Software};
use super::sizes::Sizes;

/// Seed of the buffer of weights (keys and values, too).
pub const WEIGHTS_SEED: u32 = 1;
/// Seed of the buffer of inputs.
pub const INPUTS_SEED: u32 = 2;

/// Head widths that have kernels.
pub const HEAD_DIMS: [u64; 2] = [64, 128];

/// A device made ready. Everything in it belongs to one device and one thread.
///
/// Fields are dropped in the order they stand in: the device, with its context, last.
#[derive(Debug)]
pub struct Lab {
    /// The device's facts.
    pub facts: DeviceFacts,
    /// The libraries that are called.
    pub software: Software,
    /// cuBLASLt.
    pub blas: Blas,
    /// The kernels.
    pub kernels: Kernels,
    weights: Buffer,
    inputs: Buffer,
    outputs: Buffer,
    scratch: Buffer,
    /// The number type that weights and inputs are filled with.
    full_of: Cell<Option<NumberType>>,
    /// The device.
    pub device: Device,
}

/// The kernels of this program.
#[derive(Debug)]
pub struct Kernels {
    /// Does nothing.
    pub empty: Kernel,
    /// Reads bytes.
    pub read: Kernel,
    /// Writes bytes.
    pub write: Kernel,
    /// Reads and writes bytes.
    pub copy: Kernel,
    /// `RMSNorm`.
    pub rms_norm: Kernel,
    /// Silu and multiply.
    pub silu_mul: Kernel,
    /// Rotary positions.
    pub rotary: Kernel,
    count_poison: Kernel,
    fill_bf16: Kernel,
    fill_e4m3: Kernel,
    /// By head width, in the order of [`HEAD_DIMS`].
    attention: [AttentionKernels; 2],
    _modules: Vec<Module>,
}

/// Attention kernels of one head width.
#[derive(Debug, Clone, Copy)]
pub struct AttentionKernels {
    /// Of prompts, by how many times 64 queries a block takes: one and two.
    pub prefill: [Kernel; 2],
    /// Of decode steps.
    pub decode: Kernel,
    /// Puts the parts of decode steps together.
    pub combine: Kernel,
    /// Shared memory of a block of each, bytes.
    pub prefill_shared: [u32; 2],
    /// The same of `decode`.
    pub decode_shared: u32,
}

const COMMON: &str = include_str!("kernels/common.cuh");

/// The kernel sources by file, each with what must stand before it, and the defines for a head
/// width where it has one.
#[must_use]
pub fn sources() -> [(&'static str, String); 3] {
    [
        ("pointwise.cu", include_str!("kernels/pointwise.cu")),
        ("prefill.cu", include_str!("kernels/prefill.cu")),
        ("decode.cu", include_str!("kernels/decode.cu")),
    ]
    .map(|(file, text)| (file, format!("{COMMON}\n#line 1 \"{file}\"\n{text}")))
}

impl Kernels {
    fn load(device: &Device, capability: u32) -> Result<Kernels, GpuError> {
        let [pointwise, prefill, decode] = sources();
        let load = |(file, text): &(&'static str, String), defines: &[String]| {
            device.load(&compile(file, text, capability, defines)?)
        };
        let small = load(&pointwise, &[])?;
        let mut modules = Vec::new();
        let mut attention = Vec::new();
        for width in HEAD_DIMS {
            let defines = |halves: u32| [format!("-DD={width}"), format!("-DHALVES={halves}")];
            let [narrow, wide] = [load(&prefill, &defines(1))?, load(&prefill, &defines(2))?];
            let after = load(&decode, &defines(1))?;
            // Tiles of 64 or 128 queries, 64 keys and 64 values; 4 warps of 3 stages of 2 pages of
            // 16.
            let row = width as u32 * 2;
            let prefill_shared = [64, 128].map(|queries| (queries + 64 + 64) * row);
            let decode_shared = 4 * 3 * 2 * 16 * row;
            attention.push(AttentionKernels {
                prefill: [
                    narrow.kernel("prefill", prefill_shared[0])?,
                    wide.kernel("prefill", prefill_shared[1])?,
                ],
                decode: after.kernel("decode", decode_shared)?,
                combine: after.kernel("decode_combine", 0)?,
                prefill_shared,
                decode_shared,
            });
            modules.extend([narrow, wide, after]);
        }
        let kernels = Kernels {
            empty: small.kernel("empty", 0)?,
            read: small.kernel("read_bytes", 0)?,
            write: small.kernel("write_bytes", 0)?,
            copy: small.kernel("copy_bytes", 0)?,
            rms_norm: small.kernel("rms_norm", 0)?,
            silu_mul: small.kernel("silu_mul", 0)?,
            rotary: small.kernel("rotary", 0)?,
            count_poison: small.kernel("count_poison", 0)?,
            fill_bf16: small.kernel("fill_bf16", 0)?,
            fill_e4m3: small.kernel("fill_e4m3", 0)?,
            attention: [attention[0], attention[1]],
            _modules: {
                modules.push(small);
                modules
            },
        };
        Ok(kernels)
    }

    /// The attention kernels of a head width.
    ///
    /// # Errors
    /// There are none.
    pub fn attention(&self, head_dim: u64) -> Result<AttentionKernels, GpuError> {
        let index = HEAD_DIMS.iter().position(|width| *width == head_dim);
        index.map(|index| self.attention[index]).ok_or_else(|| {
            GpuError::Unsupported(format!(
                "heads are {head_dim} wide, but they must be 64 or 128: others have no kernel here"
            ))
        })
    }
}

impl Lab {
    /// Opens a device and makes it ready for a plan.
    ///
    /// # Errors
    /// A library is missing, the device has too little memory, or a call fails.
    pub fn open(device: Device, plan: &Plan) -> Result<Lab, GpuError> {
        let facts = device.facts()?;
        let capability: String = facts.compute_capability.split('.').collect();
        let capability = capability.parse().unwrap_or(80);
        let nvrtc = compiler_version()?;
        let blas = Blas::open(&device)?;
        let kernels = Kernels::load(&device, capability)?;
        let sizes = Sizes::of_plan(plan, &facts);
        let available = device.free_bytes()?;
        if sizes.total() > available {
            return Err(GpuError::Memory {
                what: "this plan".to_owned(),
                needed: sizes.total() / 1_000_000,
                available: available / 1_000_000,
            });
        }
        Ok(Lab {
            software: Software {
                cublaslt: blas.version(),
                nvrtc,
                nccl: None,
                ..Software::default()
            },
            blas,
            kernels,
            weights: device.buffer(sizes.weights)?,
            inputs: device.buffer(sizes.inputs)?,
            outputs: device.buffer(sizes.outputs)?,
            scratch: device.buffer(sizes.scratch)?,
            full_of: Cell::new(None),
            facts,
            device,
        })
    }

    /// Random numbers of the number type asked for last, with [`WEIGHTS_SEED`].
    #[must_use]
    pub fn weights(&self) -> Span {
        self.weights.all()
    }

    /// The same with [`INPUTS_SEED`].
    #[must_use]
    pub fn inputs(&self) -> Span {
        self.inputs.all()
    }

    /// Where results go.
    #[must_use]
    pub fn outputs(&self) -> Span {
        self.outputs.all()
    }

    /// Room for tables and parts of sums.
    #[must_use]
    pub fn scratch(&self) -> Span {
        self.scratch.all()
    }

    /// Fills weights and inputs with random numbers of a type, unless they are.
    ///
    /// # Errors
    /// A call fails.
    pub fn fill(&self, dtype: NumberType) -> Result<(), GpuError> {
        if self.full_of.get() == Some(dtype) {
            return Ok(());
        }
        let (kernel, words_of) = match dtype {
            NumberType::Bf16 => (self.kernels.fill_bf16, 4),
            NumberType::Fp8E4m3 => (self.kernels.fill_e4m3, 4),
            other => return Err(GpuError::Unsupported(other.name().to_owned())),
        };
        for (span, seed) in [(self.weights(), WEIGHTS_SEED), (self.inputs(), INPUTS_SEED)] {
            let args = [
                Arg::At(span),
                Arg::Long(span.bytes / words_of),
                Arg::Int(seed),
                Arg::Float(1.0),
            ];
            self.device
                .launch(kernel, [self.blocks(8), 1, 1], 256, 0, &args)?;
        }
        self.device.wait()?;
        self.full_of.set(Some(dtype));
        Ok(())
    }

    /// So many blocks for each multiprocessor.
    #[must_use]
    pub fn blocks(&self, each: u64) -> u64 {
        each * u64::from(self.facts.multiprocessors)
    }

    /// A weight by its index in the buffer.
    #[must_use]
    pub fn weight(&self, dtype: NumberType, index: u64) -> f64 {
        filled(dtype, index, WEIGHTS_SEED)
    }

    /// An input by its index in the buffer.
    #[must_use]
    pub fn input(&self, dtype: NumberType, index: u64) -> f64 {
        filled(dtype, index, INPUTS_SEED)
    }

    /// Fills results with what no kernel writes, so that what is not written is seen.
    ///
    /// # Errors
    /// A call fails.
    pub fn poison(&self, results: Span) -> Result<(), GpuError> {
        self.device.set_bytes(results, 0xff)
    }

    /// Checks that nothing of the poison is left.
    ///
    /// # Errors
    /// Some is, or a call fails.
    pub fn written(&self, results: Span) -> Result<(), GpuError> {
        let count = self.scratch().part(self.scratch().bytes - 256, 4)?;
        self.device.set_bytes(count, 0)?;
        let args = [
            Arg::At(results),
            Arg::Long(results.bytes / 4),
            Arg::At(count),
        ];
        let grid = [self.blocks(8), 1, 1];
        self.device
            .launch(self.kernels.count_poison, grid, 256, 0, &args)?;
        let mut found = [0_u32];
        self.device.download(count, &mut found)?;
        match found[0] {
            0 => Ok(()),
            count => Err(GpuError::Unwritten {
                count: u64::from(count),
            }),
        }
    }
}

/// Fails unless the results were near enough.
///
/// # Errors
/// They were not.
pub fn passed(checked: Checked) -> Result<Checked, GpuError> {
    if checked.max_error <= checked.tolerance {
        return Ok(checked);
    }
    Err(GpuError::Wrong {
        error: super::error::Shown(checked.max_error),
        tolerance: super::error::Shown(checked.tolerance),
        values: checked.values,
    })
}
