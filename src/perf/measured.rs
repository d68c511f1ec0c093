//! The parts of a step as measured kernels give them: what a model on so many devices needs, looked
//! up once, so that a step is a handful of interpolations.

use super::accelerator::AcceleratorCard;
use super::dtype::{Dtype, Dtypes};
use super::model::{Attention, ModelCard};
use super::step::PrefillChunk;
use super::tables::{
    AttentionKey, AttentionTable, Curve, DecodeCurve, ExpertsKey, GemmCurve, KernelDtype,
    KernelTables, PrefillCurve, Reach, Spread, nearest_key,
};

/// Share of the peak bandwidth that small kernels (norms, activations) reach, and the microseconds
/// each takes besides: as aiconfigurator-core 0.12.0 assumes.
const SMALL_BANDWIDTH: f64 = 0.8;
const SMALL_LAUNCH_US: f64 = 3.0;

/// A part of the step and how it was read: for the provenance.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    /// None where there is no table and the roofline stands in.
    pub(crate) reach: Option<Reach>,
}

/// Prompt attention of all layers.
#[derive(Debug, Clone)]
struct Prefill {
    full: PrefillCurve,
    /// With the window, where that was measured.
    windowed: Option<PrefillCurve>,
}

/// Times of a step's parts; what is absent has no table.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) tables: &'static KernelTables,
    /// Products of every row with their number in the step.
    products: Option<Vec<(f64, GemmCurve)>>,
    head: Option<GemmCurve>,
    /// Layers of experts, and their time by tokens.
    experts: Option<(f64, Curve)>,
    prefill: Option<Prefill>,
    pub(crate) decode: Option<DecodeCurve>,
    /// All-reduces of a step, values of a row, and their time by values.
    reduce: Option<(f64, f64, Curve)>,
    /// Nanoseconds of small kernels per row and per step.
    small: (f64, f64),
    layers: [f64; 2],
    window: u32,
    /// Nanoseconds to read the KV of one token in one layer at peak bandwidth.
    kv_ns: f64,
    pub(crate) parts: Vec<Part>,
}

/// What is looked up, for whom.
struct Lookup<'a> {
    tables: &'static KernelTables,
    model: &'a ModelCard,
    accelerator: &'a AcceleratorCard,
    tp: u32,
    dtypes: Dtypes,
    /// Bytes per nanosecond of one device.
    bandwidth: f64,
    parts: Vec<Part>,
}

impl Measured {
    pub(crate) fn new(
        tables: &'static KernelTables,
        model: &ModelCard,
        accelerator: &AcceleratorCard,
        tp: u32,
        dtypes: Dtypes,
    ) -> Self {
        let mut lookup = Lookup {
            tables,
            model,
            accelerator,
            tp,
            dtypes,
            bandwidth: accelerator.bandwidth_gb_per_s,
            parts: Vec::new(),
        };
        let blocks = lookup.mla();
        let (mla_prefill, mla_decode) = blocks.unzip();
        let products = lookup.products(mla_prefill.is_none());
        let head = lookup.head();
        let experts = lookup.experts();
        let prefill = match mla_prefill {
            Some(full) => Some(Prefill {
                full,
                windowed: None,
            }),
            None => lookup.prefill(),
        };
        let decode = mla_decode.or_else(|| lookup.decode());
        let reduce = lookup.reduce();
        Self {
            tables,
            products,
            head,
            experts,
            prefill,
            decode,
            reduce,
            small: lookup.small(),
            layers: [model.layers - model.window_layers, model.window_layers].map(f64::from),
            window: model.sliding_window,
            kv_ns: lookup.kv_ns(),
            parts: lookup.parts,
        }
    }

    /// Whether products of the weights' number type were measured.
    pub(crate) fn has_products(&self) -> bool {
        self.products.is_some()
    }

    /// Products of the blocks, nanoseconds.
    pub(crate) fn products_ns(&self, rows: f64) -> Option<f64> {
        let products = self.products.as_ref()?;
        Some(
            products
                .iter()
                .map(|(count, curve)| count * curve.ns(rows))
                .sum(),
        )
    }

    /// The LM head, nanoseconds.
    pub(crate) fn head_ns(&self, sequences: f64) -> Option<f64> {
        Some(self.head.as_ref()?.ns(sequences))
    }

    /// Routed experts of all layers, nanoseconds.
    pub(crate) fn experts_ns(&self, rows: f64) -> Option<f64> {
        let (layers, curve) = self.experts.as_ref()?;
        Some(layers * curve.at(rows))
    }

    /// All-reduces of the step, nanoseconds.
    pub(crate) fn reduce_ns(&self, rows: f64) -> Option<f64> {
        let (count, values, curve) = self.reduce.as_ref()?;
        Some(count * curve.at(rows * values))
    }

    /// Norms, activations and embedding, nanoseconds.
    pub(crate) fn small_ns(&self, rows: f64) -> f64 {
        self.small.0 * rows + self.small.1
    }

    /// Prompt attention of all layers for chunks that run together, nanoseconds. Each chunk takes
    /// its share of a kernel over as many sequences of its own length. A chunk after earlier
    /// context takes the part of the whole sequence's time that its pairs of query and key are, and
    /// no less than its own tokens take alone or than reading that context takes.
    pub(crate) fn prefill_ns(&self, chunks: &[PrefillChunk]) -> Option<f64> {
        let attention = self.prefill.as_ref()?;
        let count = chunks.len() as f64;
        let mut ns = 0.0;
        for chunk in chunks {
            let (tokens, all) = (
                f64::from(chunk.tokens),
                f64::from(chunk.tokens) + f64::from(chunk.context),
            );
            let pairs = pairs(chunk.tokens, chunk.context, u32::MAX);
            let full = one(
                &attention.full,
                count,
                tokens,
                all,
                pairs / square(all),
                self.kv_ns,
            );
            let windowed = match &attention.windowed {
                _ if self.layers[1] == 0.0 => 0.0,
                Some(curve) => {
                    // Beyond the window no context is read: its time grows with the tokens alone.
                    let reach = all.min(tokens + f64::from(self.window));
                    let share = self.window_share(chunk, reach);
                    one(curve, count, tokens, reach, share, self.kv_ns)
                }
                None => {
                    let part = self.window_pairs(chunk) / pairs;
                    (full * part).max(attention.full.ns(count, 1.0) / count)
                }
            };
            ns += self.layers[0] * full + self.layers[1] * windowed;
        }
        Some(ns)
    }

    fn window_pairs(&self, chunk: &PrefillChunk) -> f64 {
        pairs(chunk.tokens, chunk.context, self.window)
    }

    /// Pairs of a chunk over those of a whole prompt of `all` tokens, within the window.
    fn window_share(&self, chunk: &PrefillChunk, all: f64) -> f64 {
        self.window_pairs(chunk) / pairs(all as u32, 0, self.window)
    }
}

/// A chunk's part of one layer's kernel.
fn one(curve: &PrefillCurve, count: f64, tokens: f64, all: f64, share: f64, kv_ns: f64) -> f64 {
    let own = curve.ns(count, tokens) / count;
    if all <= tokens {
        return own;
    }
    own.max(curve.ns(count, all) / count * share)
        .max((all - tokens) * kv_ns)
}

/// Pairs of query and key of a causal chunk, a token seeing at most `window`.
fn pairs(tokens: u32, context: u32, window: u32) -> f64 {
    let growing = tokens.min(window.saturating_sub(context));
    let [g, c] = [growing, context].map(f64::from);
    g * c + g * (g + 1.0) / 2.0 + f64::from(tokens - growing) * f64::from(window)
}

/// Pairs of a whole causal sequence.
fn square(tokens: f64) -> f64 {
    tokens * (tokens + 1.0) / 2.0
}

impl Lookup<'_> {
    fn note(&mut self, name: &'static str, value: String, reach: Option<Reach>) {
        self.parts.push(Part { name, value, reach });
    }

    /// Per device, at least 1.
    fn split(&self, count: u32) -> u32 {
        (count / self.tp).max(1)
    }

    /// The first of the number types that the table has.
    fn product_dtype(&self) -> Option<KernelDtype> {
        let published = self.model.weight_dtype;
        let choices: &[KernelDtype] = match self.dtypes.weight {
            Dtype::Bf16 | Dtype::Fp16 => &[KernelDtype::Bf16],
            // Models published at 8 bits have scales by block, others get one per tensor.
            Dtype::Fp8 if published == Dtype::Fp8 => &[KernelDtype::Fp8Block, KernelDtype::Fp8],
            Dtype::Fp8 => &[KernelDtype::Fp8, KernelDtype::Fp8Block],
            // Such models have their experts alone at 4 bits.
            Dtype::Fp4 if self.model.experts > 0 && published == Dtype::Fp4 => &[KernelDtype::Bf16],
            Dtype::Fp4 => &[KernelDtype::Nvfp4],
            Dtype::Int8 => &[KernelDtype::Int8],
        };
        let has = |dtype: &&KernelDtype| self.tables.gemm.has(**dtype);
        choices.iter().find(has).copied()
    }

    /// FLOP per nanosecond of one device.
    fn peak(&self, dtype: KernelDtype) -> f64 {
        let dtype = match dtype {
            KernelDtype::Bf16 | KernelDtype::Mxfp4 => Dtype::Bf16,
            KernelDtype::Fp8 | KernelDtype::Fp8Block => Dtype::Fp8,
            KernelDtype::Nvfp4 => Dtype::Fp4,
            KernelDtype::Int8 => Dtype::Int8,
        };
        self.accelerator.peak_tflops(dtype) * 1e3
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

    fn products(&mut self, projections: bool) -> Option<Vec<(f64, GemmCurve)>> {
        let name = "kernels.gemm";
        let Some(dtype) = self.product_dtype() else {
            self.note(
                name,
                format!("none for {} weights", self.dtypes.weight),
                None,
            );
            return None;
        };
        let shapes = self.shapes(projections);
        let curves: Option<Vec<_>> = shapes
            .iter()
            .map(|&(count, n, k)| Some((f64::from(count), self.curve(dtype, n, k)?)))
            .collect();
        let curves = curves?;
        let reach = curves.iter().map(|(_, curve)| curve.reach).max();
        let rows = curves.iter().map(|(_, curve)| curve.last_rows());
        let rows = rows.fold(f64::INFINITY, f64::min);
        let texts: Vec<_> = shapes
            .iter()
            .zip(&curves)
            .map(|((_, n, k), (_, curve))| format!("{n}x{k} {}", text_of(curve.reach)))
            .collect();
        let value = format!(
            "{}, {} (n x k), beyond {rows} rows at the last share of the peak",
            dtype.name(),
            texts.join(", ")
        );
        self.note(name, value, reach);
        Some(curves)
    }

    fn head(&mut self) -> Option<GemmCurve> {
        let n = self.split(self.model.vocab);
        let curve = self.curve(KernelDtype::Bf16, n, self.model.hidden);
        let value = format!("bf16, {n}x{} (n x k)", self.model.hidden);
        self.note("kernels.lm_head", value, curve.as_ref().map(|c| c.reach));
        curve
    }

    fn experts(&mut self) -> Option<(f64, Curve)> {
        let m = self.model;
        if m.experts == 0 {
            return None;
        }
        let published = m.weight_dtype;
        let dtypes: &[KernelDtype] = match self.dtypes.weight {
            Dtype::Bf16 | Dtype::Fp16 => &[KernelDtype::Bf16],
            Dtype::Fp8 if published == Dtype::Fp8 => &[KernelDtype::Fp8Block, KernelDtype::Fp8],
            Dtype::Fp8 => &[KernelDtype::Fp8, KernelDtype::Fp8Block],
            Dtype::Fp4 if published == Dtype::Fp4 => &[KernelDtype::Mxfp4, KernelDtype::Nvfp4],
            Dtype::Fp4 => &[KernelDtype::Nvfp4, KernelDtype::Mxfp4],
            Dtype::Int8 => &[KernelDtype::Int8],
        };
        for dtype in dtypes {
            for (tp, ep) in [(self.tp, 1), (1, self.tp)] {
                for spread in [Spread::PowerLaw, Spread::Balanced] {
                    let key = ExpertsKey {
                        dtype: *dtype,
                        hidden: m.hidden,
                        width: m.ffn,
                        per_token: m.experts_per_token,
                        experts: m.experts,
                        tp,
                        ep,
                        spread,
                    };
                    if let Some(curve) = self.tables.moe.curve(&key) {
                        let value = format!(
                            "{}, {} of {} experts, split over {tp}, dealt out to {ep}, tokens {}",
                            dtype.name(),
                            m.experts_per_token,
                            m.experts,
                            match spread {
                                Spread::PowerLaw => "by a power law of exponent 1.2",
                                Spread::Balanced => "spread evenly",
                            }
                        );
                        self.note("kernels.experts", value, Some(Reach::Measured));
                        return Some((f64::from(m.moe_layers()), curve));
                    }
                }
            }
        }
        self.note("kernels.experts", "none for this shape".into(), None);
        None
    }

    /// Nanoseconds to read the KV of one token in one layer on one device at peak bandwidth.
    fn kv_ns(&self) -> f64 {
        let bytes = self.model.kv_bytes_per_layer(self.dtypes.kv) * self.model.kv_share(self.tp);
        bytes / self.bandwidth
    }

    fn kv_dtype(&self) -> KernelDtype {
        if self.dtypes.kv.bytes() < 2.0 {
            KernelDtype::Fp8
        } else {
            KernelDtype::Bf16
        }
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

    fn prefill(&mut self) -> Option<Prefill> {
        let table = &self.tables.prefill;
        let found = self.attention_key(table, 0);
        self.attention_note("kernels.prefill_attention", found.as_ref());
        let scale = |want: &AttentionKey, key: &AttentionKey| {
            f64::from(want.heads * want.head_dim) / f64::from((key.heads * key.head_dim).max(1))
        };
        let (want, key, _) = found?;
        let full = PrefillCurve::new(table, &key, scale(&want, &key))?;
        let windowed = (self.model.window_layers > 0)
            .then(|| self.attention_key(table, self.model.sliding_window))
            .flatten()
            .and_then(|(want, key, _)| PrefillCurve::new(table, &key, scale(&want, &key)));
        Some(Prefill { full, windowed })
    }

    fn decode(&mut self) -> Option<DecodeCurve> {
        let table = &self.tables.decode;
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
    fn mla(&mut self) -> Option<(PrefillCurve, DecodeCurve)> {
        let m = self.model;
        let like = m.attention == Attention::Mla
            && (m.hidden, m.kv_lora_rank, m.qk_rope_head_dim, m.q_lora_rank)
                == (7168, 512, 64, 1536);
        let dtype = self.product_dtype()?;
        let want = AttentionKey::mla(dtype, self.kv_dtype(), self.split(m.heads));
        let table = &self.tables.mla_prefill;
        let (key, reach) = nearest_key(table, &want).filter(|_| like)?;
        let scale = f64::from(want.heads) / f64::from(key.heads.max(1));
        let prefill = PrefillCurve::new(table, &key, scale)?;
        let layers = f64::from(m.layers);
        let decode = DecodeCurve::new(&self.tables.mla_decode, &key, scale, 0.0)?;
        let value = format!(
            "attention with its projections, {} with {} KV, {} heads",
            dtype.name(),
            want.kv.name(),
            want.heads
        );
        self.note("kernels.mla_block", value, Some(reach));
        Some((prefill, decode.layers(layers, 0.0, 0.0)))
    }

    fn reduce(&mut self) -> Option<(f64, f64, Curve)> {
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

    /// Nanoseconds of small kernels per row and per step: two norms with residual and one
    /// activation in a layer, and the embedding.
    fn small(&self) -> (f64, f64) {
        let m = self.model;
        let rate = self.bandwidth * SMALL_BANDWIDTH;
        let (layers, hidden) = (f64::from(m.layers), f64::from(m.hidden));
        let norm = 2.0 * 4.0 * hidden;
        let wide = if m.gated_ffn { 3.0 } else { 2.0 };
        let activation = |width: u32| 2.0 * wide * f64::from(self.split(width));
        let activations = if m.experts == 0 {
            layers * activation(m.ffn)
        } else {
            // The activation of experts is part of their kernel.
            f64::from(m.dense_layers) * activation(m.dense_ffn)
                + f64::from(m.moe_layers() * m.shared_experts) * activation(m.shared_ffn)
        };
        let bytes = layers * 2.0 * norm + activations + 4.0 * hidden;
        (bytes / rate, (3.0 * layers + 1.0) * SMALL_LAUNCH_US * 1e3)
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
