//! What a model needs of the kernel tables, and where it was found.

mod experts;
mod small;

use super::number_types::product_dtypes_of;
use super::{Part, Prefill, Product};
use crate::perf::accelerator::AcceleratorCard;
use crate::perf::dtype::Dtypes;
use crate::perf::model::{Attention, ModelCard};
use crate::perf::parallelism::Parallelism;
use crate::perf::tables::{
    AttentionKey, AttentionTable, Curve, DecodeCurve, GemmCurve, KernelBackend, KernelDtype,
    KernelTables, PrefillCurve, Reach, TablesOrigin, nearest_key,
};

/// What is looked up, for whom.
pub(super) struct Lookup<'a> {
    tables: &'a KernelTables,
    model: &'a ModelCard,
    accelerator: &'a AcceleratorCard,
    parallelism: Parallelism,
    tp: u32,
    dtypes: Dtypes,
    /// Bytes per nanosecond of one device.
    bandwidth: f64,
    pub(super) parts: Vec<Part>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(
        tables: &'a KernelTables,
        model: &'a ModelCard,
        accelerator: &'a AcceleratorCard,
        parallelism: Parallelism,
        dtypes: Dtypes,
    ) -> Self {
        Self {
            tables,
            model,
            accelerator,
            parallelism,
            tp: parallelism.tp,
            dtypes,
            bandwidth: accelerator.bandwidth_gb_per_s,
            parts: Vec::new(),
        }
    }

    fn note(&mut self, name: &'static str, value: String, reach: Option<Reach>) {
        self.parts.push(Part { name, value, reach });
    }

    /// Per device, at least 1.
    fn split(&self, count: u32) -> u32 {
        (count / self.tp).max(1)
    }

    /// The first of the number types that the table has.
    fn product_dtype(&self) -> Option<KernelDtype> {
        let backend = &self.tables.backend;
        let choices = product_dtypes_of(backend, self.model, self.dtypes.weight);
        let has = |dtype: &&KernelDtype| self.tables.gemm.has(**dtype);
        choices.iter().find(has).copied()
    }

    /// FLOP per nanosecond of one device.
    fn peak(&self, dtype: KernelDtype) -> f64 {
        self.accelerator.peak_tflops(dtype.rate()) * 1e3
    }

    fn curve(&self, dtype: KernelDtype, n: u32, k: u32) -> Option<GemmCurve> {
        let peak = self.peak(dtype);
        let (n, k) = (f64::from(n.max(1)), f64::from(k.max(1)));
        self.tables.gemm.curve(dtype, n, k, peak, self.bandwidth)
    }

    /// Number, n and k of the products that every row passes.
    fn shapes(&self, projections: bool) -> Vec<(u32, u32, u32)> {
        let m = self.model;
        let (h, d) = (m.hidden, m.head_dim);
        let heads = self.split(m.heads);
        let mut shapes = Vec::new();
        match m.attention {
            _ if !projections => {}
            Attention::Gqa => {
                let kv = m.kv_heads.div_ceil(self.tp);
                shapes.push((m.layers, (heads + 2 * kv) * d, h));
                shapes.push((m.layers, h, heads * d));
            }
            Attention::Mla => {
                let (c, r) = (m.kv_lora_rank, m.qk_rope_head_dim);
                let (p, v) = (m.qk_nope_head_dim, m.v_head_dim);
                shapes.push((m.layers, m.q_lora_rank + c + r, h));
                shapes.push((m.layers, heads * (p + r), m.q_lora_rank));
                shapes.push((m.layers, heads * (p + v), c));
                shapes.push((m.layers, h, heads * v));
            }
        }
        let gates = if m.gated_ffn { 2 } else { 1 };
        let mut feed = |layers: u32, width: u32| {
            let width = self.split(width);
            shapes.push((layers, gates * width, h));
            shapes.push((layers, h, width));
        };
        if m.experts == 0 {
            feed(m.layers, m.ffn);
        } else {
            if m.dense_layers > 0 {
                feed(m.dense_layers, m.dense_ffn);
            }
            if m.shared_experts > 0 {
                feed(m.moe_layers(), m.shared_experts * m.shared_ffn);
            }
            shapes.push((m.moe_layers(), m.experts, h));
        }
        shapes
    }

    pub(super) fn products(&mut self, projections: bool) -> Option<Vec<Product>> {
        let name = "kernels.gemm";
        let Some(dtype) = self.product_dtype() else {
            let value = format!("none for {} weights", self.dtypes.weight);
            self.note(name, value, None);
            return None;
        };
        let router = (
            self.model.moe_layers(),
            self.model.experts,
            self.model.hidden,
        );
        let product = |shape: (u32, u32, u32)| {
            let (count, n, k) = shape;
            // Routers stay at 16 bits.
            let dtype = if shape == router {
                KernelDtype::Bf16
            } else {
                dtype
            };
            let curve = self.curve(dtype, n, k)?;
            let text = format!("{n}x{k} {}", text_of(curve.reach));
            let product = Product {
                count: f64::from(count),
                curve,
                excess: (dtype == KernelDtype::Fp8)
                    .then(|| self.tables.gemm.scale_curve(f64::from(k)))
                    .flatten(),
            };
            Some((product, text))
        };
        let found: Option<Vec<_>> = self.shapes(projections).into_iter().map(product).collect();
        let (products, texts): (Vec<Product>, Vec<String>) = found?.into_iter().unzip();
        let reach = products.iter().map(|product| product.curve.reach).max();
        let rows = products.iter().map(|product| product.curve.last_rows());
        let rows = rows.fold(f64::INFINITY, f64::min);
        let mut value = format!(
            "{}, {} (n x k), beyond {rows} rows at the last share of the peak",
            dtype.name(),
            texts.join(", ")
        );
        if products.iter().any(|product| product.excess.is_some()) {
            value.push_str("; less the finding of activation scales, which checkpoints store");
        }
        self.note(name, value, reach);
        Some(products)
    }

    pub(super) fn head(&mut self) -> Option<GemmCurve> {
        let n = self.split(self.model.vocab);
        let curve = self.curve(KernelDtype::Bf16, n, self.model.hidden);
        let value = format!("bf16, {n}x{} (n x k)", self.model.hidden);
        self.note("kernels.lm_head", value, curve.as_ref().map(|c| c.reach));
        curve
    }

    /// Nanoseconds to read the KV of one token in one layer on one device at peak bandwidth.
    pub(super) fn kv_ns(&self) -> f64 {
        let bytes = self.model.kv_bytes_per_layer(self.dtypes.kv) * self.model.kv_share(self.tp);
        bytes / self.bandwidth
    }

    fn kv_dtype(&self) -> KernelDtype {
        kv_dtype(self.dtypes)
    }

    fn key(&self, query: KernelDtype, window: u32) -> AttentionKey {
        AttentionKey {
            query,
            kv: self.kv_dtype(),
            heads: self.split(self.model.heads),
            kv_heads: self.model.kv_heads.div_ceil(self.tp),
            head_dim: self.model.head_dim,
            window,
        }
    }

    /// The measured shape for prompt attention or decode attention.
    fn attention_key(
        &self,
        table: &AttentionTable,
        window: u32,
    ) -> Option<(AttentionKey, AttentionKey, Reach)> {
        if self.model.attention == Attention::Mla {
            return None;
        }
        [KernelDtype::Fp8, KernelDtype::Bf16]
            .into_iter()
            // Arithmetic of 8 bits only on a cache of 8 bits.
            .filter(|query| *query == KernelDtype::Bf16 || self.kv_dtype() == KernelDtype::Fp8)
            .find_map(|query| {
                let want = self.key(query, window);
                nearest_key(table, &want).map(|(key, reach)| (want, key, reach))
            })
    }

    fn attention_note(
        &mut self,
        name: &'static str,
        found: Option<&(AttentionKey, AttentionKey, Reach)>,
    ) {
        let Some((want, key, reach)) = found else {
            let value = format!("none for this attention with {} KV", self.dtypes.kv);
            return self.note(name, value, None);
        };
        let shape = |key: &AttentionKey| {
            format!(
                "{} heads of {}, {} KV",
                key.heads, key.head_dim, key.kv_heads
            )
        };
        let mut value = format!(
            "{} with {} KV, {}",
            key.query.name(),
            key.kv.name(),
            shape(want)
        );
        if *reach != Reach::Measured {
            value = format!("{value}, scaled from {}", shape(key));
        }
        self.note(name, value, Some(*reach));
    }

    pub(super) fn prefill(&mut self) -> Option<Prefill> {
        let table = &self.tables.prefill;
        let found = self.attention_key(table, 0);
        self.attention_note("kernels.prefill_attention", found.as_ref());
        let scale = |want: &AttentionKey, key: &AttentionKey| {
            let work = |key: &AttentionKey| f64::from(key.heads) * f64::from(key.head_dim);
            work(want) / work(key).max(1.0)
        };
        let (want, key, _) = found?;
        let full = PrefillCurve::new(table, &key, scale(&want, &key))?;
        let windowed = (self.model.window_layers > 0)
            .then(|| self.attention_key(table, self.model.sliding_window))
            .flatten()
            .and_then(|(want, key, _)| PrefillCurve::new(table, &key, scale(&want, &key)));
        Some(Prefill { full, windowed })
    }

    pub(super) fn decode(&mut self) -> Option<DecodeCurve> {
        let table = self.decode_table();
        let found = self.attention_key(table, 0);
        self.attention_note("kernels.decode_attention", found.as_ref());
        let (want, key, _) = found?;
        let full = self.decode_curve(table, &want, &key)?;
        let m = self.model;
        let [plain, windowed] = [m.layers - m.window_layers, m.window_layers].map(f64::from);
        let window = f64::from(m.sliding_window);
        let measured = (windowed > 0.0)
            .then(|| self.attention_key(table, m.sliding_window))
            .flatten()
            .and_then(|(want, key, _)| self.decode_curve(table, &want, &key))
            .and_then(|curve| {
                let capped = curve.layers(0.0, windowed, window);
                full.layers(plain, 0.0, window)
                    .on_axis_of(&capped)
                    .plus(&capped)
            });
        Some(measured.unwrap_or_else(|| full.layers(plain, windowed, window)))
    }

    /// The framework's own decode attention, or another's that was measured in the very shape
    /// where its own was not: that is nearer than another shape. SGLang's comes before
    /// TensorRT-LLM's for vLLM, since both run FlashAttention. Tables from a file stand alone.
    fn decode_table(&self) -> &'a AttentionTable {
        let exact = |table: &AttentionTable| {
            let found = self.attention_key(table, 0);
            found.is_none_or(|(_, _, reach)| reach == Reach::Measured)
        };
        let own = &self.tables.decode;
        if exact(own) || self.tables.origin != TablesOrigin::Shipped {
            return own;
        }
        [
            KernelBackend::Sglang,
            KernelBackend::Vllm,
            KernelBackend::Trtllm,
        ]
        .into_iter()
        .filter_map(|other| KernelTables::builtin(&self.tables.system, other))
        .map(|tables| &tables.decode)
        .find(|table| exact(table) && self.attention_key(table, 0).is_some())
        .unwrap_or(own)
    }

    fn decode_curve(
        &self,
        table: &AttentionTable,
        want: &AttentionKey,
        key: &AttentionKey,
    ) -> Option<DecodeCurve> {
        let work = |key: &AttentionKey| {
            let read = 2.0 * key.kv.bytes().0 * f64::from(key.kv_heads) / self.bandwidth;
            let multiply = 4.0 * f64::from(key.heads) / self.peak(KernelDtype::Bf16);
            f64::from(key.head_dim) * read.max(multiply)
        };
        DecodeCurve::new(table, key, work(want) / work(key), self.kv_ns())
    }

    /// MLA blocks with their projections, where they were measured in this shape.
    pub(super) fn mla(&mut self) -> Option<(PrefillCurve, DecodeCurve)> {
        let m = self.model;
        let like = m.attention == Attention::Mla
            && (m.hidden, m.kv_lora_rank, m.qk_rope_head_dim, m.q_lora_rank)
                == (7168, 512, 64, 1536);
        let own = self.product_dtype()?;
        let table = &self.tables.mla_prefill;
        let of = |dtype| AttentionKey::mla(dtype, self.kv_dtype(), self.split(m.heads));
        let block = (own == KernelDtype::Fp8).then_some(KernelDtype::Fp8Block);
        let (want, (key, reach)) = [Some(own), block]
            .into_iter()
            .flatten()
            .find_map(|dtype| Some((of(dtype), nearest_key(table, &of(dtype))?)))
            .filter(|_| like)?;
        let scale = f64::from(want.heads) / f64::from(key.heads.max(1));
        let prefill = PrefillCurve::new(table, &key, scale)?;
        let layers = f64::from(m.layers);
        let decode = DecodeCurve::new(&self.tables.mla_decode, &key, scale, 0.0)?;
        let value = format!(
            "attention with its projections, {} with {} KV, {} heads",
            want.query.name(),
            want.kv.name(),
            want.heads
        );
        self.note("kernels.mla_block", value, Some(reach));
        Some((prefill, decode.layers(layers, 0.0, 0.0)))
    }

    pub(super) fn reduce(&mut self) -> Option<(f64, f64, Curve)> {
        if self.tp == 1 {
            return None;
        }
        let curve = self.tables.allreduce.curve(self.tp);
        let count = 2 * self.model.layers + 1;
        let value = format!("{count} of {} values a row", self.model.hidden);
        let reach = curve.as_ref().map(|_| Reach::Measured);
        self.note("kernels.all_reduce", value, reach);
        Some((f64::from(count), f64::from(self.model.hidden), curve?))
    }
}

/// The number type of measured caches that stands for that of a pool.
pub(super) fn kv_dtype(dtypes: Dtypes) -> KernelDtype {
    match dtypes.kv.bytes() < 2.0 {
        true => KernelDtype::Fp8,
        false => KernelDtype::Bf16,
    }
}

/// How a shape was read, in words.
fn text_of(reach: Reach) -> &'static str {
    match reach {
        Reach::Measured => "measured",
        Reach::BetweenShapes => "between measured shapes",
        Reach::Extrapolated => "extrapolated from the nearest shape",
    }
}
