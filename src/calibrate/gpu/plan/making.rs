//! A plan while it is made: what the machine and each model need, each operation once.

use std::collections::BTreeMap;

use super::{Asked, Planned};
use crate::calibrate::gpu::operation::{LaunchWay, MemoryWay, NumberType, Operation};
use crate::perf::{Attention, ModelCard};

/// The order of operations: the library's kernels before our own, the simplest first.
pub(super) const ORDER: [&str; 12] = [
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

/// A plan while it is made.
pub(super) struct Making<'a> {
    asked: Asked<'a>,
    /// By place in the order and number type; the value says where models use it.
    found: BTreeMap<(usize, Option<NumberType>, Operation), Vec<String>>,
    pub(super) left_out: Vec<String>,
}

impl<'a> Making<'a> {
    pub(super) fn new(asked: Asked<'a>) -> Self {
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
    pub(super) fn machine(&mut self) {
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
    pub(super) fn model(&mut self, model: &ModelCard, tp: u32) {
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
                kv: None,
                window: 0,
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
                    kv: None,
                    window: 0,
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

    pub(super) fn rows(&mut self) -> Vec<Planned> {
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
