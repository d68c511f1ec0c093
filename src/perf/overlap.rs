//! An engine that plans an iteration while the one before it runs.

use std::sync::Arc;

use super::floor::NodeCeiling;
use super::step::{DecodePiece, Overheads, PrefillChunk};
use super::times::{RankWork, StepTimes};

/// Kernels with the engine's own work beside them instead of between them: an iteration takes the
/// longer of the two.
#[derive(Debug)]
pub struct Overlapped {
    kernels: Arc<dyn StepTimes>,
    overheads: Overheads,
}

impl Overlapped {
    /// `kernels` without any overhead of their own, and the engine's.
    pub fn new(kernels: Arc<dyn StepTimes>, overheads: Overheads) -> Overlapped {
        Overlapped { kernels, overheads }
    }

    fn engine_ns(&self, sequences: f64) -> f64 {
        1e3 * (self.overheads.fixed_us + sequences * self.overheads.per_seq_us)
    }
}

impl StepTimes for Overlapped {
    fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.spread_step_ns(prefill, decodes, context, 0.0)
    }

    fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        self.spread_piece(decodes, context, 0.0)
    }

    fn spread_step_ns(
        &self,
        prefill: &[PrefillChunk],
        decodes: u32,
        context: u64,
        spread: f64,
    ) -> f64 {
        let sequences = f64::from(decodes) + prefill.len() as f64;
        let kernels = self
            .kernels
            .spread_step_ns(prefill, decodes, context, spread);
        kernels.max(self.engine_ns(sequences))
    }

    fn spread_piece(&self, decodes: u32, context: u64, spread: f64) -> DecodePiece {
        let piece = self.kernels.spread_piece(decodes, context, spread);
        let engine_ns = self.engine_ns(f64::from(decodes));
        let here = piece.base_ns + piece.per_context_ns * context as f64;
        if here >= engine_ns {
            return piece;
        }
        // `as` saturates: a line that does not rise never comes there.
        let crossing = ((engine_ns - piece.base_ns) / piece.per_context_ns).ceil();
        DecodePiece {
            base_ns: engine_ns,
            per_context_ns: 0.0,
            until_context: piece.until_context.min((crossing as u64).max(context + 1)),
        }
    }

    fn joint_ns(&self, ranks: &[RankWork<'_>]) -> f64 {
        let engines = ranks.iter().map(|rank| self.engine_ns(rank.sequences()));
        engines.fold(self.kernels.joint_ns(ranks), f64::max)
    }

    fn joint_floor_ns(&self, ranks: &[RankWork<'_>]) -> f64 {
        self.kernels.joint_floor_ns(ranks)
    }

    fn verify_ns(&self, chunks: &[PrefillChunk], prompts: usize, spread: f64) -> f64 {
        let kernels = self.kernels.verify_ns(chunks, prompts, spread);
        kernels.max(self.engine_ns(chunks.len() as f64))
    }

    fn physical_floor_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.kernels.physical_floor_ns(prefill, decodes, context)
    }

    fn request_floor_ns(&self, prompt: u32, output: u32) -> Option<(f64, f64)> {
        self.kernels.request_floor_ns(prompt, output)
    }

    fn max_requests_per_s(&self, prompt: u32, output: u32) -> Option<NodeCeiling> {
        self.kernels.max_requests_per_s(prompt, output)
    }
}
