//! The step model: how long one iteration of a replica takes.
//!
//! A step is a sum over groups of kernels (blocks' matrix products, routed experts, attention, LM
//! head, all-reduces) plus overheads. By the roofline each is the larger of its arithmetic and its
//! memory time at the card's derated rates; with kernel tables ([`StepModel::with_tables`]) it is
//! read from measurements, and only what they lack is the roofline's. Every term is piecewise
//! affine in the context read by decodes, and so is the time of a pure decode step.

mod experts;
mod options;
mod tabled;

use super::accelerator::AcceleratorCard;
use super::dtype::{Dtype, Dtypes};
use super::error::{PerfError, check_range};
use super::floor::{Floor, NodeCeiling};
use super::graphs::CapturedGraphs;
use super::measured::Measured;
use super::model::ModelCard;
use super::parallelism::{Parallelism, check_tp};
use super::shape::table_dtype;

/// Time of a step outside its kernels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Overheads {
    /// Microseconds of every step (scheduling, input preparation, sampling), 0 or more.
    pub fixed_us: f64,
    /// Microseconds more for every sequence of the step, 0 or more.
    pub per_seq_us: f64,
}

/// A piece of a prompt that a step processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefillChunk {
    /// Tokens processed.
    pub tokens: u32,
    /// Tokens of the same sequence whose KV exists before the step.
    pub context: u32,
}

/// A pure decode step's time as a function of the total context K:
/// `base_ns` + `per_context_ns` x K, from the K asked for to `until_context`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodePiece {
    /// Nanoseconds at K = 0 (extrapolated).
    pub base_ns: f64,
    /// Nanoseconds per token of context.
    pub per_context_ns: f64,
    /// Last K for which this holds; `u64::MAX` if it holds for all larger ones.
    pub until_context: u64,
}

/// A group of kernels whose time is the larger of arithmetic and memory.
#[derive(Debug, Clone, Copy)]
struct Group {
    /// Nanoseconds of arithmetic per row.
    compute_per_row: f64,
    /// Nanoseconds of reading and writing activations per row.
    memory_per_row: f64,
    /// Nanoseconds of reading the weights.
    weights: f64,
}

impl Group {
    fn ns(&self, rows: f64, weight_share: f64) -> f64 {
        (rows * self.compute_per_row).max(self.weights * weight_share + rows * self.memory_per_row)
    }

    /// The same on that many times the devices.
    fn over(self, times: f64) -> Self {
        Self {
            compute_per_row: self.compute_per_row / times,
            memory_per_row: self.memory_per_row / times,
            weights: self.weights / times,
        }
    }
}

/// How long the iterations of one replica take.
#[derive(Debug, Clone)]
pub struct StepModel {
    floor: Floor,
    model: ModelCard,
    accelerator: AcceleratorCard,
    parallelism: Parallelism,
    dtypes: Dtypes,
    overheads: Overheads,
    dense: Group,
    /// One expert of every layer that has experts as the unit of `weight_share`.
    experts: Group,
    head: Group,
    /// Nanoseconds per FLOP of prompt attention.
    attention_ns_per_flop: f64,
    /// Nanoseconds to move the KV of one token in one layer.
    kv_ns: f64,
    /// Nanoseconds of decode attention per token of context in one layer.
    decode_ns: f64,
    /// Layers without and with a sliding window.
    layers: [f64; 2],
    window: u64,
    /// Nanoseconds per row of the all-reduces, the embedding and the cache writes.
    row_ns: f64,
    /// Nanoseconds per step of the all-reduces, the launches and the fixed overhead.
    step_ns: f64,
    per_seq_ns: f64,
    /// Nanoseconds per row and per step of the all-reduces alone.
    link: (f64, f64),
    graphs: CapturedGraphs,
    /// Nanoseconds per step in which devices wait for one another before all-reduces.
    skew_ns: f64,
    /// Bandwidth between ranks that the scenario states, in 1e9 bytes per second.
    rank_link: Option<f64>,
    /// The parts that kernel tables give; none if the roofline gives all.
    measured: Option<Box<Measured>>,
}

impl StepModel {
    /// The step model of `model` on `parallelism.tp` devices of that kind: one micro-batch through
    /// all stages (see [`Staged`](super::Staged) for what several stages do).
    ///
    /// # Errors
    /// With `parallelism.dp` above 1 it is that of one rank while the others idle;
    /// [`StepTimes::joint_ns`](super::StepTimes::joint_ns) is that of all. `rank_link_gb_per_s` is
    /// the bandwidth between ranks where the scale-up links do not join them.
    ///
    /// # Errors
    /// [`PerfError::Field`] if `tp` is 0, does not divide the heads, or exceeds the scale-up
    /// domain; if `tp` exceeds 1 on a card without a link bandwidth; if an overhead is negative.
    pub fn new(
        model: &ModelCard,
        accelerator: &AcceleratorCard,
        parallelism: &Parallelism,
        weight_dtype: Dtype,
        kv_dtype: Dtype,
        overheads: Overheads,
    ) -> Result<Self, PerfError> {
        let tp = parallelism.tp;
        check_tp(model, accelerator, tp)?;
        let from_zero = (0.0, f64::INFINITY, true);
        check_range("overheads", "fixed_us", overheads.fixed_us, from_zero)?;
        check_range("overheads", "per_seq_us", overheads.per_seq_us, from_zero)?;
        let dtypes = Dtypes {
            weight: weight_dtype,
            kv: kv_dtype,
        };
        let floor = Floor::new(model, accelerator, tp, dtypes);
        let e = &accelerator.efficiency;
        let devices = f64::from(tp);
        let byte_ns = 1.0 / (floor.byte_rate * e.bandwidth_efficiency);
        let width = weight_dtype.bytes();
        let head_width = table_dtype(weight_dtype).bytes();
        let [layers, hidden] = [model.layers, model.hidden].map(f64::from);
        let active = f64::from(model.experts_per_token);
        // Activations are 16 bits wide: the inputs and outputs of each matrix product.
        let values = layers * model.dense_row_values();
        let expert_values =
            active * f64::from(model.moe_layers()) * model.ffn_row_values(model.ffn);
        let row_compute = 1.0 / (floor.row_rate * e.compute_efficiency);
        let kv_layer = model.kv_bytes_per_layer(kv_dtype) * model.kv_share(tp);
        let device_byte_ns = byte_ns * devices;
        let kv_ns = kv_layer * device_byte_ns;
        let attention_rate = accelerator.peak_tflops(Dtype::Bf16) * 1e3 * devices;
        let attention_ns_per_flop = 1.0 / (attention_rate * e.attention_efficiency);
        let (link_row, link_step) = all_reduce_ns(model, accelerator, tp);
        Ok(Self {
            dense: Group {
                compute_per_row: 2.0 * model.dense_params() * row_compute,
                memory_per_row: 2.0 * values * byte_ns,
                weights: model.dense_params() * width * byte_ns,
            },
            experts: Group {
                compute_per_row: 2.0 * active * model.expert_params() * row_compute,
                memory_per_row: 2.0 * expert_values * byte_ns,
                weights: model.expert_params() * width * byte_ns,
            }
            .over(f64::from(parallelism.dp)),
            head: Group {
                compute_per_row: floor.head_flops / (floor.head_rate * e.compute_efficiency),
                memory_per_row: 2.0 * (hidden + f64::from(model.vocab)) * byte_ns,
                weights: model.head_params() * head_width * byte_ns,
            },
            attention_ns_per_flop,
            kv_ns,
            decode_ns: kv_ns.max(model.decode_pair_flops() * attention_ns_per_flop),
            layers: [model.layers - model.window_layers, model.window_layers].map(f64::from),
            window: u64::from(model.sliding_window),
            row_ns: link_row + layers * kv_ns + 2.0 * hidden * device_byte_ns,
            step_ns: link_step + (layers * e.launch_us_per_layer + overheads.fixed_us) * 1e3,
            per_seq_ns: overheads.per_seq_us * 1e3,
            link: (link_row, link_step),
            graphs: CapturedGraphs::default(),
            skew_ns: 0.0,
            rank_link: None,
            measured: None,
            floor,
            model: model.clone(),
            accelerator: accelerator.clone(),
            parallelism: *parallelism,
            dtypes,
            overheads,
        })
    }

    /// Nanoseconds of a step's parts that do not depend on context.
    fn rows_ns(&self, rows: f64, sequences: f64) -> f64 {
        let rows = self.graphs.rows(rows);
        self.dense.ns(rows, 1.0)
            + self.head.ns(sequences, 1.0)
            + rows * self.row_ns
            + self.step_ns
            + self.skew_ns
            + sequences * self.per_seq_ns
    }

    /// Nanoseconds of decode attention over `context` tokens in all.
    fn decode_attention(&self, decodes: u32, context: u64) -> f64 {
        let windowed = context.min(self.window.saturating_mul(u64::from(decodes)));
        self.decode_ns * (self.layers[0] * context as f64 + self.layers[1] * windowed as f64)
    }

    /// Nanoseconds of prompt attention by the roofline.
    fn prefill_attention(&self, prefill: &[PrefillChunk]) -> f64 {
        let mut attention = 0.0;
        for chunk in prefill {
            let earlier = u64::from(chunk.context);
            let read =
                self.layers[0] * earlier as f64 + self.layers[1] * earlier.min(self.window) as f64;
            let flops = self.model.attention_flops(chunk.tokens, chunk.context);
            attention += (flops * self.attention_ns_per_flop).max(read * self.kv_ns);
        }
        attention
    }

    /// Nanoseconds of one step: `prefill` chunks together with `decodes` sequences of one token
    /// each, which attend to `context` tokens in all. 0 if the step is empty. Decoding sequences
    /// are taken as equally long. Never below [`StepModel::physical_floor_ns`].
    #[must_use]
    pub fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        match &self.measured {
            Some(measured) => {
                let ns = self.measured_ns(measured, prefill, decodes, context);
                let experts = match rows_of(prefill, decodes) {
                    0.0 => 0.0,
                    rows => self.experts_ns(rows),
                };
                (ns + experts).max(self.physical_floor_ns(prefill, decodes, context))
            }
            None => self.roofline_ns(prefill, decodes, context),
        }
    }

    /// The same by the roofline, whether kernel tables are in use or not.
    #[must_use]
    pub fn roofline_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        match rows_of(prefill, decodes) {
            0.0 => 0.0,
            rows => {
                self.bare_roofline_ns(prefill, decodes, context) + self.roofline_experts_ns(rows)
            }
        }
    }

    fn bare_roofline_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        let rows = rows_of(prefill, decodes);
        if rows == 0.0 {
            return 0.0;
        }
        let sequences = f64::from(decodes) + prefill.len() as f64;
        self.rows_ns(rows, sequences)
            + self.prefill_attention(prefill)
            + self.decode_attention(decodes, context)
    }

    /// The time of pure decode steps of `decodes` sequences as a function of the total context,
    /// from `context` on: equal to `step_ns(&[], decodes, K)` up to rounding. O(log) in the points
    /// of the tables.
    #[must_use]
    pub fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        match &self.measured {
            Some(measured) if decodes > 0 => self.measured_piece(measured, decodes, context),
            _ => self.roofline_piece(decodes, context),
        }
    }

    fn roofline_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        if decodes == 0 {
            return DecodePiece {
                base_ns: 0.0,
                per_context_ns: 0.0,
                until_context: u64::MAX,
            };
        }
        let rows = f64::from(decodes);
        let base = self.rows_ns(rows, rows) + self.roofline_experts_ns(rows);
        let cap = self.window.saturating_mul(u64::from(decodes));
        let [full, windowed] = self.layers;
        let bends = windowed > 0.0;
        if bends && context < cap {
            return DecodePiece {
                base_ns: base,
                per_context_ns: self.decode_ns * (full + windowed),
                until_context: cap,
            };
        }
        DecodePiece {
            base_ns: base + self.decode_ns * windowed * if bends { cap as f64 } else { 0.0 },
            per_context_ns: self.decode_ns * full,
            until_context: u64::MAX,
        }
    }

    /// Nanoseconds of the LM head for so many sequences.
    pub(crate) fn head_ns(&self, sequences: f64) -> f64 {
        let measured = self.measured.as_ref();
        measured
            .and_then(|measured| measured.head_ns(sequences))
            .unwrap_or_else(|| self.head.ns(sequences, 1.0))
    }

    /// The time outside kernels that steps have.
    #[must_use]
    pub fn overheads(&self) -> Overheads {
        self.overheads
    }

    /// Ranks of data-parallel attention: as many times the devices as the floor counts.
    fn ranks(&self) -> f64 {
        f64::from(self.parallelism.dp)
    }

    /// Least nanoseconds of a step at peak rates: see [`Floor::physical_floor_ns`]. With several
    /// ranks, on the devices of all, since the experts are.
    #[must_use]
    pub fn physical_floor_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.floor.physical_floor_ns(prefill, decodes, context) / self.ranks()
    }

    /// The same of pure decode steps as a function of the total context, from `context` on.
    #[must_use]
    pub fn floor_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        let piece = self.floor.decode_piece(decodes, context);
        DecodePiece {
            base_ns: piece.base_ns / self.ranks(),
            per_context_ns: piece.per_context_ns / self.ranks(),
            ..piece
        }
    }

    /// Least nanoseconds to first and last token of a request alone: see
    /// [`Floor::request_floor_ns`]; with several ranks as above.
    #[must_use]
    pub fn request_floor_ns(&self, prompt: u32, output: u32) -> (f64, f64) {
        let (first, last) = self.floor.request_floor_ns(prompt, output);
        (first / self.ranks(), last / self.ranks())
    }

    /// Upper bounds on requests per second: see [`Floor::max_requests_per_s`]; of all ranks.
    #[must_use]
    pub fn max_requests_per_s(&self, prompt: u32, output: u32) -> NodeCeiling {
        let of_one = self.floor.max_requests_per_s(prompt, output);
        of_one.times(self.ranks())
    }

    /// The figures the model rests on: name, value with its unit, and whether it is assumed or
    /// imported from a card (whose citation is among the rows).
    #[must_use]
    pub fn provenance(&self) -> Vec<(String, String, &'static str)> {
        let mut rows = super::provenance::rows(
            &self.model,
            &self.accelerator,
            self.parallelism.tp,
            self.dtypes,
            self.overheads,
        );
        let measures_experts = |measured: &Measured| measured.experts_ns(1.0).is_some();
        if self.model.experts == 0 || self.measured.as_deref().is_some_and(measures_experts) {
            rows.retain(|(name, ..)| name != "expert routing");
        }
        match &self.measured {
            Some(measured) => super::provenance::add_tables(measured, &mut rows),
            None => rows.push((
                "steps".to_owned(),
                "the roofline of the cards at the efficiencies above: no measured kernels"
                    .to_owned(),
                "assumed",
            )),
        }
        rows
    }
}

/// Tokens of a step.
fn rows_of(prefill: &[PrefillChunk], decodes: u32) -> f64 {
    let mut rows = f64::from(decodes);
    for chunk in prefill {
        rows += f64::from(chunk.tokens);
    }
    rows
}

/// Nanoseconds per row and per step of two all-reduces a layer: a ring moves 2 (tp - 1) / tp of
/// the 16-bit residual stream over each device's links.
fn all_reduce_ns(model: &ModelCard, accelerator: &AcceleratorCard, tp: u32) -> (f64, f64) {
    let Some(link) = accelerator
        .scale_up_gb_per_s_per_direction
        .filter(|_| tp > 1)
    else {
        return (0.0, 0.0);
    };
    let e = &accelerator.efficiency;
    let count = 2.0 * f64::from(model.layers);
    let tp = f64::from(tp);
    let bytes = 2.0 * (tp - 1.0) / tp * 2.0 * f64::from(model.hidden);
    let per_row = count * bytes / (link * e.link_efficiency);
    (per_row, count * e.all_reduce_latency_us * 1e3)
}
