//! Which operations are measured, from model cards.

use std::collections::BTreeMap;

use super::error::GpuError;
use super::operation::{LaunchWay, MemoryWay, NumberType, Operation};
use super::pace::Pace;
use super::record::{DeviceFacts, PlanFacts};
use crate::perf::{AcceleratorCard, Attention, Dtype, ModelCard};

/// How much is measured, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Few row counts: about a minute.
    Quick,
    /// Many: about five minutes.
    Full,
}

/// Time for one row beside its launches (preparation, checks, recording), seconds: an assumption.
pub const ROW_OVERHEAD_S: f64 = 0.025;
/// Time to open the device, compile the kernels and fill the buffers, seconds: an assumption.
const START_S: f64 = 6.0;
/// What an operation takes over its roofline, for the expected time: an assumption.
const OVER_ROOFLINE: f64 = 1.6;

impl Effort {
    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    /// Time that a capture is to take in all, seconds.
    #[must_use]
    pub const fn whole_s(self) -> f64 {
        match self {
            Self::Quick => 30.0,
            Self::Full => 240.0,
        }
    }

    /// The fewest samples of a row.
    #[must_use]
    pub const fn least_samples(self) -> u32 {
        match self {
            Self::Quick => 6,
            Self::Full => 10,
        }
    }

    fn rows(self) -> &'static [u64] {
        match self {
            Self::Quick => &[1, 16, 64, 256, 1024, 4096],
            Self::Full => &[
                1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048,
                3072, 4096, 8192, 16_384,
            ],
        }
    }

    fn small_rows(self) -> &'static [u64] {
        match self {
            Self::Quick => &[1, 64, 4096],
            Self::Full => &[1, 8, 64, 256, 1024, 4096, 16_384],
        }
    }

    fn prompts(self) -> &'static [(u64, u64)] {
        match self {
            Self::Quick => &[(1, 512), (1, 2048), (1, 8192)],
            Self::Full => &[
                (1, 128),
                (1, 256),
                (1, 512),
                (1, 1024),
                (1, 2048),
                (1, 4096),
                (1, 8192),
                (1, 16_384),
                (4, 128),
                (4, 512),
                (4, 2048),
                (16, 128),
                (16, 512),
                (16, 2048),
            ],
        }
    }

    fn batches(self) -> &'static [u64] {
        match self {
            Self::Quick => &[1, 16, 64],
            Self::Full => &[1, 2, 4, 8, 16, 32, 64, 128, 256],
        }
    }

    fn contexts(self) -> &'static [u64] {
        match self {
            Self::Quick => &[1024, 8192],
            Self::Full => &[128, 512, 1024, 2048, 4096, 8192, 32_768],
        }
    }
}

/// The order of operations: the library's kernels before our own, the simplest first.
const ORDER: [&str; 12] = [
    "launch",
    "memory",
    "host_to_device",
    "device_to_host",
    "peer_copy",
    "all_reduce",
    "gemm",
    "rms_norm",
    "silu_mul",
    "rotary",
    "decode_attention",
    "prefill_attention",
];

/// The most bytes of keys and values that a decode step is measured with.
const MOST_CACHE_BYTES: f64 = 8e9;

/// The most rows that the head is measured with: only rows that give a token pass it.
const MOST_HEAD_ROWS: u64 = 2048;

/// An operation to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The operation with its shape.
    pub operation: Operation,
    /// Number type of its inputs, where it has one.
    pub dtype: Option<NumberType>,
    /// Where models use it.
    pub used_for: Vec<String>,
}

/// What is measured, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How much.
    pub effort: Effort,
    /// Names of the model cards.
    pub models: Vec<String>,
    /// Tensor parallelisms.
    pub tp: Vec<u32>,
    /// The only operations that are measured; all if empty.
    pub only: Vec<String>,
    /// The operations with their shapes.
    pub rows: Vec<Planned>,
    /// What the models would need and is left out, with why.
    pub left_out: Vec<String>,
}

/// What a plan is made of.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Model cards.
    pub models: &'a [ModelCard],
    /// Tensor parallelisms.
    pub tp: &'a [u32],
    /// How much.
    pub effort: Effort,
    /// Devices in the machine.
    pub devices: u32,
    /// Whether products of 8 bits are measured.
    pub fp8: bool,
    /// Names of the operations to measure; all if empty.
    pub only: &'a [String],
}

impl Plan {
    /// The plan for what is asked.
    ///
    /// # Errors
    /// Nothing is left to measure.
    pub fn new(asked: &Asked<'_>) -> Result<Plan, GpuError> {
        let mut making = Making::new(*asked);
        making.machine();
        for model in asked.models {
            for tp in asked.tp {
                making.model(model, *tp);
            }
        }
        let rows = making.rows();
        if rows.is_empty() {
            return Err(GpuError::Unsupported(
                "nothing is left to measure; allow more operations in `--only`".to_owned(),
            ));
        }
        Ok(Plan {
            effort: asked.effort,
            models: asked.models.iter().map(|m| m.name.clone()).collect(),
            tp: asked.tp.to_vec(),
            only: asked.only.to_vec(),
            rows,
            left_out: making.left_out,
        })
    }

    /// What was asked for, as files have it.
    #[must_use]
    pub fn facts(&self) -> PlanFacts {
        PlanFacts {
            effort: self.effort.name().to_owned(),
            models: self.models.clone(),
            tp: self.tp.clone(),
            only: self.only.clone(),
        }
    }

    /// How long all takes on a device with the peaks of a card, seconds: an estimate by roofline.
    #[must_use]
    pub fn expected_s(&self, card: &AcceleratorCard) -> f64 {
        let launches = f64::from(self.effort.least_samples() + 5);
        let budget = Pace::new(self.effort).budget(START_S, self.rows.len());
        let rows = self.rows.iter().map(|row| {
            let one = OVER_ROOFLINE * roofline_us(row, card) * 1e-6;
            (one * launches).max(budget.samples_s) + ROW_OVERHEAD_S
        });
        START_S + rows.sum::<f64>()
    }
}

/// The time that a card's peaks permit, microseconds.
#[must_use]
pub fn roofline_us(row: &Planned, card: &AcceleratorCard) -> f64 {
    let rate = card.peak_tflops(match row.dtype {
        None | Some(NumberType::Bf16) => Dtype::Bf16,
        Some(NumberType::Fp8E4m3) => Dtype::Fp8,
    });
    let bandwidth = match row.operation {
        // PCI Express of the fourth generation, 16 lanes: an assumption.
        Operation::HostToDevice { .. } | Operation::DeviceToHost { .. } => 25.0,
        Operation::PeerCopy { .. } | Operation::AllReduce { .. } => {
            card.scale_up_gb_per_s_per_direction.unwrap_or(25.0)
        }
        _ => card.bandwidth_gb_per_s,
    };
    let compute = row.operation.flops() / (rate * 1e6);
    let memory = row.operation.bytes(row.dtype) / (bandwidth * 1e3);
    compute.max(memory).max(1.0)
}

/// The card of `calibration/accelerators` that a device is, by the name its driver gives.
#[must_use]
pub fn card_of(facts: &DeviceFacts) -> Option<&'static str> {
    const CARDS: &[(&[&str], &str)] = &[
        (&["H100", "PCIe"], "h100-pcie"),
        (&["H100", "NVL"], ""),
        (&["H100", "80GB HBM3"], "h100-sxm"),
        (&["H200", "NVL"], ""),
        (&["H200"], "h200-sxm"),
        (&["GB200"], "gb200-nvl72"),
        (&["GB300"], "gb300-nvl72"),
        (&["B200"], "b200-sxm"),
        (&["B300"], "b300-sxm"),
        (&["A100-SXM4-80GB"], "a100-sxm-80gb"),
        (&["A100-SXM4-40GB"], "a100-sxm-40gb"),
        (&["A100 80GB PCIe"], "a100-pcie-80gb"),
        (&["A10G"], "a10g"),
        (&["A30"], "a30"),
        (&["L40S"], "l40s"),
        (&["L4"], "l4"),
        (&["RTX 4090"], "rtx-4090"),
        (&["RTX PRO 6000"], "rtx-pro-6000"),
    ];
    let name = &facts.name;
    let found = CARDS
        .iter()
        .find(|(parts, _)| parts.iter().all(|part| name.contains(part)))?;
    Some(found.1).filter(|card| !card.is_empty())
}

/// A plan while it is made.
struct Making<'a> {
    asked: Asked<'a>,
    /// By place in the order and number type; the value says where models use it.
    found: BTreeMap<(usize, Option<NumberType>, Operation), Vec<String>>,
    left_out: Vec<String>,
}

impl<'a> Making<'a> {
    fn new(asked: Asked<'a>) -> Self {
        Self {
            asked,
            found: BTreeMap::new(),
            left_out: Vec::new(),
        }
    }

    fn add(&mut self, operation: Operation, dtype: NumberType, used_for: &str) {
        let only = self.asked.only;
        if !only.is_empty() && !only.iter().any(|name| name == operation.name()) {
            return;
        }
        let order = ORDER.iter().position(|name| *name == operation.name());
        let dtype = operation.has_dtype().then_some(dtype);
        let key = (order.unwrap_or(0), dtype, operation);
        let users = self.found.entry(key).or_default();
        if !used_for.is_empty() && !users.iter().any(|user| user == used_for) {
            users.push(used_for.to_owned());
        }
    }

    /// What belongs to the machine and no model.
    fn machine(&mut self) {
        const MIB: u64 = 1 << 20;
        let bf16 = NumberType::Bf16;
        for way in [LaunchWay::Stream, LaunchWay::Graph, LaunchWay::RoundTrip] {
            self.add(Operation::Launch { way }, bf16, "");
        }
        for way in [MemoryWay::Read, MemoryWay::Write, MemoryWay::Copy] {
            for bytes in [64 * MIB, 256 * MIB, 1024 * MIB] {
                self.add(Operation::Memory { way, bytes }, bf16, "");
            }
        }
        for bytes in [4096, MIB, 16 * MIB, 256 * MIB] {
            self.add(Operation::HostToDevice { bytes }, bf16, "");
            self.add(Operation::DeviceToHost { bytes }, bf16, "");
            if self.asked.devices > 1 {
                self.add(Operation::PeerCopy { bytes }, bf16, "");
            }
        }
        let mut devices = 2;
        while devices <= self.asked.devices {
            for power in [10, 13, 16, 19, 22, 25] {
                let values = 1 << power;
                self.add(Operation::AllReduce { devices, values }, bf16, "");
            }
            devices *= 2;
        }
    }

    /// What one device of `tp` does in a layer of a model, and for its head.
    fn model(&mut self, model: &ModelCard, tp: u32) {
        let name = &model.name;
        if model.attention == Attention::Mla {
            let why = "its latent attention has no kernel here";
            self.left_out
                .push(format!("{name}: all but products of dense parts ({why})"));
        }
        if model.experts > 0 && tp == self.asked.tp[0] {
            self.left_out.push(format!(
                "{name}: routed experts (no kernel for groups of products here)"
            ));
        }
        if !model.heads.is_multiple_of(tp) {
            let heads = model.heads;
            self.left_out.push(format!(
                "{name} at tp {tp}: its {heads} heads cannot be split evenly"
            ));
            return;
        }
        self.products(model, tp);
        if model.attention == Attention::Gqa {
            self.attention(model, tp);
        }
        self.pointwise(model, tp);
    }

    fn products(&mut self, model: &ModelCard, tp: u32) {
        let share = u64::from(tp);
        let [hidden, head_dim, heads, vocab] =
            [model.hidden, model.head_dim, model.heads, model.vocab].map(u64::from);
        let kv_heads = u64::from(model.kv_heads.div_ceil(tp));
        let mut products = Vec::new();
        if model.attention == Attention::Gqa {
            products.push((
                "qkv",
                (heads / share + 2 * kv_heads) * head_dim,
                hidden,
                true,
            ));
            products.push(("attention output", hidden, heads / share * head_dim, true));
        }
        let mut widths = Vec::new();
        if model.experts == 0 {
            widths.push(("", u64::from(model.ffn)));
        }
        if model.shared_experts > 0 {
            widths.push((
                "shared ",
                u64::from(model.shared_experts * model.shared_ffn),
            ));
        }
        if model.dense_layers > 0 {
            widths.push(("dense ", u64::from(model.dense_ffn)));
        }
        let gates = if model.gated_ffn { 2 } else { 1 };
        let mut named = Vec::new();
        for (kind, width) in widths {
            let width = width.div_ceil(share);
            named.push((format!("{kind}gate and up"), gates * width, hidden));
            named.push((format!("{kind}down"), hidden, width));
        }
        products.extend(
            named
                .iter()
                .map(|(what, n, k)| (what.as_str(), *n, *k, true)),
        );
        products.push(("head", vocab.div_ceil(share), hidden, false));
        for (what, n, k, narrow) in products {
            let most_rows = if what == "head" {
                MOST_HEAD_ROWS
            } else {
                u64::MAX
            };
            let used_for = format!("{} tp {tp} {what}", model.name);
            self.product(&used_for, [n, k], narrow, most_rows);
        }
    }

    fn product(&mut self, used_for: &str, [n, k]: [u64; 2], narrow: bool, most_rows: u64) {
        let rows = self.asked.effort.rows().iter();
        for m in rows.filter(|m| **m <= most_rows) {
            let operation = Operation::Gemm { m: *m, n, k };
            if narrow && self.asked.fp8 && n.is_multiple_of(16) && k.is_multiple_of(16) {
                self.add(operation.clone(), NumberType::Fp8E4m3, used_for);
            }
            // Addresses of rows must be multiples of 16 bytes.
            if n.is_multiple_of(8) && k.is_multiple_of(8) {
                self.add(operation, NumberType::Bf16, used_for);
            }
        }
    }

    fn attention(&mut self, model: &ModelCard, tp: u32) {
        let effort = self.asked.effort;
        let used_for = format!("{} tp {tp}", model.name);
        let heads = u64::from(model.heads / tp);
        let kv_heads = u64::from(model.kv_heads.div_ceil(tp));
        let head_dim = u64::from(model.head_dim);
        if ![64, 128].contains(&head_dim)
            || !heads.is_multiple_of(kv_heads)
            || heads / kv_heads > 16
        {
            self.left_out.push(format!(
                "{used_for}: attention with {heads} heads of width {head_dim} over {kv_heads} \
                 (widths 64 and 128, and at most 16 heads that share a key, have kernels here)"
            ));
            return;
        }
        let bf16 = NumberType::Bf16;
        for (sequences, tokens) in effort.prompts() {
            let operation = Operation::PrefillAttention {
                sequences: *sequences,
                tokens: *tokens,
                heads,
                kv_heads,
                head_dim,
            };
            self.add(operation, bf16, &used_for);
        }
        for sequences in effort.batches() {
            for context in effort.contexts() {
                let operation = Operation::DecodeAttention {
                    sequences: *sequences,
                    context: *context,
                    heads,
                    kv_heads,
                    head_dim,
                };
                if operation.bytes(Some(bf16)) <= MOST_CACHE_BYTES {
                    self.add(operation, bf16, &used_for);
                }
            }
        }
    }

    fn pointwise(&mut self, model: &ModelCard, tp: u32) {
        let used_for = format!("{} tp {tp}", model.name);
        let [hidden, head_dim] = [model.hidden, model.head_dim].map(u64::from);
        let heads = u64::from(model.heads / tp + model.kv_heads.div_ceil(tp));
        let ffn = if model.experts == 0 {
            model.ffn
        } else {
            model.dense_ffn
        };
        let width = u64::from(ffn.div_ceil(tp));
        for rows in self.asked.effort.small_rows() {
            let rows = *rows;
            let bf16 = NumberType::Bf16;
            if hidden.is_multiple_of(8) && hidden <= 32_768 {
                self.add(
                    Operation::RmsNorm {
                        rows,
                        width: hidden,
                    },
                    bf16,
                    &used_for,
                );
            }
            if model.gated_ffn && width > 0 && width.is_multiple_of(8) {
                self.add(Operation::SiluMul { rows, width }, bf16, &used_for);
            }
            if model.attention == Attention::Gqa && model.rotates() && head_dim.is_multiple_of(16) {
                let operation = Operation::Rotary {
                    rows,
                    heads,
                    head_dim,
                };
                self.add(operation, bf16, &used_for);
            }
        }
    }

    fn rows(&mut self) -> Vec<Planned> {
        let found = std::mem::take(&mut self.found);
        found
            .into_iter()
            .map(|((_, dtype, operation), used_for)| Planned {
                operation,
                dtype,
                used_for,
            })
            .collect()
    }
}
