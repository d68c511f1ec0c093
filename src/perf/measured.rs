//! The parts of a step as measured kernels give them: what a model on so many devices needs, looked
//! up once, so that a step is a handful of interpolations.

mod lookup;
mod number_types;

use self::lookup::{Lookup, kv_dtype};
use super::accelerator::AcceleratorCard;
use super::dtype::Dtypes;
use super::memo::Memo;
use super::model::{Attention, ModelCard};
use super::parallelism::Parallelism;
use super::step::PrefillChunk;
use super::tables::{Curve, DecodeCurve, GemmCurve, PrefillCurve, Reach, TablesHandle};

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

/// One kind of product.
#[derive(Debug, Clone)]
struct Product {
    /// How many a step has.
    count: f64,
    curve: GemmCurve,
    /// What the measurement includes and a step does not have: finding activation scales.
    excess: Option<Curve>,
}

impl Product {
    fn ns(&self, rows: f64) -> f64 {
        let each = match &self.excess {
            Some(excess) => self.curve.ns_less(rows, excess.at(rows)),
            None => self.curve.ns(rows),
        };
        self.count * each
    }
}

/// The name of the exchange between ranks in the provenance.
pub(super) const EXCHANGE: &str = "kernels.exchange";

/// Small kernels: those measured, and the others by bytes and launches.
#[derive(Debug, Clone)]
pub(crate) struct Small {
    /// Nanoseconds per row of what was not measured.
    per_row: f64,
    /// Nanoseconds per step of the same.
    per_step: f64,
    /// How many a step has of what was measured, and their time by rows.
    measured: Vec<(f64, Curve)>,
    /// What was not measured.
    pub(crate) by_bytes: Vec<&'static str>,
}

/// What ranks of data-parallel attention exchange around the experts.
#[derive(Debug, Clone)]
struct Exchange {
    /// Layers with experts.
    layers: f64,
    /// Values of a row.
    values: f64,
    /// Nanoseconds by values gathered, and by values scattered.
    gather: Curve,
    scatter: Curve,
}

/// Times of a step's parts; what is absent has no table.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) tables: TablesHandle,
    /// Products of every row with their number in the step.
    products: Option<Vec<Product>>,
    products_memo: Memo,
    head_memo: Memo,
    head: Option<GemmCurve>,
    /// Layers of experts, and their time by tokens.
    experts: Option<(f64, Curve)>,
    prefill: Option<Prefill>,
    pub(crate) decode: Option<DecodeCurve>,
    /// Whether prompts share a kernel with decoding sequences; MLA has kernels of their own.
    pub(crate) joins_attention: bool,
    /// All-reduces of a step, values of a row, and their time by values.
    reduce: Option<(f64, f64, Curve)>,
    exchange: Option<Exchange>,
    pub(crate) small: Small,
    layers: [f64; 2],
    window: u32,
    /// Nanoseconds to read the KV of one token in one layer at peak bandwidth.
    kv_ns: f64,
    pub(crate) parts: Vec<Part>,
}

impl Measured {
    pub(crate) fn new(
        tables: TablesHandle,
        model: &ModelCard,
        accelerator: &AcceleratorCard,
        parallelism: Parallelism,
        dtypes: Dtypes,
    ) -> Self {
        let mut lookup = Lookup::new(&tables, model, accelerator, parallelism, dtypes);
        let blocks = lookup.mla();
        let mla = blocks.is_some();
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
        let exchange = lookup.exchange();
        let small = lookup.small(mla);
        let joins_attention =
            model.attention == Attention::Gqa && tables.joins_attention(kv_dtype(dtypes));
        let (kv_ns, parts) = (lookup.kv_ns(), lookup.parts);
        Self {
            tables,
            products,
            products_memo: Memo::new(),
            head_memo: Memo::new(),
            head,
            experts,
            prefill,
            decode,
            joins_attention,
            reduce,
            exchange,
            small,
            layers: [model.layers - model.window_layers, model.window_layers].map(f64::from),
            window: model.sliding_window,
            kv_ns,
            parts,
        }
    }

    /// Whether products of the weights' number type were measured.
    pub(crate) fn has_products(&self) -> bool {
        self.products.is_some()
    }

    /// Products of the blocks, nanoseconds.
    pub(crate) fn products_ns(&self, rows: f64) -> Option<f64> {
        let products = self.products.as_ref()?;
        let sum = || products.iter().map(|product| product.ns(rows)).sum();
        Some(self.products_memo.at(rows, sum))
    }

    /// The LM head, nanoseconds.
    pub(crate) fn head_ns(&self, sequences: f64) -> Option<f64> {
        let head = self.head.as_ref()?;
        Some(self.head_memo.at(sequences, || head.ns(sequences)))
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

    /// What ranks gather before the experts and scatter after them, nanoseconds.
    pub(crate) fn exchange_ns(&self, rows: f64) -> Option<f64> {
        let exchange = self.exchange.as_ref()?;
        let values = rows * exchange.values;
        Some(exchange.layers * (exchange.gather.at(values) + exchange.scatter.at(values)))
    }

    /// Leaves the exchange to the roofline: the ranks are not where it was measured.
    pub(crate) fn forget_exchange(&mut self) {
        self.exchange = None;
        self.parts.retain(|part| part.name != EXCHANGE);
    }

    /// Norms, activations and embedding, nanoseconds.
    pub(crate) fn small_ns(&self, rows: f64) -> f64 {
        let curves = self.small.measured.iter();
        let measured: f64 = curves.map(|(count, curve)| count * curve.at(rows)).sum();
        self.small.per_row * rows + self.small.per_step + measured
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

    /// Nanoseconds of attention where chunks take `prefill` alone and the decoding sequences of the
    /// iteration take `decode`. In a kernel for both the launch is paid once; no less is taken than
    /// by either alone, nor than by reading the context of both.
    pub(crate) fn attention_ns(&self, chunks: &[PrefillChunk], prefill: f64, decode: f64) -> f64 {
        let Some(attention) = self.prefill.as_ref().filter(|_| self.joins_attention) else {
            return prefill + decode;
        };
        if chunks.is_empty() || decode == 0.0 {
            return prefill + decode;
        }
        let launches = self.layers.iter().sum::<f64>() * attention.full.launch_ns();
        let read: f64 = chunks.iter().map(|chunk| self.read_ns(chunk)).sum();
        ((prefill - launches).max(read) + decode).max(prefill)
    }

    /// Nanoseconds to read the context of a chunk in all layers at peak bandwidth.
    fn read_ns(&self, chunk: &PrefillChunk) -> f64 {
        let windowed = f64::from(chunk.context.min(self.window));
        (self.layers[0] * f64::from(chunk.context) + self.layers[1] * windowed) * self.kv_ns
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
