//! Step times from a layer-wise kernel profile of one GPU and one model.
//!
//! A profile is a folder of three files, as written by the profiler of LLMServingSim 2 (times in
//! microseconds, one layer of the model):
//!
//! | file | columns | what |
//! |---|---|---|
//! | `dense.csv[.gz]` | `layer,tokens,time_us` | matrix products, norms, rotary, activation, embedding |
//! | `per_sequence.csv[.gz]` | `layer,sequences,time_us` | `lm_head` and `sampler` |
//! | `skew.csv[.gz]`, if there | see [`skew`] | attention of batches of unlike sequences |
//! | `meta.yaml`, if there or above | `skew_fit:` with `enabled: false` | turns the latter off |
//! | `attention.csv[.gz]` | `prefill_chunk,kv_prefill,n_decode,kv_decode,time_us` | attention of mixed batches |
//!
//! An iteration is, for each layer, `qkv_proj + qk_norm + rotary_emb + attention + o_proj + 2
//! layernorm + gate_up_proj + act_fn + down_proj` at all its tokens, then `embedding`,
//! `final_layernorm`, and `lm_head` and `sampler` for the sequences that give a token. Between
//! measured points times are interpolated linearly; beyond the last they go on along the last two.

mod attention;
mod curve;
mod skew;

use std::io::Read;
use std::path::Path;

use self::attention::AttentionGrid;
use self::curve::{Curve, Table};
use self::skew::Skew;
use super::error::PerfError;
use super::floor::{Floor, NodeCeiling};
use super::graphs::CapturedGraphs;
use super::step::{DecodePiece, Overheads, PrefillChunk};
use super::times::{StepParts, StepTimes};
use crate::inputs::note;

/// Kernels of a layer that every profile has, and how often a layer runs them.
const LAYER: [(&str, f64); 7] = [
    ("qkv_proj", 1.0),
    ("rotary_emb", 1.0),
    ("o_proj", 1.0),
    ("layernorm", 2.0),
    ("gate_up_proj", 1.0),
    ("act_fn", 1.0),
    ("down_proj", 1.0),
];
/// Kernels of a layer that only some models have.
const OPTIONAL: [&str; 1] = ["qk_norm"];
/// Kernels of an iteration outside its layers, by tokens.
const ONCE: [&str; 2] = ["embedding", "final_layernorm"];
/// The same by sequences.
const PER_SEQUENCE: [&str; 2] = ["lm_head", "sampler"];

/// Step times from a profile.
#[derive(Debug, Clone)]
pub struct ProfileSteps {
    /// Nanoseconds by tokens, all layers and what runs once.
    tokens: Curve,
    /// Nanoseconds by sequences.
    sequences: Curve,
    /// Attention of one layer.
    attention: AttentionGrid,
    /// What batches of unlike sequences take more.
    skew: Skew,
    layers: f64,
    overheads: Overheads,
    graphs: CapturedGraphs,
    floor: Floor,
}

impl ProfileSteps {
    /// Reads a profile for a model of `layers` layers on hardware whose bounds are `floor`.
    ///
    /// # Errors
    /// [`PerfError::Field`] when a file is missing, is not what it should be, or lacks a kernel.
    pub fn load(
        folder: &Path,
        layers: u32,
        floor: Floor,
        overheads: Overheads,
    ) -> Result<ProfileSteps, PerfError> {
        let dense = Table::read(folder, "dense", ["layer", "tokens", "time_us"])?;
        let heads = Table::read(folder, "per_sequence", ["layer", "sequences", "time_us"])?;
        let layers = f64::from(layers);
        let mut tokens = Curve::zero();
        for (name, times) in LAYER {
            tokens.add(&dense.curve(name)?, times * layers * 1e3);
        }
        for name in OPTIONAL {
            if let Ok(curve) = dense.curve(name) {
                tokens.add(&curve, layers * 1e3);
            }
        }
        for name in ONCE {
            tokens.add(&dense.curve(name)?, 1e3);
        }
        let mut sequences = Curve::zero();
        for name in PER_SEQUENCE {
            sequences.add(&heads.curve(name)?, 1e3);
        }
        Ok(ProfileSteps {
            tokens,
            sequences,
            attention: AttentionGrid::read(folder)?,
            skew: Skew::read(folder)?,
            layers,
            overheads,
            graphs: CapturedGraphs::default(),
            floor,
        })
    }

    /// The same with graphs captured: what is not attention works on padded iterations.
    #[must_use]
    pub fn with_graphs(mut self, graphs: CapturedGraphs) -> Self {
        self.graphs = graphs;
        self
    }

    /// Everything of an iteration but attention, nanoseconds.
    fn other_ns(&self, tokens: f64, sequences: f64) -> f64 {
        let overhead = self.overheads.fixed_us + sequences * self.overheads.per_seq_us;
        self.tokens.at(self.graphs.rows(tokens)) + self.sequences.at(sequences) + overhead * 1e3
    }
}

impl StepTimes for ProfileSteps {
    fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.spread_step_ns(prefill, decodes, context, 0.0)
    }

    fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        self.spread_piece(decodes, context, 0.0)
    }

    fn parts(
        &self,
        prefill: &[PrefillChunk],
        decodes: u32,
        context: u64,
        spread: f64,
    ) -> StepParts {
        let sequences = f64::from(decodes) + prefill.len() as f64;
        let overheads = self.overheads;
        let total = self.spread_step_ns(prefill, decodes, context, spread);
        let engine_ns = (overheads.fixed_us + sequences * overheads.per_seq_us) * 1e3;
        let engine_ns = engine_ns.min(total);
        let last_ns = self.sequences.at(sequences).min(total - engine_ns);
        StepParts {
            engine_ns,
            layers_ns: total - engine_ns - last_ns,
            last_ns,
        }
    }

    fn spread_step_ns(
        &self,
        prefill: &[PrefillChunk],
        decodes: u32,
        context: u64,
        spread: f64,
    ) -> f64 {
        if prefill.is_empty() && decodes == 0 {
            return 0.0;
        }
        let (mut tokens, mut squares, mut reads) = (f64::from(decodes), 0.0, 0.0);
        for chunk in prefill {
            let [new, earlier] = [chunk.tokens, chunk.context].map(f64::from);
            tokens += new;
            squares += new * new;
            reads += new * earlier;
        }
        // One prompt of the same arithmetic stands for several.
        let chunk = f64::sqrt(squares);
        let earlier = if chunk > 0.0 { reads / chunk } else { 0.0 };
        let n = f64::from(decodes);
        let mean = if decodes > 0 { context as f64 / n } else { 0.0 };
        let alike = self.attention.us(chunk, earlier, n, mean);
        let skewed = self
            .skew
            .us(&self.attention, (chunk, earlier), n, mean, spread);
        let attention = (alike + skewed) * 1e3 * self.layers;
        let sequences = n + prefill.len() as f64;
        let ns = self.other_ns(tokens, sequences) + attention;
        ns.max(self.floor.physical_floor_ns(prefill, decodes, context))
    }

    fn spread_piece(&self, decodes: u32, context: u64, spread: f64) -> DecodePiece {
        let n = f64::from(decodes);
        let mean = context as f64 / n;
        let skewed = self.skew.us(&self.attention, (0.0, 0.0), n, mean, spread);
        let base_ns = self.other_ns(n, n) + skewed * 1e3 * self.layers;
        let (at_zero, slope, end) = self.attention.decode_line(n, mean);
        let scale = 1e3 * self.layers;
        let piece = DecodePiece {
            base_ns: base_ns + at_zero * scale,
            per_context_ns: slope * scale / n,
            // `as` saturates: beyond the last point the line goes on.
            until_context: ((end * n).ceil() as u64).max(context + 1),
        };
        // Where measured kernels were to come out below what the hardware needs, that stands.
        let here = piece.base_ns + piece.per_context_ns * context as f64;
        let floor = self.floor.physical_floor_ns(&[], decodes, context);
        if here >= floor {
            return piece;
        }
        DecodePiece {
            base_ns: floor,
            per_context_ns: 0.0,
            until_context: context + 1,
        }
    }

    fn per_sequence_ns(&self) -> f64 {
        self.overheads.per_seq_us * 1e3
    }

    fn physical_floor_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.floor.physical_floor_ns(prefill, decodes, context)
    }

    fn floor_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        self.floor.decode_piece(decodes, context)
    }

    fn request_floor_ns(&self, prompt: u32, output: u32) -> Option<(f64, f64)> {
        Some(self.floor.request_floor_ns(prompt, output))
    }

    fn max_requests_per_s(&self, prompt: u32, output: u32) -> Option<NodeCeiling> {
        Some(self.floor.max_requests_per_s(prompt, output))
    }
}

/// The text of `NAME.csv` or `NAME.csv.gz` in a folder, with the name it has.
fn read_text(folder: &Path, name: &str) -> Result<(String, String), PerfError> {
    let plain = folder.join(format!("{name}.csv"));
    let zipped = folder.join(format!("{name}.csv.gz"));
    let (path, zipped) = match plain.exists() {
        true => (plain, false),
        false => (zipped, true),
    };
    let file = path.display().to_string();
    let fail = |error: std::io::Error| PerfError::Field {
        file: file.clone(),
        field: "profile",
        value: error.to_string(),
        allowed: "a folder with dense.csv, per_sequence.csv and attention.csv (or .csv.gz)".into(),
        remedy: "check the path".into(),
    };
    note(&path);
    let bytes = std::fs::read(&path).map_err(fail)?;
    let mut text = String::new();
    match zipped {
        true => flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text),
        false => (&bytes[..]).read_to_string(&mut text),
    }
    .map_err(fail)?;
    Ok((file, text))
}
